#!/usr/bin/perl
# configure-caddy and configure-meltano on two instances: what is asked for takes effect without a restart, and nothing
# else changes.
use strict;
use warnings;
use Cloud;
use Droplets;
use File::Temp qw(tempdir);
use Test::More;

my $cloud   = Cloud->connect;
my $folder  = tempdir(CLEANUP => 1);
my @tenants = qw(conf1 conf2);
my %setup   = map { $_ => $cloud->start_setup($_) } @tenants;
for (@tenants) {
    my $run = Hostler::finish($setup{$_});
    $run->{status} == 0 or die "$_ cannot be set up: $run->{stderr}";
}
my %droplet = map { $_ => $cloud->droplet($_) } @tenants;
sub inside { my $tenant = shift; return $cloud->inside($droplet{$tenant}, @_) }
sub run    { return $cloud->run({}, 'run', @_) }
sub pid    { return inside($_[0], qw(systemctl show --property=MainPID), $_[1]) }

subtest 'a feature flag' => sub {
    my %before = map { $_ => inside($_, 'cat', '/var/meltano/project/.env') } @tenants;
    my %pid    = map { $_ => pid($_, 'meltano') } @tenants;
    my $run = run('configure-meltano', '--flag', 'MELTANO_UI_READONLY', 'conf*');
    is $run->{status}, 0, 'is set' or diag $run->{stdout}, $run->{stderr};
    for (@tenants) {
        like inside($_, 'python3', '-c', 'import urllib.request as u; print(u.urlopen("http://localhost:5000/api/v1/flags").read())'),
            qr/"MELTANO_UI_READONLY":true/, "$_ has it live";
        is pid($_, 'meltano'), $pid{$_}, "$_ was not restarted";
        is inside($_, 'stat', '-c', '%U', '/var/meltano/project/.env'), "meltano\n", 'the file is meltano\'s';
        my $now = inside($_, 'cat', '/var/meltano/project/.env');
        $now =~ s/^MELTANO_UI_READONLY=true\n//m;
        $before{$_} =~ s/^MELTANO_UI_READONLY=\w*\n//m;
        is $now, $before{$_}, 'every other line stays';
    }
    like run('configure-meltano', '--flag', 'MELTANO_UI_READONLY', 'conf*')->{stdout}, qr/ 0 changes/, 'a second time nothing changes';
    $run = run('configure-meltano', '--flag', 'PG_PASSWORD', 'conf*');
    is $run->{status}, 1, 'a secret is refused';
    like $run->{stderr}, qr/does not belong among the feature flags/, 'with the reason';
};

subtest 'the settings of the database' => sub {
    my %pid = map { $_ => pid($_, 'meltano') } @tenants;
    like run('configure-meltano', 'conf*')->{stdout}, qr/ 0 changes/, 'where all is well nothing changes';
    is pid($_, 'meltano'), $pid{$_}, "$_ was not restarted" for @tenants;
    my $is = inside('conf1', 'cat', '/etc/meltano/environment.d/postgres');
    inside('conf1', 'sh', '-c', 'cd /etc/meltano/environment.d; sed -i s/^PG_PASSWORD=.*/PG_PASSWORD=wrong/ postgres;'
        . ' chown root postgres; chmod 644 postgres; systemctl restart meltano 2>/dev/null');
    my $cluster = $cloud->cluster('conf2');
    $cloud->request(method => 'PUT', url => "$cloud->{env}{DIGITALOCEAN_API_URL}/v2/databases/$cluster->{id}/firewall",
        headers => ["Authorization: Bearer $cluster->{token}"],
        json => { rules => [ { type => 'ip_addr', value => '198.18.0.250' } ] });
    my $run = run('configure-meltano', 'conf*');
    is $run->{status}, 0, 'a wrong password and a firewall are mended' or diag $run->{stdout}, $run->{stderr};
    is inside('conf1', 'cat', '/etc/meltano/environment.d/postgres'), $is, 'the settings are those of before';
    is inside('conf1', 'stat', '-c', '%U:%G %a', '/etc/meltano/environment.d/postgres'), "meltano:meltano 600\n", 'for meltano alone';
    is pid('conf2', 'meltano') =~ /=[1-9]/, 1, 'both run';
    unlike "$run->{stdout}$run->{stderr}", qr/\Q$cluster->{connection}{password}\E/, 'no password is told';
};

subtest 'a Caddyfile' => sub {
    my %before = map { $_ => inside($_, 'cat', '/etc/caddy/Caddyfile') } @tenants;
    my %pid    = map { $_ => pid($_, 'caddy') } @tenants;
    my $wanted = $before{conf1} =~ s/(\treverse_proxy)/\theader X-Asked for\n$1/r;
    my $run = run('configure-caddy', 'conf*', '--file', write_file("$folder/Caddyfile", $wanted));
    is $run->{status}, 0, 'is put in place' or diag $run->{stdout}, $run->{stderr};
    for (@tenants) {
        is inside($_, 'cat', '/etc/caddy/Caddyfile'), $wanted, "$_ has it";
        is pid($_, 'caddy'), $pid{$_}, "and was not restarted";
        my (undef, undef, $headers) = $cloud->request(url => "https://$_.meltanodata.com/", headers_too => 1,
            resolve => "$_.meltanodata.com:443:$droplet{$_}{public}");
        like $headers, qr/^x-asked: for/mi, 'it is in force';
    }
    like run('configure-caddy', 'conf*', '--file', "$folder/Caddyfile")->{stdout}, qr/ 0 changes/, 'a second time';
    $run = run('configure-caddy', 'conf1', '--file', write_file("$folder/wrong", "$wanted\nnonsense {\n"));
    is $run->{status}, 1, 'a wrong one is refused';
    is inside('conf1', 'cat', '/etc/caddy/Caddyfile'), $wanted, 'and put back';
    is run('configure-caddy', 'conf1', '--file', "$folder/Caddyfile", '--caddy', 1)->{status}, 1, 'so is one for another Caddy';
    $run = run('configure-caddy', 'conf*');
    is $run->{status}, 0, 'the authority\'s lines' or diag $run->{stdout}, $run->{stderr};
    is inside('conf2', 'cat', '/etc/caddy/Caddyfile'), $wanted, 'are there already';
};

subtest 'an old image, with Caddy 1' => sub {
    $droplet{conf3} = new_droplet($cloud, 'conf3', qr/^meltano-2024-03/);
    my $run = run('configure-caddy', 'conf3');
    is $run->{status}, 0, 'its tls lines and its host name are changed' or diag $run->{stdout}, $run->{stderr};
    like inside('conf3', 'cat', '/etc/caddy/Caddyfile'), qr/^ +# tls self_signed\n +tls admin\@meltano\.com /m, 'as Caddy 1 has them';
    is inside('conf3', 'cat', '/etc/caddy/environment'), "HOSTNAME=conf3.meltanodata.com\n", 'and what it is called';
    my $pid    = pid('conf3', 'caddy');
    my $wanted = inside('conf3', 'cat', '/etc/caddy/Caddyfile') =~ s/^( +proxy)/    header \/ X-Asked for\n$1/mr;
    write_file("$folder/old", $wanted);
    is run('configure-caddy', 'conf3', '--file', "$folder/old")->{status}, 1, 'a file for Caddy 2 is not for it';
    is run('configure-caddy', 'conf3', '--file', "$folder/old", '--caddy', 1)->{status}, 0, 'one for Caddy 1 is put in place';
    is inside('conf3', 'cat', '/etc/caddy/Caddyfile'), $wanted, 'as it is';
    is pid('conf3', 'caddy'), $pid, 'without a restart';
    like inside('conf3', qw(journalctl -u caddy)), qr/\[INFO\] Reloading complete/, 'but loaded';
    like run('configure-caddy', 'conf3', '--file', "$folder/old", '--caddy', 1)->{stdout}, qr/ 0 changes/, 'a second time';
};
done_testing;
