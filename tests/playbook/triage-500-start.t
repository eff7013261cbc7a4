#!/usr/bin/perl
# Why systemd does not start Meltano, made for real. The verdict goes on to the reason, and a restart is proposed only
# where one helps.
use strict;
use warnings;
use Test::More;
use Triage;

my $on      = Triage->new('unstarted');
my $project = '/var/meltano/project';
my $program = '/var/meltano/.venv/bin/meltano';
my $file    = '/etc/systemd/system/meltano.service';
my $restart = 'systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null'; # however often it was started just now

sub shell { my @words = @_; return sub { $on->shell(@words) } }
sub unit  { my ($text) = @_; return sub { $on->drop_in($text) } }

$on->fault('a folder that its user may not enter', make => shell("chown root:root /var/meltano; chmod 700 /var/meltano; $restart"),
    cause => 'file-closed', evidence => qr{may not enter /var/meltano\n.*mode 700, owner root:root.*200/CHDIR}s, obey => 1);

$on->fault('no project', make => shell("mv $project /var/meltano/elsewhere; $restart"), cause => 'file-missing',
    evidence => qr{\Q$project\E is not there.*200/CHDIR}s, by_hand => qr/bring .* back/,
    after => shell("mv /var/meltano/elsewhere $project"));

$on->fault('no program', make => shell("mv $program /root/; $restart"), cause => 'file-missing',
    evidence => qr{\Q$program\E is not there.*203/EXEC}s, after => shell("mv /root/meltano $program"));

$on->fault('a program that is not to be run', make => shell("chmod 644 $program; $restart"), cause => 'file-closed',
    evidence => qr{may not enter or run \Q$program\E}, obey => 1);

$on->fault('a virtualenv whose Python is gone', make => shell("ln -sfn /usr/bin/python3.6 /var/meltano/.venv/bin/python3; $restart"),
    cause => 'interpreter-missing', evidence => qr{the Python of the virtualenv, /var/meltano/.venv/bin/python, .*is not there.*203/EXEC}s,
    by_hand => qr/install that Python again/, after => shell('ln -sfn /usr/bin/python3 /var/meltano/.venv/bin/python3'));

$on->fault('a program saved on Windows', make => shell("cp -p $program /root/; sed -i '1s/\$/\\r/' $program; $restart"),
    cause => 'program-damaged', evidence => qr/ends in a carriage return/, obey => 1, after => shell("mv /root/meltano $program"));

$on->fault('an empty program', make => shell("cp -p $program /root/; : >$program; $restart"), cause => 'program-damaged',
    evidence => qr{does not begin with #! and its Python.*203/EXEC}s, by_hand => qr/install it anew/, after => shell("mv /root/meltano $program"));

$on->fault('a user that does not exist', make => unit("[Service]\nUser=meltan0"), cause => 'user-missing',
    evidence => qr{the host has no user meltan0.*217/USER}s, by_hand => qr/mend User=/, after => unit(''));

$on->fault('a group that does not exist', make => unit("[Service]\nGroup=meltan0"), cause => 'start-group',
    evidence => qr{could not become the group.*216/GROUP}s, by_hand => qr/mend Group=/, after => unit(''));

$on->fault('a path of its sandbox that is not there', make => unit("[Service]\nReadWritePaths=/var/lib/nothing"),
    cause => 'start-namespace', evidence => qr{226/NAMESPACE.*/var/lib/nothing}s, by_hand => qr/make it, or put a -/, after => unit(''));

$on->fault('a settings file of the unit that is not there', make => unit("[Service]\nEnvironmentFile=/etc/meltano/more"),
    cause => 'start-resources', evidence => qr{Failed to load environment files}, by_hand => qr/EnvironmentFile=/, after => unit(''));

$on->fault('it is masked', make => shell("systemctl stop meltano; mv $file /root/; ln -s /dev/null $file; systemctl daemon-reload"),
    cause => 'service-masked', by_hand => qr/systemctl unmask meltano/, after => shell("mv /root/meltano.service $file; systemctl daemon-reload"));

$on->fault('its unit is gone', make => shell("systemctl stop meltano; mv $file /root/; systemctl daemon-reload"), cause => 'service-missing',
    by_hand => qr/[Bb]ring \S+ back from another/, after => shell("mv /root/meltano.service $file; systemctl daemon-reload"));

$on->fault('a unit file that systemd does not take', make => sub { $on->shell('systemctl stop meltano'); $on->drop_in("[Service]\nExecStart=\nExecStartPre=") },
    cause => 'service-file-wrong',
    evidence => qr/bad-setting.*fault\.conf/s, by_hand => qr/systemd-analyze verify/, after => unit(''));

$on->fault('a unit that it needs has failed', make => sub {
    $on->shell("printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n' >/run/systemd/system/volume.service");
    $on->drop_in("[Unit]\nRequires=volume.service\nAfter=volume.service");
}, cause => 'dependency-failed', evidence => qr/Dependency failed for/, by_hand => qr/list-dependencies/, after => sub {
    $on->shell('rm /run/systemd/system/volume.service; systemctl reset-failed');
    $on->drop_in('');
});

$on->fault('a condition that is not met', make => unit("[Unit]\nConditionPathExists=/mnt/volume"), cause => 'condition-not-met',
    by_hand => qr/Condition and Assert/, after => unit(''));

$on->fault('a system call that its unit forbids', make => unit("[Service]\nSystemCallFilter=~listen"), cause => 'forbidden-system-call',
    evidence => qr/SIGSYS/, by_hand => qr/SystemCallFilter=/, after => unit(''));

$on->nothing_is_wrong;
done_testing;
