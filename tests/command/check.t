#!/usr/bin/perl
# hostler check: each mistake is found where it stands, and what is right is left alone.
use strict;
use warnings;
use Hostler;
use JSON::PP ();
use Test::More;

# The findings of a playbook: "line:column code" each. What stands in `run` begins on line 1.
sub findings {
    my ($source, %others) = @_;
    my $folder = playbooks(book => $source, %others);
    my $run = hostler({ in => $folder }, 'check', 'book', '--json');
    my $found = eval { JSON::PP::decode_json($run->{stdout}) } or return "no JSON: $run->{stdout}$run->{stderr}";
    is $run->{status}, (@$found ? 1 : 0), 'status 1 with findings, else 0';
    return $found;
}

sub places {
    my ($found) = @_;
    return ref $found ? join ', ', map { "$_->{line}:$_->{column} $_->{code}" } @$found : $found;
}

my $head = 'local ssh, sh, http = require "ssh", require "sh", require "http" '
    . 'local host = nil return playbook { summary = "x", params = { arg("tenant", "string", "t"), '
    . 'list("all", "string", "a"), flag("hard", "h") }, run = function(p) host = ssh.connect("ada")';
my $tail = 'end }';

# What stands in the function `run`, from line 2 on.
sub in_run {
    my ($body, %others) = @_;
    return findings("$head\n$body\n$tail\n", %others);
}

sub finds {
    my ($name, $body, $want, %others) = @_;
    my $found = in_run($body, %others);
    is places($found), $want, $name;
    return ref $found && $found->[0];
}

sub is_fine { return finds($_[0], $_[1], '', @_[2 .. $#_]) }

# ---- names ----

my $one = finds('an unknown global', 'sey("hello")', '2:1 global');
like $one->{mend}, qr/did you mean 'say'/, 'what was perhaps meant';
finds('one in a function that nothing calls', "local function f()\n return nonsense\nend\nreturn f", '3:9 global');
finds('one behind until', "repeat local a = 1 until a == b", '2:31 global');
finds('an assignment to a global', 'count = 1', '2:1 global');
is_fine('locals, upvalues, parameters, loops', "local a = 1\nlocal function f(b, ...) for i, c in ipairs { a } do say(b, c, i, ...) end end\nf(p)");

# ---- fields ----

$one = finds('a function that a module lacks', 'ssh.conect("ada")', '2:5 field');
like $one->{mend}, qr/did you mean 'connect'/, 'what was perhaps meant';
finds('a method that a handle lacks', 'host:reed("/x")', '2:6 field');
finds('through a local and a function', "local function f(h) return h:statt('/') end\nf(host)", '2:30 field');
finds('of what a method returns', 'say(host:run({ "id" }, { read = true }).stdot)', '2:41 field');
finds('of an item in a loop', 'for _, key in ipairs(ssh.agent_keys()) do say(key.fingerprnt) end', '2:51 field');
finds('of Lua\'s own', 'say(string.trim "x", ("x"):trimm(), os.getenv "HOME")', '2:12 field, 2:28 field, 2:40 field');
finds('of a module beside', "local site = require 'site'\nsay(site.domain, site.domian)", '3:23 field',
    site => 'local site = { domain = "example.org" } function site.cloud() end return site');
is_fine('fields under names that are not known', "local names = require 'names'\nsay(names.anything)",
    names => 'local names = {} for _, word in ipairs { "anything" } do names[word] = word end return names');
finds('a module that is not there', 'require "sssh"', '2:1 load');
finds('a method of the playbook\'s own class', <<'LUA', '4:7 field');
local Thing = {} Thing.__index = Thing function Thing:work() return self end
local thing = setmetatable({ size = 1 }, Thing) thing:work():work()
thing:wrok() say(thing.size)
LUA
finds('a parameter that was not declared', "say(p.tenant, p.hard, p.all)\nsay(p.tenants)", '3:7 parameter');
finds('an option that there is not', 'host:run({ "id" }, { read = true, tmeout = 3 })', '2:35 option');
finds('also of the prelude', 'step("x", { idempotant = true }, function() end)', '2:13 option');
finds('a method called like a function', 'host.run { "id" }', '2:1 write, 2:6 colon');
finds('a function called like a method', 'ssh:connect("ada")', '2:5 colon');

# ---- steps ----

finds('a write outside a step', 'host:write("/x", "y")', '2:1 write');
finds('through functions', "local function f(h) local g = h g:remove('/x') end\nf(host)", '2:33 write');
finds('in an each', 'each(p.all, function(one) ssh.connect(one):mkdir("/x") end)', '2:27 write');
finds('under try', 'try(host.write, host, "/x", "y")', '2:1 write');
finds('with a method that writes', 'http.request { method = "POST", url = "https://x" }', '2:1 write');
finds('in the undo of nothing', 'wait_until("x", { timeout = 1 }, function() return host:run { "x" } end)', '2:52 write');
$one = finds('in a module beside: at the call', "local help = require 'help'\nhelp.wipe(host)", '3:1 write',
    help => 'local help = {} function help.wipe(h) h:remove("/x") end return help');
like $one->{message}, qr{host:remove.*help\.lua:1}, 'and where it writes';
is_fine('writes in steps', <<'LUA');
step("a", { undo = function() host:remove("/x") end, probe = function() return host:stat("/x") end }, function()
    local function f() host:write("/x", "y") end
    f()
end)
each(p.all, function(one)
    step("b", function() ssh.connect(one):run { "true" } end)
end)
LUA
is_fine('reads anywhere', <<'LUA');
host:run({ "id" }, { read = true })
local options = { read = true }
host:sh("id", options)
http.get "https://example.org"
http.request { url = "https://example.org" }
http.post("https://example.org", { read = true })
local db = require("postgres").connect("postgresql://x")
db:read("select 1")
db:transaction(function(tx) tx:query("select 1") end, { read_only = true })
LUA
finds('a transaction that writes', 'require("postgres").connect("x"):transaction(function(tx) tx:query("x") end)',
    '2:1 write, 2:59 write');
finds('a write in a probe', 'step("a", { probe = function() host:write("/x", "y") end }, function() end)', '2:32 probe');
my $reading = findings(qq{return playbook { summary = "x", effects = "read", run = function() require("ssh").connect("a"):mkdir("/x")\nend }\n});
is places($reading), '1:69 readonly', 'a playbook that only reads, and writes';

finds('a name used twice', "step('a', function() end)\nstep('b', function() end)\nstep('a', function() end)", '4:1 step-name');
finds('a function called twice', "local function f() step('a', function() end) end\nf()\nf()", '4:1 step-name');
finds('two each over the same', "each(p.all, function() step('a', function() end) end)\neach(p.all, function() step('a', function() end) end)", '3:24 step-name');
finds('one before and one in a branch', "step('a', function() end)\nif p.hard then step('a', function() end) end", '3:16 step-name');
is_fine('one in each branch', "if p.hard then step('a', function() end) else step('a', function() end) end");
is_fine('a branch that ends', <<'LUA');
if p.hard then step("a", function() end) return end
if p.tenant then step("a", function() end) fail("no") end
step("a", function() end)
LUA
is_fine('another path', "step('a', function() end)\neach(p.all, function() step('a', function() end) end)\neach({ 'x' }, function() step('a', function() end) end)");
finds('a step in a step', "step('a', function() step('b', function() end) end)", '2:22 step-inside');

finds('a plain loop around a step', "for _, one in ipairs(p.all) do\nstep('a', function() say(one) end) end", '3:1 loop-key');
finds('with a name that does not change', "for _, one in ipairs(p.all) do\nstep(('do %s'):format(p.tenant), function() say(one) end) end", '3:1 loop-key');
finds('while', "while p.hard do step('a', function() end) end", '2:17 loop-key');
is_fine('a name that changes', "for _, one in ipairs(p.all) do local n = 'do ' .. one step(n, function() end) step('x ' .. one, function() end) end");
is_fine('a loop that ends in its first turn', "for _, one in ipairs(p.all) do step('a', function() say(one) end) break end");
finds('each over tables without a key', 'each(ssh.agent_keys(), function(key) say(key.type) end)', '2:1 each-key');
finds('over tables of the playbook', 'local t = {} for _, n in ipairs(p.all) do t[#t + 1] = { n = n } end each(t, function() end)', '2:69 each-key');
is_fine('with a key', 'each(ssh.agent_keys(), { key = "fingerprint" }, function(key) say(key.type) end)');

# ---- what must not be put together ----

finds('a value in a script', 'step("a", function() host:sh("rm -r " .. p.tenant) end)', '2:30 shell');
finds('by format, through a local', "local s = (\"rm %s\"):format(p.tenant)\nstep(\"a\", function() host:sh(s) end)", '3:30 shell');
finds('in sh -c', 'step("a", function() sh.run { "bash", "-ec", "rm " .. p.tenant } end)', '2:46 shell');
finds('by gsub', 'step("a", function() host:sh((("rm X"):gsub("X", p.tenant))) end)', '2:30 shell');
is_fine('arguments, numbers and constants', <<'LUA');
local place = "/srv/" .. "x"
step("a", function()
    host:sh("rm -r \"$1\"", { args = { p.tenant } })
    host:sh("head -c " .. 10 .. (" %d "):format(3) .. place .. require("meltano").PROJECT)
    host:run { "rm", "-r", place .. p.tenant }
    host:sh(table.concat({ "set -e", "true" }, "\n"))
end)
LUA
finds('a value in SQL', <<'LUA', '3:9 sql, 4:9 sql');
local db = require("postgres").connect("postgresql://x")
db:read("select * from users where name = '" .. p.tenant .. "'")
db:read(("select * from %s"):format(p.tenant))
LUA
is_fine('names and parameters', <<'LUA');
local db = require("postgres").connect("postgresql://x")
db:read("select * from users where name = $1", p.tenant)
db:read(("select * from %s limit %d"):format(db:ident(p.tenant), 3))
LUA
finds('a secret among arguments', <<'LUA', '4:30 secret, 5:24 secret, 6:44 secret');
local token = secret "TOKEN"
step("a", function()
    host:run { "curl", "-H", token }
    host:run { "curl", "Bearer " .. token }
    host:sh("curl \"$1\"", { args = { "x", token } })
end)
LUA
is_fine('where it is safe or asked for', <<'LUA');
local token = secret "TOKEN"
step("a", function()
    host:run({ "login" }, { stdin = token, env = { TOKEN = token } })
    host:run({ "login", token }, { allow_secret_argv = true })
end)
LUA

# ---- the file ----

is places(findings("local x = \nreturn playbook {}")), '2:1 syntax', 'what Lua cannot read';
is places(findings("return playbook {\n    summary = 'x',\n    run = function(p)\n        if p then\n    end,\n}\n")),
    '5:8 syntax', 'an end that is missing, near the place';
is places(findings("return playbook {\n    sumary = 'x', run = function() end }")), '2:1 manifest', 'a wrong manifest';
is places(findings("return playbook { summary = 'x', run = function() end, params = { arg('a', 'strin', 'x') } }")),
    '1:1 manifest', 'a parameter of no type';
is places(findings("require('http').get 'https://example.org'\nreturn playbook { summary = 'x', run = function() end }")),
    '1:1 load', 'an effect while it is loaded';
is places(in_run("-- check: allow shell\nstep('a', function() host:sh('rm ' .. p.tenant) end)\nhost:write('/x', 'y') -- check: allow write")),
    '', 'what a comment allows';
is places(in_run("-- check: allow sql\nstep('a', function() host:sh('rm ' .. p.tenant) end)")), '3:30 shell', 'and nothing else';

# Nested as deeply as a generator of code may: what Lua refuses, and what it takes but no tree can hold.
my $many = 50_000;
for ([tables => '{' x $many . '}' x $many, 'syntax'], [blocks => 'f(function() ' . 'if x then ' x 3000 . 'end ' x 3000 . 'end)', 'syntax'],
    [parentheses => '(' x 500 . '1' . ')' x 500, 'syntax'], [minus => '- ' x $many . '1', 'syntax'], [sum => '1' . '+1' x $many, 'depth'],
    [calls => 'say' . '()' x $many, 'depth'], [fields => 'say' . '.x' x $many, 'depth']) {
    my ($what, $nested, $code) = @$_;
    my $run = hostler({ in => playbooks(book => "local f = say\nlocal x = $nested\nreturn x") }, 'check', 'book');
    is "$run->{status} $run->{stderr}", '1 ', "$many $what: status";
    like $run->{stdout}, qr/^\S+book\.lua:\d+:\d+: [^\n]+ \[$code\]\n/, '  one finding';
}

# ---- the command ----

my $folder = playbooks(good => 'return playbook { summary = "x", run = function() end }',
    bad => "return playbook { summary = 'x', run = function()\n    sey('x')\nend }", helper => 'return { x = undefined }');
my $run = hostler({ in => $folder }, 'check', 'bad');
is $run->{status}, 1, 'for people: status';
is $run->{stdout}, <<'TEXT', 'for people: place, what, why and the mend';
./playbooks/bad.lua:2:5: there is no global 'sey' [global]
    why   the line fails when it is reached, and not before
    mend  did you mean 'say'?
1 file checked, 1 finding
TEXT
$run = hostler({ in => $folder }, 'check', 'playbooks/good.lua');
is $run->{stdout}, "1 file checked, nothing found\n", 'a file by its path';
$run = hostler({ in => $folder }, 'check');
is $run->{status}, 1, 'all there are';
like $run->{stdout}, qr{^\./playbooks/helper\.lua:1:14: there is no global 'undefined'}m, 'modules beside playbooks too';
mkdir "$folder/playbooks/parts" or die $!;
playbook($folder, 'parts/part', 'return { y = another }');
like hostler({ in => $folder }, 'check')->{stdout},
    qr{^\./playbooks/parts/part\.lua:1:14: there is no global 'another'}m, 'and their parts';
like hostler({ in => $folder }, 'check', 'part')->{stdout}, qr/^1 file checked, 1 finding$/m, 'one of them by its name';
unlike $run->{stdout}, qr{good\.lua}, 'but for what is right';
is hostler({ in => $folder }, 'check', 'godd')->{status}, 2, 'what there is not';
like hostler({ in => $folder }, 'check', 'godd')->{stderr}, qr/did you mean 'good'/, 'and what was meant';

my $shipped = hostler({ in => playbooks() }, 'check');
is $shipped->{status}, 0, 'nothing is found in the shipped playbooks' or diag $shipped->{stdout};
like $shipped->{stdout}, qr/^4\d files checked, nothing found$/, 'and they were looked at';

done_testing;
