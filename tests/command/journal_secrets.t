#!/usr/bin/perl
# Secrets in the results of steps: sealed with a key, and nowhere to be read. Without the key nothing is done.
use strict;
use warnings;
use lib 'tests/lib';
use MIME::Base64 qw(encode_base64);
use Runs;
use Test::More;

my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "two effects, and a secret between them",
    run = function()
        local made = step("make", function()
            sh.run { "sh", "-c", "echo one >> log" }
            return { password = secret.random(24), name = "ada", list = json.array {}, deep = { more = { 1, 2, 3 } } }
        end)
        step("use", function()
            if env "STOP" then fail("no, not with " .. tostring(made.password)) end
            sh.run({ "sh", "-c", "echo two >> log; cat > password" }, { stdin = made.password })
        end)
        say("%s %d %d", made.name, #made.list, made.deep.more[3])
    end,
}
LUA

subtest 'keys' => sub {
    for my $case ([ 'lost', sub { unlink $_[0] }, qr/cannot be used: No such file.*put it back/s ],
        [ 'another', sub { open my $f, '>:raw', $_[0]; print $f 'x' x 32 }, qr/not the one that the secrets of this journal are sealed with/ ],
        [ 'open to others', sub { chmod 0644, $_[0] }, qr/chmod 600/ ]) {
        my ($name, $damage, $pattern) = @$case;
        my $runs = Runs->new(book => $book);
        local $ENV{STOP} = 1;
        is $runs->hostler('run', 'book'), 1, "$name: a run that stops";
        delete $ENV{STOP};
        $damage->($runs->path('state/hostler/key'));
        is $runs->hostler('resume', 'last'), 1, 'is not resumed';
        like $runs->{said}, $pattern, 'says why';
        is $runs->hostler('run', 'book'), 1, 'nor is a new run begun';
        is $runs->get('log'), "one\n", 'nothing was done';
    }
};

subtest 'secrets' => sub {
    my $runs = Runs->new(book => $book);
    my $held = '';
    my $hold = sub { $held .= $runs->journal . $runs->{said} };
    local $ENV{STOP} = 1;
    $runs->hostler('run', 'book', '--record', 'recording', '--verbose');
    $hold->();
    delete $ENV{STOP};
    is $runs->hostler('resume', 'last', '--json'), 0, 'resumed' or diag $runs->{said};
    like $runs->{stdout}, qr/ada 0 3/, 'with the same result';
    $hold->();
    for my $command ([ 'log', 'last', '--verbose' ], [ 'log', 'last', '--json' ], [ 'runs', '--json' ]) {
        is $runs->hostler(@$command), 0, "@$command";
        $hold->();
    }
    my $password = $runs->get('password');
    is length $password, 24, 'and the same secret';
    $held .= $runs->get('recording');
    my $encoded = encode_base64($password, '') =~ s/=+$//r;
    is index($held, $_), -1, 'which is nowhere to be found' for $password, substr($encoded, 0, 30);
    like $held, qr/\$sealed/, 'but sealed';
};

done_testing;
