#!/usr/bin/perl
# upgrade: five instances at once, of which one has files of root, one is being upgraded by somebody else, and one cannot
# be reached; and what is offered for the files of root.
use strict;
use warnings;
use Cloud;
use Clusters;
use Droplets;
use Test::More;

my $cloud   = Cloud->connect;
my @tenants = map { "up$_" } 1 .. 5;
my %setup   = map { $_ => $cloud->start_setup($_) } @tenants;
for (@tenants) {
    my $run = Hostler::finish($setup{$_});
    $run->{status} == 0 or die "$_ cannot be set up: $run->{stderr}";
}
my %droplet = map { $_ => $cloud->droplet($_) } @tenants;

sub inside { my $tenant = shift; return $cloud->inside($droplet{$tenant}, @_) }
sub upgrade { return $cloud->run({ timeout => 120 }, 'run', 'upgrade', @_) }

# Takes the traces of upgrades away, to see who gets new ones.
sub forget_upgrades {
    inside($_, 'sh', '-c', 'cd /var/meltano/project/.meltano && rm -rf version extractors loaders transforms dashboards')
        for @tenants;
}

sub is_upgraded { return inside($_[0], 'sh', '-c', 'cat /var/meltano/project/.meltano/version 2>&1') =~ /^meltano 1/ }
sub has_plugins { return inside($_[0], 'sh', '-c', 'ls /var/meltano/project/.meltano/transforms/dbt 2>&1') =~ /installed/ }
sub pid         { return inside($_[0], qw(systemctl show --property=MainPID meltano)) }

sub files_of_others {
    return inside($_[0], 'find', '/var/meltano', '!', '-user', 'meltano', '!', '-user', 'meltano_ftp');
}

subtest 'all is well' => sub {
    forget_upgrades();
    my %pid = map { $_ => pid($_) } @tenants;
    my $run = upgrade('--dry-run', 'up*');
    is $run->{status}, 0, 'a dry run goes to the end' or diag $run->{stderr};
    is scalar(() = $run->{stdout} =~ /plan .*meltano upgrade, as meltano/g), 5, 'and shows what is done on each';
    ok !is_upgraded($_), "$_ is as it was" for @tenants;
    $run = upgrade('up*', '--skip-plugins');
    is $run->{status}, 0, 'a pattern' or diag $run->{stdout}, $run->{stderr};
    ok is_upgraded($_), "$_ is upgraded" for @tenants;
    ok !has_plugins($_), "the plugins of $_ stay as they are" for @tenants;
    is upgrade('up1', 'up2.meltanodata.com')->{status}, 0, 'names';
    ok has_plugins('up1') && has_plugins('up2') && !has_plugins('up3'), 'plugins are installed where asked for';
    is pid($_), $pid{$_}, "$_ was not restarted" for @tenants;
    is files_of_others($_), '', "no file of $_ has changed hands" for @tenants;
};

subtest 'faults' => sub {
    forget_upgrades();
    inside('up1', 'sh', '-c', 'mkdir "/var/meltano/project/of root"; touch "/var/meltano/project/of root/file"');
    my $lock = '/var/meltano/project/.meltano/upgrade.lock';
    inside('up3', qw(systemd-run --quiet --unit=somebody --uid=meltano flock), $lock, 'sleep', 600);
    $cloud->script('droplet', 'link', $droplet{up4}{id}, 'down');

    my $run = upgrade('up*');
    is $run->{status}, 1, 'a failure is told by the status';
    like $run->{stderr}, qr/3 of 5 failed/, 'how many';
    like $run->{stdout}, qr/warn +up1: the project has 2 files that meltano does not own: .+ belongs to root/, 'up1: why';
    like $run->{stderr}, qr/failed    up1: a person has to answer: up1\.meltanodata\.com has files of other users/, 'and what is asked';
    like $run->{stderr}, qr/up3: .*meltano upgrade.*\n(.*\n){0,3}.*another upgrade is running/, 'up3: what Meltano said';
    like $run->{stderr}, qr/up4: .*(cannot|time|reach|answer)/i, 'up4: not reached';
    ok is_upgraded('up2') && is_upgraded('up5'), 'the others are upgraded';
    ok has_plugins('up2') && has_plugins('up5'), 'with their plugins';
    ok !is_upgraded('up1') && !is_upgraded('up3'), 'those are not';
    is files_of_others($_), '', "no file of $_ has changed hands" for qw(up2 up5);

    forget_upgrades();
    $run = upgrade('up1', 'up2', 'up5', '--parallel', 1, '--max-failures', 0);
    like $run->{stderr}, qr/1 of 3 failed: up1; 2 not begun/, '--max-failures stops in time';
    ok !is_upgraded('up2'), 'up2 was not begun';
    $run = upgrade('up1', 'up2', 'up5', '--batch', 2, '--max-failures', 0);
    like $run->{stderr}, qr/1 not begun/, 'a batch ends before the next is begun';
    ok is_upgraded('up2') && !is_upgraded('up5'), 'up2 was in the first, up5 in the second';

    $cloud->script('droplet', 'link', $droplet{up4}{id}, 'up');
    inside('up3', qw(systemctl stop somebody));
};

subtest 'files of root are given back, if the person agrees' => sub {
    my ($plan, $parked) = (upgrade('up1', '--dry-run'), upgrade('up1'));
    like $plan->{stdout}, qr/would ask: up1.* Give them back.*plan .*give all files.*plan .*meltano upgrade/s, 'a dry run shows it';
    is $parked->{status}, 3, 'without a terminal it waits for an answer';
    my ($id) = $parked->{stderr} =~ /hostler answer (\S+) VALUE/;
    my $run = $cloud->run({}, 'answer', $id, 'n');
    is $run->{status}, 1, 'no: it does not begin';
    like $run->{stderr}, qr/not done: you did not agree to: up1\.meltanodata\.com has files of other users/, 'and says so';
    isnt files_of_others('up1'), '', 'the files stay as they are';
    ok !is_upgraded('up1'), 'and so does Meltano';

    $run = typed($cloud, "y\n", {}, 'run', 'upgrade', 'up1');
    is $run->{status}, 0, 'yes: it is upgraded' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/Give them back to meltano\? \[y\/N\]/, 'having asked';
    is files_of_others('up1'), '', 'all its files are its own';
    ok is_upgraded('up1'), 'and Meltano is upgraded';
    like upgrade('up1')->{stdout}, qr/say +up1: Meltano 1\.105\.0, as before\./, 'a second time it says that all is as before';
};

subtest 'an instance that does not serve' => sub {
    inside('up5', qw(systemctl stop meltano));
    my $run = upgrade('up5');
    is $run->{status}, 1, 'is told';
    like $run->{stderr}, qr/meltano\.service does not run/, 'with the reason';
    is upgrade('nosuch')->{status}, 1, 'an instance that there is not';
    my $twin = api($cloud, POST => '/v2/droplets', { name => 'up5.meltanodata.com', region => 'nyc3', size => 's-2vcpu-2gb',
        image => $droplet{up5}{image}{id}, ssh_keys => [] })->{droplet};
    forget_upgrades();
    $run = upgrade('up5', 'up2');
    like $run->{stderr}, qr/failed    up5: 2 droplets are called 'up5\.meltanodata\.com': \d+ of .*, \d+ of /, 'which of two is meant';
    ok is_upgraded('up2'), 'is no question for the others';
    eventually('the twin', sub { api($cloud, GET => "/v2/droplets/$twin->{id}")->{droplet}{status} ne 'new' });
    api($cloud, DELETE => "/v2/droplets/$twin->{id}");
};
done_testing;
