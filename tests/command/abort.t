#!/usr/bin/perl
# Ctrl-C: the first one stops local commands, also those that ignore SIGTERM; the second one at once.
use strict;
use warnings;
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $hostler = ($ENV{HOSTLER_BUILD} // 'build') . '/hostler';
my $folder = tempdir(CLEANUP => 1);

sub wait_for {
    my ($condition) = @_;
    my $until = time + 10;
    sleep 0.02 until $condition->() || time > $until;
    return $condition->();
}

# Starts a run whose command is alive, calls the function with the run's process id; returns status, seconds, command.
sub interrupted {
    my ($name, $interrupt) = @_;
    my $file = "$folder/$name";
    my $pid = fork // die $!;
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec $hostler, 'run', 'tests/command/abort/stay.lua', $file or POSIX::_exit(99);
    }
    wait_for(sub { -e $file }) or die 'the command did not start';
    open my $handle, '<', $file or die $!;
    chomp(my $command = <$handle>);
    my $started = time;
    $interrupt->($pid);
    waitpid $pid, 0;
    return ($? >> 8, time - $started, $command);
}

my ($status, $seconds, $command) = interrupted(once => sub { kill INT => $_[0] });
is($status, 130, 'one Ctrl-C: exit status 130');
ok($seconds >= 2 && $seconds < 8, 'after SIGTERM the command had two seconds');
ok(!kill(0, $command), 'then it was killed');

($status, $seconds, $command) = interrupted(twice => sub { kill INT => $_[0]; sleep 0.3; kill INT => $_[0] });
is($status, 130, 'a second Ctrl-C: exit status 130');
ok($seconds < 1.5, 'at once');
ok(wait_for(sub { !kill(0, $command) }), 'and the command is gone');

done_testing();
