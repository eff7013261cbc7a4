#!/usr/bin/perl
# The journal's file while a run uses it: others who have it locked delay the run and stop nothing else in it; once it is
# deleted, replaced or overwritten, or its log or the index of that, nothing more is done that nobody would find on record.
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

my $replaced = qr/it was deleted or replaced while it was in use/;
my $spoiled = qr/it was overwritten or cut short while it was in use/;

# Waits until the kernel's clock for files has gone on since the journal was written to: see sqlite_watch.h.
sub tick {
    my ($runs) = @_;
    my $last = sub { my ($found) = sort { $b <=> $a } map { (Time::HiRes::stat($runs->path($_)))[9] } @_; $found };
    Runs::wait_for(sub { $runs->put('tick', ''); $last->('tick') > $last->($file, "$file-wal") + 0.001 }) or die;
}

# Writes into a file of the journal as it is, at an offset; without one, over all of it.
sub overwrite {
    my ($runs, $part, $bytes, $offset) = @_;
    tick($runs);
    open my $handle, defined $offset ? '+<:raw' : '>:raw', $runs->path("$file$part") or die $!;
    seek $handle, $offset // 0, 0;
    print $handle $bytes;
    close $handle or die $!;
}

# What is in a file of another journal.
sub others {
    my ($part) = @_;
    my $other = Runs->new(book => $book);
    my $pid = $other->start('run', 'book');
    at($other, 'one') or die 'no other run';
    my $text = $other->get("$file$part");
    kill KILL => $pid;
    $other->finish($pid);
    return $text;
}

# As many bytes of noise as the file has.
sub noise { my ($runs, $part) = @_; return join '', map { chr int rand 256 } 1 .. -s $runs->path("$file$part") }

my %spoiling = (
    'overwritten by another'      => sub { overwrite($_[0], '', others('')) },
    'overwritten by an older one' => sub { overwrite($_[0], '', $_[0]{older}) },
    'overwritten with noise'      => sub { overwrite($_[0], '', noise($_[0], ''), 0) },
    'damaged in one place'        => sub { overwrite($_[0], '', 'x' x 100, 5000) },
    'emptied'                     => sub { overwrite($_[0], '', '') },
    'cut short'                   => sub { truncate $_[0]->path($file), 8192 or die $! },
    'its log emptied'             => sub { overwrite($_[0], '-wal', '') },
    'its log cut short'           => sub { truncate $_[0]->path("$file-wal"), 4096 * 3 or die $! },
    'its log overwritten by another' => sub { overwrite($_[0], '-wal', others('-wal')) },
    'its log overwritten with noise' => sub { overwrite($_[0], '-wal', noise($_[0], '-wal'), 0) },
    'its log damaged in one place'   => sub { overwrite($_[0], '-wal', 'x' x 100, 5000) },
    'the index emptied'              => sub { overwrite($_[0], '-shm', '') },
    'the index overwritten by another' => sub { my $bytes = others('-shm'); overwrite($_[0], '-shm', $bytes, 0) },
);
$loss{'deprived of the index'} = sub { unlink $_[0]->path("$file-shm") };

for my $name (sort keys %loss, keys %spoiling) {
    subtest $name => sub {
        my $runs = Runs->new(book => $book);
        $runs->hostler('runs');
        $runs->{older} = $runs->get($file);
        my $pid = $runs->start('run', 'book');
        $runs->put('go-one', '');
        ok at($runs, 'two'), 'a run';
        ($loss{$name} // $spoiling{$name})->($runs);
        $runs->put('go-two', '');
        is $runs->finish($pid), 1, 'fails';
        my $why = $loss{$name} ? $replaced : $spoiling{$name} ? $spoiled : die;
        like $runs->{said}, qr/the journal \S+ cannot be used: $why.*hint +put/s, 'says why, and what to do' or diag $runs->{said};
        is $runs->get('log'), "one\n", 'and does nothing more';
    };
}

# What every process that opens the journal later finds done.
sub on_record {
    my ($runs) = @_;
    return $runs->query("SELECT count(*) FROM steps WHERE status = 'done'");
}

for my $bytes ("\0", 'noise') {
    subtest "the index overwritten with $bytes" => sub {
        my $runs = Runs->new(book => $book);
        my $pid = $runs->start('run', 'book');
        $runs->put('go-one', '');
        ok at($runs, 'two'), 'a run';
        overwrite($runs, '-shm', $bytes eq 'noise' ? noise($runs, '-shm') : $bytes x -s $runs->path("$file-shm"), 0);
        $runs->put('go-two', '');
        is $runs->finish($pid), 0, 'goes on: it is made again from the log' or diag $runs->{said};
        is on_record($runs), 2, 'everything is on record';
    };
}

subtest 'several processes' => sub {
    my $runs = Runs->new(book => $book);
    my @others = map { $runs->beside } 1 .. 3;
    my @all = ($runs, @others);
    my @pids = map { $_->start('run', 'book') } @all;
    $_->put('go-one', '') for @all;
    ok at($_, 'two'), 'a run' for @all;
    overwrite($runs, '', others(''));
    $_->put('go-two', '') for @all;
    for my $i (0 .. $#all) {
        is $all[$i]->finish($pids[$i]), 1, 'each fails';
        like $all[$i]{said}, $spoiled, 'says why';
        is $all[$i]->get('log'), "one\n", 'and does nothing more';
    }
};

subtest 'the log damaged in one place, several processes' => sub {
    my $runs = Runs->new(book => $book);
    my $other = $runs->beside;
    my @pids = map { $_->start('run', 'book') } $runs, $other;
    $_->put('go-one', '') for $runs, $other;
    ok at($_, 'two'), 'a run' for $runs, $other;
    overwrite($runs, '-wal', 'x' x 100, 5000);
    $_->put('go-two', '') for $runs, $other;
    is $runs->finish($pids[0]), 1, 'the one fails';
    is $other->finish($pids[1]), 1, 'and so does the other';
    is $_->get('log'), "one\n", 'none does anything more' for $runs, $other;
};

my $many = <<'LUA';
local sh = require "sh"
return playbook { summary = "many steps", run = function()
    for i = 1, 150 do step("step " .. i, function() sh.run { "true" } end) end
end }
LUA

subtest 'nothing is spoiled by those who may write' => sub {
    my $runs = Runs->new(many => $many, book => $book);
    my @all = ($runs, map { $runs->beside } 1 .. 3);
    my $pid = $runs->start('run', 'book');
    my @pids = map { $_->start('run', 'many') } @all[1 .. 3];
    my $checkpoints = fork // die;
    if (!$checkpoints) {
        exec 'python3', '-c', <<'PYTHON', $runs->path($file) or POSIX::_exit(98);
import sqlite3, sys, time
journal = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while True:
    for how in "PASSIVE", "FULL", "TRUNCATE":
        journal.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
        time.sleep(0.02)
PYTHON
    }
    is $all[$_]->finish($pids[ $_ - 1 ]), 0, 'a run beside others, and beside checkpoints' or diag $all[$_]{said} for 1 .. 3;
    $runs->put("go-$_", '') for 'one', 'two';
    is $runs->finish($pid), 0, 'one that waited meanwhile' or diag $runs->{said};
    kill KILL => $checkpoints;
    waitpid $checkpoints, 0;
    is on_record($runs), 3 * 150 + 2, 'all of it is on record';
};

subtest 'looked at and copied by others' => sub {
    my $runs = Runs->new(book => $book);
    my $pid = $runs->start('run', 'book');
    $runs->put('go-one', '');
    ok at($runs, 'two'), 'a run';
    system('sh', '-c', 'cp -a "$1" "$2"; ln "$1" "$2.link"; chmod 0600 "$1"; cat "$1-wal" "$1-shm" >/dev/null', 'sh',
        $runs->path($file), $runs->path('copy')) == 0 or die;
    $runs->beside->hostler('log', 'last');
    $runs->put('go-two', '');
    is $runs->finish($pid), 0, 'goes on' or diag $runs->{said};
};

subtest 'killed, and resumed' => sub {
    my $runs = Runs->new(book => $book);
    my $pid = $runs->start('run', 'book');
    $runs->put('go-one', '');
    ok at($runs, 'two'), 'a run';
    kill KILL => $pid;
    $runs->finish($pid);
    ok -s $runs->path("$file-wal"), 'leaves a log';
    unlink $runs->path('at');
    $pid = $runs->start('resume', 'last');
    ok at($runs, 'two'), 'which is recovered' or diag $runs->get('stderr');
    overwrite($runs, '', 'x' x 100, 5000);
    $runs->put('go-two', '');
    is $runs->finish($pid), 1, 'from then on the file is watched as before';
    like $runs->{said}, $spoiled, 'says why' or diag $runs->{said};
};

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
