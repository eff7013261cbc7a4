#!/usr/bin/perl
# The journal in PostgreSQL whose server is away, hangs or refuses: what a run writes waits for it as long as the run's
# lease lasts.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Socket::INET;
use Runs;
use Test::More;
use ThreeThings;
use Time::HiRes qw(sleep time);

if (!$ENV{POSTGRES_PORT}) {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

$ENV{HOSTLER_LEASE} = Runs::lease(3);


# The server's processes.
sub postgres {
    open my $file, '<', "$ENV{POSTGRES_SOCKET}/data/postmaster.pid" or die $!;
    chomp(my $pid = <$file>);
    open my $children, '<', "/proc/$pid/task/$pid/children" or die $!;
    return ($pid, split ' ', <$children> // '');
}

subtest 'a server that is away before' => sub {
    for my $case (
        [ 'no server', 'postgresql://admin@localhost:1/x', qr/cannot be reached: .*Connection refused/ ],
        [ 'no database', "postgresql://admin\@localhost:$ENV{POSTGRES_PORT}/x?sslmode=require", qr/database "x" does not exist/ ],
        [ 'a password that is wrong', "postgresql://admin:secret-and-wrong\@localhost:$ENV{POSTGRES_PORT}/postgres", qr/authentication failed/ ],
        [ 'another CA', "postgresql://admin\@localhost:$ENV{POSTGRES_PORT}/postgres?sslmode=verify-full&sslrootcert=$ENV{POSTGRES_OTHER_CA}",
            qr/certificate verify failed/ ],
        [ 'not a URI', 'postgresql://admin:secret%and-wrong@localhost/x', qr/no URI that PostgreSQL understands/ ],
        [ 'another kind', 'mysql://admin:secret-and-wrong@localhost/x', qr/is not the address of a store/ ],
        [ 'a user who may not', "postgresql://app\@localhost:$ENV{POSTGRES_PORT}/postgres?sslmode=require", qr/permission denied for schema.*\n +hint/ ],
    ) {
        my ($name, $store, $pattern) = @$case;
        my $runs = book();
        go($runs);
        $runs->{store} = $store;
        isnt $runs->hostler('run', 'book'), 0, "$name: refused";
        like $runs->{said}, $pattern, 'says why';
        unlike $runs->{said}, qr/and-wrong/, 'and no password';
        is wrote($runs), '', 'before anything was done';
    }
};

# Whether a command says that it waits for the server.
sub waits_for {
    my ($runs, $why, $seconds) = @_;
    return Runs::wait_for(sub { $runs->get('stderr') =~ /cannot be reached: [^\n]*$why[^\n]*; waiting for it, for $seconds seconds at the most\n/ });
}

# A server that recovers lets nobody in: here for as long as it is somebody's standby.
sub recovering {
    my ($on) = @_;
    my $signal = "$ENV{POSTGRES_SOCKET}/data/standby.signal";
    Runs::control_postgres('--mode=immediate', 'stop');
    if ($on) {
        system(($> == 0 ? qw(runuser -u postgres --) : ()), 'touch', $signal) == 0 or die;
        Runs::control_postgres('--no-wait', '--options=-c hot_standby=off', 'start');
        Runs::wait_for(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ENV{POSTGRES_PORT}") }) or die "it does not listen\n";
    } else {
        unlink $signal or die $!;
        Runs::control_postgres('start');
    }
}

subtest 'a server that starts' => sub {
    local $ENV{HOSTLER_LEASE} = 300;
    my ($runs, $stopped) = (book(), book());
    $_->hostler('runs') for $runs, $stopped;
    go($runs);
    recovering(1);
    my @pids = map { $_->start('run', 'book') } $runs, $stopped;
    for ($runs, $stopped) {
        ok waits_for($_, 'FATAL:  the database system is (?:starting up|not (?:yet )?accepting connections)', 300),
            'a run waits for it, and says so' or diag $_->get('stderr');
    }
    kill INT => $pids[1];
    is $stopped->finish($pids[1]), 130, 'Ctrl-C is heard';
    recovering(0);
    is $runs->finish($pids[0]), 0, 'then the run goes on' or diag $runs->{said};
    is wrote($runs), 'one two three', 'to its end';
};

subtest 'a server with no place left' => sub {
    local $ENV{HOSTLER_LEASE} = 300;
    my $runs = book();
    go($runs);
    my ($name) = $runs->{store} =~ m{/(\w+)\?};
    Runs::sql("ALTER DATABASE $name OWNER TO app", 'postgres');
    Runs::sql('ALTER ROLE app CONNECTION LIMIT 0', 'postgres');
    $runs->{store} =~ s/admin\@/app\@/;
    my $pid = $runs->start('run', 'book');
    ok waits_for($runs, 'too many connections for role', 300), 'is waited for' or diag $runs->get('stderr');
    Runs::sql('ALTER ROLE app CONNECTION LIMIT -1', 'postgres');
    is $runs->finish($pid), 0, 'then the run goes on' or diag $runs->{said};
    is wrote($runs), 'one two three', 'to its end';
};

subtest 'a server that is away when a worker starts' => sub {
    my $runs = book();
    $runs->hostler('run', '--queue', 'book');
    go($runs);
    Runs::control_postgres('--mode=fast', 'stop');
    is $runs->hostler('run', 'book'), 1, 'a person is told at once';
    unlike $runs->{said}, qr/waiting for it/, 'without waiting' or diag $runs->{said};
    is $runs->hostler('worker', '--once'), 1, 'so is who goes through the queue once';
    my ($worker, $other) = ($runs->start('worker'), $runs->beside);
    ok waits_for($runs, 'Connection refused', 300), 'a worker waits, and says so' or diag $runs->get('stderr');
    my $stopped = $other->start('worker');
    ok waits_for($other, 'Connection refused', 300), 'another one, too';
    kill TERM => $stopped;
    is $other->finish($stopped), 0, 'which is told to stop, and does';
    Runs::control_postgres('start');
    ok Runs::wait_for(sub { status($runs) eq 'done' }), 'then it takes up what is in the queue' or diag $runs->get('stderr');
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'and ends well' or diag $runs->{said};
    my $refused = book();
    $refused->{store} =~ s{/\w+\?}{/nowhere?};
    is $refused->hostler('worker'), 1, 'one whom the server refuses does not wait';
    like $refused->{said}, qr/FATAL:  database "nowhere" does not exist/, 'and says why' or diag $refused->{said};
};

subtest 'a server that is restarted meanwhile' => sub {
    local $ENV{HOSTLER_LEASE} = 300; # however long it recovers
    my $runs = book();
    my $pid = $runs->start('run', 'book');
    go($runs, 'one');
    ok at($runs, 'two'), 'a run';
    Runs::control_postgres('--mode=immediate', 'restart');
    go($runs);
    is $runs->finish($pid), 0, 'goes on' or diag $runs->{said};
    is wrote($runs), 'one two three', 'everything happened once';
};

subtest 'a server that goes away meanwhile' => sub {
    my $runs = book();
    my $pid = $runs->start('run', 'book');
    go($runs, 'one');
    ok at($runs, 'two'), 'a run';
    Runs::control_postgres('--mode=fast', 'stop');
    go($runs);
    is $runs->finish($pid), 1, 'stops';
    Runs::control_postgres('start');
    like $runs->{said}, qr/journal .* cannot be reached/, 'says why' or diag $runs->{said};
    is wrote($runs), 'one', 'and nothing was done that is not recorded';
    is $runs->hostler('resume', 'last'), 0, 'it can be resumed' or diag $runs->{said};
    is wrote($runs), 'one two three', 'everything happened once';
};

subtest 'a server that hangs' => sub {
    my $runs = book();
    my $pid = $runs->start('run', 'book');
    go($runs, 'one');
    ok at($runs, 'two'), 'a run';
    my @postgres = postgres();
    kill STOP => @postgres;
    go($runs);
    is $runs->finish($pid), 1, 'stops, although it never does';
    kill CONT => @postgres;
    like $runs->{said}, qr/the server does not answer/, 'says why' or diag $runs->{said};
    is wrote($runs), 'one', 'and nothing was done that is not recorded';
    is $runs->hostler('resume', 'last'), 0, 'it can be resumed' or diag $runs->{said};
    is wrote($runs), 'one two three', 'everything happened once';
};

subtest 'a server that hangs for a while' => sub {
    local $ENV{HOSTLER_LEASE} = 300;
    my $runs = Runs->new(ticks => <<'LUA');
local sh = require "sh"
return playbook {
    summary = "a clock, and a step beside it",
    run = function()
        local function exists(name)
            return sh.run({ "test", "-e", name }, { read = true, check = false }).status == 0
        end
        parallel {
            function()
                while not exists "stop" do
                    say "tick"
                    sh.run({ "sh", "-c", "date +%s.%N >> ticks" }, { read = true })
                    sleep(0.1)
                end
            end,
            function()
                wait_until("the server to hang", { timeout = 60, interval = 0.05 }, function() return exists "go" end)
                step("write", function() sh.run { "sh", "-c", "echo x >> written" } end)
            end,
        }
    end,
}
LUA
    my $pid = $runs->start('run', 'ticks');
    ok Runs::wait_for(sub { -e $runs->path('ticks') }), 'a run';
    my @postgres = postgres();
    my $began = time;
    kill STOP => @postgres;
    $runs->put('go', '');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /waiting for the journal postgresql:\S+, for 300 seconds at the most: / }),
        'it says that it waits for its journal' or diag $runs->get('stdout');
    my $hung = time - $began;
    ok !-e $runs->path('written'), 'and writes nothing meanwhile';
    kill CONT => @postgres;
    ok Runs::wait_for(sub { -e $runs->path('written') }), 'until it goes on' or diag $runs->get('stderr');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /the journal answers again/ }), 'as the report says';
    $runs->put('stop', '');
    is $runs->finish($pid), 0, 'it ends well' or diag $runs->{said};
    is $runs->get('written'), "x\n", 'with the step done once';
    my @ticks = split /\n/, $runs->get('ticks');
    my @gaps = sort { $b <=> $a } map { $ticks[$_] - $ticks[ $_ - 1 ] } 1 .. $#ticks;
    cmp_ok $gaps[0], '<', $hung / 2, sprintf 'nothing else has stopped for longer than %.1f seconds', $gaps[0];
    is $runs->query("SELECT count(*) FROM events WHERE text = 'tick'"), scalar @ticks, 'every line is in the journal, once';
};

subtest 'a server that is away for longer than a call, and shorter than a lease' => sub {
    local $ENV{HOSTLER_LEASE} = 300;
    my $runs = book();
    my $pid = $runs->start('run', 'book');
    go($runs, 'one');
    ok at($runs, 'two'), 'a run';
    Runs::control_postgres('--mode=fast', 'stop');
    my $began = time;
    go($runs);
    ok Runs::wait_for(sub { $runs->get('stdout') =~ /waiting for the journal .*Connection refused/s }), 'it says that it waits, and why'
        or diag $runs->get('stdout');
    # Longer than a call may take that is not a run's.
    ok Runs::wait_for(sub { time - $began > 11 }), 'it waits';
    is wrote($runs), 'one', 'and does nothing meanwhile';
    Runs::control_postgres('start');
    is $runs->finish($pid), 0, 'then it goes on' or diag $runs->{said};
    is wrote($runs), 'one two three', 'everything happened once';
};

subtest 'a server that is away for longer than the lease of a run of the queue' => sub {
    my $runs = book();
    $runs->hostler('run', '--queue', 'book');
    my $worker = $runs->start('worker');
    go($runs, 'one');
    ok at($runs, 'two'), 'a worker is at a run';
    my @children = split ' ', do { local @ARGV = "/proc/$worker/task/$worker/children"; <> };
    Runs::control_postgres('--mode=fast', 'stop');
    go($runs);
    ok Runs::wait_for(sub { grep { !-e "/proc/$_/fd/0" } @children }), 'its process gives up when the lease is over';
    is wrote($runs), 'one', 'and has done nothing meanwhile';
    Runs::control_postgres('start');
    ok Runs::wait_for(sub { status($runs) eq 'done' }), 'the run is gone on with' or diag $runs->get('stderr'), status($runs);
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'the worker has waited as well';
    is wrote($runs), 'one two three', 'everything happened once';
    like $runs->{said}, qr/^hostler: run \w{6} goes back to the queue: .*cannot be reached/m, 'it said so' or diag $runs->{said};
    unlike $runs->{said}, qr/: failed$/m, 'no run has failed';
    is $runs->query("SELECT count(*) FROM runs WHERE error IS NOT NULL"), 0, 'in the journal neither';
};

done_testing;
