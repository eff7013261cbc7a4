#!/usr/bin/perl
# A step that wrote, and whose result the journal cannot hold, has happened: it is in doubt, is not run again unasked, and
# the report says so.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

sub book {
    my ($result, $options) = @_;
    return Runs->new(book => <<~"LUA");
        local sh = require "sh"
        return playbook { summary = "writes", run = function()
            step("write", { $options }, function()
                sh.run { "sh", "-c", "echo x >> log" }
                return $result
            end)
            step("after", function() sh.run { "touch", "after" } end)
        end }
        LUA
}

for my $case (
    [ 'NUL' => '"a\0b"' ], [ 'NaN' => '{ value = 0/0 }' ], [ 'bytes that are no text' => '"\255"' ],
    [ 'a function' => 'function() end' ], [ 'a table that holds itself' => '(function() local t = {} t.t = t return t end)()' ],
) {
    my ($name, $result) = @$case;
    subtest $name => sub {
        my $runs = book($result, '');
        is $runs->hostler('run', 'book'), 1, 'it fails';
        like $runs->{said}, qr/^error: the result of step 'book\/write' cannot be recorded/m, 'saying why';
        like $runs->{said}, qr/^  in doubt  write: it has run, and its result is not recorded$/m, 'and what is in doubt' or diag $runs->{said};
        is $runs->hostler('resume', 'last'), 3, 'resumed, it asks' or diag $runs->{said};
        like $runs->{said}, qr/Step 'book\/write' has run, and its result could not be recorded/, 'about the step' or diag $runs->{said};
        is $runs->get('log'), "x\n", 'and has not written again';
        is $runs->hostler('answer', 'last', 'done "y"'), 0, 'it goes on with the result that a person gives';
        is $runs->get('log'), "x\n", 'written once';
        ok -e $runs->path('after'), 'to its end';
    };
}

subtest 'a step that only reads' => sub {
    my $runs = Runs->new(book => 'return playbook { summary = "x", run = function() step("look", function() return 0/0 end) end }');
    is $runs->hostler('run', 'book'), 1, 'it fails';
    unlike $runs->{said}, qr/in doubt/, 'and leaves nothing in doubt';
    like $runs->{said}, qr/done +nothing was changed/, 'it says';
    is $runs->hostler('resume', 'last'), 1, 'nor does it ask';
};

subtest 'an idempotent step' => sub {
    my $runs = book('0/0', 'idempotent = true');
    is $runs->hostler('run', 'book'), 1, 'it fails';
    is $runs->hostler('resume', 'last'), 1, 'resumed, it runs again';
    is $runs->get('log'), "x\nx\n", 'as it may';
};

subtest 'a probe' => sub {
    my $runs = book('0/0', 'probe = function() return "found" end');
    is $runs->hostler('run', 'book'), 1, 'it fails';
    is $runs->hostler('resume', 'last'), 0, 'resumed, the probe says what came of it';
    is $runs->get('log'), "x\n", 'written once';
};

subtest 'tried again' => sub {
    my $runs = Runs->new(book => <<~'LUA');
        local sh = require "sh"
        return playbook { summary = "writes", run = function()
            local function write()
                step("write", function() sh.run { "sh", "-c", "echo x >> log" } return 0/0 end)
            end
            try(write)
            write()
        end }
        LUA
    is $runs->hostler('run', 'book'), 3, 'also the run itself asks before it would write again' or diag $runs->{said};
    is $runs->get('log'), "x\n", 'written once';
};

subtest 'a write whose end nobody saw' => sub {
    my $runs = Runs->new(book => <<~'LUA');
        local sh = require "sh"
        return playbook { summary = "writes", run = function()
            step("first", function() sh.run { "true" } end)
            step("slow", function() sh.run({ "sleep", "100" }, { timeout = 0.2 }) end)
        end }
        LUA
    is $runs->hostler('run', 'book'), 1, 'it fails';
    like $runs->{said}, qr/^  done +first$/m, 'the report names what is done';
    like $runs->{said}, qr/^  in doubt  slow: it may have happened$/m, 'and what is in doubt' or diag $runs->{said};
};

done_testing;
