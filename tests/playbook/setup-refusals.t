#!/usr/bin/perl
# What set-up refuses before it has made anything: bad input, a name that is taken, tokens, agents and servers that will
# not do, an API in trouble. Each time a person reads what is wrong, and no request has changed anything.
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use Test::More;

my $cloud  = Cloud->connect;
my %env    = %{ $cloud->{env} };
my $folder = tempdir(CLEANUP => 1);
my ($gateway) = $env{DIGITALOCEAN_API_URL} =~ m{//([\d.]+):};

# Runs set-up and expects a refusal: the status, each of the texts in what it says, and not one change.
sub refuses {
    my ($what, $options, $status, @texts) = @_;
    my $mark = $cloud->mark;
    my $run = $options->{started} ? Hostler::finish($options->{started})
        : $options->{arguments} ? $cloud->run({}, 'run', 'setup', '--', @{ $options->{arguments} })
        :                         $cloud->setup($options->{tenant} || 'refused', %$options);
    subtest $what => sub {
        is $run->{status}, $status, "exit status $status" or diag $run->{stdout};
        like "$run->{stderr}$run->{stdout}", $_, "says $_" for @texts;
        unlike $run->{stderr}, qr/traceback|\.lua:\d+: in /, 'without a traceback';
        is_deeply [ map { "$_->{method} $_->{path}" } $cloud->writes($mark) ], [], 'has changed nothing';
    };
    return $run;
}

# ---- bad input ----

for my $subdomain ('', 'Ada', 'a' x 64, 'a.b', 'a b', 'a;b', '-ada', 'ada-', "a\nb", '$(id)') {
    my $shown = $subdomain =~ s/\n/\\10/r;
    refuses("the subdomain '$shown'", { arguments => [ 'Ada', 'ada@example.com', $subdomain ] }, 2,
        qr/SUBDOMAIN must be 1 to 63 lower-case letters, digits and dashes.*not '\Q$shown\E'/,
        qr/usage: hostler run setup FULL_NAME EMAIL SUBDOMAIN/);
}
for my $email ('ada', '', 'ada@', '@example.com', "ada\@example.com\nBcc: eve\@example.com", 'ada@b@example.com') {
    my $shown = $email =~ s/\n/\\10/r;
    refuses("the e-mail address '$shown'", { arguments => [ 'Ada', $email, 'refused' ] }, 2,
        qr/EMAIL must be an e-mail address.*not '\Q$shown\E'/);
}
for my $name ('', ' ', "Ada\nBcc: eve\@example.com", "Ada\x01", "\xff") {
    refuses('the name ' . join(' ', map { sprintf '%02x', ord } split //, substr $name, 0, 4),
        { arguments => [ $name, 'ada@example.com', 'refused' ] }, 2, qr/FULL_NAME must be a name/);
}
refuses('no subdomain', { arguments => [ 'Ada', 'ada@example.com' ] }, 2, qr/SUBDOMAIN is missing/);
refuses('a name without quotes', { arguments => [ 'Ada', 'Lovelace', 'ada@example.com', 'ada' ] }, 2, qr/quote|EMAIL/);

# ---- a name that is taken ----

my $vault = $cloud->onepassword('/v1/vaults')->[0]{id};
my ($roomy_token) = ($cloud->database_tokens)[1];

sub make_record {
    my ($tenant, $address) = @_;
    $cloud->digitalocean('/v2/domains/meltanodata.com/records', undef, 'POST',
        { type => 'A', name => $tenant, data => $address // '192.0.2.1', ttl => 3600 });
}

sub make_item {
    my ($title) = @_;
    $cloud->onepassword("/v1/vaults/$vault/items", 'POST', { title => $title, category => 'LOGIN', vault => { id => $vault } });
}

sub make_cluster {
    my ($tenant) = @_;
    $cloud->digitalocean('/v2/databases', $roomy_token, 'POST',
        { name => "meltano-$tenant", engine => 'pg', size => 'db-s-1vcpu-1gb', num_nodes => 1, region => 'nyc3' });
}

sub make_droplet {
    my ($tenant) = @_;
    my $image = $cloud->digitalocean('/v2/snapshots')->{snapshots}[0]{id};
    $cloud->digitalocean('/v2/droplets', undef, 'POST',
        { name => "$tenant.meltanodata.com", region => 'nyc3', size => 's-1vcpu-1gb', image => 0 + $image });
}

$cloud->claim("taken$_") for 1 .. 4;
make_record('taken1');
refuses('a name that has a record', { tenant => 'taken1' }, 1, qr/taken1\.meltanodata\.com is taken: 1 of 5 parts exist/,
    qr/exists   the A record taken1 -> 192\.0\.2\.1/, qr/missing  the droplet taken1\.meltanodata\.com/, qr/hint .*another name/);
make_item('taken2.meltanodata.com');
refuses('a name that has an item', { tenant => 'taken2' }, 1, qr/1 of 5 parts exist/,
    qr/exists   the 1Password item 'taken2\.meltanodata\.com'/);
make_cluster('taken3');
refuses('a name that has a cluster', { tenant => 'taken3' }, 1, qr/1 of 5 parts exist/,
    qr/exists   the database cluster meltano-taken3 in team 'MeltanoData DBs 2'/);
make_droplet('taken4');
refuses('a name that has a droplet', { tenant => 'taken4' }, 1, qr/1 of 5 parts exist/,
    qr/exists   the droplet taken4\.meltanodata\.com \(id \d+, \w+\)/);
make_record('taken4');
make_item('meltano@taken4.meltanodata.com');
refuses('an instance that is half there', { tenant => 'taken4' }, 1, qr/3 of 5 parts exist/, qr/exists   the droplet/,
    qr/exists   the A record/, qr/exists   the 1Password item 'meltano\@/, qr/missing  the database cluster/,
    qr/resume that run \(`hostler runs` lists them\)/);
make_cluster('taken4');
make_item('taken4.meltanodata.com');
$cloud->wait_for_droplet('taken4');
refuses('one that has all parts but does not hold together', { tenant => 'taken4' }, 1, qr/5 of 5 parts exist/,
    qr/the A record points to 192\.0\.2\.1, the droplet is 198\.18\./);

# ---- this machine's known_hosts ----

{
    my $known_hosts = $env{HOSTLER_KNOWN_HOSTS};
    my $before = Cloud::read_file($known_hosts);
    system("ssh-keygen -q -t ed25519 -N '' -C '' -f $folder/earlier") == 0 or die;
    my ($key) = Cloud::read_file("$folder/earlier.pub") =~ /^(\S+ \S+)/;
    open my $file, '>>', $known_hosts or die $!;
    print $file "earlier.meltanodata.com,192.0.2.1 $key\n";
    close $file;
    my $refused = refuses('a name whose earlier host is still in known_hosts', { tenant => 'earlier' }, 1,
        qr/known_hosts:\d+ has a host key of an earlier earlier\.meltanodata\.com/, qr/nothing has been made/);
    my ($command) = $refused->{stderr} =~ /take the line out: (ssh-keygen -R \S+ -f \S+)/;
    is system("$command 2>/dev/null >/dev/null"), 0, 'what it says to type can be typed';
    is Cloud::read_file($known_hosts), $before, 'and takes out that line';
    unlink "$known_hosts.old";
}

# ---- tokens, agents, servers ----

sub with { my %changes = @_; return { env => \%changes } }

for my $name (qw(DO_API_TOKEN DO_DATABASE_API_TOKENS OP_CONNECT_TOKEN)) {
    refuses("no $name", with($name => undef), 1, qr/the secret $name is not set/, qr/hint .*export $name=/, qr/nothing was changed/);
    refuses("an empty $name", with($name => ''), 1, qr/the secret $name is not set/);
    refuses("a wrong $name", with($name => 'dop_v1_0123456789'), 1, qr/Unable to authenticate you|Invalid token signature/,
        $name =~ /^DO/ ? qr/hint .*$name.* is wrong, was revoked or has expired/ : qr/hint .*Connect token is wrong/);
}
refuses('a token that may only read', with(DO_API_TOKEN => $env{DO_READONLY_TOKEN}), 1,
    qr/the token DO_API_TOKEN \(team Meltano\) may only read|the token DO_API_TOKEN may only read/, qr/nothing has been made/,
    qr/write access/);
$cloud->team(team => 'MeltanoData DBs 2', readonly => JSON::PP::true);
refuses('a database token that may only read', {}, 1, qr/DO_DATABASE_API_TOKENS, number 2 \(team MeltanoData DBs 2\) may only read/);
$cloud->put_back_teams;
$cloud->roomy;

$cloud->team(team => 'Meltano', limit => 0);
refuses('no room for a droplet', {}, 1, qr/has \d+ droplets and a limit of 0/);
$cloud->put_back_teams;
$cloud->roomy;
$cloud->team(team => $_, name => "$_ (full)") for 'MeltanoData DBs 2', 'MeltanoData DBs 3';
refuses('all teams marked as full', {}, 1,
    qr/every database team is marked as full: MeltanoData DBs 1 \(full\), MeltanoData DBs 2 \(full\), MeltanoData DBs 3 \(full\)/,
    qr/make a new team/);
$cloud->put_back_teams;
$cloud->roomy;

refuses('no agent', with(SSH_AUTH_SOCK => undef), 1, qr/there is no ssh-agent: SSH_AUTH_SOCK is not set/, qr/nothing has been made/);
refuses('an agent that is gone', with(SSH_AUTH_SOCK => "$folder/none"), 1, qr/the ssh-agent does not answer/);
{
    my $dead = IO::Socket::UNIX->new(Local => "$folder/dead", Listen => 1) or die $!;
    close $dead;
    refuses('an agent that died', with(SSH_AUTH_SOCK => "$folder/dead"), 1, qr/the ssh-agent does not answer/);
    my ($pid, $socket) = $cloud->agent($folder);
    refuses('an agent without keys', with(SSH_AUTH_SOCK => $socket), 1, qr/the ssh-agent has no key/, qr/ssh-add/);
    system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'stranger', '-f', "$folder/stranger") == 0 or die;
    { local $ENV{SSH_AUTH_SOCK} = $socket; system('ssh-add', '-q', "$folder/stranger") == 0 or die }
    refuses('an agent whose key is not among those of the account', with(SSH_AUTH_SOCK => $socket), 1,
        qr/no key of the ssh-agent is among the SSH keys of DO_API_TOKEN.*: it has ED25519 stranger$/m,
        qr/nothing has been made/, qr/add yours in DigitalOcean.*ssh-add -L/);
    $cloud->end_background($pid);
}
for (
    [ 'a project that is not there', 'projects', { projects => [] }, qr/there is no project 'Meltano'/, qr/site\.lua/ ],
    [ 'a domain that is not there', 'domains', { domains => [] }, qr/the domain meltanodata\.com is not in DigitalOcean/ ],
) {
    my ($what, $path, $body, @texts) = @$_;
    $cloud->fault(method => 'GET', path => "/v2/$path", mode => 'fail', status => 200, count => 'always', body => $body);
    refuses($what, {}, 1, @texts, qr/nothing has been made/);
    $cloud->clear_faults;
}
for my $kind (qw(domains projects)) {
    $cloud->fault(method => 'DELETE', path => "/v2/$kind/*", mode => 'fail', status => 403, count => 'always',
        body => { id => 'Forbidden', message => 'You are missing the required permission' });
    refuses("a token that may only read $kind", {}, 1, qr/the token DO_API_TOKEN .*may only read/, qr/nothing has been made/);
    $cloud->clear_faults;
}
$cloud->team(team => '1Password', readonly => JSON::PP::true);
refuses('a Connect token that may only read', {}, 1, qr/1Password refused .*does not have write access/, qr/nothing has been made/);
$cloud->team(team => '1Password', readonly => JSON::PP::false);
refuses('a mail server that refuses the login', with(HOSTLER_SMTP_PASSWORD => 'not-this-one'), 1,
    qr/the mail server $gateway:2525 refused the login of controller: 535/, qr/nothing has been made/);
refuses('a mail server that is not there', with(HOSTLER_SMTP_URL => "smtp://$gateway:1"), 1,
    qr/the mail server $gateway:1 cannot be reached/);
refuses('no OP_CONNECT_HOST', with(OP_CONNECT_HOST => undef), 1, qr/OP_CONNECT_HOST is not set/);
refuses('authorities that do not vouch for the server', with(HOSTLER_CA_FILE => $env{HOSTLER_CA_FILE} =~ s/trust/acme-root/r), 1,
    qr/no trusted TLS session with $gateway:844\d: .*unable to get local issuer/);
refuses('a file of authorities that is not there', with(HOSTLER_CA_FILE => "$folder/none.pem"), 1,
    qr/no trusted TLS session.*none\.pem/);
refuses('two things wrong at once', with(SSH_AUTH_SOCK => undef, HOSTLER_SMTP_PASSWORD => 'not-this-one'), 1,
    qr/2 of 9 failed/, qr/no ssh-agent/, qr/refused the login/);

# ---- an API in trouble ----

# The slow ones wait beside each other: each meets its own server.
my %down = (
    DigitalOcean => $cloud->start_setup('refused', env => { DIGITALOCEAN_API_URL => "https://$gateway:1" }),
    '1Password'  => $cloud->start_setup('refused2', env => { OP_CONNECT_HOST => "https://$gateway:1" }),
);
refuses("$_ not there", { started => $down{$_} }, 1, qr/cannot connect to $gateway:1: Connection refused/, qr/target .*$gateway:1/)
    for sort keys %down;

for (
    [ '429 for minutes', { mode => '429', retry_after => 121 }, qr/refused to .*: API rate limit exceeded/, qr/5,000 requests an hour/ ],
    [ '429 for an hour', { mode => '429', retry_after => 3600 }, qr/API rate limit exceeded/, qr/wait 1h 00m, until \d{4}-\d\d-\d\d \d\d:\d\d/ ],
    [ '500', { mode => 'fail', status => 500 }, qr/Server was unable to give you a response/, qr/try again later/ ],
    [ 'HTML instead of JSON', { mode => 'html' }, qr/HTTP status 502 with something that is not DigitalOcean's JSON/, qr/502 Bad Gateway/ ],
    [ 'half a body', { mode => 'half' }, qr/broke off after \d+ of \d+ bytes/, qr/target .*$gateway:8443/ ],
    [ 'a connection that is dropped', { mode => 'drop' }, qr/broke off after 0 of/ ],
) {
    my ($what, $fault, @texts) = @$_;
    $cloud->fault(%$fault, path => '/v2/*', count => 'always');
    refuses("$what, from DigitalOcean", {}, 1, @texts, qr/nothing was changed/);
    $cloud->clear_faults;
}
$cloud->fault(mode => 'fail', status => 500, path => '/v1/*', count => 'always', body => { status => 500, message => 'no sync' });
refuses('500 from 1Password', {}, 1, qr/1Password refused to find vault meltanodata\.com: no sync/);
$cloud->clear_faults;
my $echoed = 'dop_v1_echoed0123456789';
$cloud->fault(mode => 'fail', status => 401, path => '/v2/*', count => 'always',
    body => { id => 'Unauthorized', message => "no such token $echoed" });
my $told = refuses('an answer that repeats the token', with(DO_API_TOKEN => $echoed), 1, qr/no such token \[secret\]/);
unlike "$told->{stdout}$told->{stderr}", qr/$echoed/, 'the token is not shown';
$cloud->clear_faults;

my $hurried = $cloud->site_with('{ url = env "DIGITALOCEAN_API_URL"' => '{ timeout = 1, url = env "DIGITALOCEAN_API_URL"');
$cloud->fault(mode => 'stall', seconds => 2, path => '/v2/account', count => 'always');
refuses('a call that is never answered', { in => $hurried }, 1, qr/no answer from $gateway:8443 within 1[.\d]* s/, qr/read the account/);
$cloud->clear_faults;

subtest '429 once is waited out' => sub {
    $cloud->fault(mode => '429', retry_after => 1, path => '/v2/account', count => 1);
    my $run = $cloud->setup('refused', flags => ['--dry-run']);
    is $run->{status}, 0, 'it goes on' or diag $run->{stderr};
    cmp_ok $run->{seconds}, '>=', 1, 'after the time that Retry-After says';
};

is $cloud->parts('refused'), '', 'in the end there is no part of the instance';
done_testing;
