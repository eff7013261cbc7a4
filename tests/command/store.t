#!/usr/bin/perl
# The journal in PostgreSQL, where it differs from a file: leases, locks and cancellations between controllers. What a
# server that is away means has store_away.t.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Socket;
use Test::More;
use ThreeThings;
use Time::HiRes qw(sleep time);

if (!$ENV{POSTGRES_PORT}) {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

$ENV{HOSTLER_LEASE} = Runs::lease(3);


subtest 'the password is nowhere' => sub {
    my $runs = book();
    go($runs);
    $runs->{store} =~ s/admin\@/admin:$ENV{POSTGRES_PASSWORD}\@/;
    is $runs->hostler('run', 'book'), 0, 'a URI with a password' or diag $runs->{said};
    unlike $runs->{said}, qr/$ENV{POSTGRES_PASSWORD}/, 'which is not shown';
    like $runs->{said}, qr/the store is postgresql/, 'although the URI is';
    is $runs->hostler('log', 'last', '-v'), 0, 'log';
    unlike $runs->{said}, qr/$ENV{POSTGRES_PASSWORD}/, 'nor kept';
};

subtest 'one server of two does not answer' => sub {
    socket my $silent, PF_INET, SOCK_STREAM, 0 or die $!;
    bind $silent, pack_sockaddr_in(0, inet_aton '127.0.0.1') or die $!;
    listen $silent, 5 or die $!;
    my ($port) = unpack_sockaddr_in getsockname $silent;
    my $runs = book();
    go($runs);
    $runs->{store} =~ s/\@localhost:(\d+)/\@localhost:$port,localhost:$1/;
    is $runs->hostler('run', 'book'), 0, 'the other one is used' or diag $runs->{said};
    like $runs->query("SELECT status FROM runs"), qr/done/, 'and has the run';
};

subtest 'a run that was stopped beyond its lease' => sub {
    my $runs = book();
    my $pid = $runs->start('run', 'book');
    go($runs, 'one');
    ok at($runs, 'two'), 'a run';
    kill STOP => $pid;
    my $other = $runs->beside;
    is $other->hostler('resume', 'last'), 4, 'nobody takes it over while its lease lasts' or diag $other->{said};
    ok Runs::wait_for(sub { $other->hostler('runs'); $other->{stdout} =~ /stopped/ }), 'then it counts as stopped';
    $runs->put('log', '');
    go($runs);
    is $other->hostler('resume', 'last'), 0, 'and another goes on with it' or diag $other->{said};
    is wrote($runs), 'two three', 'to its end';
    kill CONT => $pid;
    is $runs->finish($pid), 1, 'continued, the first stops';
    like $runs->{said}, qr/taken over by another process/, 'says why';
    is wrote($runs), 'two three', 'and does nothing more';
    is status($runs), 'done', 'nor does it record anything';
};

subtest 'the key of a store' => sub {
    my $here = book(seals => 'return playbook { summary = "x", run = function() step("a", function() return secret.random(9) end) end }');
    is $here->hostler('run', 'seals'), 0, 'a run with a secret';
    my $there = $here->beside;
    $there->{state} = $there->path('state');
    go($there);
    for my $command ([qw(run book)], [qw(run book --queue)], [ 'worker' ]) {
        is $there->hostler(@$command), 1, "another controller: @$command";
        like $there->{said}, qr/key cannot be used: No such file.*hint +put it back .* copy it from another controller/s, 'needs the key';
    }
    is wrote($there), '', 'before anything is done';
    is $there->hostler('runs'), 0, 'what needs no key goes without it';
    mkdir $_ for $there->{state}, "$there->{state}/hostler";
    system('cp', "$here->{state}/hostler/key", "$there->{state}/hostler/key") == 0 or die;
    is $there->hostler('run', 'book'), 0, 'with a copy it works' or diag $there->{said};
};

SKIP: {
    skip 'another host name needs root', 1 if $> != 0;
    subtest 'controllers' => sub {
        my $here = book();
        my $there = $here->beside('there');
        my $pid = $there->start('run', 'book', '--lock', 'thing');
        ok at($there, 'one'), 'a run on another controller';
        is $here->hostler('run', 'book', '--lock', 'thing'), 4, 'its lock holds here';
        like $here->{said}, qr/'thing' is locked by run \w{6} \(book by root, process \d+ on there\)/, 'and names it';
        is $here->hostler('cancel', $here->query("SELECT id FROM runs WHERE status = 'running'")), 0, 'cancelled from here'
            or diag $here->{said};
        is $there->finish($pid), 130, 'it ends';
        like $there->{said}, qr/cancelled by root/, 'and says who did it';

        unlink $there->path('at');
        $pid = $there->start('run', 'book', '--lock', 'thing');
        ok at($there, 'one'), 'another';
        kill KILL => $pid;
        waitpid $pid, 0;
        go($here);
        is $here->hostler('run', 'book', '--lock', 'thing'), 4, 'killed, it has its lock until its lease is over';
        ok Runs::wait_for(sub { $here->hostler('run', 'book', '--lock', 'thing') == 0 }), 'then another run takes it';

        unlink $there->path('at');
        $pid = $there->start('run', 'book', '--lock', 'thing');
        ok at($there, 'one'), 'one more';
        kill STOP => $pid;
        ok Runs::wait_for(sub { $here->hostler('run', 'book', '--lock', 'thing') == 0 }), 'stopped, it loses its lock';
        kill CONT => $pid;
        go($there);
        is $there->finish($pid), 1, 'continued, it stops, although nobody has taken the run';
        is wrote($there), '', 'and does nothing';
    };
}

subtest 'a worker whose server was restarted' => sub {
    my $runs = book();
    $runs->hostler('runs');
    my $worker = $runs->start('worker');
    my $hears = sub {
        eval { $runs->query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()") }
    };
    ok Runs::wait_for(sub { ($hears->() // '') eq '1' }), 'a worker hears what is queued';
    Runs::control_postgres('--mode=fast', 'restart');
    ok Runs::wait_for(sub { ($hears->() // '') eq '1' }), 'and does so again';
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'it has gone on' or diag $runs->{said};
};

# ---- tables ----

subtest 'tables' => sub {
    my $runs = book();
    my @others = map { $runs->beside } 1 .. 6;
    my @pids = map { $_->start('runs') } @others;
    is_deeply [ map { $others[$_]->finish($pids[$_]) } 0 .. $#others ], [ (0) x @others ], 'several make them at once';
};

done_testing;
