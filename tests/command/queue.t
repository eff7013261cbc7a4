#!/usr/bin/perl
# The queue: runs that are left to workers, in what order they are begun and when, and what becomes of them.
use strict;
use warnings;
use utf8;
use lib 'tests/lib';
use JSON::PP qw(decode_json);
use POSIX ();
use Runs;
use Test::More;
use Terminal;
use ThreeThings qw(at go wrote status);
use Time::HiRes qw(sleep time);

$ENV{HOSTLER_LEASE} = Runs::lease(3) if Runs::shared();

# Writes its word into the file `log`.
my $word = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "a word",
    params = { arg("word", "string", "which") },
    run = function(p)
        step("write", { idempotent = true }, function() sh.run { "sh", "-c", "echo $1 >> log", "sh", p.word } end)
    end,
}
LUA

sub book { return ThreeThings::book(word => $word, @_) }
sub on_a_terminal {
    my ($runs, @arguments) = @_;
    local @ENV{qw(XDG_STATE_HOME HOSTLER_STORE PGPASSWORD NO_COLOR)} = ($runs->{state}, $runs->{store} // '', $ENV{POSTGRES_PASSWORD} // '', 1);
    return Terminal->new(90, 40, join ' ', Runs::binary(), @arguments);
}
sub children { my ($pid) = @_; local @ARGV = "/proc/$pid/task/$pid/children"; return split ' ', <> // '' }

subtest 'a run is left to a worker' => sub {
    my $runs = book();
    $runs->hostler('runs');
    is $runs->hostler('run', '--queue', 'book', '--wrong'), 2, 'arguments are checked first';
    is $runs->hostler('run', '--queue', 'book', '-n'), 2, 'a dry run is not queued';
    is $runs->query('SELECT count(*) FROM runs'), 0, 'so nothing is queued' or diag $runs->{said};
    is $runs->hostler('run', 'book', '--queue'), 0, 'queued';
    like $runs->{stdout}, qr/^run \w{6} is queued$/, 'says its id';
    is $runs->hostler('log', 'last'), 0, 'log';
    like $runs->{said}, qr/^hostler: run \w{6} waits for a worker$/m, 'says why there is nothing yet';
    is $runs->hostler('runs', '--status', 'queued'), 0, 'runs';
    like $runs->{stdout}, qr/ queued /, 'lists it';
    is $runs->hostler('cancel', 'last'), 0, 'it can be taken out';
    is status($runs), 'cancelled', 'and is';

    $runs->hostler('run', 'book', '--queue');
    unlink $runs->path('playbooks/book.lua');
    my $worker = $runs->start('worker');
    ok at($runs, 'one'), 'a worker takes the next one, with the playbook as it was';
    go($runs, 'one');
    ok at($runs, 'two'), 'and goes on with it';
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'told to stop, it ends' or diag $runs->{said};
    is status($runs), 'queued', 'and the run is in the queue again' or diag $runs->{said};
    like $runs->{stdout}, qr/^run \w{6} \(book\): stopped, and back in the queue$/m, 'it says so';
    go($runs);
    is $runs->hostler('worker', '--once'), 0, 'another worker';
    is status($runs), 'done', 'ends it';
    is wrote($runs), 'one two three', 'everything happened once';
    like $runs->{stdout}, qr/\Arun \w{6} \(book\): begins\nrun \w{6} \(book\): done\n\z/, 'it says what it does';
};

subtest 'a run of the queue is followed to its end' => sub {
    my $runs = book();
    $runs->hostler('run', '--queue', 'book');
    my $follower = $runs->beside;
    my $log = $follower->start('log', 'last', '-f');
    my $screen = on_a_terminal($runs, 'log', 'last', '-f');
    like $screen->see(qr/waits for a worker/), qr/^hostler: run \w{6} waits for a worker$/m, 'a run is followed on a terminal';
    ok Runs::wait_for(sub { $follower->get('stderr') =~ /^hostler: run \w{6} waits for a worker$/m }), 'and elsewhere, from before it begins';
    my $worker = $runs->start('worker');
    ok at($runs, 'one'), 'a worker takes it';
    like $screen->see(qr/waiting for go-one/), qr/^hostler run book --queue\n +waiting for go-one/m, 'the terminal shows what it does';
    kill STOP => $worker; # else it would put the run back into the queue
    kill KILL => children($worker), $worker;
    $runs->finish($worker);
    ok Runs::wait_for(sub { $runs->hostler('runs'); $runs->{stdout} =~ / stopped / }), 'and is killed amid it';
    go($runs);
    $worker = $runs->start('worker');
    is $follower->finish($log), 0, 'the follower ends when another worker has gone through it';
    like $follower->{stdout}, qr/step +one: .*run +book: done/s, 'and has seen it all' or diag $follower->{said};
    my $shown = $screen->see(qr/status=/);
    like $shown, qr/^  ✓ one +\S+\n.*^  ✓ three +\S+\n.*^✓ book done in .*\nstatus=0$/ms, 'and so has the terminal, as `hostler run` shows it';
    unlike $shown, qr/waiting for/, 'of what was killed nothing seems to go on' or diag $shown;
    $screen->leave;
    kill TERM => $worker;
    $runs->finish($worker);
};

subtest 'a run of a worker is cancelled, or waits for an answer' => sub {
    my $runs = book(asks => 'return playbook { summary = "x", run = function() say(ask "What?") end }');
    $runs->hostler('run', 'book', '--queue');
    my $worker = $runs->start('worker', '--jobs', 2);
    ok at($runs, 'one'), 'a worker has a run';
    my $other = $runs->beside;
    $other->hostler('run', 'asks', '--queue');
    ok Runs::wait_for(sub { status($runs) eq 'parked' }), 'a second one, meanwhile, asks';
    is $other->hostler('cancel', $runs->query("SELECT id FROM runs WHERE status = 'running'")), 0, 'the first is cancelled'
        or diag $other->{said};
    is $runs->query("SELECT count(*) FROM runs WHERE status = 'cancelled'"), 1, 'and stays so';
    is $other->hostler('answer', 'last', 'that'), 0, 'the second gets its answer';
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'the worker goes on all the while';
    like $runs->{stdout}, qr/^run \w{6} \(book\): cancelled$/m, 'and has said how the first one ended';
};

subtest 'a run of a worker waits for a lock' => sub {
    my $runs = book();
    my $holder = $runs->start('run', 'book', '--lock', 'thing');
    ok at($runs, 'one'), 'a run has a lock';
    my $other = $runs->beside;
    go($other);
    $other->hostler('run', '--queue', 'book', '--lock', 'thing');
    my $id = $runs->query("SELECT id FROM runs WHERE status = 'queued'");
    my $worker = $other->start('worker');
    ok Runs::wait_for(sub { $other->get('stdout') =~ /^run $id .*: waits for a lock$/m }), 'one of the queue waits for it';
    is $runs->query("SELECT 1 FROM runs WHERE id = '$id' AND status = 'queued' AND error IS NULL"), 1, 'in the queue';
    go($runs);
    is $runs->finish($holder), 0, 'the first ends';
    ok Runs::wait_for(sub { $runs->query("SELECT status FROM runs WHERE id = '$id'") eq 'done' }), 'the other one, too';
    kill TERM => $worker;
    is $other->finish($worker), 0, 'the worker as well';
};

subtest 'a run of a worker can be joined' => sub {
    my $runs = book();
    is $runs->hostler('run', '--queue', 'book'), 0, 'a queued run';
    my $worker = $runs->start('worker', '--once');
    ok at($runs, 'one'), 'a worker is at it';
    is $runs->hostler('attach', 'last'), 0, 'attach';
    like $runs->{said}, qr/^run \w{6} \(book\)/m, 'finds it in the process that has it';
    go($runs);
    is $runs->finish($worker), 0, 'and it goes on' or diag $runs->{said};
    is wrote($runs), 'one two three', 'to its end';
};

subtest 'whose turn it is' => sub {
    my $runs = book();
    $runs->hostler('run', '--queue', 'word', 'a');
    $runs->hostler('run', '--queue', 'word', 'b', '--priority', 5);
    $runs->hostler('run', '--queue', 'word', 'c', '--priority', -1);
    $runs->hostler('run', '--queue', 'word', 'd');
    $runs->hostler('run', '--queue', 'word', 'e', '--priority', 5);
    $runs->hostler('run', '--queue', 'word', 'f', '--in', '2h', '--priority', 9);
    $runs->hostler('runs');
    like $runs->{stdout}, qr/queued, priority 9 .* in (?:2h|1h 59m)\S* /, 'the list says when, and the priority';
    $runs->hostler('runs', '--json');
    my ($first) = @{ decode_json($runs->{stdout}) };
    is $first->{priority}, 9, 'in JSON as well';
    like $first->{not_before}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'both';
    is $runs->hostler('worker', '--once'), 0, 'a worker goes through them';
    is wrote($runs), 'b e a d c', 'by priority, then as they came; not what is not due';
    is $runs->query("SELECT status FROM runs WHERE priority = 9"), 'queued', 'which waits';
};

subtest 'moments' => sub {
    my $runs = book();
    local $ENV{TZ} = 'Europe/Berlin';
    # What GNU date makes of them is right.
    for my $text ('2031-03-30 03:30', '2032-02-29T06:00:00Z', '2031-12-31 23:59:30', '2031-07-01T12:00:00+05:30',
        '2031-01-01T00:00-0800') {
        chomp(my $wanted = qx(date -d '$text' +%s));
        is $runs->hostler('run', '--queue', 'word', 'x', '--at', $text), 0, $text or diag $runs->{said};
        is $runs->query('SELECT queued FROM runs ORDER BY number DESC LIMIT 1') + 0, $wanted, 'is meant';
    }
    my $soon = POSIX::strftime '%H:%M', localtime time + 120;
    is $runs->hostler('run', '--queue', 'word', 'x', '--at', $soon), 0, $soon;
    my $left = $runs->query('SELECT queued FROM runs ORDER BY number DESC LIMIT 1') - time;
    ok $left > 0 && $left <= 120, 'is the next one' or diag $left;
    for my $text ('noon', '25:00', '2031-02-30 10:00', '2031-13-01 10:00', '2031-01-01T10:00:00 Berlin', '') {
        is $runs->hostler('run', '--queue', 'word', 'x', '--at', $text), 2, "'$text' is none";
        like $runs->{said}, qr/--at must be a time such as/, 'and it says what one is';
    }
    is $runs->hostler('run', '--queue', 'word', 'x', '--at', '10:00', '--in', '1h'), 2, 'one of both';
    is $runs->hostler('run', 'word', 'x', '--in', '1h'), 2, 'for the queue';
    like $runs->{said}, qr/together with --queue/, 'it says';
    $runs->hostler('run', '--queue', 'word', 'x', '--at', '2199-03-01 06:00');
    like $runs->{stdout}, qr/^run \w{6} is queued, to begin at 2199-03-01 06:00 or later$/, 'when it may begin is said';
    is $runs->hostler('cancel', 'last'), 0, 'and it is taken out';
    $runs->hostler('run', '--queue', 'word', 'x', '--at', '2020-03-01 06:00');
    like $runs->{said}, qr/^hostler: 2020-03-01 06:00 has passed, so the run may begin at once$/m, 'so is a time that has passed';
    is $runs->hostler('cancel', 'last'), 0, 'and that too';
};

subtest 'what becomes due' => sub {
    my $runs = book();
    my $worker = $runs->start('worker');
    ok Runs::wait_for(sub { children($worker) }), 'a worker waits';
    $runs->hostler('run', '--queue', 'word', 'later', '--in', '1s');
    my $due = $runs->query('SELECT queued FROM runs');
    ok Runs::wait_for(sub { wrote($runs) eq 'later' }), 'a run is begun';
    cmp_ok time, '>=', $due, 'not before its time';
    kill TERM => $worker;
    $runs->finish($worker);
};

subtest 'a worker is woken' => sub {
    my $runs = book();
    $runs->hostler('runs');
    my $worker = $runs->beside->start('worker', '--jobs', 2);
    ok Runs::wait_for(sub { children($worker) == 3 }), 'a worker waits, with one process more than it begins runs';
    for my $word (1 .. 7) {
        $runs->hostler('run', '--queue', 'word', $word);
        Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status = 'done'") == $word });
    }
    my @seconds = sort { $a <=> $b } split /\n/, $runs->query("SELECT e.at - r.started FROM runs r
        JOIN events e ON e.run = r.id WHERE e.type = 'run.begin'");
    cmp_ok $seconds[3], '<', 0.7, 'and does not find what is queued by looking every two seconds' or diag "@seconds";
    kill TERM => $worker;
    waitpid $worker, 0;
};

subtest 'a key makes one run' => sub {
    my $runs = book();
    is $runs->hostler('run', '--queue', 'word', 'a', '--key', 'order 7'), 0, 'the first';
    my ($id) = $runs->{stdout} =~ /^run (\w{6}) is queued$/ or diag $runs->{said};
    is $runs->hostler('run', '--queue', 'word', 'b', '--key', 'order 7'), 0, 'the second';
    is $runs->{stdout}, "run $id has this key, so there is no second one\n", 'is the first';
    my @others = map { $runs->beside } 1 .. 4;
    my @pids = map { $_->start('run', '--queue', 'word', 'c', '--key', 'order 8') } @others;
    is $others[$_]->finish($pids[$_]), 0, 'at once' for 0 .. $#pids;
    is scalar(grep { $_->{stdout} =~ /is queued/ } @others), 1, 'one of them makes it';
    is $runs->hostler('worker', '--once'), 0, 'a worker';
    is $runs->query("SELECT count(*) FROM runs"), 2, 'two runs';
    is $runs->hostler('run', '--queue', 'word', 'd', '--key', 'order 7'), 0, 'again, when it has ended';
    like $runs->{stdout}, qr/^run $id has this key/, 'makes no other one';
    $runs->put('playbooks/half.lua', <<'LUA');
local sh = require "sh"
return playbook { summary = "stops half-way", once = true, run = function()
    step("half", function() sh.run { "false" } end)
end }
LUA
    $runs->hostler('run', '--queue', 'half', '--key', 'order 9');
    $runs->hostler('worker', '--once');
    is status($runs), 'failed', 'one that stopped half-way';
    is $runs->hostler('run', '--queue', 'half', '--key', 'order 9'), 0, 'and is ordered again';
    like $runs->{stdout}, qr/has this key/, 'is the same';
    is $runs->hostler('run', '--queue', 'half', '--key', 'order 10'), 1, 'with another key it is refused';
    $runs->put('playbooks/own.lua', <<'LUA');
return playbook { summary = "a key of its own", params = { opt("key", "string", "its own") },
    run = function(p) say("the key is %s", p.key) end }
LUA
    is $runs->hostler('run', 'own', '--key', 'order 7'), 0, 'a parameter of this name';
    like $runs->{said}, qr/the key is order 7/, 'is the playbook\'s';
    is $runs->query('SELECT count(*) FROM sources WHERE run NOT IN (SELECT id FROM runs)'), 0, 'and leaves nothing';
};

subtest 'at most so many of a playbook at once' => sub {
    my $runs = book(two => <<'LUA');
local sh = require "sh"
return playbook {
    summary = "not three at once", at_most = 2,
    run = function()
        step("count", { idempotent = true }, function()
            sh.run { "sh", "-c", "mkdir -p now; touch now/$PPID; ls now | wc -l >> log; sleep 0.1; rm now/$PPID" }
        end)
    end,
}
LUA
    $runs->hostler('run', '--queue', 'two') for 1 .. 10;
    $runs->hostler('run', '--queue', 'word', 'other');
    my @workers = ($runs, $runs->beside);
    unlink $workers[1]->path('playbooks/two.lua');
    my @pids = map { $_->start('worker', '--jobs', 3) } @workers;
    ok Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status <> 'done'") eq '0' }), 'all are done';
    my @counts = split ' ', wrote($runs);
    is scalar(@counts), 11, 'each once' or diag "@counts";
    is_deeply [ grep { /\d/ && $_ > 2 } @counts ], [], 'never three at once';
    ok((grep { $_ eq '2' } @counts), 'but two');
    isnt $counts[-1], 'other', 'another playbook does not wait for them';
    kill TERM => @pids;
    $workers[$_]->finish($pids[$_]) for 0, 1;
    for my $wrong ('0', '1.5', '"2"') {
        $runs->put('playbooks/wrong.lua', "return playbook { summary = 'x', run = function() end,\n    at_most = $wrong }\n");
        is $runs->hostler('run', 'wrong'), 2, "at_most = $wrong";
        like $runs->{said}, qr/wrong\.lua:2: the field 'at_most'/, 'is refused';
    }
};

subtest 'a worker is killed' => sub {
    for my $what ('its process', 'both', 'itself') {
        my $runs = book();
        $runs->hostler('run', '--queue', 'book');
        my $worker = $runs->start('worker');
        go($runs, 'one');
        ok at($runs, 'two'), "a run goes on";
        my ($child) = children($worker);
        kill KILL => $what eq 'its process' ? $child : $what eq 'both' ? ($worker, $child) : $worker;
        $runs->finish($worker) if $what ne 'its process';
        my $next = $what eq 'its process' ? $worker : $runs->start('worker');
        go($runs);
        ok Runs::wait_for(sub { status($runs) eq 'done' }), "when $what is killed, the run is gone on with"
            or diag status($runs), $runs->get('stderr');
        is wrote($runs), 'one two three', 'everything happened once';
        kill TERM => $next;
        is $runs->finish($next), 0, 'the worker ends well' or diag $runs->{said};
    }
};

done_testing;
