#!/usr/bin/perl
# Whoever meets a limit gets an error with its place, the end of the run is recorded, and what to type next is said.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

$ENV{HOSTLER_MEMORY} = 64;

my $runs = Runs->new;

# A run of this code after a step that has written.
sub limited {
    my ($name, $code, $message, %more) = @_;
    subtest $name => sub {
        $runs->put('playbooks/book.lua', <<~"LUA");
            local sh = require "sh"
            return playbook { summary = "goes too far", run = function()
                step("first", function() sh.run { "true" } end)
                $code
            end }
            LUA
        is $runs->hostler('run', 'book'), 1, 'the run fails';
        like $runs->{said}, qr/^error: $message/m, 'with an error' or diag substr $runs->{said}, -2000;
        like $runs->{said}, qr{^ +where +\./playbooks/book\.lua:\d}m, 'that says where' or diag substr $runs->{said}, -2000;
        like $runs->{said}, qr/^ +hint +keep less at once.*HOSTLER_MEMORY/m, 'and what to do' if $message =~ /memory/;
        like $runs->{said}, qr/^  done +first$/m, 'what was done';
        like $runs->{said}, qr/^  next +hostler resume \w{6} /m, 'and what to type next';
        like $runs->{said}, $more{said}, 'and more' if $more{said};
        is $runs->query('SELECT status FROM runs ORDER BY number DESC LIMIT 1'), 'failed', 'its end is recorded';
        is $runs->hostler('log', 'last'), 0, 'and can be looked at';
    };
}

my $memory = qr/not enough memory: one process of hostler may use 64 MiB/;

limited('many small things', 'local t = {} while true do t[#t + 1] = {} end', $memory);
limited('one large thing', 'local s = "x" while true do s = s .. s end', $memory);
limited('a table that doubles', 'local t = {} for i = 1, 1e9 do t[i] = i end', $memory);
limited('a function of C', 'say(("x"):rep(1e9))', $memory);
limited('in a step', 'step("grow", function() local t = {} while true do t[#t + 1] = {} end end)', $memory,
    said => qr{^ +step +book/grow$}m);
limited('in items', 'each({ 1, 2 }, function() local t = {} while true do t[#t + 1] = {} end end)', qr/2 of 2 failed: 1, 2/,
    said => qr/^ +failed +1: $memory/m);
limited('caught again and again', 'for _ = 1, 3 do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end fail "enough"',
    qr/enough/);
limited('tasks', 'local function f() parallel { f, f } end f()', qr/more than 6400 tasks at once: does a function start itself again\?/);
limited('tasks within tasks', 'local function f() parallel { f } end f()', qr/tasks are nested more than 80 deep/);
limited('calls', 'local function f() return 1 + f() end f()', qr/stack overflow/);

subtest 'garbage is not counted' => sub {
    $runs->put('playbooks/book.lua', <<~'LUA');
        return playbook { summary = "makes much garbage", run = function()
            local kept = ("x"):rep(20 * 2 ^ 20)
            for i = 1, 200 do local garbage = ("y"):rep(2 ^ 20) .. i end
            step("s", function() return #kept end)
        end }
        LUA
    is $runs->hostler('run', 'book'), 0, 'a run that goes through three times its memory' or diag $runs->{said};
};

subtest 'a limit that is none' => sub {
    local $ENV{HOSTLER_MEMORY} = 'much';
    is $runs->hostler('list'), 2, 'is refused';
    like $runs->{said}, qr/HOSTLER_MEMORY is a number of MiB from 64 to 65536/, 'and said';
};

# ---- files that do not end ----

my $library = Runs->new(good => 'return playbook { summary = "a good one", run = function() end }',
    loops => "local n = 0\nwhile true do n = n + 1 end\nreturn playbook { summary = 'never' }");
POSIX::mkfifo($library->path('playbooks/pipe.lua'), 0600) or die $!;
is $library->hostler('list'), 0, 'list ends, beside a pipe and a file that loops';
like $library->{stdout}, qr/^  good +a good one$/m, 'with what there is' or diag $library->{said};
like $library->{stdout}, qr/^  loops +does not load: line \d: loading it takes more than 5 seconds$/m, 'and what does not load' or diag $library->{said};
is $library->hostler('run', 'loops'), 2, 'such a file is not run';
is $library->hostler('run', 'pipe'), 2, 'and a pipe is none';

done_testing;
