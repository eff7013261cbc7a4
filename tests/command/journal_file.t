#!/usr/bin/perl
# The journal's file while a run uses it: others who have it locked delay the run and stop nothing else in it; once it is
# deleted or replaced, nothing more is done that nobody would find on record.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'store_away.t is about a server' if Runs::shared();

# Each step writes its name into the file `log` once the file `go-NAME` is there; `at` says where it is.
my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "two things, each when it may",
    run = function()
        for _, name in ipairs { "one", "two" } do
            wait_until("go-" .. name, { timeout = 60, interval = 0.05 }, function()
                return sh.run({ "sh", "-c", "echo $1 > at; test -e go-$1", "sh", name }, { read = true, check = false }).status == 0
            end)
            step(name, function() sh.run { "sh", "-c", "echo $1 >> log", "sh", name } end)
        end
    end,
}
LUA

sub at { my ($runs, $name) = @_; return Runs::wait_for(sub { $runs->get('at') eq "$name\n" }) }

my $file = 'state/hostler/journal.db';
my %loss = (
    'deleted'                => sub { my ($runs) = @_; unlink map { $runs->path("$file$_") } '', '-wal', '-shm' },
    'moved away'             => sub { my ($runs) = @_; rename $runs->path($file), $runs->path('elsewhere') },
    'replaced by a copy'     => sub {
        my ($runs) = @_;
        system('cp', $runs->path($file), $runs->path('copy')) == 0 or die;
        rename $runs->path('copy'), $runs->path($file);
    },
    'begun anew by another'  => sub {
        my ($runs) = @_;
        unlink map { $runs->path("$file$_") } '', '-wal', '-shm';
        my $other = $runs->beside;
        $other->hostler('runs');
    },
    'deprived of its log'    => sub { my ($runs) = @_; unlink $runs->path("$file-wal") },
);

for my $name (sort keys %loss) {
    subtest $name => sub {
        my $runs = Runs->new(book => $book);
        my $pid = $runs->start('run', 'book');
        $runs->put('go-one', '');
        ok at($runs, 'two'), 'a run';
        $loss{$name}->($runs);
        $runs->put('go-two', '');
        is $runs->finish($pid), 1, 'fails';
        like $runs->{said}, qr/the journal \S+ cannot be used: it was deleted or replaced while it was in use/, 'says why'
            or diag $runs->{said};
        is $runs->get('log'), "one\n", 'and does nothing more';
    };
}

# Keeps the file locked until the file `release` is there.
sub lock_journal {
    my ($runs) = @_;
    my $pid = fork // die;
    if (!$pid) {
        { exec 'python3', '-c', <<'PYTHON', map { $runs->path($_) } $file, 'release', 'held' }
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
    Runs::wait_for(sub { -e $runs->path('held') }) or die 'the journal is not locked';
    return $pid;
}

my $clock = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "a clock, and a step beside it",
    run = function()
        local function exists(name)
            return sh.run({ "test", "-e", name }, { read = true, check = false }).status == 0
        end
        parallel {
            function()
                while not exists "stop" do
                    sh.run({ "sh", "-c", "echo x >> ticks" }, { read = true })
                    sleep(0.02)
                end
            end,
            function()
                wait_until("go", { timeout = 60, interval = 0.02 }, function() return exists "go" end)
                step("write", function() sh.run { "sh", "-c", "echo x >> written" } end)
            end,
        }
    end,
}
LUA

subtest 'locked by another' => sub {
    my $runs = Runs->new(clock => $clock);
    my $pid = $runs->start('run', 'clock');
    ok Runs::wait_for(sub { -e $runs->path('ticks') }), 'a run';
    my $holder = lock_journal($runs);
    $runs->put('go', '');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /waiting for the journal \S+, for 30 seconds at the most: another process has it locked/ }),
        'says that it waits' or diag $runs->get('stdout');
    my $ticks = -s $runs->path('ticks');
    ok Runs::wait_for(sub { -s $runs->path('ticks') > $ticks + 10 }), 'what needs no journal goes on meanwhile';
    ok !-e $runs->path('written'), 'and what has to be recorded does not';
    $runs->put('release', '');
    waitpid $holder, 0;
    ok Runs::wait_for(sub { -e $runs->path('written') }), 'then it does';
    $runs->put('stop', '');
    is $runs->finish($pid), 0, 'it ends well' or diag $runs->{said};
    like $runs->{stdout}, qr/the journal answers again/, 'and has said that it goes on';
    is $runs->get('written'), "x\n", 'everything happened once';
};

subtest 'locked for too long' => sub {
    local $ENV{HOSTLER_LEASE} = 1;
    my $runs = Runs->new(clock => $clock);
    my $pid = $runs->start('run', 'clock');
    ok Runs::wait_for(sub { -e $runs->path('ticks') }), 'a run';
    my $holder = lock_journal($runs);
    $runs->put($_, '') for qw(go stop);
    is $runs->finish($pid), 1, 'ends';
    like $runs->{said}, qr/cannot be used: another process has it locked, for more than 1 seconds.*hint +see what uses it: fuser/s, 'saying why'
        or diag $runs->{said};
    ok !-e $runs->path('written'), 'and has not done what it could not record';
    $runs->put('release', '');
    waitpid $holder, 0;
    is $runs->hostler('resume', 'last'), 0, 'then it can be resumed' or diag $runs->{said};
};

subtest 'interrupted while it is locked' => sub {
    my $runs = Runs->new(clock => $clock);
    my $pid = $runs->start('run', 'clock');
    ok Runs::wait_for(sub { -e $runs->path('ticks') }), 'a run';
    my $holder = lock_journal($runs);
    $runs->put('go', '');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /waiting for the journal/ }), 'that waits';
    kill INT => $pid;
    ok Runs::wait_for(sub { my $ticks = -s $runs->path('ticks'); sleep 0.2; $ticks == -s $runs->path('ticks') }), 'stops what goes on';
    $runs->put('release', '');
    waitpid $holder, 0;
    is $runs->finish($pid), 130, 'and ends' or diag $runs->{said};
    ok !-e $runs->path('written'), 'without doing what it waited for';
};

done_testing;
