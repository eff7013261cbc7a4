#!/usr/bin/perl
# Things that break in the middle of a set-up. Each ends with a clear error that says what was being done, to what, why
# it failed and which steps are done; nothing is half-made in silence: the next run says what exists.
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud  = Cloud->connect;
my %env    = %{ $cloud->{env} };
my $folder = tempdir(CLEANUP => 1);

# A site with little patience.
my $hurried = $cloud->site_with(
    "give_up_after = 10 * 60, -- seconds, for a new droplet's SSH" => "give_up_after = 3, -- seconds, for a new droplet's SSH",
    'give_up_after = 30 * 60, -- seconds, for a cluster'           => 'give_up_after = 4, -- seconds, for a cluster',
    "give_up_after = 30 * 60, -- seconds\n"                        => "give_up_after = 5, -- seconds\n",
    'give_up_after = 5 * 60, -- seconds, for an instance'          => 'give_up_after = 30, -- seconds, for an instance',
);

# What the next run says of what the last one left: it names that run, and may change nothing.
sub next_run_tells {
    my ($tenant) = @_;
    my ($parts, $mark) = ($cloud->parts($tenant), $cloud->mark);
    return is $cloud->setup($tenant, flags => ['--dry-run'])->{status}, 0, 'nothing exists, and another run would begin'
        if $parts eq '';
    my $run = $cloud->setup($tenant);
    is $run->{status}, 1, 'the next run refuses';
    like $run->{stderr}, qr/run (\w+) began this and stopped half-way.*hostler resume \1 .*hostler undo \1 /s,
        'since an earlier one is to be resumed or undone';
    # Where nobody knows of that run.
    my %word = (droplet => 'the droplet', record => 'the A record', cluster => 'the database cluster', items => 'the 1Password item');
    my $elsewhere = $cloud->setup($tenant, env => { XDG_STATE_HOME => tempdir(CLEANUP => 1) });
    is $elsewhere->{status}, 1, 'a run on another machine refuses, too';
    like $elsewhere->{stdout}, qr/exists   $word{$_}/, "and says that $word{$_} exists" for split / /, $parts;
    is_deeply [ map { $_->{path} } $cloud->writes($mark) ], [], 'it changes nothing';
}

# A run that failed as it should: status 1, these texts in its error, the run to resume; and the next run tells what exists.
sub fails {
    my ($what, $tenant, $run, $parts, @texts) = @_;
    my $forget = $tenant ne 'changed' && $tenant ne 'full'; # at these the test looks again
    subtest $what => sub {
        is $run->{status}, 1, 'exit status 1' or diag $run->{stdout};
        like $run->{stderr}, $_, "says $_" for @texts;
        like $run->{stderr}, qr/next      hostler resume \w+/, 'says how to go on';
        unlike $run->{stderr}, qr/traceback/, 'without a traceback';
        is $cloud->parts($tenant), $parts, "what exists: " . ($parts || 'nothing');
        next_run_tells($tenant);
    };
    $cloud->forget($tenant) if $forget; # what each machine takes of this one is needed by the next
}

my $made = qr/done .*create database cluster, create droplet, .*create DNS record, trust the droplet, store \S+ in 1Password/;
my $all  = 'droplet record cluster items';

# ---- hosts ----

# Four runs beside each other, each with a host that fails it in another way, as soon as it is there.
system("ssh-keygen -q -t ed25519 -N '' -C stranger -f $folder/stranger") == 0 or die;
my ($agent, $socket) = $cloud->agent($folder, "$folder/stranger");
my ($key) = Cloud::read_file("$folder/stranger.pub") =~ /^(\S+ \S+)/;
$cloud->claim('changed');
my %run = (changed => $cloud->start_setup('changed'));
$cloud->wait_for_droplet('changed'); # its checks are over
open my $known_hosts, '>>', $env{HOSTLER_KNOWN_HOSTS} or die $!;
print $known_hosts "changed.meltanodata.com $key\n";
close $known_hosts;
$run{unplugged} = $cloud->start_setup('unplugged', in => $hurried);
$cloud->script('droplet', 'link', $cloud->wait_for_droplet('unplugged')->{id}, 'down');
$run{full} = $cloud->start_setup('full');
my $full = $cloud->wait_for_droplet('full');
$cloud->script('droplet', 'disk', $full->{id}, '2M');
$cloud->inside($full, 'sh', '-c', 'cat /dev/zero >/root/filler 2>/dev/null');
# What the account has lets the operator in, until somebody takes it off the host.
$cloud->control(POST => 'key', { team => 'Meltano', name => 'stranger', public_key => $key });
$run{stranger} = $cloud->start_setup('stranger', env => { SSH_AUTH_SOCK => $socket });
$cloud->inside($cloud->wait_for_droplet('stranger'), 'rm', '/root/.ssh/authorized_keys');
Hostler::finish($run{$_}) for sort keys %run;
$cloud->end_background($agent);

fails('a host that refuses the key', 'stranger', $run{stranger}, $all,
    qr/root\@stranger\.meltanodata\.com: the server refused every key for 'root': ED25519 'stranger' SHA256:/,
    qr/hint .*authorized_keys.*ssh-add/, $made);

fails('a host key that is another', 'changed', $run{changed}, $all,
    qr/changed\.meltanodata\.com: the host shows the ED25519 key SHA256:\S+, but \Q$env{HOSTLER_KNOWN_HOSTS}\E:\d+ has SHA256:/,
    qr/hint .*do not log in before you know why/, $made);
like Cloud::read_file($env{HOSTLER_KNOWN_HOSTS}), qr/^changed\.meltanodata\.com \Q$key\E$/m, 'known_hosts still has the old key';
unlike Cloud::read_file($env{HOSTLER_KNOWN_HOSTS}), qr/^changed\.meltanodata\.com (?!\Q$key\E)/m, 'and not the new one';
my $visits = $cloud->inside($cloud->droplet('changed'), 'sh', '-c', 'journalctl -u ssh -q; ls /etc/meltano/environment.d');
unlike $visits, qr/Accepted publickey|postgres/, 'nobody has logged in on that droplet, and it is as it was';

fails('a disk that is full', 'full', $run{full}, $all,
    qr{cannot write /etc/meltano/environment\.d/postgres: No space left on device}, qr{step      setup/write the database settings},
    qr/hint .*df -h/, $made);
is $cloud->inside($full, 'sh', '-c', 'ls -A /etc/meltano/environment.d | grep -i postgres'), '', 'no half of the file stays';

fails('a host that cannot be reached', 'unplugged', $run{unplugged}, $all, qr/gave up after .* waiting for SSH on unplugged/,
    qr/because .*198\.18\.\d+\.\d+.* port 22/, qr/target    unplugged\.meltanodata\.com/, qr/hint .*console/, $made);

# ---- teams ----

subtest 'a team turns out to be full, and the answer to the order of the droplet is lost' => sub {
    $cloud->team(team => 'MeltanoData DBs 2', limit => 0);
    $cloud->fault(method => 'POST', path => '/v2/droplets', mode => 'drop', count => 1);
    my $run = $cloud->setup('next');
    is $run->{status}, 0, 'set-up succeeds' or diag $run->{stderr};
    like $run->{stdout}, qr/The team 'MeltanoData DBs 2' is full: rename it to 'MeltanoData DBs 2 \(full\)' in DigitalOcean/,
        'it says which name to mark';
    is $cloud->cluster('next')->{team}, 'MeltanoData DBs 3', 'the cluster is in the next team';
    like $run->{stdout}, qr/it is unclear whether DigitalOcean took the order/, 'it says that it looks for the droplet';
    is scalar(grep { $_->{name} eq 'next.meltanodata.com' } @{ $cloud->state->{droplets} }), 1, 'the droplet was ordered once';
};

$cloud->team(team => 'MeltanoData DBs 3', limit => 0);
fails('all teams turn out to be full', 'nowhere', $cloud->setup('nowhere'), '', qr/no database team has room for another cluster/,
    qr{step      setup/create database cluster}, qr/hint .*DO_DATABASE_API_TOKENS/, qr/done      check that it can be made\n/);
$cloud->put_back_teams;
$cloud->roomy;

# ---- APIs ----

# What the API says of a record that it never publishes.
$cloud->fault(method => 'POST', path => '/v2/domains/*/records', mode => 'fail', status => 201, count => 1,
    body => { domain_record => { id => 1, type => 'A', name => 'silent', data => '192.0.2.9', ttl => 3600 } });
fails('a name that never resolves', 'silent', $cloud->setup('silent', in => $hurried), 'droplet cluster items',
    qr/gave up after .* waiting for silent\.meltanodata\.com to resolve to 198\.18\./, qr/target    silent\.meltanodata\.com/,
    qr/hint .*A record silent/, $made);

my $asleep = $cloud->start_setup('asleep', in => $hurried);
my $cluster;
$cloud->wait_until('its cluster', sub { ($cluster) = grep { $_->{name} eq 'meltano-asleep' } @{ $cloud->state->{clusters} } });
$cloud->fault(method => 'GET', path => '/v2/databases/*', mode => 'fail', status => 200, count => 'always',
    body => { database => { id => $cluster->{id}, name => 'meltano-asleep', status => 'creating' } });
Hostler::finish($asleep);
$cloud->clear_faults;
fails('a cluster that never comes online', 'asleep', $asleep, $all, qr/gave up after .* waiting for database cluster \S+ to be online/,
    qr/target    meltano-asleep in team 'MeltanoData DBs 2'/, qr/hint .*DigitalOcean/, $made);

$cloud->fault(method => 'POST', path => '/v1/vaults/*/items', mode => 'fail', status => 500, count => 'always',
    body => { status => 500, message => 'the disk of the vault is full' });
my $unsaved = $cloud->setup('unsaved');
$cloud->clear_faults;
fails('a vault that takes nothing', 'unsaved', $unsaved, 'droplet record cluster',
    qr/1Password refused to create item unsaved\.meltanodata\.com.*: the disk of the vault is full/,
    qr{step      setup/store unsaved\.meltanodata\.com in 1Password}, qr/done .*create database cluster, .*trust the droplet$/m);

# ---- certificates and mail ----

$cloud->script('acme', 'limit', 'on', '--retry-after', 7200);
my $limited = $cloud->setup('limited', in => $hurried);
$cloud->script('acme', 'limit', 'off');
fails('no certificate for a while', 'limited', $limited, $all, qr/limited\.meltanodata\.com has no certificate: rate-limited/,
    qr/too many certificates .*retry after \d{4}-\d\d-\d\d \d\d:\d\d/, qr/hint .*once the limit is over/,
    qr/done .*restart Meltano, restart Caddy, add the user limited, add the user meltano/);
is scalar($cloud->letters_to('limited@example.com')), 0, 'no mail went out';

my $posted = $cloud->start_setup('unposted');
$cloud->wait_for_droplet('unposted');
$cloud->script('mail', 'refuse', '452 4.3.1 the queue is full');
Hostler::finish($posted);
$cloud->script('mail', 'accept');
subtest 'a mail that is refused' => sub {
    is $posted->{status}, 1, 'exit status 1';
    like $posted->{stderr}, $_, "says $_" for qr{step      setup/send the login}, qr/452 4\.3\.1 the queue is full/,
        qr/done .*add the user meltano$/m;
    is scalar($cloud->letters_to('unposted@example.com')), 0, 'no mail went out';
    my $next = $cloud->setup('unposted');
    is $next->{status}, 1, 'although the instance answers, the next run does not take it for complete';
    like $next->{stderr}, qr/run \w+ began this and stopped half-way.*hostler resume \w+/s, 'and names the run to resume';
    my $elsewhere = $cloud->setup('unposted', env => { XDG_STATE_HOME => tempdir(CLEANUP => 1) });
    is $elsewhere->{status}, 1, 'nor does one on another machine';
    like $elsewhere->{stderr}, qr/its set-up did not come to its end: the droplet still has the tag 'setting-up'/, 'and says why';
};
$cloud->forget('unposted');

# ---- Ctrl-C ----

# Established TCP connections of this machine to the services of an address: each is "address:port". From its other ports
# a droplet connects to this machine: to the database.
sub connections_to {
    my ($address) = @_;
    my $hex = sprintf '%02X%02X%02X%02X', reverse split /\./, $address;
    return map { /^\s*\d+: \S+ $hex:(\w{4}) 01 / && hex $1 < 1024 ? "$address:" . hex $1 : () }
        split /\n/, Cloud::read_file('/proc/net/tcp');
}

# The processes of a group that still run.
sub group_members {
    my ($group) = @_;
    return grep { /^\d+ \(.*\) [^Z] \d+ $group / } map { eval { Cloud::read_file($_) } // () } glob '/proc/[0-9]*/stat';
}

my $seed = $ENV{HOSTLER_SEED} // int(time * 1000) % 1_000_000;
srand $seed;
my %moment = map { ("stop$_" => 5 * rand) } 1 .. 6;
subtest "Ctrl-C at six moments (HOSTLER_SEED=$seed)" => sub {
    my %interrupted = map { $_ => $cloud->start_setup($_) } sort keys %moment;
    Hostler::wait_for($_, qr/setup: begin/) for values %interrupted;
    my $begun = time;
    for my $tenant (sort { $moment{$a} <=> $moment{$b} } keys %moment) {
        my $run = $interrupted{$tenant};
        my $rest = $begun + $moment{$tenant} - time;
        sleep $rest if $rest > 0;
        Hostler::drain($run, 0);
        kill INT => -$run->{pid};
        Hostler::finish($run);
    }
    for my $tenant (sort keys %moment) {
        subtest sprintf('after %.2f s', $moment{$tenant}) => sub {
            my $run = $interrupted{$tenant};
            is $run->{status}, 130, 'exit status 130' or diag "signal $run->{signal}", $run->{stdout}, $run->{stderr};
            cmp_ok $run->{seconds}, '<', 3, 'within three seconds';
            like $run->{stderr}, qr/error: interrupted \(Ctrl-C\)/, 'it says so';
            my $parts = $cloud->parts($tenant);
            my %step = (
                droplet => 'create droplet', record => 'create DNS record', cluster => 'create database cluster',
                items => 'store \S+ in 1Password',
            );
            like $run->{stderr}, qr/(?:done|step) .*$step{$_}/, "it tells of the step '$step{$_}'" for split / /, $parts;
            is_deeply [ group_members($run->{pid}) ], [], 'no process is left';
            my $droplet = $cloud->droplet($tenant);
            is_deeply [ connections_to($droplet->{public}) ], [], 'no connection to the droplet is left' if $droplet && $droplet->{public};
            next_run_tells($tenant);
        };
        $cloud->forget($tenant);
    }
};

done_testing;
