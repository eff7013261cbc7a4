#!/usr/bin/perl
# Schedules under a real systemd, in droplets that serve as controllers: units that are written, edited by hand, brought
# up to date and taken away; a time at which the machine was off; two controllers with one PostgreSQL; a user's systemd.
use strict;
use warnings;
use Cloud;
use Clusters;
use Controllers;
use Droplets;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud = Cloud->connect;
my @controllers = map { new_controller($cloud, $_) } qw(controller-a controller-b);
my ($first, $second) = @controllers;
my $units = '/etc/systemd/system';
my $odd = 'once a day/50% $HOME';

sub row {
    my ($host, $name, @command) = @_;
    @command = @command ? @command : qw(hostler schedules --json);
    return (grep { $_->{name} eq $name } @{ on_as_json($host, @command) })[0];
}

put($_, '/etc/hostler/playbooks/greet.lua', <<'LUA') for @controllers;
return playbook {
    summary = "greets with what the environment and a secret say",
    params = { arg("whom", "string", "whom") },
    run = function(p) say("%s, %s", env("GREETING", "nothing"), p.whom); step("greet", function() secret "GREETER" end) end,
}
LUA

sub schedules {
    my ($host, $text) = @_;
    put($host, '/etc/hostler/playbooks/schedules.lua', "return schedules {\n$text\n}\n");
}

my $EVERY = 'every = { playbook = "greet", arguments = { "ada" }, on_calendar = "*:*:0/2 UTC", catch_up = true, overlap = "both" },';
my $ODD = qq(["$odd"] = { playbook = "greet", arguments = { "ada" }, on_calendar = "03:30 Europe/Berlin", catch_up = true },);

# ---- installing ----

schedules($first, "$EVERY\n$ODD");
is row($first, $odd)->{state}, 'not installed', 'a schedule that is not installed';
my @here = ('env', 'GREETING=good morning', 'GREETER=a-secret-greeter');
my $said = on($first, @here, qw(hostler schedules --install));
is $?, 0, 'schedules are installed' or diag $said;
like $said, qr/not for the units.*: GREETER\nput each into a file .*\/etc\/hostler\/credentials/, 'a secret is not put into units';
unlike on($first, 'sh', '-c', "cat $units/hostler-*"), qr/a-secret-greeter/, 'which everybody may read';
put($first, '/etc/hostler/credentials/GREETER', "a-secret-greeter\n");
is row($first, 'every', @here, qw(hostler schedules --json))->{state}, 'outdated', 'with a credential the units are another';
$said = on($first, @here, qw(hostler schedules --install));
unlike $said, qr/not for the units/, 'a credential is in its place';
like on($first, @here, qw(hostler schedules --install)), qr/^the units are as they should be$/m, 'a second time changes nothing';

my $escaped = on($first, 'systemd-escape', '--', $odd) =~ s/\n\z//r;
my $timer = "hostler-schedule\@$escaped.timer";
is on($first, 'systemctl', 'is-active', '--', $timer), "active\n", 'the timer has the name that systemd gives it, and is active';
is on($first, 'systemctl', 'is-enabled', '--', $timer), "enabled\n", 'and enabled';
is on($first, 'sh', '-c', "systemd-analyze verify $units/hostler-*"), '', 'systemd has nothing to say about the units';

sub done_runs { grep { $_->{status} eq 'done' } @{ on_as_json($_[0], qw(hostler runs --json --limit 500)) } }
eventually('three runs', sub { done_runs($first) >= 3 });
my ($run) = done_runs($first);
like on($first, qw(hostler log), $run->{id}), qr/good morning, ada/, 'they have the settings, the arguments, and the credential';
my $row = row($first, 'every', @here, qw(hostler schedules --json));
like $row->{last}{at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d[02468]Z$/, 'the last time is one of the calendar';
ok $row->{next} gt $row->{last}{at}, 'and the next one comes after it';
is $row->{state}, 'installed', 'and all is well';

# ---- edited by hand ----

my $service = "$units/hostler-schedule\@.service";
my $before = on($first, 'cat', $service);
put($first, $service, $before . "TimeoutStopSec=7\n");
on($first, 'mkdir', "$service.d");
put($first, "$service.d/ours.conf", "[Service]\nNice=5\n");
is row($first, 'every', @here, qw(hostler schedules --json))->{state}, 'edited', 'an edited unit is noticed';
schedules($first, "$EVERY\n$ODD" =~ s/"\*:\*:0\/2 UTC"/"*:0 UTC"/r);
for my $what ('--install', '--remove') {
    $said = on($first, @here, 'hostler', 'schedules', $what);
    isnt $?, 0, "$what refuses to touch it";
    like $said, qr/edited by hand.*\Q$service\E/, 'names it';
    like on($first, 'cat', $service), qr/TimeoutStopSec=7/, 'and leaves it';
}
$said = on($first, @here, qw(hostler schedules --install --force));
is $?, 0, 'unless that is asked for' or diag $said;
is on($first, 'cat', $service), $before, 'then it is as it was written';
like on($first, 'systemctl', 'cat', 'hostler-schedule@every.timer'), qr/^OnCalendar=\*-\*-\* \*:00:00 UTC$/m, 'the new times are taken up';
like on($first, 'systemctl', 'show', '-P', 'Nice', 'hostler-schedule@every.service'), qr/^5$/, 'a drop-in is left alone';
# systemd lets a timer elapse at once when one of its new times lies between its last elapse and now.
like on($first, qw(hostler schedules --fire=every)), qr/no run: it was before the schedule was installed/,
    'a time from before that is none of the schedule';

# ---- a time at which the machine is off ----

my $moment = int(time) + 8;
my $text = POSIX::strftime('%Y-%m-%d %H:%M:%S UTC', gmtime $moment);
schedules($first, qq(caught = { playbook = "greet", arguments = { "ada" }, on_calendar = "$text", catch_up = true },
    missed = { playbook = "greet", arguments = { "ada" }, on_calendar = "$text" },));
$said = on($first, @here, qw(hostler schedules --install));
is $?, 0, 'other schedules take the place of these' or diag $said;
ok !-e inside_path($first, "$units/$timer"), 'whose timers are gone';
$cloud->script('droplet', 'stop', '--now', $first->{id});
cmp_ok time, '<', $moment, 'the machine loses its power before the time' or diag 'too slow a machine to tell';
sleep 0.1 while time <= $moment;
$cloud->script('droplet', 'start', $first->{id});
eventually('the boot', sub { on($first, qw(systemctl is-system-running --wait)) =~ /running|degraded/ });
eventually('the run', sub { (row($first, 'caught')->{last} // {})->{status} eq 'done' });
is row($first, 'caught')->{last}{at}, POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $moment), 'a missed time is caught up, as that time';
is row($first, 'missed')->{last}, undef, 'unless it is not to be';
like on($first, qw(systemctl start hostler-schedule@caught.service)), qr/^$/, 'whoever starts its unit again';
like on($first, qw(journalctl --no-pager -o cat -n 5 -u hostler-schedule@caught.service)), qr/it has its run/, 'makes no second run';

# ---- two controllers ----

my $cluster = new_cluster($cloud, ($cloud->database_tokens)[1], 'pg-schedules', map { @$_{qw(public private)} } @controllers);
my $connection = $cluster->{connection};
my $store = "postgresql://$connection->{user}:$connection->{password}\@$connection->{host}:$connection->{port}/"
    . "$connection->{database}?sslmode=require";
like on($first, 'env', "HOSTLER_STORE=$store", @here[1 .. 2], qw(hostler schedules --install)), qr/not for the units.*HOSTLER_STORE/,
    'a password in the store\'s address is a secret, too';
unlike on($first, 'sh', '-c', "cat $units/hostler-*"), qr/\Q$connection->{password}\E/, 'and not in the units';
for my $host (@controllers) {
    put($host, '/etc/hostler/environment', "HOSTLER_STORE=$store\n");
    put($host, '/etc/hostler/credentials/GREETER', "a-secret-greeter\n");
    schedules($host, $EVERY);
}
on($second, qw(mkdir -p -m 0700 /var/lib/hostler));
system('cp', '-p', map { inside_path($_, '/var/lib/hostler/key') } $first, $second) == 0 or die 'cp failed';
for my $host (@controllers) {
    $said = on($host, @here, qw(hostler schedules --install));
    is $?, 0, "$host->{name} has the schedule" or diag $said;
}

sub ended { sql($cloud, $cluster, "SELECT count(*) FROM schedule_times t JOIN runs r ON r.id = t.run WHERE r.status = 'done'") }
eventually('the journal in the database', sub { sql($cloud, $cluster, "SELECT to_regclass('schedule_times') IS NOT NULL") eq 't' });
my $times = ended();
eventually('four more times', sub { ended() >= $times + 4 });
on($_, qw(systemctl stop hostler-schedule@every.timer)) for @controllers;
eventually('the end of what they called', sub { !grep { on($_, qw(systemctl is-active hostler-schedule@every.service)) =~ /^act/ } @controllers });
eventually('the end of all', sub { sql($cloud, $cluster, "SELECT count(*) FROM runs WHERE status <> 'done'") == 0 });
is sql($cloud, $cluster, 'SELECT count(*) FROM runs'), sql($cloud, $cluster, 'SELECT count(*) FROM schedule_times'), 'every time has one run';
is sql($cloud, $cluster, 'SELECT count(*) FROM schedule_times WHERE run IS NULL OR at % 2 <> 0'), 0, 'and is one of the calendar';
is sql($cloud, $cluster, 'SELECT max(at) - min(at) + 2 FROM schedule_times'), 2 * sql($cloud, $cluster, 'SELECT count(*) FROM schedule_times'),
    'none is left out';
my @logs = map { on($_, qw(journalctl --no-pager -o cat -u hostler-schedule@every.service)) } @controllers;
my @queued = map { scalar(() = /is queued$/mg) } @logs;
note "queued by the first: $queued[0], by the second: $queued[1]";
ok scalar(grep { /it has its run/ } @logs), 'whoever came second has seen that';

# ---- a user's systemd ----

my @ops = (new_person($first, 'ops'), 'GREETER=x');
$said = on($first, @ops, qw(hostler schedules --install));
is $?, 0, 'schedules in a user\'s systemd' or diag $said;
like $said, qr{^wrote /home/ops/\.config/systemd/user/hostler-schedule\@every\.timer$}m, 'whose units are the user\'s';
like $said, qr/ends when you log out: loginctl enable-linger/, 'who is told that they end with the session';
on($first, @ops, qw(mkdir -p /home/ops/.config/hostler/credentials));
put($first, '/home/ops/.config/hostler/credentials/GREETER', "x\n");
on($first, @ops, qw(hostler schedules --install));
eventually('a run of the user', sub { grep { $_->{status} eq 'done' } @{ on_as_json($first, @ops, qw(hostler runs --json)) } });
pass 'they run';
$said = on($first, @ops, qw(hostler schedules --remove));
is $?, 0, 'and are taken away' or diag $said;
is on($first, qw(find /home/ops/.config/systemd /home/ops/.local/share -name *hostler*)) =~ s/^find:.*\n//gmr, '', 'without a trace';

# ---- taking away ----

on($first, 'rm', '-r', "$service.d");
for my $host (@controllers) {
    $said = on($host, qw(hostler schedules --remove));
    is $?, 0, "$host->{name}: the units are taken away" or diag $said;
    is on($host, qw(find /etc/systemd /var/lib/systemd /run/systemd/system -name *hostler-*)), '', 'no file is left';
    is on($host, qw(systemctl list-units --all --no-legend --plain hostler-*.timer hostler-*.service)), '', 'and no unit';
    like on($host, qw(hostler schedules --remove)), qr/there were no units/, 'a second time there is nothing';
}
done_testing;
