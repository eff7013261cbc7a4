#!/usr/bin/perl
# A whole set-up, held against every clause of what an instance has to be; then once more, when nothing may change; and
# names of customers that are more than letters.
use strict;
use warnings;
use utf8;
use Cloud;
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output, Test::More->builder->todo_output;

my $cloud = Cloud->connect;
my %env = %{ $cloud->{env} };
my ($tenant, $name) = ('whole', 'whole.meltanodata.com');

# A name that would do harm where it is pasted into a shell line, a header or HTML.
my $odd_name = "Zoë \"Z\" O'Brien-Łuk <b>& \$(touch /tmp/hostler-odd-$$) `touch /tmp/hostler-odd-$$`; % %s \\";
unlink "/tmp/hostler-odd-$$";

my $mark = $cloud->mark;
my $odd = $cloud->start_setup('odd', name => do { my $bytes = $odd_name; utf8::encode($bytes); $bytes });
my $run = $cloud->setup($tenant);
is $run->{status}, 0, 'set-up succeeds' or diag $run->{stdout}, $run->{stderr};
is $run->{stderr}, '', 'and has nothing to complain about';
$odd = Hostler::finish($odd);

my $droplet = $cloud->droplet($tenant) or die 'there is no droplet';
my $cluster = $cloud->cluster($tenant);

subtest 'the droplet' => sub {
    my ($order) = grep { $_->{path} eq '/v2/droplets' && $_->{request}{name} eq $name } $cloud->writes($mark);
    my @snapshots = grep { $_->{name} =~ /^meltano-/ && $_->{resource_type} eq 'droplet' }
        @{ $cloud->digitalocean('/v2/snapshots')->{snapshots} };
    my ($newest) = sort { $b->{created_at} cmp $a->{created_at} } @snapshots;
    my @keys = sort map { $_->{id} } @{ $cloud->digitalocean('/v2/account/keys')->{ssh_keys} };
    my ($project) = grep { $_->{name} eq 'Meltano' } @{ $cloud->digitalocean('/v2/projects')->{projects} };
    my $members = $cloud->digitalocean("/v2/projects/$project->{id}/resources?per_page=200")->{resources};
    is $droplet->{name}, $name, 'its name';
    is $droplet->{size_slug}, 's-2vcpu-2gb', 'its size';
    is $droplet->{region}{slug}, 'nyc3', 'its region';
    is "@{ $droplet->{tags} }", 'production', 'its tag';
    is $order->{request}{image}, $newest->{id}, "its image is the newest snapshot for instances, $newest->{name}";
    is "@{[ sort @{ $order->{request}{ssh_keys} } ]}", "@keys", 'it has every key of the account';
    ok !$order->{request}{backups}, 'no backups';
    ok scalar(grep { $_->{urn} eq "do:droplet:$droplet->{id}" } @$members), 'it is in the project Meltano';
};

subtest 'the DNS record' => sub {
    my $record = $cloud->record($tenant);
    is "$record->{type} $record->{data} $record->{ttl}", "A $droplet->{public} 3600", 'its type, address and TTL';
    my $answer = $cloud->inside($cloud->droplet('odd'), 'getent', 'ahostsv4', $name);
    like $answer, qr/^\Q$droplet->{public}\E\s/, 'the name resolves to the droplet';
};

subtest 'the database cluster' => sub {
    is $cluster->{team}, 'MeltanoData DBs 2', 'it is in the first team that is not full';
    like $cluster->{name}, qr/-whole\z/, 'its name ends in the tenant';
    is join(' ', @$cluster{qw(engine size region num_nodes)}), 'pg db-s-1vcpu-1gb nyc3 1', 'its kind, size, region, nodes';
    is "@{ $cluster->{tags} }", 'production', 'its tag';
    my $rules = $cloud->digitalocean("/v2/databases/$cluster->{id}/firewall", $cluster->{token})->{rules};
    is join(' ', sort map { "$_->{type}=$_->{value}" } @$rules),
        join(' ', sort map { "ip_addr=$_" } @$droplet{qw(public private)}), 'it trusts the droplet, by both addresses';

    my $connection = $cluster->{connection};
    my $place = "host=$connection->{host} port=$connection->{port} dbname=$connection->{database} user=$connection->{user}"
        . ' sslmode=require connect_timeout=5';
    local $ENV{PGPASSWORD} = $connection->{password};
    like qx(psql -Atc 'select 1' '$place' 2>&1), qr/no pg_hba.conf entry|no entry/, 'from elsewhere it refuses';
    my $answer = $cloud->inside($droplet, 'sh', '-c', 'set -a; . /etc/meltano/environment.d/postgres; exec "$0" -c "$1"',
        '/var/meltano/.venv/bin/python', <<~'PYTHON');
        import os, psycopg2
        e = os.environ
        c = psycopg2.connect(host=e["PG_ADDRESS"], port=e["PG_PORT"], dbname=e["PG_DATABASE"], user=e["PG_USERNAME"],
                             password=e["PG_PASSWORD"], sslmode="require")
        r = c.cursor(); r.execute("select 40 + 2"); print(r.fetchone()[0])
        PYTHON
    is $answer, "42\n", 'from the droplet, with the settings there, it answers';
};

my %login;
subtest 'the 1Password items' => sub {
    for ([ $name, $tenant ], [ "meltano\@$name", 'meltano' ]) {
        my ($title, $user) = @$_;
        my $item = $cloud->item($title);
        ok $item, "there is one item '$title'" or next;
        is $item->{username}, $user, 'its user name';
        is $item->{urls}[0]{href}, "https://$name/", 'its website';
        like $item->{password}, qr/^[A-Za-z0-9]{20,}\z/, 'its password is long';
        $login{$user} = $item->{password};
    }
    isnt $login{$tenant}, $login{meltano}, 'the passwords differ';
    isnt $login{$tenant}, $cloud->item('odd.meltanodata.com')->{password}, 'and those of another instance are others';
};

subtest 'the files on the instance' => sub {
    my $settings = $cloud->inside($droplet, 'cat', '/etc/meltano/environment.d/postgres');
    my %is = $settings =~ /^(\w+)="?(.*?)"?$/mg;
    my $connection = $cluster->{connection};
    is_deeply \%is, {
        PG_USERNAME => $connection->{user}, PG_PASSWORD => $connection->{password}, PG_ADDRESS => $connection->{host},
        PG_PORT => $connection->{port}, PG_DATABASE => $connection->{database},
    }, 'the database settings';
    is $cloud->inside($droplet, 'stat', '-c', '%U:%G %a', '/etc/meltano/environment.d/postgres'), "meltano:meltano 600\n",
        'belong to meltano alone';
    like $cloud->inside($droplet, 'cat', '/etc/caddy/environment'), qr/^HOSTNAME="?\Q$name\E"?$/m, 'Caddy has its host name';
    like $cloud->inside($droplet, 'systemctl', 'is-active', 'meltano', 'caddy'), qr/\Aactive\nactive\n\z/, 'both services run';
    is $cloud->inside($droplet, qw(find /var/meltano ! -user meltano ! -user meltano_ftp)), '', 'nothing of /var/meltano is another\'s';
};

subtest 'the certificate' => sub {
    my $shown = qx(openssl s_client -connect $droplet->{public}:443 -servername $name -CAfile $env{HOSTLER_CA_FILE} \\
        -verify_hostname $name -verify_return_error </dev/null 2>&1);
    like $shown, qr/Verify return code: 0 \(ok\)/, 'it is valid for the name';
    like $shown, qr/issuer=.*Pebble/, 'the ACME authority issued it';
};

subtest 'the users of the UI' => sub {
    for my $user ($tenant, 'meltano') {
        like $cloud->log_in($tenant, $user, $login{$user}), qr/Welcome, $user/, "$user logs in with the password that is in 1Password";
    }
    is $cloud->log_in($tenant, $tenant, "$login{$tenant}x"), 401, 'and not with another';
    is $cloud->script('database', 'psql', $cluster->{connection}{database}, '-Atc',
        'select username, roles from meltano_user order by username'), "meltano|{admin}\nwhole|{admin}\n", 'both are admins';
};

subtest 'the mail' => sub {
    my @letters = $cloud->letters_to("$tenant\@example.com");
    is @letters, 1, 'there is one';
    my $letter = $letters[0];
    is $letter->{from}, 'MeltanoData <hello@meltano.com>', 'From';
    is $letter->{to}, 'Ada Lovelace <whole@example.com>', 'To';
    is $letter->{subject}, 'Your Meltano instance is ready', 'Subject';
    for my $part (qw(text html)) {
        like $letter->{$part}, qr/Ada Lovelace/, "the $part names the customer";
        like $letter->{$part}, qr{https://\Q$name\E/}, "the $part has the address";
        like $letter->{$part}, qr/\b$login{$tenant}\b/, "the $part has the password";
        unlike $letter->{$part}, qr/$login{meltano}/, "the $part has not the password of staff";
    }
    like $letter->{text}, qr/User\s+whole$/m, 'the text has the user';
};

subtest 'a name that is more than letters' => sub {
    is $odd->{status}, 0, 'set-up succeeds' or diag $odd->{stdout}, $odd->{stderr};
    my ($letter) = $cloud->letters_to('odd@example.com');
    my $escaped = $odd_name;
    $escaped =~ s/&/&amp;/g;
    $escaped =~ s/</&lt;/g;
    $escaped =~ s/>/&gt;/g;
    $escaped =~ s/"/&quot;/g;
    like $letter->{text}, qr/^Hello \Q$odd_name\E,$/m, 'the text has it as it is';
    like $letter->{html}, qr/Hello \Q$escaped\E,/, 'the HTML has it as text';
    my $phrase = $letter->{to} =~ s/ <odd\@example.com>\z//r;
    $phrase =~ s/\A"(.*)"\z/$1/ and $phrase =~ s/\\(.)/$1/g;
    is $phrase, $odd_name, 'and so has the To line';
    ok !-e "/tmp/hostler-odd-$$", 'it has run nothing here';
    $cloud->inside($cloud->droplet('odd'), 'test', '-e', "/tmp/hostler-odd-$$");
    isnt $?, 0, 'nor on the droplet';
};

# Everything that a run might touch: files with owner, mode and time, and when the services were started.
sub fingerprint {
    return $cloud->inside($droplet, 'sh', '-c', <<~'SH');
        find /etc /root /var/meltano /usr/local -xdev -type f ! -name last-request ! -name '*.log' -printf '%p %u %m %T@ %s\n' | sort
        systemctl show -p ActiveEnterTimestampMonotonic -p ExecMainStartTimestampMonotonic meltano caddy ssh
        SH
}

subtest 'again' => sub {
    my ($since, $before) = ($cloud->mark, fingerprint());
    like $before, qr{^/etc/caddy/Caddyfile .*^ActiveEnter}ms, "what is looked at";
    my $again = $cloud->setup($tenant);
    is $again->{status}, 0, 'it ends well';
    like $again->{stdout}, qr/\Q$name\E.* is complete/, 'and says that it is complete';
    is_deeply [ map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' } $cloud->requests($since) ], [],
        'no request but GET was sent';
    is fingerprint(), $before, 'nothing on the droplet changed';
    is scalar($cloud->letters_to("$tenant\@example.com")), 1, 'no further mail';
};

subtest 'for another customer' => sub {
    my $since = $cloud->mark;
    my $other = $cloud->setup($tenant, name => 'Grace Hopper', email => 'grace@example.com', flags => ['--new']);
    is $other->{status}, 1, 'the name is not theirs';
    like $other->{stderr}, qr/^error: \Q$name\E is taken: it is complete, and answers$/m, 'which is said';
    is_deeply [ map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' } $cloud->requests($since) ], [],
        'no request but GET was sent';
};

subtest 'one run at a time works on an instance' => sub {
    my $first = $cloud->start_setup('held');
    ok Hostler::wait_for($first, qr/step   create droplet: done/), 'while it is being set up';
    my $second = $cloud->run({}, 'run', 'delete', 'held', '--yes');
    is $second->{status}, 4, 'it is not deleted';
    like $second->{stderr}, qr/'instance:held' is locked by run \w+ \(setup by \w+/, 'and it is said who is at work';
    Hostler::finish($first);
    is $first->{status}, 0, 'the first goes on' or diag $first->{stderr};
};

done_testing;
