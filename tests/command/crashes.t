#!/usr/bin/perl
# Runs of the queue that end the processes which go through them: they are gone on with, but not for ever. On a journal
# that is a file and on one that is a database; run by itself it does both.
use strict;
use warnings;
use lib 'tests/lib';
use BothStores;
use Runs;
use Test::More;

# The process of a run, and with `worker` that of its worker as well, is killed until the file `enough` is there.
my $crash = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "kills its process until told otherwise",
    params = { flag("worker", "and its worker") },
    run = function(p)
        step("before", function() end)
        step("crash", { idempotent = true }, function()
            sh.run { "sh", "-c", [[
                echo crash >> crashes
                test -e enough && exit
                test -z "$1" || read worker rest < worker
                process=$(($(ps -o ppid= $PPID)))
                kill -STOP $process # or it would see that its worker is gone
                kill -KILL $worker $process]], "sh", p.worker and "worker" or "" }
        end)
    end,
}
LUA
my $often = <<'LUA';
local sh = require "sh"
return playbook { summary = "each of its steps kills its process once", run = function()
    for i = 1, 7 do
        step("crash " .. i, { idempotent = true }, function()
            sh.run { "sh", "-c", "test -e crashed-$1 || { touch crashed-$1; kill -KILL $(($(ps -o ppid= $PPID))); }", "sh", i }
        end)
    end
end }
LUA

sub crashes { my ($runs) = @_; return scalar(() = $runs->get('crashes') =~ /crash/g) }
sub status { my ($runs) = @_; return $runs->query('SELECT status FROM runs ORDER BY number DESC LIMIT 1') }
sub count { my ($runs) = @_; return $runs->query('SELECT crashes FROM runs ORDER BY number DESC LIMIT 1') }

my $why = qr/its process has ended amid the run 5 times in a row, and no step was finished meanwhile; the last time/;

sub resumed {
    my ($runs) = @_;
    $runs->put('enough', '');
    is $runs->hostler('resume', 'last'), 0, 'a person can go on with it' or diag $runs->{said};
    is status($runs), 'done', 'to its end';
    is count($runs), 0, 'which is a new beginning';
}

subtest 'a run that always ends its process' => sub {
    my $runs = Runs->new(crash => $crash);
    $runs->hostler('run', '--queue', 'crash');
    my $worker = $runs->start('worker');
    ok Runs::wait_for(sub { status($runs) eq 'failed' }), 'has failed in the end' or diag status($runs), $runs->get('stderr');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /its process was ended by signal 9; too often, so it has failed$/m }), 'the worker says so'
        or diag $runs->get('stdout');
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'and goes on';
    is crashes($runs), 5, 'after five times';
    $runs->hostler('log', 'last');
    like $runs->{said}, qr/$why by signal 9 at step 'crash\/crash'/, 'the log says why' or diag $runs->{said};
    like $runs->{said}, qr/hint +see what ends it.*hostler resume/, 'and what to do';
    resumed($runs);
};

subtest 'a run whose steps each end it once' => sub {
    my $runs = Runs->new(often => $often);
    $runs->hostler('run', '--queue', 'often');
    is $runs->hostler('worker', '--once'), 0, 'a worker';
    ok Runs::wait_for(sub { status($runs) ne 'queued' or $runs->hostler('worker', '--once'), 0 }), 'goes on with it';
    is status($runs), 'done', 'it gets on, so it comes to its end' or diag $runs->{said};
    is count($runs), 0, 'nothing is held against it';
};

subtest 'a run that always ends its worker as well' => sub {
    my $lease = $ENV{HOSTLER_LEASE} = Runs::lease(2);
    my $runs = Runs->new(crash => $crash);
    $runs->hostler('run', '--queue', 'crash', '--worker');
    for my $time (1 .. 5) {
        my $worker = $runs->start('worker');
        $runs->put('worker', "$worker\n");
        $runs->finish($worker);
        is crashes($runs), $time, "it ends worker $time";
    }
    my $worker = $runs->start('worker');
    ok Runs::wait_for(sub { status($runs) eq 'failed' }), 'the sixth lets it fail' or diag status($runs), $runs->get('stderr');
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'and goes on';
    is crashes($runs), 5, 'without beginning it';
    $runs->hostler('log', 'last');
    like $runs->{said}, qr/$why at step 'crash\/crash'/, 'the log says why' or diag $runs->{said};
    resumed($runs);
    delete $ENV{HOSTLER_LEASE};
};

# As systemd does it: all processes of a service get the signal.
subtest 'told to stop while a run is loaded' => sub {
    my $runs = Runs->new(slow => <<'LUA');
if env "LOADS" then while true do end end
return playbook { summary = "is loaded slowly", run = function() say "done" end }
LUA
    $runs->hostler('run', '--queue', 'slow') == 0 or diag $runs->{said};
    local $ENV{LOADS} = 1;
    my $worker = $runs->start('worker');
    ok Runs::wait_for(sub { status($runs) eq 'running' }), 'a run is loaded';
    open my $children, '<', "/proc/$worker/task/$worker/children" or die $!;
    kill TERM => $worker, split ' ', <$children>;
    is $runs->finish($worker), 0, 'the worker ends';
    is status($runs), 'queued', 'and the run is in the queue' or diag $runs->{said};
    is count($runs), 0, 'with nothing held against it';
    delete $ENV{LOADS};
    is $runs->hostler('worker', '--once'), 0, 'for another worker';
    is status($runs), 'done', 'which goes through it';
};

done_testing;
