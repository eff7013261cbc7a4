#!/usr/bin/perl
# doctor: on a machine where all is well, and on one with each thing broken: its line fails, says what to do, and the
# others are right.
use strict;
use warnings;
use Cloud;
use Droplets;
use File::Temp qw(tempdir);
use Test::More;

my $cloud  = Cloud->connect;
my %env    = %{ $cloud->{env} };
my $folder = tempdir(CLEANUP => 1);
my @tokens = $cloud->database_tokens;
mkdir "$folder/state" or die $!;

sub doctor {
    my (%changes) = @_;
    return $cloud->run({ env => { XDG_STATE_HOME => "$folder/state", %changes } }, 'doctor');
}

# The lines by what they look at: { "ssh-agent" => [ "ok", "RSA ..." ] }.
sub lines {
    my ($run) = @_;
    return map { /(ok|FAIL)\s+(\S.*?)\s{2,}(.*)$/ ? ($2 => [ $1, $3 ]) : () } split /\n/, $run->{stdout};
}

my $well  = doctor();
my %lines = lines($well);
is $well->{status}, 0, 'all is well' or diag $well->{stdout}, $well->{stderr};
my @checks = sort keys %lines;
is scalar(grep { $_->[0] eq 'ok' } values %lines), scalar(@checks), 'each line says so';
like $lines{'ssh-agent'}[1],       qr/RSA \S+, ED25519 \S+/,                           'the keys of the agent';
like $lines{droplets}[1],          qr/^team 'Meltano', \d+ of 500 droplets, may write droplets, domains, projects$/, 'the team of the droplets, and its room';
like $lines{'key for droplets'}[1], qr/^(?:RSA|ED25519) \S+ is '\S+' there$/, 'a key of the agent that the account has';
like $lines{'parts of instances'}[1], qr/^domain meltanodata\.com, project 'Meltano', image meltano-\S+$/, 'what instances are made of';
like $lines{'database team 1'}[1], qr/^team '\QMeltanoData DBs 1 (full)\E', \d+ clusters, marked as full, may write/,
    'a database team that is full';
like $lines{'database team 2'}[1], qr/^team 'MeltanoData DBs 2', \d+ clusters, may write/, 'one that is not';
ok $lines{ 'database team ' . @tokens }, 'each of them has a line';
like $lines{'room for databases'}[1], qr/goes to 'MeltanoData DBs 2'/,  'where the next cluster goes';
like $lines{'1Password'}[1],          qr/^vault 'meltanodata.com', \d+ items, may write$/, 'the vault';
like $lines{'mail server'}[1],        qr/logged in as/,                 'the mail server';
like $lines{libraries}[1],            qr/luajit .*libuv .*libssh2 .*openssl \d/, 'the libraries';
like $lines{store}[1],                qr/^\Q$folder\E\/state\/hostler/, 'the store';

# Breaks something; these lines have to fail, with this reason and this advice, and no others.
sub breaks {
    my ($what, $changes, $failing, $reason, $advice) = @_;
    my $run   = doctor(%$changes);
    my %is    = lines($run);
    my @wrong = sort grep { $is{$_}[0] eq 'FAIL' } keys %is;
    subtest $what => sub {
        is $run->{status}, 1, 'the status tells';
        is "@wrong", join(' ', sort @$failing), 'what fails' or diag $run->{stdout};
        like $is{ $failing->[0] }[1], $reason, 'why';
        like $run->{stdout}, qr/-> .*$advice/, 'what to do';
        unlike "$run->{stdout}$run->{stderr}", qr/\Q$env{DO_API_TOKEN}\E|\Q$tokens[0]\E|\Q$env{HOSTLER_SMTP_PASSWORD}\E/,
            'no secret is told';
    };
}

breaks('no ssh-agent', { SSH_AUTH_SOCK => undef }, [ 'ssh-agent', 'key for droplets' ], qr/SSH_AUTH_SOCK is not set/, qr/ssh-agent/);
my ($agent) = qx(ssh-agent -a $folder/agent) =~ /SSH_AGENT_PID=(\d+)/;
breaks('an agent without keys', { SSH_AUTH_SOCK => "$folder/agent" }, [ 'ssh-agent', 'key for droplets' ], qr/has no key/, qr/ssh-add/);
system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'stranger', '-f', "$folder/stranger") == 0 or die;
{ local $ENV{SSH_AUTH_SOCK} = "$folder/agent"; system('ssh-add', '-q', "$folder/stranger") == 0 or die }
breaks('an agent whose key the account does not have', { SSH_AUTH_SOCK => "$folder/agent" }, ['key for droplets'],
    qr/no key of the ssh-agent is among the SSH keys of DO_API_TOKEN.*: it has ED25519 stranger$/, qr/add yours in DigitalOcean/);
kill TERM => $agent;
eventually('the agent to end', sub { !kill 0 => $agent });
breaks('an agent that is gone', { SSH_AUTH_SOCK => "$folder/agent" }, [ 'ssh-agent', 'key for droplets' ], qr/does not answer: No such file/, qr/start it again/);

breaks('no token', { DO_API_TOKEN => undef }, [ 'droplets', 'key for droplets', 'parts of instances' ], qr/DO_API_TOKEN is not set/, qr/export DO_API_TOKEN/);
breaks('a token that was revoked', { DO_API_TOKEN => 'dop_v1_' . '0' x 64 }, [ 'droplets', 'key for droplets', 'parts of instances' ], qr/Unable to authenticate|refused/,
    qr/make a new token/);
breaks('a token that may only read', { DO_API_TOKEN => $env{DO_READONLY_TOKEN} }, ['droplets'], qr/it may only read droplets, domains, projects/,
    qr/write access/);
$cloud->fault(method => 'DELETE', path => '/v2/domains/*', mode => 'fail', status => 403, count => 'always',
    body => { id => 'Forbidden', message => 'You are missing the required permission domain:delete' });
breaks('a token that may write some of it', {}, ['droplets'], qr/it may only read domains$/, qr/write access/);
$cloud->clear_faults;
for (
    [ 'project', 'projects', qr/there is no project 'Meltano'/, qr/create it in DigitalOcean/ ],
    [ 'domain', 'domains', qr/the domain meltanodata\.com is not in DigitalOcean/, qr/of another team/ ],
    [ 'image', 'snapshots', qr/there is no snapshot whose name begins with 'meltano-'/, qr/make one of a good instance/ ],
) {
    my ($what, $path, $reason, $advice) = @$_;
    $cloud->fault(method => 'GET', path => "/v2/$path", mode => 'fail', status => 200, count => 'always', body => { $path => [] });
    breaks("no $what", {}, ['parts of instances'], $reason, $advice);
    $cloud->clear_faults;
}
$cloud->team(team => 'Meltano', limit => 0);
breaks('no room for a droplet', {}, ['droplets'], qr/of 0 droplets: there is no room/, qr/higher limit/);
$cloud->team(team => 'Meltano', limit => 500);
my @asking = ('droplets', (map { "database team $_" } 1 .. @tokens), 'room for databases');
breaks('DigitalOcean out of reach', { DIGITALOCEAN_API_URL => 'https://127.0.0.1:1' }, [ @asking, 'key for droplets', 'parts of instances' ], qr/Connection refused/,
    qr/api\.digitalocean\.com/);
$cloud->fault(path => '/v2/account', mode => 'stall', count => 'always');
breaks('DigitalOcean that says nothing', {}, \@asking, qr/timed out after 20 s/, qr/status\.digitalocean\.com/);
$cloud->clear_faults;

breaks('no tokens for databases', { DO_DATABASE_API_TOKENS => undef }, ['room for databases'],
    qr/DO_DATABASE_API_TOKENS is not set/, qr/export DO_DATABASE_API_TOKENS/);
breaks('every team is full', { DO_DATABASE_API_TOKENS => $tokens[0] }, ['room for databases'], qr/every .* marked as full/,
    qr/make a new team/);
breaks('a second token that was revoked', { DO_DATABASE_API_TOKENS => "$tokens[1],dop_v1_" . '0' x 64 },
    [ 'database team 2', 'room for databases' ], qr/authenticate|refused/, qr/make a new token/);
$cloud->team(team => 'MeltanoData DBs 2', readonly => JSON::PP::true);
breaks('a database token that may only read', {}, ['database team 2'], qr/it may only read/, qr/write access/);
$cloud->team(team => 'MeltanoData DBs 2', readonly => JSON::PP::false);

breaks('no Connect server', { OP_CONNECT_HOST => undef }, ['1Password'], qr/OP_CONNECT_HOST is not set/, qr/export OP_CONNECT_HOST/);
breaks('a wrong Connect token', { OP_CONNECT_TOKEN => 'nonsense' }, ['1Password'], qr/1Password refused/, qr/token/);
$cloud->team(team => '1Password', readonly => JSON::PP::true);
breaks('a Connect token that may only read', {}, ['1Password'], qr/vault 'meltanodata\.com', \d+ items: it may only read/, qr/write access/);
$cloud->team(team => '1Password', readonly => JSON::PP::false);
breaks('a Connect server that is down', { OP_CONNECT_HOST => 'https://127.0.0.1:1' }, ['1Password'], qr/Connection refused/, qr/OP_CONNECT_HOST/);
$cloud->fault(path => '/v1/vaults', mode => 'fail', status => 200, body => []);
breaks('a Connect token for another vault', {}, ['1Password'], qr/there is no vault 'meltanodata\.com'/, qr/sees only the vaults/);
breaks('a wrong password of the mail server', { HOSTLER_SMTP_PASSWORD => 'nonsense' }, ['mail server'], qr/refuse|authent|log in/i, qr/HOSTLER_SMTP|password/);
breaks('a mail server that is down', { HOSTLER_SMTP_URL => 'smtp://127.0.0.1:1' }, ['mail server'], qr/cannot be reached/, qr/HOSTLER_SMTP_URL/);
breaks('name servers that do not answer', { HOSTLER_NAMESERVERS => '127.0.0.1:1' }, ['name servers'], qr/127\.0\.0\.1/, qr/HOSTLER_NAMESERVERS|name server/);

write_file("$folder/file", '');
breaks('a store that cannot be', { XDG_STATE_HOME => "$folder/file" }, ['store'], qr/cannot be used/, qr/XDG_STATE_HOME/);
mkdir "$folder/broken" or die $!;
mkdir "$folder/broken/hostler" or die $!;
write_file("$folder/broken/hostler/journal.db", 'nonsense ' x 1000);
breaks('a store that is broken', { XDG_STATE_HOME => "$folder/broken" }, ['store'], qr/cannot be used/, qr/./);
done_testing;
