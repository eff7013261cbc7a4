#!/usr/bin/perl
# The debugger in a real terminal, with several items that fail and one that talks, and with a connection that stays open.
use strict;
use warnings;
use utf8;
use Cwd qw(abs_path);
use Hostler ();
use Terminal;
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $root = abs_path('.');
my $hostler = abs_path(($ENV{HOSTLER_BUILD} // 'build') . '/hostler');

sub terminal {
    my ($folder, $before, $command) = @_;
    my $environment = "XDG_STATE_HOME=$folder/state HOME=$folder/home NO_COLOR=1";
    return Terminal->new(100, 60, "cd $folder && $before env $environment $command; echo status=\$?");
}

sub line { my ($terminal, $text) = @_; $terminal->type($text); $terminal->keys('Enter') }
sub shows { my ($terminal, $pattern, $name) = @_; like($terminal->see($pattern), $pattern, $name) }

my $folder = Hostler::playbooks(book => <<'LUA');
local sh = require "sh"
return playbook { summary = "s", run = function()
    each({ "a", "b", "talks" }, { parallel = 3 }, function(name)
        if name == "talks" then
            for i = 1, 400 do
                if sh.try({ "test", "-e", "go" }, { read = true }) then return end
                say("word %d", i)
                sleep(0.05)
            end
        end
        local tries = 0
        step("check", function()
            tries = tries + 1
            sh.run { tries > 1 and "true" or "false" }
        end)
    end)
    breakpoint()
end }
LUA
my $terminal = terminal($folder, '', "$hostler run book --debug");
shows($terminal, qr/step 'book\/(a|b)\/check' failed.*^(a|b) book\.lua:14>/ms, 'the prompt of one item');
$terminal->type('na');
$terminal->keys('Tab');
shows($terminal, qr/word \d+\n(.*\n)*(a|b) book\.lua:14> name\n\z/, 'output of others goes above it; variables are completed');
$terminal->keys('Enter');
shows($terminal, qr/> name\n"(a|b)"/, 'a variable');
line($terminal, 'while true do end');
$terminal->keys('C-c');
shows($terminal, qr/cancelled/, 'Ctrl-C stops what was typed, and not the run');
line($terminal, 'retry');
shows($terminal, qr/again.*step 'book\/(a|b)\/check' failed.*^(a|b) book\.lua:14>/ms, 'then that of the other');
$terminal->keys('C-d');
system 'touch', "$folder/go";
shows($terminal, qr/2 of 3.*^the playbook failed|failed: (a|b).*status=1/ms, 'Ctrl-D lets the error take its course');
$terminal->leave;

SKIP: {
    skip 'only root can make a world with an sshd', 3 if $>;
    my $remote = Hostler::playbooks(book => <<'LUA');
local ssh = require "ssh"
return playbook { summary = "s", run = function()
    local host = ssh.connect("tester@127.0.0.1", { identity = env "SSHD" .. "/id_ed25519", known_hosts = env "SSHD" .. "/known_hosts" })
    step("look", function() host:run { "test", "-e", "/nowhere" } end)
end }
LUA
    my $open = terminal($remote, "$root/tests/lib/with-sshd", "sh -c '$hostler run book --debug; echo connections=\$(grep -c Accepted.publickey \$SSHD/log)'");
    shows($open, qr/^book\.lua:4>/m, 'a command failed on a host');
    line($open, 'host:run({ "echo", "still here" }, { read = true }).stdout');
    shows($open, qr/^"still here\\n"$/m, 'the host is asked at the prompt');
    line($open, 'skip');
    shows($open, qr/^connections=1$/m, 'over the connection that the run has');
    $open->leave;
}

done_testing;
