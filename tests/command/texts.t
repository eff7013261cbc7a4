#!/usr/bin/perl
# Texts and names of any content, in both stores: shown whole, kept, or refused with the reason; and what a log shows.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

if (!$ENV{POSTGRES_PORT}) {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

my $book = <<'LUA';
local sh = require "sh"
local made = {
    ["a NUL"] = function() return "a\0b" end, ["an empty one"] = function() return "" end,
    ["a long one"] = function() return ("x"):rep(1000000) end,
    ["a number"] = function() return 5 end,
}
return playbook {
    summary = "odd names", params = { arg("what", "string", "which"), arg("where", "string", "whose") },
    run = function(p)
        if p.what == "deep" then
            local function deeper(left)
                each({ ("i"):rep(390) }, function()
                    if left > 0 then deeper(left - 1) else step("one", function() end) end
                end)
            end
            return deeper(6)
        end
        local name = made[p.what]()
        if p.where == "step" then step(name, function() end)
        elseif p.where == "lock" then lock(name)
        elseif p.where == "item" then each({ { name = name } }, { key = "name" }, function() step("one", function() end) end)
        end
    end,
}
LUA
my $talk = <<'LUA';
local sh = require "sh"
return playbook { summary = "odd texts", run = function()
    say("before\0after")
    warn("%s", "one\0two\0")
    step("one", function() sh.run { "true" } return "result" end)
    confirm("Sure\0ly? " .. ("long "):rep(2000))
end }
LUA
my $reads = <<'LUA';
local sh = require "sh"
return playbook { summary = "reads", run = function()
    for number = 1, 5 do sh.run({ "true", tostring(number) }, { read = true }) end
    try(sh.run, { "false" }, { read = true })
    say "the verdict"
    step("write", function() sh.run { "echo", "written" } end)
end }
LUA
my $starts = <<'LUA';
local sh = require "sh"
return playbook { summary = "starts what is not there", params = { arg("how", "string", "how") }, run = function(p)
    step("start", function()
        if p.how == "missing" then try(sh.run, { "no-such-program" })
        elseif p.how == "path" then try(sh.run, { "/no/such/program" })
        elseif p.how == "folder" then try(sh.run, { "true" }, { cwd = "/no/such/folder" })
        elseif p.how == "refused" then try(require("http").post, "http://127.0.0.1:1/", { body = "x" })
        elseif p.how == "ssh" then try(function() require("ssh").connect("root@127.0.0.1:1"):run { "true" } end)
        elseif p.how == "fails" then try(sh.run, { "false" })
        end
    end)
end }
LUA

my $named = <<'LUA';
local sh = require "sh"
return playbook { summary = "names with a secret in them", run = function()
    local raw = sh.run({ "cat" }, { stdin = secret.wrap "hunter2-hunter2", read = true }).stdout
    local other = sh.run({ "cat" }, { stdin = secret.wrap "correct-horse", read = true }).stdout
    lock("of " .. raw)
    each({ raw, other }, function(name)
        step("login " .. name, function() sh.run { "true" } end)
    end)
end }
LUA

for my $store ('postgresql', 'sqlite') {
    local $ENV{RUNS_STORE} = $store eq 'sqlite' ? '' : $store;
    my $runs = Runs->new(names => $book, talk => $talk, reads => $reads, starts => $starts, named => $named,
        latin => 'return playbook { summary = "x", run = function() step("one", function() fail("it said: caf\233") end) end }');
    for my $where (qw(step item lock)) {
        for my $case ([ 'a NUL', qr/must not contain a NUL/ ], [ 'an empty one', qr/must not be empty/ ],
            [ 'a long one', qr/must not have more than 400 bytes, and this one, 'xx/ ]) {
            my ($what, $says) = @$case;
            is $runs->hostler('run', 'names', $what, $where), 1, "$store, $where: $what" or diag $runs->{said};
            like $runs->{said}, qr/^error: \w+: its name $says/m, '  is refused, and why';
        }
    }
    is $runs->hostler('run', 'names', 'deep', 'step'), 1, "$store: names within names";
    like $runs->{said}, qr/must not have more than 2000 bytes with all that it is in/, '  are refused';

    is $runs->hostler('run', 'named'), 0, "$store: names with a secret in them" or diag $runs->{said};
    unlike $runs->{said}, qr/hunter2|correct-horse/, '  are not shown';
    for my $place ('path FROM steps', 'step FROM effects', 'name FROM events', 'name FROM locks') {
        unlike $runs->query("SELECT $place"), qr/hunter2|correct-horse/, "  nor kept: $place";
    }
    is $runs->query('SELECT count(DISTINCT path) FROM steps'), 2, '  and are told apart';

    is $runs->hostler('run', 'latin'), 1, "$store: an error that is no UTF-8";
    like $runs->{said}, qr/^error: it said: caf\xef\xbf\xbd$/m, '  is told as it is';
    like $runs->query('SELECT error FROM steps'), qr/it said: caf/, '  and kept';

    is $runs->hostler('run', 'talk', '--yes'), 0, "$store: texts with a NUL" or diag $runs->{said};
    my $shown = qr/before\\x00after.*one\\x00two\\x00/s;
    like $runs->{stdout}, $shown, '  are shown whole';
    $runs->hostler('log', 'last');
    like $runs->{stdout}, $shown, '  and kept whole';

    $runs->hostler('run', 'reads');
    is $runs->hostler('log', 'last'), 0, "$store: the log of a run that reads";
    my $log = $runs->{stdout};
    unlike $log, qr/sh\.run localhost  true/, '  leaves out the reads that went well';
    like $log, qr/^\S+ read   sh\.run localhost  false \S.*: failed.*\n\S+ say +the verdict$/m, '  shows the one that failed, and what was said';
    like $log, qr/^\S+ write  \S+ sh\.run localhost  echo written: done/m, '  and what was written';
    $runs->hostler('log', 'last', '-v');
    is scalar(() = $runs->{stdout} =~ /sh\.run localhost  true \d: done/g), 5, '  with --verbose all reads';

    for my $how (qw(missing path folder refused ssh)) {
        $runs->hostler('run', 'starts', $how);
        like $runs->{stdout}, qr/ starts: done \S+  0 changes$/m, "$store: what could not even start is no change: $how"
            or diag $runs->{said};
    }
    $runs->hostler('run', 'starts', 'fails');
    like $runs->{stdout}, qr/ starts: done \S+  1 change$/m, '  what ran and failed may be one';
}
done_testing;
