#!/usr/bin/perl
# Schedules on both stores: a time has one run, whoever says that it has come and how often; what becomes of one while
# the run before goes on; what is missed; and what is wrong with the file. A stand-in for systemctl says when a timer
# has elapsed, and writes down what it is told to start (tests/playbook/schedules.t has the real one).
use strict;
use warnings;
use lib 'tests/lib';
use File::Temp 'tempdir';
use JSON::PP ();
use POSIX ();
use Runs;
use Test::More;

exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0 unless $ENV{POSTGRES_PORT};

my $bin = tempdir(CLEANUP => 1);
open my $file, '>', "$bin/systemctl" or die $!;
print $file <<'SH';
#!/bin/sh
# Stands in for systemctl. What it knows of timers is in $SYSTEMCTL/timer.
case "$*" in
*--property=Version*) echo Version=252 ;;
*TimersCalendar*) cat "$SYSTEMCTL/timer" ;;
*--property=ActiveState*) echo active ;;
*" start "*) for unit; do :; done; echo "$unit" >>"$SYSTEMCTL/started" ;;
*) echo "the stand-in for systemctl does not know: $*" >&2; exit 1 ;;
esac
SH
close $file;
chmod 0755, "$bin/systemctl" or die $!;
$ENV{PATH} = "$bin:$ENV{PATH}";

my $BOOK = <<'LUA';
return playbook {
    summary = "goes on until the file `go` is there",
    params = { arg("name", "string", "whose") },
    run = function(p)
        local sh = require "sh"
        local function goes() return sh.run({ "test", "-e", "go" }, { read = true, check = false }).status == 0 end
        wait_until("the file go", { timeout = 100, interval = 0.05 }, goes)
        say("done for " .. p.name)
    end,
}
LUA
my $FIRST = int(time / 3600) * 3600 - 7200;

sub moment { POSIX::strftime('%a %Y-%m-%d %H:%M:%S UTC', gmtime shift) }
sub iso { POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime shift) }

# Playbooks with this schedule, and a timer that has not elapsed.
sub schedule {
    my ($fields, $book) = @_;
    my $runs = Runs->new(book => $book // $BOOK, schedules => <<"LUA");
return schedules { ["every minute"] = { playbook = "book", arguments = { "ada" }, on_calendar = "*:* UTC", $fields } }
LUA
    $runs->put('started', '');
    elapsed($runs);
    return $runs;
}

sub elapsed {
    my ($runs, $at) = @_;
    $ENV{SYSTEMCTL} = $runs->{folder};
    $runs->put('timer', "LoadState=loaded\nActiveState=active\n"
        . "TimersCalendar={ OnCalendar=*-*-* *:*:00 UTC ; next_elapse=n/a }\nLastTriggerUSec=" . ($at ? moment($at) : '') . "\n");
}

# Says that the timer has elapsed then.
sub fire {
    my ($runs, $at) = @_;
    elapsed($runs, $at);
    return $runs->hostler('schedules', '--fire=every minute');
}

sub record_of { $_[0]->query('SELECT at, run, skipped FROM schedule_times ORDER BY at') }

sub count { $_[0]->query('SELECT count(*) FROM runs') }

sub run_at {
    my ($runs, $at) = @_;
    return $runs->query("SELECT run FROM schedule_times WHERE at = $at");
}

sub status_of {
    my ($runs, $id) = @_;
    return $runs->query("SELECT status FROM runs WHERE id = '$id'");
}

# Begins a run as its unit does, in a folder for its output, and waits until it goes on.
sub work {
    my ($runs, $other, $id) = @_;
    my $pid = $other->start('schedules', "--work=$id");
    ok Runs::wait_for(sub { status_of($runs, $id) eq 'running' }), 'the run goes on' or diag $other->get('stderr');
    return $pid;
}

sub at_once {
    my $runs = schedule('');
    elapsed($runs, $FIRST + 3);
    my @others = map { $runs->beside } 1 .. 6;
    my @pids = map { $_->start('schedules', '--fire=every minute') } @others;
    my @ended = map { $others[$_]->finish($pids[$_]) } 0 .. 5;
    is_deeply \@ended, [ (0) x 6 ], 'six say at once that a time has come' or diag map { $_->{said} } @others;
    is count($runs), 1, 'it has one run';
    my $id = $runs->query('SELECT id FROM runs');
    is record_of($runs), "$FIRST|$id|", 'which is recorded with it';
    is status_of($runs, $id), 'queued', 'and queued';
    is_deeply [ grep { !/^hostler-scheduled-run\@$id\.service$/ } split /\n/, $runs->get('started') ], [], 'its unit is started';
    is scalar(grep { $_->{said} =~ /run $id is queued/ } @others), 1, 'one of them has queued it';

    is fire($runs, $FIRST + 40), 0, 'said again later';
    like $runs->{said}, qr/^every minute, \Q${\iso($FIRST)}\E: it has its run, $id$/m, 'it is the same time';
    is count($runs), 1, 'and has its run';

    $_->put('go', '') for @others; # one of these is the run's folder
    is $runs->hostler('schedules', "--work=$id"), 0, 'its unit goes through it' or diag $runs->{said};
    like $runs->{said}, qr/done for ada/, 'with its arguments';
    is status_of($runs, $id), 'done', 'to its end';
    is $runs->hostler('schedules', "--work=$id"), 0, 'a second unit';
    like $runs->{said}, qr/no longer in the queue/, 'leaves it alone';
    is fire($runs, $FIRST + 61), 0, 'the next time';
    is count($runs), 2, 'has a run of its own';
}

sub overlapping {
    my $runs = schedule('overlap = "skip"');
    fire($runs, $FIRST);
    my $first = run_at($runs, $FIRST);
    is fire($runs, $FIRST + 60), 0, 'skip: a time comes while the run before is queued';
    like record_of($runs), qr/^${\($FIRST + 60)}\|\|the run before had not ended$/m, 'it is recorded as left out';
    my $pid = work($runs, $runs->beside, $first);
    fire($runs, $FIRST + 120);
    like record_of($runs), qr/^${\($FIRST + 120)}\|\|the run/m, 'so is one while it goes on';
    kill KILL => $pid;
    waitpid $pid, 0;
    $runs->query("UPDATE runs SET lease = 0 WHERE id = '$first'") if $runs->{store};
    is fire($runs, $FIRST + 180), 0, 'its process is killed';
    isnt run_at($runs, $FIRST + 180), '', 'it does not stand in the way of the next time';
    is $runs->hostler('schedules', '--json'), 0, 'the list';
    my $row = JSON::PP::decode_json($runs->{stdout})->[0];
    is $row->{last}{at}, iso($FIRST + 180), 'has the last time';
    is $row->{last}{status}, 'queued', 'and what became of it';

    $runs = schedule('overlap = "both"');
    fire($runs, $FIRST + $_ * 60) for 0 .. 2;
    is count($runs), 3, 'both: each time has a run';
    $runs->put('go', '');
    is $runs->hostler('schedules', '--work=' . run_at($runs, $FIRST + 60)), 0, 'which waits for none';
}

sub waiting {
    my $runs = schedule('overlap = "wait"');
    fire($runs, $FIRST);
    fire($runs, $FIRST + 60);
    fire($runs, $FIRST + 120);
    my ($first, $second) = map { run_at($runs, $FIRST + $_) } 0, 60;
    like record_of($runs), qr/^${\($FIRST + 120)}\|\|one waits already/m, 'wait: one waits, and no second one';
    is $runs->hostler('schedules', "--work=$second"), 4, 'it does not begin before the one before';
    like $runs->{said}, qr/waits for the end of run $first/, 'and says so';
    my $other = $runs->beside;
    my $pid = work($runs, $other, $first);
    is $runs->hostler('schedules', "--work=$second"), 4, 'nor while that goes on';
    isnt $runs->hostler('resume', $second), 0, 'nor when a person resumes it';
    like $runs->{said}, qr/run $first has not ended, and 'schedule:every minute' is done by one run after the other/, 'who is told';
    $runs->put('go', '');
    is $other->finish($pid), 0, 'the one before ends';
    is $runs->hostler('resume', $second), 0, 'then it begins' or diag $runs->{said};

    fire($runs, $FIRST + 180);
    my $third = run_at($runs, $FIRST + 180);
    unlink $runs->path('go');
    $pid = work($runs, $other, $third);
    kill TERM => $pid;
    isnt $other->finish($pid), 0, 'a run whose unit is stopped';
    is status_of($runs, $third), 'queued', 'goes back to the queue';
    fire($runs, $FIRST + 200);
    like $runs->get('started'), qr/\@$third\.service\n\z/, 'from where the next call starts it again';
}

sub missed {
    my $runs = schedule('');
    is $runs->hostler('schedules', '--fire=every minute'), 2, 'a timer that has not elapsed';
    like $runs->{said}, qr/has not elapsed yet/, 'is said to have not';
    is $runs->hostler('schedules', '--fire=every minuet'), 2, 'a schedule that there is not';
    like $runs->{said}, qr/did you mean 'every minute'/, 'is perhaps another';
    my $daily = "TimersCalendar={ OnCalendar=*-*-* 00:00:00 UTC ; next_elapse=n/a }\n";
    my $midnight = int($FIRST / 86400) * 86400;
    $runs->put('timer', "LoadState=loaded\n${daily}LastTriggerUSec=${\moment($midnight + 3000)}\n");
    is $runs->hostler('schedules', '--fire=every minute'), 0, 'a timer that elapsed much too late';
    is record_of($runs), "$midnight||missed by 50m 00s, and catch_up is off", 'the time is left out';
    my $late = schedule('catch_up = true');
    $late->put('timer', "LoadState=loaded\n${daily}LastTriggerUSec=${\moment($midnight + 3000)}\n");
    $late->hostler('schedules', '--fire=every minute');
    like record_of($late), qr/^$midnight\|\w{6}\|$/, 'unless it is to be caught up';
    is $runs->hostler('runs', '--prune', '0s'), 0, 'when old runs are forgotten';
    is record_of($runs), '', 'so are times without one';
    return if !$runs->{store};
    is fire($runs, $FIRST + 86400), 2, 'a clock that is a day ahead of the store';
    like $runs->{said}, qr/has not come by the clock of the store.*\n.*this machine's clock is ahead/, 'uses up no time';
    is record_of($runs), '', 'and records none';
    local $runs->{store} = $runs->{store} =~ s/:$ENV{POSTGRES_PORT}/:1/r;
    is fire($runs, $FIRST + 60), 1, 'a store that is away is no mistake in the schedule: the unit tries again';
}

sub half_way {
    my $runs = schedule('overlap = "both"', <<'LUA');
local sh = require "sh"
return playbook { summary = "stops half-way", once = true, params = { arg("name", "string", "whose") }, run = function()
    step("first", function() sh.run { "true" } end)
    fail "stopped"
end }
LUA
    fire($runs, $FIRST);
    is $runs->hostler('schedules', '--work=' . run_at($runs, $FIRST)), 1, 'once: a run fails half-way';
    is fire($runs, $FIRST + 60), 0, 'the next time';
    like record_of($runs), qr/^${\($FIRST + 60)}\|\|run \w{6} began this and stopped half-way/m, 'is left out, and says why';

    $runs->put('playbooks/book.lua', 'return playbook {');
    is fire($runs, $FIRST + 120), 2, 'a playbook that does not load';
    unlike record_of($runs), qr/^${\($FIRST + 120)}/m, 'uses up no time: another machine may do it';
}

sub by_workers {
    my $runs = schedule('overlap = "wait"');
    $runs->put('go', '');
    fire($runs, $FIRST + $_ * 60) for 0 .. 1;
    is $runs->hostler('worker', '--once'), 0, 'a worker takes runs of schedules' or diag $runs->{said};
    is $runs->query("SELECT count(*) FROM runs WHERE status = 'done'"), 2, 'one after the other';
}

sub by_two_workers {
    my $runs = schedule('overlap = "wait"');
    fire($runs, $FIRST + $_ * 60) for 0 .. 1;
    my $second = run_at($runs, $FIRST + 60);
    $runs->hostler('run', '--queue', 'book', 'bob');
    my $worker = $runs->start('worker', '--jobs', 2);
    ok Runs::wait_for(sub { $runs->query("SELECT count(*) FROM events WHERE type = 'wait'") >= 2 }), 'a worker for two is at two runs';
    is $runs->query("SELECT count(*) FROM events WHERE run = '$second'"), 0, 'the second of the schedule does not begin beside its first';
    $runs->put('go', '');
    ok Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status = 'done'") eq '3' }), 'but after it';
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'the worker ends';
}

for my $store ('', 'postgresql') {
    subtest $store || 'a file' => sub {
        local $ENV{RUNS_STORE} = $store;
        subtest 'at once' => \&at_once;
        subtest overlapping => \&overlapping;
        subtest waiting => \&waiting;
        subtest missed => \&missed;
        subtest 'half-way' => \&half_way;
        subtest workers => \&by_workers;
        subtest 'two workers' => \&by_two_workers;
    };
}

# ---- what is wrong with the file ----

for (
    [ 'return {}', 'does not return schedules' ],
    [ 'return schedules "x"', 'schedules takes a table' ],
    [ 'return schedules { { playbook = "book" } }', 'given by its name' ],
    [ 'return schedules { ["a\nb"] = {} }', 'without control characters' ],
    [ 'return schedules { x = "book" }', 'is a table of its fields' ],
    [ 'return schedules { x = { playbok = "book" } }', "field 'playbok'(?s:.*)did you mean 'playbook'" ],
    [ 'return schedules { x = { playbook = "book" } }', "the schedule 'x' lacks 'on_calendar'" ],
    [ 'return schedules { x = { playbook = 1, on_calendar = "daily UTC" } }', "'playbook' must be a string" ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "daily UTC", arguments = { 1 } } }', 'list of texts' ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "daily UTC", overlap = "no" } }', '"skip", "wait" or "both"' ],
    [ 'return schedules { x = { playbook = "boook", on_calendar = "daily UTC" } }', "the schedule 'x': there is no playbook 'boook'" ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "daily UTC" } }', "the schedule 'x': NAME is missing" ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "daily UTC", arguments = { "ada", "--debug" } } }', '--debug is not for a run' ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "dayly UTC", arguments = { "ada" } } }', 'no calendar text' ],
    [ 'return schedules { x = { playbook = "book", on_calendar = "daily", arguments = { "ada" } } }', 'whose clocks' ],
    [ 'return schedules {', 'schedules.lua' ],
) {
    my ($source, $said) = @$_;
    my $runs = Runs->new(book => $BOOK, schedules => $source);
    is $runs->hostler('schedules', '--install'), 2, "$source is refused";
    like $runs->{said}, qr/$said/, 'and why is said';
}

my $runs = Runs->new(book => $BOOK);
is $runs->hostler('schedules', '--install', '--remove'), 2, 'two things at once';
is $runs->hostler('schedules', '--force'), 2, 'force of nothing';
is $runs->hostler('check', 'schedules'), 0, 'the checker knows the file';
done_testing;
