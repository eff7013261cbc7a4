#!/usr/bin/perl
# Why Meltano ends when it is started, made for real: the verdict reads its last words, and proposes a restart only where
# one helps.
use strict;
use warnings;
use Test::More;
use Triage;

my $on      = Triage->new('unwilling');
my $project = '/var/meltano/project';
my $program = '/var/meltano/.venv/bin/meltano';
my $restart = 'systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null'; # however often it was started just now

sub shell { my @words = @_; return sub { $on->shell(@words) } }

sub project_file { my ($edit) = @_; return "cp -p $project/meltano.yml /root/; $edit; $restart" }
my $bring_back = shell("mv /root/meltano.yml $project/");

$on->fault('a meltano.yml that is no YAML', make => shell(project_file("echo 'version: 1: 2' >>$project/meltano.yml")),
    cause => 'project-file-broken', evidence => qr{in "\Q$project\E/meltano\.yml", line \d+}, by_hand => qr/at the line that is named/,
    after => $bring_back);

$on->fault('a meltano.yml in the middle of a merge', make => shell(project_file("echo '<<<<<<< HEAD' >>$project/meltano.yml")),
    cause => 'project-file-broken', by_hand => qr/<<<<<<</, after => $bring_back);

$on->fault('an empty meltano.yml', make => shell(project_file(": >$project/meltano.yml")), cause => 'project-file-empty', after => $bring_back);

$on->fault('no meltano.yml', make => shell("mv $project/meltano.yml /root/; $restart"), cause => 'project-file-missing', after => $bring_back);

$on->fault('a meltano.yml in another encoding', make => shell(project_file("printf '# caf\\351\\n' >>$project/meltano.yml")),
    cause => 'file-encoding', by_hand => qr/UTF-8/, after => $bring_back);

$on->fault('a module that is gone', make => shell("mv /usr/lib/python3/dist-packages/psycopg2 /root/; $restart"), cause => 'module-missing',
    evidence => qr/lacks the Python module psycopg2/, by_hand => qr/pip install/, after => shell('mv /root/psycopg2 /usr/lib/python3/dist-packages/'));

$on->fault('modules that do not fit each other', make => shell("cp -p $program /root/; sed -i 's/^import yaml/import yaml; from yaml import soft_load/' $program; $restart"),
    cause => 'modules-do-not-fit', evidence => qr/cannot import name 'soft_load' from 'yaml'/, by_hand => qr/pip check/, after => shell("mv /root/meltano $program"));

$on->fault('a module that is damaged', make => shell("cp -p $program /root/; printf 'def (:\\n' >>$program; $restart"), cause => 'program-damaged',
    evidence => qr/SyntaxError/, after => shell("mv /root/meltano $program"));

$on->fault('a virtualenv of another Python', make => shell("cd /var/meltano/.venv; cp -p pyvenv.cfg /root/; sed -i 's/^version = .*/version = 3.6.9/' pyvenv.cfg; "
        . "mv /usr/lib/python3/dist-packages/psycopg2 /root/; $restart"), cause => 'python-replaced',
    evidence => qr/made for Python 3\.6, and the host has 3\.\d+ now/, after => shell('mv /root/psycopg2 /usr/lib/python3/dist-packages/; mv /root/pyvenv.cfg /var/meltano/.venv/'));

$on->fault('a log folder that is a file', make => shell("rm -r $project/.meltano/run; su -s /bin/sh meltano -c 'touch $project/.meltano/run'; $restart"),
    cause => 'file-of-another-kind', evidence => qr{\.meltano/run is no directory}, by_hand => qr/move/,
    after => shell("rm $project/.meltano/run; install -d -o meltano -g meltano $project/.meltano/run"));

$on->fault('no log folder', make => shell("rm -r $project/.meltano/run; $restart"), cause => 'file-missing',
    evidence => qr{\.meltano/run is not there}, obey => 1);

$on->fault('a log folder on a volume that is not there', make => shell("mv $project/.meltano/run /root/; ln -s /mnt/volume/run $project/.meltano/run; chown -h meltano: $project/.meltano/run; $restart"),
    cause => 'link-broken', evidence => qr{is a link to /mnt/volume/run, which is not there},
    after => shell("rm $project/.meltano/run; mv /root/run $project/.meltano/"));

$on->fault('a log folder that it may not write to', make => shell("chmod 500 $project/.meltano/run; $restart"), cause => 'file-closed',
    evidence => qr{may not write \S+/run}, obey => 1);

$on->fault('it ends for a reason that nobody knows', make => sub {
    $on->shell("cp -p $program /root/; sed -i 's/^def main.*/&\\n    sys.exit(\"the moon is in the wrong quarter\")/' $program; $restart");
}, cause => 'service-failed', evidence => qr/the moon is in the wrong quarter/, by_hand => qr/A restart helps only where/,
    after => shell("mv /root/meltano $program"));

$on->nothing_is_wrong;
done_testing;
