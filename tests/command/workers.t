#!/usr/bin/perl
# One store, eight workers and a queue of runs, while workers are killed; in PostgreSQL also stopped beyond their lease and
# continued, and the server is restarted. Every run ends once, no step is recorded twice, and what each step writes into a
# log shows that a worker which has lost its run does nothing more. RUNS=NUMBER sets how many runs, SEED=NUMBER the
# misfortunes. workers_file.t is the same with a journal that is a file.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;
use ThreeLines;
use Time::HiRes qw(sleep time);

if (!$ENV{POSTGRES_PORT} && ($ENV{RUNS_STORE} // '') ne 'file') {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

my $total = $ENV{RUNS} // 200;
my $seed = $ENV{SEED} // int rand 1e6;
my $shared = Runs::shared();
my ($lease, $workers, $most_seconds) = ($shared ? Runs::lease(2) : 0, 8, 900);
srand $seed;
note "SEED=$seed";

my $runs = Runs->new(book => $ThreeLines::book);
$runs->put('log', '');

# ---- the queue ----

# What is started in the folder, on its journal.
sub be_in_folder {
    chdir $runs->{folder};
    $ENV{XDG_STATE_HOME} = $runs->{state};
    @ENV{qw(HOSTLER_STORE PGPASSWORD)} = ($runs->{store}, $ENV{POSTGRES_PASSWORD}) if $shared;
}

$ENV{HOSTLER_LEASE} = 60; # none of them waits for its end
# Four at once.
for my $part (0 .. 3) {
    next if fork;
    for (my $number = $part; $number < $total; $number += 4) {
        my $pid = fork // die;
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            be_in_folder();
            exec Runs::binary(), 'run', '--queue', 'book', $number or POSIX::_exit(98);
        }
        waitpid $pid, 0;
        POSIX::_exit(1) if $?;
    }
    POSIX::_exit(0);
}
my $queued = 0;
while (wait > 0) { $queued += $? == 0 }
is $queued, 4, "$total runs are queued" or die "without them there is nothing to do\n";
$shared ? $ENV{HOSTLER_LEASE} = $lease : delete $ENV{HOSTLER_LEASE};

# ---- the workers ----

my %worker;

sub start_worker {
    my $pid = fork // die;
    if ($pid) {
        $worker{$pid} = 1;
        return;
    }
    be_in_folder();
    open STDIN,  '<',  '/dev/null' or POSIX::_exit(99);
    open STDOUT, '>>', 'worked'    or POSIX::_exit(99);
    open STDERR, '>>', 'errors'    or POSIX::_exit(99);
    exec Runs::binary(), 'worker' or POSIX::_exit(98);
}

sub reap {
    while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) { delete $worker{$pid} }
}

# Whether one of these processes has a run.
sub busy {
    my @pids = @_;
    my $holders = eval { $runs->query("SELECT holder FROM runs WHERE status = 'running'") } // '';
    return (grep { $holders =~ / $_ \d+$/m } @pids)[0];
}

# The process that works on a run for this worker, or one that makes ready for the next.
sub child_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/task/$pid/children" or return;
    my @children = split ' ', <$file> // '';
    return busy(@children) // $children[0];
}

my ($killed, $stopped, $restarted, %asleep, %woken) = (0, 0, 0);

# Whether a run has ended its process so often that once more may be once too often (crashes.t).
sub steady { return !eval { !$runs->query('SELECT count(*) FROM runs WHERE crashes > 2') } }

sub misfortune {
    my @pids = keys %worker;
    my $pid = $pids[ rand @pids ] or return;
    my $child = child_of($pid) or return;
    return if $asleep{$child} || steady();
    my $kind = rand;
    if ($kind < 0.2) {
        $killed += kill KILL => $child;
    } elsif ($kind < 0.4) {
        $killed += kill KILL => $pid, $child;
    } elsif ($kind < 0.55) {
        $killed += kill KILL => $pid;
    } elsif ($shared) { # on one machine a process that stands still is waited for
        kill STOP => $child or return;
        return kill CONT => $child if !busy($child); # it has just ended its run
        $asleep{$child} = time + $lease * (1.2 + rand 0.6);
        $stopped++;
    }
}

sub wake {
    my ($all) = @_;
    for my $pid (grep { $all || $asleep{$_} < time } keys %asleep) {
        kill CONT => $pid;
        $woken{$pid} = delete $asleep{$pid};
    }
}

sub count_done {
    my $count = eval { $runs->query("SELECT count(*) FROM runs WHERE status NOT IN ('queued', 'running')") };
    return $count // 0;
}

my $began = time;
my $done = 0;
while ($done < $total && time - $began < $most_seconds) {
    reap();
    start_worker() while keys %worker < $workers;
    misfortune() if keys %asleep < $workers / 2;
    wake();
    $done = count_done();
    if ($shared && $restarted < 2 && $done > $total * ($restarted + 1) / 3) {
        $restarted++;
        Runs::control_postgres('--mode=' . ($restarted == 1 ? 'fast' : 'immediate'), 'restart');
    }
    sleep 0.1;
}
wake(1);
note sprintf '%.0f s, %d kills, %d stops, %d restarts', time - $began, $killed, $stopped, $restarted;
is $done, $total, 'every run has ended';

kill TERM => keys %worker;
ok Runs::wait_for(sub { reap(); !%worker }), 'the workers end when they are told to';
kill KILL => keys %worker;
ok Runs::wait_for(sub { !grep { kill 0, $_ } keys %woken }), 'and so do their processes, also those that were stopped';

# ---- what came of it ----

each_step_once($runs, $total);
my $fenced = () = $runs->get('errors') =~ /^error: this run was taken over by another process/mg;
cmp_ok $fenced, '>', 0, "workers noticed that ($fenced)" if $shared && $total >= 100;

done_testing;
