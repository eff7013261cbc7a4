#!/usr/bin/perl
# Webhook files in a process that goes on: what is edited is taken up, what is broken leaves in force what it was before,
# and of two that answer to one path that of the nearer folder is heard.
use strict;
use warnings;
use lib 'tests/lib';
use Deliveries;
use Runs;
use Test::More;

my $SCRIPT = <<'LUA';
local import = ...
local file = require "file"
local deliver, hooks = import "inbox/deliver", import "inbox/hooks"

hooks.when_changed(function(hook, what) say("%s %s%s", hook.name, what, hook.problem and ": " .. hook.problem or "") end)

local function hook(name, fields)
    file.write(name .. ".lua", ([[
return webhook {
    summary = "x", path = "hook", from = webhook.header("X-Key", secret "KEY"),
    key = function(delivery) return delivery.json.id end,
    run = function(delivery) return "book", { delivery.json.name } end,
    %s
}]]):format(fields or ""))
end

local count = 0
--- What is answered, and the arguments of the run that comes of it.
local function send(what, path)
    hooks.refresh(true)
    count = count + 1
    local answer = deliver.deliver {
        method = "POST", path = "/hooks/" .. (path or "hook"), headers = { ["x-key"] = "the-key" },
        body = ('{"id":"%d","name":"Ada"}'):format(count),
    }
    local run = import "journal/store".open().read("SELECT arguments FROM runs ORDER BY number DESC LIMIT 1")[1]
    say("%s: %d%s", what, answer.status, answer.status == 202 and " " .. run.arguments or "")
end

local function book(line)
    file.write("playbooks/book.lua", ([[
return playbook { summary = "x", params = { arg("name", "name", "whose") }, run = function() %s end }]]):format(line))
end

book ""
hook "playbooks/a"
local first = parallel {
    function() return deliver.deliver { method = "GET", path = "/hooks/hook", headers = {}, body = "" }.status end,
    function() return deliver.deliver { method = "GET", path = "/hooks/hook", headers = {}, body = "" }.status end,
    function() return deliver.deliver { method = "GET", path = "/hooks/typeform", headers = {}, body = "" }.status end,
}
say("several before the first look is over: %s", table.concat(first, " "))
send "at first"
file.write("playbooks/a.lua", "return webhook { nonsense")
send "while it is broken"
file.write("playbooks/a.lua", "")
send "while it is empty"
hook("playbooks/a", "nonsense = 1")
send "while a field is wrong"
file.write("playbooks/helper.lua", "return { name = function() return 'from a helper' end }")
file.write("playbooks/a.lua", [[
local helper = require "helper"
return webhook {
    summary = "x", path = "hook", from = webhook.header("X-Key", secret "KEY"),
    key = function(delivery) return delivery.json.id end,
    run = function() return "book", { helper.name() } end,
}]])
send "with a helper"
file.write("playbooks/helper.lua", "return { name = function() return 'from another' end }")
send "when that is edited"
file.write("playbooks/helper.lua", "return {")
send "when that is broken"
hook "playbooks/a"
send "mended"

book "fail("
send "with a broken playbook"
book ""

hook "far/b"
send "beside one in another folder"
hook("playbooks/a", "group = 'mine',")
file.write("playbooks/a.lua", (file.read "playbooks/a.lua":gsub('path = "hook"', 'path = "other"')))
send "when the nearer one has moved"
send("to where it is", "other")
hook "playbooks/b"
send "when the nearer one hides the other"
hook "playbooks/c"
send "when two of one folder have the path"
require "sh".run { "rm", "playbooks/c.lua" }
send "when one of them is gone"
require "sh".run { "rm", "playbooks/a.lua" }
send("a moment after its file is gone", "other")
LUA

my $runs = Runs->new;
$runs->put('script.lua', $SCRIPT);
mkdir $runs->path('far') or die $!;
local $runs->{program} = Deliveries::lua_test();
local @ENV{qw(HOSTLER_PATH KEY)} = ($runs->path('far'), 'the-key');
is $runs->hostler('script.lua'), 0, 'it goes' or diag $runs->{said};
my @said = grep { !/^signup-/ } split /\n/, $runs->{stdout};
my @wanted = (
    qr/^a loaded$/, qr/^several before the first look is over: 405 405 503$/, qr/^at first: 202 \["--","Ada"\]$/,
    qr/^a broken: .*a\.lua:1: /, qr/^while it is broken: 202 /,
    qr/^a broken: .*does not return a webhook/, qr/^while it is empty: 202 /,
    qr/^a broken: .*a\.lua:\d: a webhook has no field 'nonsense'$/, qr/^while a field is wrong: 202 /,
    qr/^a loaded$/, qr/^with a helper: 202 \["--","from a helper"\]$/,
    qr/^a loaded$/, qr/^when that is edited: 202 \["--","from another"\]$/,
    qr/^a broken: .*helper\.lua:1: /, qr/^when that is broken: 202 \["--","from another"\]$/,
    qr/^a loaded$/, qr/^mended: 202 \["--","Ada"\]$/,
    qr/^with a broken playbook: 202 /,
    qr/^b loaded$/, qr/^beside one in another folder: 202 /,
    qr/^a loaded$/, qr/^when the nearer one has moved: 202 /, qr/^to where it is: 202 /,
    qr/^b loaded$/, qr/^when the nearer one hides the other: 202 /,
    qr/^c loaded$/, qr/^when two of one folder have the path: 503$/,
    qr/^c away: the file is gone$/, qr/^when one of them is gone: 202 /,
    qr/^a away: the file is gone$/, qr/^a moment after its file is gone: 503$/,
);
is scalar(@said), scalar(@wanted), 'nothing else is said' or diag $runs->{stdout};
like $said[$_] // '', $wanted[$_], "line $_" for 0 .. $#wanted;

done_testing;
