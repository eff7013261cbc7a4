#!/usr/bin/perl
# A prompt where a run failed (run --debug), breakpoint(), and hostler debug RUN: over pipes; debug_terminal.t has the
# terminal.
use strict;
use warnings;
use Hostler;
use Test::More;

# A folder with the playbook `book`, a run of it with these lines typed, and other commands on its journal.
sub folder { playbooks(book => $_[0]) }

sub typed {
    my ($in, $lines, @arguments) = @_;
    return hostler({ in => $in, stdin => join('', map { "$_\n" } @$lines) }, @arguments);
}

sub debugged { my ($source, @lines) = @_; return typed(folder($source), \@lines, 'run', 'book', '--debug') }

sub book { my ($body, $before) = @_; return ($before // '') . qq{local sh = require "sh"\nreturn playbook { summary = "s", run = function(p)\n$body\nend }\n} }

sub log_of { my ($in, $run) = @_; return hostler({ in => $in }, 'log', $run // 'last')->{stdout} }

subtest 'variables of a failed step' => sub {
    my $in = folder(book(<<'LUA'));
    local host, count = { name = "ada" }, 0
    local got = step("one", function()
        local inner = "deep"
        count = count + 1
        sh.run { "test", host.name, "=", "bob" }
        return host.name .. count
    end)
    say("got %s", got)
LUA
    my $run = typed($in, ['inner', 'inner = "other"', 'inner', ':locals', 'host.name = "bob"', 'mine = 4', 'mine + 3', ':up',
            ':where', ':source 1', 'retry'], 'run', 'book', '--debug');
    is $run->{status}, 0, 'mended and tried again, the run is done' or diag "$run->{stdout}$run->{stderr}";
    like $run->{stdout}, qr{^step 'book/one' failed at playbooks/book\.lua:7$}m, 'it stops in the playbook';
    like $run->{stdout}, qr{^> +7 +sh\.run}m, 'with the source';
    like $run->{stdout}, qr{^deep\nother\n  inner = "other"\nfrom outside:\n}m, 'locals are read and assigned';
    like $run->{stdout}, qr{^  host  = \{ name = "ada" \}}m, 'and upvalues';
    like $run->{stdout}, qr{^7$}m, 'other names are the prompt\'s own';
    like $run->{stdout}, qr{^  #1  playbooks/book\.lua:7\n> #2  playbooks/book\.lua:4}m, 'where';
    like $run->{stdout}, qr{got bob2}, 'what was assigned counts';
    like log_of($in), qr{by hand: host\.name = "bob".*by hand: the step 'book/one' again.*one: done}s, 'the journal tells';
    unlike log_of($in), qr{by hand: inner$}m, 'but not of looks';
};

subtest 'where errors come from' => sub {
    my %cases = (
        'an index of nil' => ['local t = nil step("one", function() local marker = 5 return t.x end)', 5],
        'a call that waited' => ['step("one", function() local marker = 5 sh.run { "false" } say(marker) end)', 5],
        'a deadline' => ['step("one", function() local marker = 5 timeout(0.05, function() local marker = 6 sleep(9) say(marker) end) end)', 6],
        'parallel' => ['step("one", function() parallel { function() local marker = 7 sh.run { "false" } say(marker) end } end)', 7],
        'retry' => ['step("one", function() retry({ times = 2, backoff = 0 }, function() local marker = 8 sh.run { "false" } say(marker) end) end)', 8],
        'a pcall that raises again' => ['step("one", function() local marker = 9 local ok, err = pcall(sh.run, { "false" }) error(err, 0) end)', 9],
        'an each in a step' => ['step("one", function() each({ "a" }, function() local marker = 10 sh.run { "false" } say(marker) end) end)', 10],
        'table.sort' => ['step("one", function() local marker = 11 table.sort({ 1, 2, 3 }, function(a, b) local marker = 11 return a.x < b.x end) end)', 11],
        'outside of steps' => ['local marker = 12 fail("no " .. marker)', 12],
        'an item' => ['each({ "a" }, function(x) local marker = 13 fail("no " .. marker) end)', 13],
        'a step with retries' => ['step("one", { retry = { times = 2, backoff = 0 } }, function() local marker = 14 sh.run { "false" } say(marker) end)', 14],
    );
    for my $name (sort keys %cases) {
        my ($body, $value) = @{ $cases{$name} };
        my $run = debugged(book($body), '"marker is " .. marker');
        like $run->{stdout}, qr/^marker is $value$/m, $name or diag "$run->{stdout}$run->{stderr}";
        is scalar(() = $run->{stdout} =~ /failed at playbooks/g), 1, "$name: one prompt";
        is $run->{status}, 1, "$name: then the error takes its course";
    }
    my $in = folder(qq{local helper = require "helper"\n} . book('local outer = 1 step("one", function() local x = helper.go(outer) return x end)'));
    playbook($in, 'helper', 'return { go = function(n) local inside = n + 1 fail("in the module " .. inside) end }');
    my $run = typed($in, ['inside', ':up', 'outer', ':up 9', ':down', 'inside'], 'run', 'book', '--debug');
    like $run->{stdout}, qr/^2\n#2.*\n1\n#1.*\n2\n/ms, 'a module of the folder, up and down' or diag "$run->{stdout}";
    like $run->{stderr}, qr/this is the outermost frame/, 'and no further';
};

subtest 'no prompt' => sub {
    for my $body ('try(function() sh.run { "false" } end)', 'pcall(fail, "x")', 'step("one", function() try(fail, "x") end)') {
        unlike debugged(book($body))->{stdout}, qr/failed at/, $body;
    }
    my $run = debugged(book('ask "what?"'));
    is $run->{status}, 3, 'a run that parks parks';
    unlike $run->{stdout}, qr/failed at/, 'without one';
};

subtest 'skip, continue, abort' => sub {
    my $fails = 'local got = step("one", function() sh.run { "false" } end)';
    my $run = debugged(book("$fails say('got %s', got.x)"), 'skip function() end', 'skip {', 'skip { x = 40 + 2 }');
    is $run->{status}, 0, 'skipped';
    like $run->{stdout}, qr/got 42/, 'with a result';
    like $run->{stderr}, qr/function/, 'that the journal can hold';
    $run = debugged(book("try(function() $fails end) say 'after'"), 'continue');
    like $run->{stdout}, qr/say +after/, 'the error goes to who catches it';
    is $run->{status}, 0, 'as ever';
    $run = debugged(book("try(function() $fails end) say 'after'"), 'abort');
    unlike $run->{stdout}, qr/say +after/, 'an abort is not caught';
    is $run->{status}, 1, 'the run has failed';
    like $run->{stderr}, qr/^error: false failed with exit status 1/m, 'for the error that was looked at';
};

subtest 'items at once' => sub {
    my $many = book(<<'LUA');
    each({ "a", "b", "c", "d" }, { parallel = 4 }, function(name)
        local tries = 0
        step("check", function()
            tries = tries + 1
            sh.run { "test", name, "=", tries > 1 and name or "d" }
        end)
        say("%s is through", name)
    end)
LUA
    my $run = debugged($many, 'name', 'retry', 'name', 'skip', 'name', 'retry');
    is $run->{status}, 0, 'one after the other' or diag "$run->{stdout}$run->{stderr}";
    is join('', sort $run->{stdout} =~ /^([abc])$/mg), 'abc', 'each prompt has its own item';
    is scalar(() = $run->{stdout} =~ /[abcd] is through$/mg), 4, 'all are through';
    like $run->{stdout}, qr/d is through.*^retry.*^retry/ms, 'what is well goes on meanwhile';
    $run = debugged($many, 'abort');
    is $run->{status}, 1, 'aborted';
    is scalar(() = $run->{stdout} =~ /failed at/g), 1, 'no further prompt';
};

subtest 'the edited file' => sub {
    my $source = book(<<'LUA', "local base = 10\n");
    local dir, unused = "/nowhere", 3
    step("other", function() return dir end)
    step("make", function()
        base = base + 1
        sh.run { "ls", dir }
    end)
    say("base is %d", base)
    step("later", function() fail("as edited: " .. tostring(base == 16)) end)
LUA
    my $in = folder($source);
    my $edited = $source;
    $edited =~ s/^/-- this moves it\n/;
    $edited =~ s/sh\.run \{ "ls", dir \}/local more = unused base = base + more\n sh.run { "true" }/;
    playbook($in, 'edited', $edited);
    playbook($in, 'broken', $edited . 'end');
    my $copy = 'sh.run { "cp", "playbooks/%s.lua", "playbooks/book.lua" }';
    my $run = typed($in, ['retry', sprintf($copy, 'broken'), 'retry', sprintf($copy, 'edited'), 'retry', 'continue'],
        'run', 'book', '--debug');
    like $run->{stdout}, qr/base is 16/, 'the new code runs, with the variables of the run' or diag "$run->{stdout}$run->{stderr}";
    like $run->{stderr}, qr{^error: .*expected.*\n.*book\.lua.*\n.*mend the file}m, 'a mistake in it is told';
    like log_of($in), qr{by hand 1: sh\.run.*done.*by hand: the step 'book/make' again, as edited}s, 'the journal tells';
    is typed($in, [], 'resume', 'last')->{status}, 1, 'resumed, it goes on with the code that was run';
    like log_of($in), qr{as edited: false}s, 'and asks nothing';

    $in = folder(book('local n = "make" step(n, function() sh.run { "false" } end)'));
    playbook($in, 'edited', book('step("a" .. "b", function() end) step("make", function() end)'));
    $run = typed($in, [sprintf($copy, 'edited'), 'retry', 'resume latest'], 'run', 'book', '--debug');
    like $run->{stderr}, qr/not clear which function.*\n.*resume latest/, 'what cannot be found again is said';
    is $run->{status}, 0, 'and the run begins again with it' or diag "$run->{stdout}$run->{stderr}";
    like $run->{stdout}, qr/make: done/, 'as the file is then';
};

subtest 'writes by hand' => sub {
    my $in = folder(book('fail "x"'));
    my $run = typed($in, ['sh.run { "touch", "made" }'], 'run', 'book', '--debug');
    ok -e "$in/made", 'a write';
    like log_of($in), qr{^\S+ step +by hand 1: sh\.run \{ "touch", "made" \}: done}m, 'is a step of its own';
    $in = folder(qq{local sh = require "sh" return playbook { summary = "s", effects = "read", run = function() fail "x" end }});
    $run = typed($in, ['sh.run { "touch", "made" }'], 'run', 'book', '--debug');
    ok !-e "$in/made", 'a run that reads';
    like $run->{stderr}, qr/this run only reads/, 'refuses it';
    $run = debugged(book('local s = secret.wrap("hunter2-hunter2") fail "x"'), 's', ':locals', '_ == s');
    unlike "$run->{stdout}$run->{stderr}", qr/hunter2/, 'secrets are masked';
};

subtest 'undo of a run with work by hand' => sub {
    my $in = folder(book(<<'LUA'));
    step("make", { undo = function() sh.run { "rm", "made" } end }, function() sh.run { "touch", "made" } end)
    fail "x"
LUA
    typed($in, ['sh.run { "touch", "by-hand" }'], 'run', 'book', '--debug');
    my $run = hostler({ in => $in }, 'undo', 'last', '--yes');
    is $run->{status}, 0, 'undone' or diag "$run->{stdout}$run->{stderr}";
    ok !-e "$in/made" && -e "$in/by-hand", 'what the playbook did';
    like $run->{stderr}, qr/^done by hand, and left as it is: book\/by hand 1/m, 'the rest is told';
};

subtest 'breakpoint' => sub {
    my $source = book('local x = 1 step("one", { timeout = 0.3 }, function() local y = 2 breakpoint() say("y is %d", y) end) say("x is %d", x)');
    my $run = debugged($source, 'sleep(0.5)', 'y = 5', 'x = x + 1', ':where', 'continue');
    like $run->{stdout}, qr/^breakpoint at playbooks\/book\.lua:3\n.*y is 5.*x is 2/ms, 'variables, assigned; the deadline waits'
        or diag "$run->{stdout}$run->{stderr}";
    is $run->{status}, 0, 'goes on';
    is debugged($source)->{status}, 0, 'also at the end of the input';
    $run = debugged($source, 'abort');
    is $run->{status}, 1, 'aborted';
    like $run->{stderr}, qr/aborted at a breakpoint/, 'and so it says';
    my $in = folder($source);
    for my $mode ([], ['--dry-run'], ['--record', 'file'], ['--replay', 'file']) {
        $run = hostler({ in => $in }, 'run', 'book', @$mode);
        is $run->{status}, 0, "passed: @$mode";
        like $run->{stdout}, qr/breakpoint at .*book\.lua:3 passed: (nobody is at a terminal|this is a)/, 'with a warning';
    }
    like typed($in, ['y', 'continue'], 'run', 'book', '--dry-run', '--debug')->{stdout}, qr/^2$/m, 'a dry run with --debug stops';
};

subtest 'debug RUN' => sub {
    my $in = folder(book(<<'LUA'));
    local token = step("first", function() sh.run { "sh", "-c", "echo 1 >> firsts" } return { secret = secret.wrap("hunter2-hunter2"), n = 4 } end)
    local name = "a"
    step("second", function() sh.run { "test", name, "=", "b" } end)
    step("third", function() say("third %d", token.n) end)
LUA
    is hostler({ in => $in }, 'run', 'book')->{status}, 1, 'a run fails';
    my $run = typed($in, [':steps', 'steps.first.result', 'token.n', 'name'], 'debug', 'last');
    is $run->{status}, 1, 'looked into and left, it has failed as before';
    like $run->{stdout}, qr/^step 'book\/second' did not end at playbooks\/book\.lua:5\nerror: test failed with exit status 1$/m, 'it says so';
    like $run->{stdout}, qr/^first +done +.*\nsecond +failed .*test failed/m, 'steps';
    like $run->{stdout}, qr/^4\na\n/m, 'variables';
    unlike "$run->{stdout}$run->{stderr}", qr/hunter2/, 'secrets are masked';
    unlike $run->{stdout}, qr/third \d/, 'nothing is done unasked';
    $run = typed($in, ['name = "b"', 'retry'], 'debug', 'last');
    is $run->{status}, 0, 'retried, it goes on to its end' or diag "$run->{stdout}$run->{stderr}";
    like $run->{stdout}, qr/third 4/, 'with the recorded results';
    is -s "$in/firsts", 2, 'what was done is not done again';
    is hostler({ in => $in }, 'debug', 'last')->{status}, 2, 'a run that is done has nothing to look into';

    $in = folder(book('if not sh.try({ "test", "-e", "go" }, { read = true }) then fail "no go" end step("next", function() sh.run { "touch", "done" } end)'));
    hostler({ in => $in }, 'run', 'book');
    system 'touch', "$in/go";
    $run = typed($in, [], 'debug', 'last');
    like $run->{stdout}, qr/comes to the step 'book\/next', which was not begun/, 'past the failure it stops before what is next';
    ok !-e "$in/done", 'unasked it does not go on';
    is typed($in, ['continue'], 'debug', 'last')->{status}, 0, 'asked, it does';
    ok -e "$in/done", 'really';
};

done_testing;
