#!/usr/bin/perl
# restart: a service that was given up, several instances at once, one restart only however often the run is stopped, and
# no other run meanwhile.
use strict;
use warnings;
use Cloud;
use Test::More;

my $cloud   = Cloud->connect;
my @tenants = qw(again1 again2);
my %setup   = map { $_ => $cloud->start_setup($_) } @tenants;
for (@tenants) {
    my $run = Hostler::finish($setup{$_});
    $run->{status} == 0 or die "$_ cannot be set up: $run->{stderr}";
}
my %droplet = map { $_ => $cloud->droplet($_) } @tenants;
sub inside   { my $tenant = shift; return $cloud->inside($droplet{$tenant}, @_) }
sub start_of { return inside($_[0], qw(systemctl show -p InvocationID meltano)) }
sub restart  { return $cloud->run({}, 'run', 'restart', @_) }

subtest 'several' => sub {
    my %before = map { $_ => start_of($_) } @tenants;
    like restart('again*', '-n')->{stdout}, qr/(?:plan .*systemctl restart meltano.*){2}/s, 'a dry run shows it';
    is start_of($_), $before{$_}, "$_ goes on" for @tenants;
    my $run = restart('again*');
    is $run->{status}, 0, 'ends well' or diag $run->{stderr};
    isnt start_of($_), $before{$_}, "$_ was started anew" for @tenants;
    like $run->{stdout}, qr/say +\Q$_\E: It serves again/, 'and serves' for @tenants;
};

subtest 'one that systemd has given up' => sub {
    inside('again1', 'sh', '-c', 'mv /var/meltano/.venv/bin/meltano /root/; for i in 1 2 3 4 5 6; do systemctl restart meltano; done 2>/dev/null;'
        . 'mv /root/meltano /var/meltano/.venv/bin/');
    like inside('again1', qw(journalctl -u meltano -n 5)), qr/Start request repeated too quickly/, 'it will start it no more';
    is restart('again1')->{status}, 0, 'is started once it can be';
};

subtest 'stopped when it had been done' => sub {
    my $killed = $cloud->run({ env => { HOSTLER_CRASH => 'effect:1' } }, 'run', 'restart', 'again2');
    ok $killed->{signal}, 'the run is killed';
    my ($id) = $cloud->run({}, 'runs')->{stdout} =~ /^(\S+) .*restart again2/m;
    my $start = start_of('again2');
    is $cloud->run({}, 'resume', $id)->{status}, 0, 'resumed, it ends well';
    is start_of('again2'), $start, 'without another restart';
};

subtest 'one that does not come up' => sub {
    my $postgres = '/etc/meltano/environment.d/postgres';
    inside('again1', 'sh', '-c', "cp -p $postgres /root; sed -i s/^PG_PASSWORD=.*/PG_PASSWORD=wrong/ $postgres");
    my $run = restart('again1', 'again2', '--max-failures', 0, '--parallel', 1);
    is $run->{status}, 1, 'is a failure';
    like $run->{stderr}, qr/1 of 2 failed: again1; 1 not begun/, 'after which no other is begun';
    like $run->{stderr}, qr/password authentication failed/, 'with the service\'s own words';
    inside('again1', 'sh', '-c', "mv /root/postgres $postgres");
    is restart('again1')->{status}, 0, 'mended, it serves';
};

subtest 'two runs' => sub {
    inside('again1', qw(systemctl stop meltano));
    inside('again1', 'sh', '-c', 'mkdir -p /run/systemd/system/meltano.service.d;'
        . 'printf "[Service]\nExecStartPre=sleep 5\n" >/run/systemd/system/meltano.service.d/slow.conf; systemctl daemon-reload');
    my $first = $cloud->start({}, 'run', 'restart', 'again1');
    ok Hostler::wait_for($first, qr/restart Meltano: begin/), 'one restarts it';
    my $second = restart('again1');
    is $second->{status}, 4, 'another is told that it is locked';
    like $second->{stderr}, qr/'instance:again1' is locked by run \w+ \(restart by \S+, process \d+/, 'by whom';
    is Hostler::finish($first)->{status}, 0, 'the first goes on';
    inside('again1', 'sh', '-c', 'rm -r /run/systemd/system/meltano.service.d; systemctl daemon-reload');
};
done_testing;
