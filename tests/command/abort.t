#!/usr/bin/perl
# Ctrl-C: the first one stops local commands, also those that ignore SIGTERM; the second one at once.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Hostler ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $hostler = ($ENV{HOSTLER_BUILD} // 'build') . '/hostler';
my $folder = tempdir(CLEANUP => 1);

# Starts a run whose command is alive, calls the function with the run's process id and the command's file; returns status, seconds, command.
sub interrupted {
    my ($name, $interrupt) = @_;
    my $file = "$folder/$name";
    my $pid = fork // die $!;
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec $hostler, 'run', 'tests/command/abort/stay.lua', $file or POSIX::_exit(99);
    }
    Hostler::holds(sub { -e $file }) or die 'the command did not start';
    open my $handle, '<', $file or die $!;
    chomp(my $command = <$handle>);
    my $started = time;
    $interrupt->($pid, $file);
    waitpid $pid, 0;
    return ($? >> 8, time - $started, $command);
}

my ($status, $seconds, $command) = interrupted(once => sub { kill INT => $_[0] });
is($status, 130, 'one Ctrl-C: exit status 130');
my $patience = $seconds;
cmp_ok($patience, '>=', 2, 'after SIGTERM the command had two seconds');
ok(!kill(0, $command), 'then it was killed');

($status, $seconds, $command) = interrupted(twice => sub {
    my ($pid, $file) = @_;
    kill INT => $pid;
    Hostler::holds(sub { -e "$file.asked" });
    kill INT => $pid;
});
is($status, 130, 'a second Ctrl-C: exit status 130');
cmp_ok($seconds, '<', $patience, 'at once');
ok(Hostler::holds(sub { !kill(0, $command) }), 'and the command is gone');

done_testing();
