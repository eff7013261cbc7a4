#!/usr/bin/perl
# Locks, parked runs, following, cancelling, forgetting.
use strict;
use warnings;
use lib 'tests/lib';
use JSON::PP ();
use Runs;
use Test::More;

my $hold = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "holds a lock until there is a file",
    params = { opt("name", "string", "the lock", "thing") },
    run = function(p)
        each({ "one" }, function()
            lock(p.name)
            lock(p.name)
            say "has it"
            step("hold", { idempotent = true }, function() sh.run { "sh", "-c", "while ! [ -e go ]; do sleep 0.02; done" } end)
        end)
    end,
}
LUA

sub holds { my ($runs) = @_; Runs::wait_for(sub { $runs->get('stdout') =~ /has it/ }) }

subtest 'locks' => sub {
    my $runs = Runs->new(hold => $hold);
    my $first = $runs->start('run', 'hold');
    ok holds($runs), 'one run has the lock';
    $runs->hostler('runs', '--status', 'running');
    my ($id) = $runs->{stdout} =~ /^(\w{6})/;
    is $runs->hostler('run', 'hold'), 4, 'the second exits with 4';
    like $runs->{said}, qr/'thing' is locked by run $id \(hold by \w+, process $first on .*\) since 20\d\d-/, 'naming the first';
    is $runs->hostler('resume', $id), 4, 'nor can the first be resumed while it runs';
    kill KILL => $first;
    waitpid $first, 0;
    $runs->put('go', '');
    is $runs->hostler('run', 'hold'), 0, 'a dead holder\'s lock is taken over' or diag $runs->{said};
    is $runs->hostler('run', 'hold'), 0, 'and given back at the end';
};

subtest 'a lock is given back when its item ends' => sub {
    my $runs = Runs->new(hold => $hold, items => <<'LUA');
local sh = require "sh"
return playbook { summary = "x", run = function()
    each({ "one", "two" }, { parallel = 2 }, function(item)
        lock "shared"
        step("s", function() sh.run { "sh", "-c", "mkdir busy && sleep 0.1 && rmdir busy" } end)
    end)
    say "items done"
    wait_until("go", { timeout = 10, interval = 0.02 }, function()
        return sh.run({ "test", "-e", "go" }, { read = true, check = false }).status == 0
    end)
end }
LUA
    my $first = $runs->start('run', 'items');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /items done/ }), 'two items took turns';
    my $second = $runs->start('run', 'hold', '--name', 'shared');
    ok holds($runs), 'another run gets the lock while the first goes on';
    $runs->put('go', '');
    is $runs->finish($_), 0, 'both end well' for $first, $second;
};

subtest 'questions' => sub {
    my $runs = Runs->new(book => <<'LUA');
local sh = require "sh"
return playbook { summary = "asks", run = function()
    step("before", function() sh.run { "sh", "-c", "echo before >> log" } end)
    local colour = ask("Which colour?", "red")
    confirm("Paint it " .. colour .. "?")
    manual "Open the window."
    step("paint", function() sh.run { "sh", "-c", 'echo "$1" >> log', "sh", colour } end)
end }
LUA
    is $runs->hostler('run', 'book'), 3, 'parks';
    like $runs->{said}, qr/next +hostler answer \w{6} VALUE/, 'and says how to answer';
    is $runs->hostler('answer', 'last'), 0, 'the questions';
    is $runs->{stdout}, "1. Which colour?\n", 'are shown';
    is $runs->hostler('answer', 'last', 'blue'), 3, 'answered, it goes on to the next';
    is $runs->hostler('answer', 'last', 'n'), 1, 'a no ends it';
    is $runs->hostler('resume', 'last'), 3, 'resumed, it asks again, but only that';
    is $runs->hostler('answer', 'last', 'yes'), 3, 'yes';
    is $runs->hostler('answer', 'last', 'done'), 0, 'done by hand';
    is $runs->get('log'), "before\nblue\n", 'every step once';
    isnt $runs->hostler('answer', 'last', 'x'), 0, 'a run that asks nothing takes no answer';
};

subtest 'questions of several items' => sub {
    my $runs = Runs->new(book => <<'LUA');
return playbook { summary = "asks", run = function()
    each({ "a", "b" }, function(item)
        say("%s is %s", item, ask("What is " .. item .. "?"))
    end)
end }
LUA
    is $runs->hostler('run', 'book'), 3, 'parks when all that failed wait for answers';
    is $runs->hostler('answer', 'last', 'x'), 2, 'which of them?';
    is $runs->hostler('answer', 'last', 'first', '--to', '1'), 3, 'one';
    is $runs->hostler('answer', 'last', 'second'), 0, 'and the other';
    like $runs->{stdout}, qr/a is first/, 'each has its own answer';
};

subtest 'following and cancelling' => sub {
    my $runs = Runs->new(hold => $hold);
    my $pid = $runs->start('run', 'hold');
    ok holds($runs), 'a run';
    my $follower = Runs->new;
    @$follower{qw(state store)} = @$runs{qw(state store)};
    my $log = $follower->start('log', 'last', '-f');
    ok Runs::wait_for(sub { $follower->get('stdout') =~ /step +one\/hold: begin/ }), 'the log shows it live';
    is $runs->hostler('cancel', 'last'), 0, 'cancelled' or diag $runs->{said};
    waitpid $pid, 0;
    is $? >> 8, 130, 'its process ended as interrupted';
    is $follower->finish($log), 0, 'the follower ends with it';
    like $follower->{stdout}, qr/run +hold: cancelled/, 'and shows the end';
    $runs->put('go', '');
    is $runs->hostler('resume', 'last'), 0, 'a cancelled run can be gone on with' or diag $runs->{said};
};

subtest 'the end of a wait' => sub {
    my $runs = Runs->new(patient => <<~'LUA');
        return playbook { summary = "x", run = function()
            local looks = 0
            wait_until("the third look", { timeout = 60, interval = 0.01 }, function() looks = looks + 1 return looks == 3 end)
        end }
        LUA
    is $runs->hostler('run', 'patient'), 0, 'a run that waits' or diag $runs->{said};
    $runs->hostler('log', 'last');
    like $runs->{stdout}, qr/wait +for the third look  1 look\n.*wait +for the third look: done/, 'its log tells of the beginning and the end';
    is scalar(() = $runs->{stdout} =~ /wait /g), 2, 'and of nothing between';
};

subtest 'the list' => sub {
    my $runs = Runs->new(
        good => 'return playbook { summary = "x", params = { opt("what", "string", "x") }, run = function() step("s", function() end) end }',
        bad => 'return playbook { summary = "x", run = function() fail "no luck" end }');
    $runs->hostler(qw(run good --what), "$_ things") for 1, 2;
    $runs->hostler('run', 'bad');
    my $listed = sub {
        is $runs->hostler('runs', '--json', @_), 0, "runs @_";
        return map { $_->{playbook} . ($_->{arguments}[1] // '') } @{ JSON::PP::decode_json($runs->{stdout}) };
    };
    is_deeply [ $listed->() ], [ 'bad', 'good2 things', 'good1 things' ], 'newest first';
    is_deeply [ $listed->(qw(--status failed)) ], ['bad'], 'those that failed';
    is_deeply [ $listed->(qw(--playbook good --limit 1)) ], ['good2 things'], 'the last of a playbook';
    is_deeply [ $listed->(qw(--playbook good --status failed)) ], [], 'none';
    $runs->query("UPDATE runs SET started = started - 7200 WHERE playbook = 'bad'");
    is_deeply [ $listed->(qw(--since 1h)) ], [ 'good2 things', 'good1 things' ], 'those of the last hour';
    is $runs->hostler('runs'), 0, 'for people';
    like $runs->{stdout}, qr/\A\w{6}  failed +20\d\d-\d\d-\d\d \d\d:\d\d +2h 00m  \w+ +bad\n\w{6}  done .* good --what '2 things'\n/,
        'a line each';
    $runs->query("INSERT INTO runs (id, playbook, file, directory, arguments, operator, version, mode, status, attempt, started, updated, number)
        SELECT CAST(1000 + a.number * 100 + b.number * 10 + c.number AS TEXT), 'many', '', '', '[]', 'x', 'x', 'normal', 'done', 1, 0, 0, 7
        FROM (SELECT number FROM runs UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8) a,
             (SELECT number FROM runs UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8) b,
             (SELECT number FROM runs UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8) c");
    is scalar($listed->()), 50, 'not more than people read';
    is_deeply [ $listed->(qw(--limit 1000)) ], [ ('many') x 512, 'bad', 'good2 things', 'good1 things' ], 'unless they ask for all';
    is_deeply [ $listed->(qw(--limit 1 --status failed)) ], ['bad'], 'one of many';
    is $runs->hostler('runs', '--prune', '90d'), 0, 'those of last century are forgotten';
    is $runs->{stdout}, "512 runs forgotten\n", 'it says';
    is scalar($listed->()), 3, 'the others stay';
};

subtest 'forgetting' => sub {
    my $runs = Runs->new(
        done => 'return playbook { summary = "x", run = function() step("s", function() end) end }',
        asks => 'return playbook { summary = "x", run = function() ask "What?" end }');
    $runs->hostler('run', $_) for qw(done done asks);
    is $runs->hostler('runs', '--prune', '1d'), 0, 'prune';
    like $runs->{stdout}, qr/^0 runs forgotten/, 'young runs stay';
    is $runs->hostler('runs', '--prune', '0s'), 0, 'prune all';
    like $runs->{stdout}, qr/^2 runs forgotten/, 'what has ended goes';
    $runs->hostler('runs');
    like $runs->{stdout}, qr/\A\w{6}  parked .*\n\z/, 'what waits for an answer stays';
    is $runs->hostler('answer', 'last', 'that'), 0, 'and can be gone on with';
};

subtest 'more lines than wait for the disk' => sub {
    my $runs = Runs->new(talks => 'return playbook { summary = "x", run = function() for i = 1, 20000 do say("line %d", i) end end }');
    is $runs->hostler('run', 'talks'), 0, 'a run that says much, and never waits' or diag substr $runs->{said}, -500;
    is $runs->hostler('log', 'last'), 0, 'log';
    my @lines = $runs->{stdout} =~ /^\S+ say +line (\d+)$/mg;
    is_deeply \@lines, [ 1 .. 20000 ], 'has every line, in order';
};

subtest 'no trace' => sub {
    my $runs = Runs->new(done => 'return playbook { summary = "x", run = function() end }');
    is $runs->hostler('run', 'done', '--dry-run'), 0, 'a dry run';
    is $runs->hostler('list'), 0, 'list';
    is $runs->hostler('show', 'done'), 0, 'show';
    ok !-e $runs->{state}, 'leave no journal';
};

done_testing;
