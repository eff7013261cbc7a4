#!/usr/bin/perl
# Undo: finished steps are taken back, newest first, from any process; one that was interrupted goes on, and does nothing
# twice unasked.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

my $book = <<'LUA';
local sh = require "sh"
local function write(text)
    sh.run({ "tee", "-a", "log" }, { stdin = text .. "\n" })
end
return playbook {
    summary = "makes things",
    run = function()
        each({ "a", "b" }, { parallel = 1 }, function(item)
            local made = step("make " .. item, {
                undo = function(result)
                    sh.run { "sh", "-c", "if [ -e hold ] && [ $1 = a ]; then rm hold; kill -KILL $(($(ps -o ppid= $PPID))); fi", "sh", item }
                    write("undo " .. result.name)
                end,
            }, function()
                write("make " .. item)
                return { name = item }
            end)
            step("paint " .. item, function() write("paint " .. made.name) end)
        end)
        wait_until("the weather to change", { timeout = 600, interval = 60 }, function()
            return sh.run({ "test", "-e", "sun" }, { read = true, check = false }).status == 0
        end)
        step("last", { undo = function() write "undo last" end }, function()
            sh.run { "test", "-e", "fine" }
            write "last"
        end)
    end,
}
LUA

subtest 'after a failure' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put('sun', '');
    is $runs->hostler('run', 'book'), 1, 'it fails';
    like $runs->{said}, qr/hostler undo \w{6}/, 'and names the undo';
    unlink $runs->path('sun');
    my $before = $runs->get('log');
    is $runs->hostler('undo', 'last'), 0, 'undone, without waiting for the weather' or diag $runs->{said};
    is substr($runs->get('log'), length $before), "undo b\nundo a\n", 'newest first, and nothing was made again';
    like $runs->{said}, qr{left as they are.*book/b/paint b}, 'what has no undo is named';
    is $runs->hostler('undo', 'last'), 0, 'once more';
    like $runs->{stdout}, qr/undone already/, 'does nothing';
    is $runs->hostler('resume', 'last'), 2, 'it cannot be resumed' or diag $runs->{said};
};

subtest 'a run that was agreed to with --yes' => sub {
    my $runs = Runs->new(book => <<~'LUA');
        local sh = require "sh"
        return playbook {
            summary = "asks",
            run = function()
                confirm "Make it?"
                confirm("Really?", "it")
                step("make", { undo = function() sh.run { "rm", "made" } end }, function() sh.run { "touch", "made" } end)
            end,
        }
        LUA
    is $runs->hostler('run', 'book', '--yes'), 0, 'it is done';
    ok -e $runs->path('made'), 'as agreed';
    is $runs->hostler('undo', 'last'), 0, 'and undone' or diag $runs->{said};
    ok !-e $runs->path('made'), 'really';
};

subtest 'killed while undoing' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put($_, '') for qw(sun hold);
    $runs->hostler('run', 'book');
    is $runs->hostler('undo', 'last'), -9, 'killed in the second undo';
    Runs::wait_for(sub { !-e $runs->path('hold') });
    isnt $runs->hostler('resume', 'last'), 0, 'a half undone run cannot be resumed';
    is $runs->hostler('undo', 'last'), 3, 'undo does not do it again unasked' or diag $runs->{said};
    like $runs->{said}, qr{a person has to answer: The undo of step 'book/a/make a' was interrupted.*: sh -c .*Look, then say},
        'but asks about what was interrupted';
    like $runs->{said}, qr/next +hostler answer \w{6} VALUE/, 'saying how to answer';
    isnt $runs->hostler('resume', 'last'), 0, 'nor can it be resumed meanwhile';
    unlike $runs->get('log'), qr/undo a/, 'nothing happened since';
    is $runs->hostler('answer', 'last', 'again'), 0, 'answered, undo goes on' or diag $runs->{said};
    is scalar(() = $runs->get('log') =~ /undo b/g), 1, 'what was taken back is not taken back again';
    like $runs->get('log'), qr/undo a\n\z/, 'what was not is';
    $runs->hostler('runs');
    like $runs->{stdout}, qr/ undone /, 'the run is undone';
};

# An undo that is killed after it has written.
sub half_undone {
    my ($options) = @_;
    my $runs = Runs->new(book => <<~"LUA");
        local sh = require "sh"
        return playbook { summary = "makes a thing", run = function()
            step("make", { $options undo = function()
                sh.run { "sh", "-c", "echo undo >> log; rm made; if [ -e hold ]; then rm hold; kill -KILL \$((\$(ps -o ppid= \$PPID))); fi" }
            end }, function() sh.run { "touch", "made", "log" } end)
        end }
        LUA
    is $runs->hostler('run', 'book'), 0, 'a run';
    $runs->put('hold', '');
    is $runs->hostler('undo', 'last'), -9, 'killed while it is undone';
    $runs->quiet;
    return $runs;
}

subtest 'an undo that was interrupted' => sub {
    my $runs = half_undone('');
    is $runs->hostler('undo', 'last'), 3, 'asks';
    is $runs->hostler('answer', 'last', 'done'), 0, 'what a person has seen to be done' or diag $runs->{said};
    is $runs->get('log'), "undo\n", 'is not done again';
    $runs->hostler('undo', 'last');
    like $runs->{stdout}, qr/undone already/, 'and counts as undone';
};

subtest 'an undo that was interrupted, of a step with a probe' => sub {
    my $runs = half_undone('probe = function() return sh.run({ "test", "-e", "made" }, { read = true, check = false }).status == 0 or nil end,');
    is $runs->hostler('undo', 'last'), 0, 'the probe finds nothing any more' or diag $runs->{said};
    is $runs->get('log'), "undo\n", 'so it is not done again';

    $runs = half_undone('probe = function() return "still there" end,');
    $runs->put('made', '');
    is $runs->hostler('undo', 'last'), 0, 'the probe finds what was made' or diag $runs->{said};
    is $runs->get('log'), "undo\nundo\n", 'so it is done again';
};

subtest 'an undo that was interrupted, of an idempotent step' => sub {
    my $runs = half_undone('idempotent = true,');
    $runs->put('made', '');
    is $runs->hostler('undo', 'last'), 0, 'goes on' or diag $runs->{said};
    is $runs->get('log'), "undo\nundo\n", 'by doing it again';
};

subtest 'an undo that failed' => sub {
    my $runs = Runs->new(book => <<~'LUA');
        local sh = require "sh"
        return playbook { summary = "makes a thing", run = function()
            step("make", { undo = function()
                sh.run { "sh", "-c", "echo undo >> log" }
                sh.run { "test", "-e", "may" }
            end }, function() sh.run { "touch", "log" } end)
        end }
        LUA
    is $runs->hostler('run', 'book'), 0, 'a run';
    is $runs->hostler('undo', 'last'), 1, 'its undo fails, so that nothing is in doubt';
    $runs->put('may', '');
    is $runs->hostler('undo', 'last'), 0, 'and is called again' or diag $runs->{said};
    is $runs->get('log'), "undo\nundo\n", 'as a step is';
};

subtest '--undo-on-failure' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put('sun', '');
    is $runs->hostler('run', 'book', '--undo-on-failure'), 1, 'fails';
    like $runs->get('log'), qr/undo b\nundo a\n\z/, 'and takes back what it did';
    $runs->hostler('runs');
    like $runs->{stdout}, qr/ undone /, 'the run is undone';
};

subtest 'a finished run, and a step in doubt' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put($_, '') for qw(sun fine);
    is $runs->hostler('run', 'book'), 0, 'done';
    is $runs->hostler('undo', 'last'), 0, 'undone' or diag $runs->{said};
    like $runs->get('log'), qr/undo last\nundo b\nundo a\n\z/, 'all of it';
};

subtest 'a step that the playbook no longer comes to' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put('sun', '');
    $runs->hostler('run', 'book');
    $runs->put('playbooks/book.lua', $book =~ s/{ "a", "b" }/{ "a" }/r);
    is $runs->hostler('undo', 'last', '--code', 'latest'), 1, 'refused';
    like $runs->{said}, qr{no longer comes to.*book/b/make b}, 'naming the step';
    unlike $runs->get('log'), qr/undo/, 'before anything is taken back';
    is $runs->hostler('undo', 'last'), 0, 'with the kept source it works' or diag $runs->{said};
};

done_testing;
