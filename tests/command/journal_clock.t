#!/usr/bin/perl
# A wall clock that jumps, back and forward, between runs and during one: nothing is decided by it.
use strict;
use warnings;
use lib 'tests/lib';
use JSON::PP qw(decode_json);
use Runs;
use Test::More;

plan skip_all => 'a clock is faked by a library that comes before the sanitizer' if Runs::sanitized();

# Each step waits for a file before it and writes a line.
my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "three lines, each when it may",
    run = function()
        lock "thing"
        timeout(50, function()
            for _, name in ipairs { "one", "two", "three" } do
                step(name, { idempotent = true, timeout = 20 }, function()
                    sh.run { "sh", "-c", "echo $1 > at; until test -e go-$1; do sleep 0.02; done; echo $1 >> log", "sh", name }
                end)
            end
        end)
    end,
}
LUA

# With a clock that differs; certificates, which do go by it, are not looked at.
sub runs {
    my ($offset, %more) = @_;
    my $runs = Runs->new(book => $book, quick => 'return playbook { summary = "x", run = function() step("a", function() end) end }');
    $runs->{store} =~ s/sslmode.*/sslmode=require/ if $runs->{store};
    $runs->set_clock($offset);
    return $runs;
}
sub at { my ($runs, $name) = @_; return Runs::wait_for(sub { $runs->get('at') eq "$name\n" }) }
sub go { my ($runs, @names) = @_; $runs->put("go-$_", '') for @names }

# Of runs --json, newest first.
sub listed {
    my ($runs, @options) = @_;
    $runs->hostler('runs', '--json', @options);
    return @{ decode_json($runs->{stdout}) };
}

subtest 'between runs' => sub {
    my $runs = runs('+1d');
    is $runs->hostler('run', 'quick'), 0, 'a run';
    $runs->set_clock('-1d');
    is $runs->hostler('run', 'book', '--wrong'), 2, 'the clock jumps back';
    my $pid = $runs->start('run', 'book');
    ok at($runs, 'one'), 'another run';
    is_deeply [ map { $_->{playbook} } listed($runs) ], [ 'book', 'quick' ], 'it is the newer one';
    kill KILL => $pid;
    waitpid $pid, 0;
    go($runs, qw(one two three));
    ok Runs::wait_for(sub { listed($runs, '--status', 'stopped') == 1 }), 'killed, it has stopped';
    is $runs->hostler('resume', 'last'), 0, 'resumed' or diag $runs->{said};
    like $runs->get('log'), qr/two\nthree\n\z/, 'it is the last one';
    $runs->hostler('runs');
    unlike $runs->{stdout}, qr/ -\d/, 'nothing took less than no time';
    is scalar(listed($runs, '--since', '1h')), 2, 'what seems to be in the future is recent';
};

subtest 'during a run' => sub {
    my $runs = runs('+0');
    my $pid = $runs->start('run', 'book');
    ok at($runs, 'one'), 'a run';
    $runs->set_clock('+20h');
    is $runs->hostler('run', 'book'), 4, 'the clock jumps forward: its lock holds';
    my ($id) = map { $_->{id} } listed($runs, '--status', 'running');
    is $runs->hostler('resume', $id), 4, 'and nobody takes it over';
    go($runs, 'one');
    ok at($runs, 'two'), 'to its second step';
    $runs->set_clock('-20h');
    is $runs->hostler('run', 'book'), 4, 'the clock jumps back: its lock holds';
    go($runs, 'two', 'three');
    is $runs->finish($pid), 0, 'no limit is exceeded, and it ends well' or diag $runs->{said};
    is $runs->get('log'), "one\ntwo\nthree\n", 'everything has happened once';
    $runs->hostler('log', $id, '--json');
    my @seconds = map { $_->{seconds} // () } map { decode_json($_) } split /\n/, $runs->{stdout};
    ok @seconds > 6, 'durations are recorded';
    is_deeply [ grep { $_ < 0 || $_ > 60 } @seconds ], [], 'all of them right';
};

subtest 'a lock whose holder is gone' => sub {
    my $runs = runs('+20h');
    my $pid = $runs->start('run', 'book');
    ok at($runs, 'one'), 'a run has a lock, since a time to come';
    kill KILL => $pid;
    waitpid $pid, 0;
    $runs->set_clock('-20h');
    go($runs, qw(one two three));
    is $runs->hostler('run', 'book'), 0, 'another one takes it' or diag $runs->{said};
};

subtest 'retention' => sub {
    my $runs = runs('+0');
    $runs->hostler('run', 'quick');
    $runs->set_clock('-20h');
    is $runs->hostler('runs', '--prune', '1h'), 0, 'with a clock that is behind';
    like $runs->{stdout}, qr/^0 runs forgotten/, 'nothing young is forgotten';
    $runs->set_clock('+20h');
    is $runs->hostler('runs', '--prune', '1h'), 0, 'with one that is ahead';
    like $runs->{stdout}, Runs::shared() ? qr/^0 runs forgotten/ : qr/^1 run forgotten/, 'the clock of the store counts';
};

done_testing;
