#!/usr/bin/perl
# `hostler serve` under a real systemd, in a droplet that serves as a controller: installed, begun by its socket, begun
# anew while deliveries come, stopped, killed, frozen, upgraded, edited by hand, moved to another address, taken away.
use strict;
use warnings;
use Cloud;
use Controllers;
use Droplets;
use IO::Handle;
use POSIX ();
use Test::More;

my $cloud = Cloud->connect;
my $host = new_controller($cloud, 'controller-s');
my ($units, $service, $socket) = ('/etc/systemd/system', 'hostler-serve.service', 'hostler-serve.socket');

put($host, '/etc/hostler/playbooks/greet.lua', <<'LUA');
local sh = require "sh"
return playbook {
    summary = "greets, and goes on until the file /run/go is there",
    params = { arg("whom", "string", "whom") },
    run = function(p)
        step("first", { idempotent = true }, function() sh.run { "sh", "-c", "echo once >>/run/first-" .. p.whom } end)
        wait_until("/run/go", { timeout = 200, interval = 0.05 }, function()
            return sh.run({ "test", "-e", "/run/go" }, { read = true, check = false }).status == 0
        end)
        say("%s, %s", env("GREETING", "nothing"), p.whom)
    end,
}
LUA
put($host, '/etc/hostler/playbooks/greeting.lua', <<'LUA');
return webhook {
    summary = "Whom to greet", path = "greet", from = webhook.bearer(secret "GREETER"),
    key = function(delivery) return delivery.json.whom end,
    run = function(delivery) return "greet", { delivery.json.whom } end,
}
LUA

# Sends deliveries, each by a connection of its own: those named, or one after the other until the file /run/enough is
# there. Says how each was answered.
put($host, '/usr/local/bin/send', <<'PYTHON');
#!/usr/bin/python3
import http.client, json, os, socket, sys

class Connection(http.client.HTTPConnection):
    def connect(self):
        if sys.argv[1].startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(60)
            self.sock.connect(sys.argv[1])
        else:
            super().connect()

def send(whom):
    try:
        connection = Connection(sys.argv[1] if sys.argv[1][0] != "/" else "localhost", timeout=60)
        connection.request("POST", "/hooks/greet", json.dumps({"whom": whom}),
            {"Authorization": "Bearer a-secret-greeter", "Content-Type": "application/json", "Connection": "close"})
        print(whom, connection.getresponse().status, flush=True)
    except OSError as problem:
        print(whom, "refused:", problem, flush=True)

for name in sys.argv[3:]:
    send(name)
number = 0
while sys.argv[2] == "on" and not os.path.exists("/run/enough"):
    number += 1
    send("sender%s-%d" % (os.getpid(), number))
PYTHON
on($host, qw(chmod 755 /usr/local/bin/send));
my $path = '/run/hostler/serve.sock';

sub send_to { on($host, 'send', $_[0], 'once', @_[1 .. $#_]) }

sub state_of { on($host, 'systemctl', 'show', '-P', 'ActiveState', $_[0]) =~ s/\n//r }

sub pid { on($host, 'systemctl', 'show', '-P', 'MainPID', $service) =~ s/\n//r }

sub runs { @{ on_as_json($host, qw(hostler runs --json --limit 100000)) } }

sub run_of {
    my ($whom) = @_;
    return (grep { $_->{arguments}[-1] eq $whom } runs())[0] // {};
}

sub install { on($host, qw(env GREETING=hello GREETER=a-secret-greeter hostler serve --install), @_) }

sub go { on($host, 'touch', '/run/go') }

sub stay { on($host, 'rm', '-f', '/run/go') }

# ---- installing ----

my $said = install(qw(--group no-such-group));
is $? >> 8, 2, 'a group that there is not';
like $said, qr/--group: there is no group 'no-such-group'/, 'is said to be none';
is install(qw(--listen 127.0.0.1:0)) =~ /port 0 is any/, 1, 'an address has a port';
is on($host, 'find', $units, '-name', 'hostler-*'), '', 'nothing is written then';
$said = install(qw(--group www-data --jobs 3));
is $?, 0, 'it is installed' or diag $said;
like $said, qr{^wrote $units/$socket$}m, 'a socket';
like $said, qr{^wrote $units/$service$}m, 'and a service';
like $said, qr/not for the units.*: GREETER\nput each into a file .*\/etc\/hostler\/credentials/, 'a secret is not put into them';
put($host, '/etc/hostler/credentials/GREETER', "a-secret-greeter\n");
$said = install();
is $?, 0, 'with the credential' or diag $said;
unlike $said, qr/not for the units/, 'it is in its place';
is on($host, 'sh', '-c', "systemd-analyze verify $units/hostler-*"), '', 'systemd has nothing to say about them';
is on($host, 'stat', '-c', '%a %U:%G', $path), "660 root:www-data\n", 'without options they are as the last time: the group';
is on($host, 'stat', '-c', '%a', '/run/hostler'), "755\n", 'which can come there';
like on($host, 'systemctl', 'cat', $service), qr/ serve --jobs 3$/m, 'and the runs at once';
is on($host, 'systemctl', 'is-enabled', $service, $socket), "enabled\nenabled\n", 'enabled';
is state_of($service), 'active', 'and at work';

# ---- deliveries ----

stay();
on($host, 'systemctl', 'stop', $service);
is state_of($service), 'inactive', 'stopped by hand';
is state_of($socket), 'active', 'its socket is not';
is send_to($path, 'ada'), "ada 202\n", 'a delivery begins it';
is state_of($service), 'active', 'again';
go();
eventually('the run', sub { (run_of('ada')->{status} // '') eq 'done' });
like on($host, 'hostler', 'log', run_of('ada')->{id}), qr/hello, ada/, 'the run has the settings';

# What a command in it says, in the background: read from the handle, at its end.
sub beside {
    my (@command) = @_;
    my $pid = open(my $handle, '-|') // die "fork: $!";
    return $handle if $pid;
    print on($host, @command);
    STDOUT->flush;
    POSIX::_exit(0);
}

my @senders = map { beside('send', $path, 'on') } 1 .. 3;
my $before = pid();
for my $round (1 .. 3) {
    my $count = scalar runs();
    eventually('deliveries', sub { runs() >= $count + 10 });
    is on($host, 'systemctl', 'restart', $service), '', "restart $round, while deliveries come";
}
isnt pid(), $before, 'it is another process';
on($host, 'touch', '/run/enough');
my @answers = map { readline $_ } @senders;
chomp @answers;
cmp_ok scalar(@answers), '>', 30, scalar(@answers) . ' deliveries';
is_deeply [ grep { !/ 202$/ } @answers ], [], 'each was accepted, none refused';
eventually('their runs', sub { !grep { $_->{status} ne 'done' } runs() });
is scalar(runs()), @answers + 1, 'each has a run, which is done';

# ---- stopped, killed, frozen ----

stay();
is send_to($path, 'grace'), "grace 202\n", 'a run that goes on';
eventually('its step', sub { on($host, 'cat', '/run/first-grace') eq "once\n" });
on($host, 'systemctl', 'stop', $service);
is $?, 0, 'the service is stopped';
is on($host, 'systemctl', 'show', '-P', 'Result', $service), "success\n", 'gracefully';
like on($host, 'journalctl', '--no-pager', '-o', 'cat', '-n', 8, '-u', $service), qr/^ended$/m, 'which it says';
is run_of('grace')->{status}, 'queued', 'the run is in the queue again';
is on($host, 'systemctl', 'start', $service), '', 'the service is started';
eventually('the run', sub { run_of('grace')->{status} eq 'running' });
$before = pid();
on($host, 'systemctl', 'kill', '--kill-who=main', '-s', 'KILL', $service);
is send_to($path, 'edsger'), "edsger 202\n", 'its process is killed: senders do not meet a closed door';
eventually('another process', sub { pid() !~ /^(?:0|$before)$/ });
go();
eventually('both runs', sub { 2 == grep { $_ eq 'done' } map { run_of($_)->{status} } qw(grace edsger) });
is on($host, 'cat', '/run/first-grace'), "once\n", 'the run went on: what was done was not done again';

on($host, 'mkdir', "$units/$service.d");
put($host, "$units/$service.d/ours.conf", "[Service]\nWatchdogSec=3\n");
on($host, 'systemctl', 'daemon-reload');
on($host, 'systemctl', 'restart', $service);
$before = pid();
on($host, 'kill', '-STOP', $before);
eventually('the watchdog', sub { pid() !~ /^(?:0|$before)$/ });
is send_to($path, 'frozen'), "frozen 202\n", 'a process that hangs is replaced';
like on($host, 'systemctl', 'show', '-P', 'NRestarts', $service), qr/^[1-9]/, 'by systemd';
on($host, 'rm', '-r', "$units/$service.d");
on($host, 'systemctl', 'daemon-reload');

# ---- an upgrade, and hands ----

$before = pid();
on($host, 'sh', '-c', 'cp /usr/local/bin/hostler /usr/local/bin/new && mv /usr/local/bin/new /usr/local/bin/hostler');
like on($host, 'readlink', "/proc/$before/exe"), qr/deleted/, 'after an upgrade the old program serves';
$said = install();
like $said, qr/^the units are as they should be$/m, 'installed again, the units are the same';
isnt pid(), $before, 'and the process is another';
is on($host, 'readlink', '/proc/' . pid() . '/exe'), "/usr/local/bin/hostler\n", 'of the new program';

my $text = on($host, 'cat', "$units/$service");
put($host, "$units/$service", $text . "Nice=7\n");
for my $what ([ '--install', '--jobs', 1 ], ['--remove']) {
    $said = on($host, 'hostler', 'serve', @$what);
    isnt $?, 0, "edited by hand: $what->[0] refuses to touch it";
    like $said, qr/edited by hand.*\Q$units\/$service\E/, 'names it';
    is on($host, 'cat', "$units/$service"), $text . "Nice=7\n", 'and leaves it';
}
$said = install('--force');
is $?, 0, 'unless that is asked for' or diag $said;
is on($host, 'cat', "$units/$service"), $text, 'then it is as it was';

# ---- other units ----

put($host, '/etc/hostler/playbooks/schedules.lua', 'return schedules { yearly = { playbook = "greet", '
    . 'arguments = { "x" }, on_calendar = "yearly UTC" } }');
$said = on($host, qw(hostler schedules --install));
is $?, 0, 'a schedule beside it' or diag $said;
$before = pid();
is on($host, qw(hostler schedules --remove)) =~ /serve/, '', 'is taken away';
is on($host, 'cat', "$units/$service"), $text, 'and the service stays';
is pid(), $before, 'as it was';
on($host, qw(hostler schedules --install));

# ---- an address ----

$said = install('--listen', '127.0.0.1:8080,[::1]:8080');
is $?, 0, 'on addresses instead' or diag $said;
is on($host, 'test', '-e', $path) . $?, 256, 'the other socket is gone';
is send_to($_, $_), "$_ 202\n", $_ for '127.0.0.1:8080', '[::1]:8080';
my $thief = beside(qw(python3 -m http.server --bind 127.0.0.1 8081));
eventually('another server', sub { on($host, qw(ss -Hltn sport = :8081)) ne '' });
$said = install(qw(--listen 127.0.0.1:8081));
isnt $?, 0, 'an address that somebody else has';
like $said, qr/$socket does not start\. The last of its log:\n(?s:.*)Address already in use/, 'is said to be taken';
on($host, 'sh', '-c', 'kill $(ss -Hltnp sport = :8081 | grep -o "pid=[0-9]*" | cut -d= -f2)');
close $thief;
$said = install();
is $?, 0, 'once it is free it is taken' or diag $said;

put($host, '/etc/hostler/key.pem', 'no key');
$said = install(qw(--listen 127.0.0.1:8443 --certificate /etc/hostler/key.pem --key /etc/hostler/key.pem));
isnt $?, 0, 'a service that cannot start';
like $said, qr/$service does not start\. The last of its log:\n(?s:.*)key\.pem/, 'says why';
like $said, qr/hostler serve --remove/, 'and what to do';
on($host, 'sh', '-c', 'openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout /etc/hostler/key.pem -out /tmp/c'
    . ' && cat /tmp/c >>/etc/hostler/key.pem');
eventually('its next try', sub { state_of($service) eq 'active' });
pass 'once that is mended it starts by itself';

# ---- taken away ----

$said = on($host, qw(hostler serve --remove));
is $?, 0, 'it is taken away' or diag $said;
is on($host, 'find', '/etc/systemd', '/run/systemd/system', '/run/hostler', '-name', '*serve*', '-path', '*hostler*'), '', 'no file is left';
is on($host, qw(systemctl list-units --all --no-legend --plain hostler-serve.*)), '', 'and no unit';
is on($host, qw(pgrep -f), 'hostler serve'), '', 'and no process';
like on($host, qw(hostler serve --remove)), qr/there were no units/, 'a second time there is nothing';
is on($host, qw(systemctl is-active hostler-schedule@yearly.timer)), "active\n", 'the schedule stays';

# ---- a user's systemd ----

my @ops = (new_person($host, 'ops'), 'GREETER=x');
$said = on($host, @ops, qw(hostler serve --install));
is $?, 0, 'in a user\'s systemd' or diag $said;
like $said, qr{^wrote /home/ops/\.config/systemd/user/$socket$}m, 'the units are the user\'s';
like $said, qr{^serving on unix:/run/user/\d+/hostler/serve\.sock$}m, 'and the socket';
like $said, qr/the service with it, ends when you log out: loginctl enable-linger/, 'who is told that it ends with the session';
like send_to($said =~ /unix:(\S+)/, 'x'), qr/^x 503$/m, 'it answers: a secret is not set';
$said = on($host, @ops, qw(hostler serve --remove));
is $?, 0, 'and is taken away' or diag $said;
is on($host, qw(find /home/ops/.config/systemd -name hostler*)), '', 'without a trace';
done_testing;
