#!/usr/bin/perl
# Of two who answer a question at once one gets the run: that one's answer counts, and the other is told that theirs does
# not.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

# It asks when the file `go` is there.
my $book = <<'LUA';
local sh = require "sh"
return playbook { summary = "asks", run = function()
    wait_until("go", { timeout = 100, interval = 0.02 }, function()
        return sh.run({ "test", "-e", "go" }, { read = true, check = false }).status == 0
    end)
    say("it is %s", ask "What is it?")
end }
LUA

# Holds the journal's file locked until {folder}/release is there: who wants to write waits meanwhile, and then they come
# together.
sub hold_journal {
    my ($runs) = @_;
    my $pid = fork // die;
    if (!$pid) {
        { exec 'python3', '-c', <<'PYTHON', $runs->path('state/hostler/journal.db'), $runs->path('release'), $runs->path('held') }
import os, sqlite3, sys, time
journal = sqlite3.connect(sys.argv[1], isolation_level=None)
journal.execute("BEGIN IMMEDIATE")
open(sys.argv[3], "w").close()
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
journal.execute("ROLLBACK")
PYTHON
        POSIX::_exit(98);
    }
    Runs::wait_for(sub { -e $runs->path('held') }) or die 'the journal is not held';
    return $pid;
}

# Whether it has the journal's log open, which is after its first look.
sub has_looked {
    my ($pid) = @_;
    return scalar grep { (readlink($_) // '') =~ /journal\.db-wal$/ } glob "/proc/$pid/fd/*";
}

# Whether a child has ended, and waits to be taken note of.
sub has_ended {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return 1;
    return <$file> =~ /\) Z /;
}

for my $round (1 .. 3) {
    my $runs = Runs->new(book => $book);
    $runs->put('go', '');
    is $runs->hostler('run', 'book'), 3, "round $round: a run asks";
    unlink $runs->path('go');
    my $holder = hold_journal($runs);
    my %people = map { $_ => $runs->beside } qw(red blue);
    my %pid = map { $_ => $people{$_}->start('answer', 'last', $_) } keys %people;
    ok Runs::wait_for(sub { !grep { !has_looked($_) } values %pid }), 'two people answer';
    $runs->put('release', '');
    waitpid $holder, 0;
    my %ended;
    Runs::wait_for(sub { %ended = map { $_ => 1 } grep { has_ended($pid{$_}) } keys %pid });
    $runs->put('go', '');
    my %status = map { $_ => $people{$_}->finish($pid{$_}) } keys %people;
    my ($winner, @more) = grep { $status{$_} == 0 } keys %status;
    is scalar(@more), 0, 'one of them goes on with it';
    my ($loser) = grep { $_ ne $winner } keys %status;
    # Who comes so late that the answer is there already asks about a run that asks nothing.
    my $late = $people{$loser}{said} =~ /asks nothing/;
    is $status{$loser}, $late ? 2 : 4, 'the other is refused' or diag $people{$loser}{said};
    like $people{$loser}{said}, qr/taken over by another process|is being worked on|asks nothing/, 'and told why';
    like $people{$winner}{said}, qr/it is $winner$/m, "$winner, who went on, is who was heard" or diag $people{$winner}{said};
}

done_testing;
