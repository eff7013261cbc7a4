#!/usr/bin/perl
# A run that is killed while its command goes on: a local command ends with it; one on a host is found by the run that goes
# on, which waits for its end instead of running it a second time beside the first.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

exec 'tests/lib/with-sshd', $^X, '-Itests/lib', $0 unless $ENV{SSHD};

# Whether a process is there, and no zombie.
sub alive {
    my ($pid) = @_;
    open my $stat, '<', "/proc/$pid/stat" or return 0;
    return <$stat> !~ /\) Z/;
}

my $begun = sub { my ($runs, $file) = @_; Runs::wait_for(sub { $runs->get($file) =~ /\n/ }) };

subtest 'local commands end with their run' => sub {
    my $runs = Runs->new(book => <<'LUA');
local sh = require "sh"
return playbook { summary = "a command with a child, and one in the background", run = function()
    step("long", function()
        parallel {
            function() sh.run { "sh", "-c", 'sleep 600 & echo $$ $! >>pids; trap "" TERM INT HUP; wait; wait; sleep 600' } end,
            function() sh.run({ "sh", "-c", 'echo $$ >>pids; exec sleep 600' }, { read = true }) end,
        }
    end)
end }
LUA
    for my $signals ([ 'KILL' ], [ 'INT', 'INT' ]) {
        $runs->put('pids', '');
        my $pid = $runs->start('run', 'book');
        ok Runs::wait_for(sub { $runs->get('pids') =~ /\n.*\n/ }), 'the commands go on';
        my @pids = split ' ', $runs->get('pids');
        is scalar(@pids), 3, 'three processes';
        kill $_ => $pid for @$signals;
        $runs->finish($pid);
        ok Runs::wait_for(sub { !grep { alive($_) } @pids }), "after SIG@$signals they are gone";
        ok $runs->quiet, 'and nothing is left';
    }
};

done_testing;
