#!/usr/bin/perl
# Deliveries over HTTP, each sent three times at once, while hostler serve, its processes, workers beside it and the
# database are killed at random and begun again; what is not answered with 2xx is sent again, as Typeform would. Each
# delivery makes one run, which goes through its steps once. Run by itself it does so on a journal that is a file and on
# one that is a database. DELIVERIES=NUMBER sets how many, CHAOS=all makes them ten thousand, SEED=NUMBER repeats the
# misfortunes.
use strict;
use warnings;
use lib 'tests/lib';
use BothStores;
use Deliveries;
use POSIX ();
use Runs;
use Serve;
use Test::More;
use ThreeLines;
use Time::HiRes qw(sleep time);

my $total = $ENV{DELIVERIES} // (($ENV{CHAOS} // '') eq 'all' ? 10_000 : 300);
my $seed = $ENV{SEED} // int rand 1e6;
my $shared = Runs::shared();
my $senders = 4;
srand $seed;
note "SEED=$seed";
$ENV{TOKEN} = 'the-token';
$ENV{HOSTLER_LEASE} = Runs::lease(2) if $shared;

my $runs = Runs->new(
    hook => 'return webhook { summary = "x", path = "hook", from = webhook.bearer(secret "TOKEN"),
        key = function(delivery) return delivery.json.id end,
        run = function(delivery) return "book", { delivery.json.id } end }',
    book => $ThreeLines::book,
);
$runs->put('log', '');
my $place = $runs->path('serve.sock');

# ---- who sends ----

my %headers = (authorization => 'Bearer the-token', 'content-type' => 'application/json');

# Sends one delivery three times at once, until each is answered with 2xx; the numbers that it was given.
sub send_one {
    my ($number) = @_;
    my $bytes = bytes_of(request('hook', qq({"id":$number}), \%headers));
    my ($left, %given) = (3);
    while ($left) {
        my @connections = grep { defined } map { dial($place) } 1 .. $left;
        send_bytes($_, $bytes) for @connections;
        for my $connection (@connections) {
            my $answer = answer_from($connection) or next;
            $left-- if $answer->{status} == 202 && ++$given{ $answer->{body}{delivery} };
        }
        sleep 0.05 if $left; # as long as nobody listens
    }
    return sort keys %given;
}

# A process that sends its part of them, and writes down what they were given.
sub start_sender {
    my ($part) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    open my $file, '>', $runs->path("given$part") or POSIX::_exit(1);
    for (my $number = 1 + $part; $number <= $total; $number += $senders) {
        print $file join(' ', $number, send_one($number)), "\n";
    }
    close $file;
    POSIX::_exit(0);
}

# ---- who is killed ----

my (%process, %killed, $restarts); # by process number: the words it was started with

sub start_one {
    my (@words) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid) {
        $process{$pid} = \@words;
        return;
    }
    chdir $runs->{folder};
    $ENV{XDG_STATE_HOME} = $runs->{state};
    @ENV{qw(HOSTLER_STORE PGPASSWORD)} = ($runs->{store}, $ENV{POSTGRES_PASSWORD}) if $shared;
    open STDIN,  '<',  '/dev/null' or POSIX::_exit(99);
    open STDOUT, '>>', 'worked'    or POSIX::_exit(99);
    open STDERR, '>>', 'errors'    or POSIX::_exit(99);
    exec Runs::binary(), @words or POSIX::_exit(98);
}

my %sender = map { start_sender($_) => 1 } 0 .. $senders - 1;

# Starts again what has ended.
sub reap {
    while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
        my $words = delete $process{$pid};
        start_one(@$words) if $words;
        $? == 0 or die "a sender failed\n" if delete $sender{$pid};
    }
}

sub children_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', <$file> // '';
}

# The server's processes are killed with it: the kernel has them all hold on to its memory.
sub kill_postgres {
    open my $file, '<', "$ENV{POSTGRES_SOCKET}/data/postmaster.pid" or die $!;
    chomp(my $pid = <$file>);
    my @all = ($pid, children_of($pid));
    kill KILL => @all;
    Runs::wait_for(sub { !grep { kill 0, $_ } @all }) or die "PostgreSQL cannot be killed\n";
    Runs::control_postgres('start');
    $restarts++;
}

sub misfortune {
    my @pids = grep { $killed{serve} || $process{$_}[0] eq 'serve' } sort { $a <=> $b } keys %process;
    my $pid = $pids[ rand @pids ];
    my @children = children_of($pid);
    my $kind = $killed{serve} ? rand : 1; # the server first
    if ($kind < 0.1 && $shared && ($restarts // 0) < 3) {
        kill_postgres();
    } elsif ($kind < 0.4 && @children) {
        $killed{'a process for runs'} += kill KILL => $children[ rand @children ];
    } elsif ($kind < 0.7) {
        $killed{ $process{$pid}[0] } += kill KILL => $pid, @children;
    } else {
        $killed{ $process{$pid}[0] } += kill KILL => $pid;
    }
}

start_one('serve', '--socket', $place, '--jobs', 2);
start_one('worker') for 1 .. 2;
my $count_done = sub { eval { $runs->query("SELECT count(*) FROM runs WHERE status NOT IN ('queued', 'running')") } // 0 };
my ($began, $done, $most_seconds) = (time, 0, 120 + $total * 0.6);
my $number = 0;
while ((%sender || $done < $total) && time - $began < $most_seconds) {
    reap();
    misfortune() if ++$number % 3 == 0; # else nothing would ever come to an end
    kill_postgres() if $shared && !$restarts && $done > $total / 3;
    $done = $count_done->();
    sleep 0.2;
}
note join ', ', sprintf('%.0f s', time - $began), map({ "$killed{$_} kills of $_" } sort keys %killed), $restarts ? "$restarts restarts" : ();
is_deeply [ keys %sender ], [], 'every delivery was answered';
is $done, $total, 'every run has ended';
cmp_ok $killed{serve}, '>', 0, 'the server was killed';
my %left = %process;
%process = ();
kill TERM => keys %left;
ok Runs::wait_for(sub { while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) { delete $left{$pid} } !%left }), 'all end when they are told to';
kill KILL => keys %left, keys %sender;
ok $runs->quiet, 'and nothing of them is left';

# ---- what came of it ----

my %given = map { my ($which, @ids) = split; ($which => \@ids) } map { split /\n/, $runs->get("given$_") } 0 .. $senders - 1;
is scalar(keys %given), $total, 'each delivery was given a number';
is_deeply [ grep { @{ $given{$_} } != 1 } sort keys %given ], [], 'always the same';
is $runs->query('SELECT count(*) FROM inbox'), $total, 'each is on record once';
is $runs->query('SELECT count(*) FROM runs'), $total, 'as many runs as deliveries';
is $runs->query('SELECT count(*) FROM runs WHERE id NOT IN (SELECT run FROM inbox)'), 0, 'no run belongs to none';
is $runs->query('SELECT count(DISTINCT arguments) FROM runs'), $total, 'each for its own';
each_step_once($runs, $total);

done_testing;
