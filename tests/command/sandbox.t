#!/usr/bin/perl
# What a playbook cannot reach, and what it cannot change.
use strict;
use warnings;
use Test::More;
use Hostler;

my @closed = (
    (map { "return $_" } split " ", q{io ffi jit package coroutine load loadstring loadfile dofile module newproxy getfenv setfenv
        collectgarbage print os.execute os.getenv os.exit os.remove os.rename os.tmpname os.setlocale debug.getregistry
        debug.getupvalue debug.sethook debug.getinfo string.dump _G.io _G._G.io rawget(_G,"io") rawget(_G._G,"package")}),
    (map { "return require('$_')" } 'ffi', 'io', 'jit', 'jit.util', 'string.buffer', 'table.new', 'debug', '../x', '/etc/passwd', './x',
        '..', 'a..b', 'x/../../y', 'package', "a\\0b", 'runtime.world', 'task', 'run', 'secret'),
    'return getmetatable("").__index', 'getmetatable("").__index = nil return 1', 'return getmetatable(_G).__index',
    'return setmetatable(_G, {})', 'return getmetatable(1LL).__index', 'return getmetatable(secret.wrap("abcdefgh")).__tostring',
    'return getmetatable(json.array {}).x', 'return getmetatable(json.null).x', 'return setmetatable("", {})',
    'local ok, e = pcall(fail, "x") return getmetatable(e).__tostring', 'local ok, e = pcall(fail, "x") return setmetatable(e, nil)',
    'pairs = 1 return 1', 'assert = 1 return 1', '_G.error = 1 return 1', 'new = 1 return 1', 'function step() end return 1',
    '_G["x"] = 1 return 1', 'return tostring(say):match("0x%x+")()',
);
for my $try (@closed) {
    my $run = run_book("return playbook { summary = 's', run = function() local v = (function() $try end)() if v ~= nil then say('REACHED ' .. tostring(v)) end end }");
    unlike($run->{stdout}, qr/REACHED/, $try);
    is($run->{signal}, 0, 'no crash');
}

# Each would hand hostler's own functions over, were the prelude to use what a playbook has put in their place.
my @traps = (
    'for _, n in ipairs { "assert", "pcall", "xpcall", "pairs", "ipairs", "error", "tostring", "type", "unpack", "select", "setmetatable" } do rawset(_G, n, trap) end',
    'for _, l in ipairs { string, table, math, os, debug } do for n in pairs(l) do l[n] = trap end end',
    'pcall(function() getmetatable("").__index = { match = trap, format = trap, gsub = trap, find = trap } end)',
);
for my $trap (@traps) {
    my $run = run_book("local caught, trap trap = function(...) for i = 1, select('#', ...) do local v = select(i, ...) if type(v) == 'function' or type(v) == 'table' and v.system then caught = true end end end\n"
        . "return playbook { summary = 's', run = function() local tell, call, need = say, pcall, require $trap\n call(need, 'sh') call(need, 'nothing') call(need, 'http') call(step, 's', function() end)\n tell(caught and 'CAUGHT' or 'safe') end }");
    like($run->{stdout}, qr/safe/, "replaced: $trap") or diag($run->{stderr});
}

my $in = playbooks(
    book  => 'local m = require "mine" return playbook { summary = "s", run = function() say(m.word .. require "deep.er") end }',
    mine  => 'return { word = "mine" }', cycle => 'require "cycle2"', cycle2 => 'require "cycle"',
    loops => 'require "cycle" return playbook { summary = "s", run = function() end }',
    early => 'require "sh".run({ "id" }, { read = true }) return playbook { summary = "s", run = function() end }',
    write => 'return playbook { summary = "s", run = function() require "sh".run { "touch", "made" } end }',
    reads => 'return playbook { summary = "s", effects = "read", run = function() step("x", function() require "sh".run { "touch", "made" } end) end }',
    plan  => 'return playbook { summary = "s", run = function() local id = step("x", function() return require "sh".run { "touch", "made" } end) say("got " .. id.stdout)
        each(id.list, { key = "name" }, function(one) step("do " .. one.name, function() require "sh".run { "touch", one.name } end) end)
        say("%s", id) wait_until("it " .. id, { timeout = 5 }, function() return id end) say "the end" end }',
    adds  => 'return playbook { summary = "s", run = function() local id = step("x", function() return require "sh".run { "touch", "made" } end) say(id + 1) end }',
    less  => 'return playbook { summary = "s", run = function() local id = step("x", function() return require "sh".run { "touch", "made" } end) say(tostring(id.status < 1)) end }',
    again => 'return playbook { summary = "s", run = function() local n = 0 retry({ times = 2, backoff = 0 }, function() step("one", function() n = n + 1 if n == 1 then fail "first" end end) end) step("one", function() end) end }',
);
mkdir "$in/playbooks/deep";
playbook($in, 'deep/er', 'return " deep"');
like(hostler({ in => $in }, 'run', 'book')->{stdout}, qr/mine deep/, 'modules beside the playbook');
mkdir "$in/playbooks/parts";
playbook($in, 'parts/shared', 'return { say = function() say("shared, " .. require "mine".word .. ", " .. require "other") end }');
playbook($in, 'parts/other', 'return "a part"');
playbook($in, 'shares', 'return playbook { summary = "s", run = function() require "shared".say() end }');
like(hostler({ in => $in }, 'run', 'shares')->{stdout}, qr/shared, mine, a part/, 'what playbooks share stands in parts/');
like(hostler({ in => "$in/home" }, 'run', "$in/playbooks/shares.lua")->{stdout}, qr/shared, mine, a part/, 'also by path');
is(hostler({ in => "$in/home" }, 'check', "$in/playbooks/parts/shared.lua")->{status}, 0, 'a part requires what is beside the playbooks');
playbook($in, 'other', 'return "beside"');
like(hostler({ in => $in }, 'run', 'shares')->{stdout}, qr/shared, mine, beside/, 'a module beside the playbooks comes before a part');
like(hostler({ in => $in }, 'run', 'loops')->{stderr}, qr/require each other/, 'modules in a circle');
like(hostler({ in => $in }, 'run', 'early')->{stderr}, qr/being loaded touches nothing/, 'an effect while loading');
like(hostler({ in => $in }, 'run', 'write')->{stderr}, qr/a write outside a step.*hint +put it in step/s, 'a write outside a step');
like(hostler({ in => $in }, 'run', 'reads')->{stderr}, qr/this run only reads/, 'a write in a playbook that reads');
my $plan = hostler({ in => $in }, 'run', 'plan', '-n');
is($plan->{status}, 0, 'a dry run goes to the end') or diag($plan->{stderr});
like($plan->{stdout}, qr/the end/, 'to its last line');
like($plan->{stdout}, qr/touch made/, 'with its plan');
is(hostler({ in => $in }, 'run', $_, '-n')->{status}, 1, "a dry run cannot compute: $_") for qw(adds less);
like(hostler({ in => $in }, 'run', 'adds', '-n')->{stderr}, qr/is decided only when the step runs/, 'and says why');
ok(!-e "$in/made", 'and nothing was done');
like(hostler({ in => $in }, 'run', 'again')->{stderr}, qr/two steps of this run are called 'again\/one'/, 'a failed step may be tried again, a finished one not');
like(run_book('return playbook { summary = "s", run = function() local s = ("x"):rep(2 ^ 20) while true do s = s .. s end end }')->{stderr},
    qr/error: (string length overflow|not enough memory)/, 'a text that grows for ever');
like(run_book('return playbook { summary = "s", run = function() local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end end }')->{stderr},
    qr/error: not enough memory/, 'a table that grows for ever');
done_testing;
