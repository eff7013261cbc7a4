#!/usr/bin/perl
# A run that is killed while its command goes on: a local command ends with it; one on a host is found by the run that goes
# on, which waits for its end instead of running it a second time beside the first.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

exec 'tests/lib/with-sshd', 'tests/lib/with-postgres', $^X, '-Itests/lib', $0 unless $ENV{SSHD};

# One more user, whose shell is no sh.
open my $passwd, '>>', "$ENV{SSHD}/etc/passwd" or die $!;
print $passwd "csh:x:60041:60041::/tmp:/bin/bsd-csh\n";
close $passwd;
open my $shadow, '>>', "$ENV{SSHD}/etc/shadow" or die $!;
print $shadow "csh:*:19000::::::\n";
close $shadow;

sub read_file {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# Whether a process is there, and no zombie.
sub alive {
    my ($pid) = @_;
    open my $stat, '<', "/proc/$pid/stat" or return 0;
    return <$stat> !~ /\) Z/;
}

sub children {
    my ($pid) = @_;
    open my $list, '<', "/proc/$pid/task/$pid/children" or die $!;
    return map { ($_, children($_)) } split ' ', <$list> // '';
}

# Local commands in every shape, and daemons that a command before them has left.
sub local_commands {
    return Runs->new(book => <<'LUA');
local sh = require "sh"
return playbook { summary = "commands with children, and some in the background", run = function()
    step("daemons", function()
        sh.run { "sh", "-c", 'sleep 600 </dev/null >/dev/null 2>&1 & echo $! >>daemons' }
        sh.run { "setsid", "--fork", "sh", "-c", 'echo $$ >>daemons; exec sleep 600 </dev/null >/dev/null 2>&1' }
    end)
    step("long", function()
        parallel {
            function() sh.run { "sh", "-c", 'sleep 600 & echo $$ $! >>pids; trap "" TERM INT HUP; wait; wait; sleep 600' } end,
            function() sh.run({ "sh", "-c", 'echo $$ >>pids; exec sleep 600' }, { read = true }) end,
            function() sh.run { "sh", "-c", 'setsid sh -c "echo \\$\\$ >>pids; exec sleep 600" & wait' } end,
            function() sh.run { "setsid", "--fork", "env", "-i", "sh", "-c", 'echo $$ >>pids; exec sleep 600' } end,
            function() sh.run { "sh", "-c", 'setsid --fork sh -c "echo \\$\\$ >>pids; exec sleep 600 >/dev/null 2>&1"; sleep 600' } end,
        }
    end)
end }
LUA
}

subtest 'local commands end with their run' => sub {
    my $runs = local_commands();
    for my $signals ([ 'KILL' ], [ 'INT', 'INT' ]) {
        $runs->put($_, '') for 'pids', 'daemons';
        my $pid = $runs->start('run', 'book');
        ok Runs::wait_for(sub { (() = $runs->get('pids') =~ /\n/g) == 5 }), 'the commands go on' or diag $runs->get('stderr');
        my @pids = split ' ', $runs->get('pids');
        is scalar(@pids), 6, 'with their children';
        kill $_ => $pid for @$signals;
        $runs->finish($pid);
        ok Runs::wait_for(sub { !grep { alive($_) } @pids }), "after SIG@$signals they are gone" or diag "@pids";
        my @daemons = split ' ', $runs->get('daemons');
        is scalar(grep { alive($_) } @daemons), 2, 'what commands have left that had ended is not';
        kill KILL => @daemons;
        ok $runs->quiet, 'and nothing else is left';
    }
};

subtest 'a guardian that is killed' => sub {
    my $runs = local_commands();
    $runs->put($_, '') for 'pids', 'daemons';
    my $pid = $runs->start('run', 'book');
    ok Runs::wait_for(sub { (() = $runs->get('pids') =~ /\n/g) == 5 }), 'the commands go on' or diag $runs->get('stderr');
    my ($shell, $child) = $runs->get('pids') =~ /^(\d+) (\d+)$/m;
    my ($guardian) = read_file("/proc/$shell/stat") =~ /\) \S+ (\d+)/;
    like read_file("/proc/$guardian/comm"), qr/^hostler guardia/, 'have guardians';
    kill KILL => $guardian;
    ok Runs::wait_for(sub { !alive($shell) && !alive($child) }), 'the program ends with its own, and what it began';
    is $runs->finish($pid), 1, 'and so does the run';
    like $runs->{said}, qr/was ended by SIGKILL/, 'which says so';
    kill KILL => split ' ', $runs->get('daemons');
    ok $runs->quiet, 'and nothing is left';
};

# A step whose command goes on for a while, and whose probe is right.
sub long {
    my ($host, $command, %more) = @_;
    my $options = $more{options} // 'probe = probe';
    return Runs->new(book => <<"LUA");
local ssh = require "ssh"
return playbook { summary = "a command that takes a while", run = function()
    local log = env "LOG"
    local host = ssh.connect("$host", { known_hosts = env "SSHD" .. "/known_hosts", identity = env "SSHD" .. "/id_ed25519" })
    local function probe()
        return host:run({ "grep", "-q", "done", log }, { read = true, check = false }).status == 0 and "found" or nil
    end
    @{[ $more{before} // '' ]}
    say("got %s", step("long", { $options }, function() $command return "made" end))
end }
LUA
}

my $script = 'echo begun >>"$1"; until [ -e "$1.go" ]; do sleep 0.1; done; echo done >>"$1"';
my $log = 0;

# Kills the run in the midst of its command and resumes it at once; the command ends a moment later.
sub killed_and_resumed {
    my ($name, $runs, %more) = @_;
    $ENV{LOG} = "$ENV{SSHD}/small/log" . ++$log;
    open my $file, '>', $ENV{LOG} or die $!;
    chmod 0666, $ENV{LOG};
    my $begun = sub { open my $read, '<', $ENV{LOG} or die $!; return scalar grep { /begun/ } <$read> };
    my $pid = $runs->start('run', 'book');
    ok Runs::wait_for($begun), "$name: begins" or diag $runs->get('stderr');
    kill KILL => $pid;
    is $runs->finish($pid), -9, 'killed';
    $more{meanwhile}->() if $more{meanwhile};
    $pid = $runs->start($more{verb} // 'resume', 'last');
    ok Runs::wait_for(sub { ($runs->get('stdout') . $runs->get('stderr')) =~ /still runs/ || $begun->() > 1 }), 'found'
        or diag $runs->get('stdout') . $runs->get('stderr');
    open my $go, '>', "$ENV{LOG}.go" or die $!;
    my $status = $runs->finish($pid);
    is $begun->(), $more{begun} // 1, 'the command was begun once';
    return $status;
}

my $run = 'host:run { "sh", "-c", [['  . $script . ']], "sh", log }';
my $sh = 'host:sh([[' . $script . ']], { args = { log } })';
for my $case (
    [ 'root', 'root@127.0.0.1', $run ], [ 'a script', 'root@127.0.0.1', $sh ],
    [ 'another user than root', 'tester@127.0.0.1', $run ], [ 'their script', 'tester@web1', $sh ],
    [ 'as another user', 'root@127.0.0.1', $run =~ s/host:/host:as "tester":/r ],
    [ 'as another user by sudo', 'tester@127.0.0.1', $sh =~ s/host:/host:as "other":/r ],
    [ 'sudo itself', 'tester@127.0.0.1', $run =~ s/"sh",/"sudo", "-n", "-u", "other", "sh",/r ],
    [ 'sudo, and not as the first word', 'tester@127.0.0.1', $run =~ s/"sh",/"env", "LC_ALL=C", "sudo", "-n", "-u", "other", "sh",/r ],
    [ 'a csh', 'csh@127.0.0.1', $run ],
    [ 'env -i', 'tester@127.0.0.1', $run =~ s/"sh",/"env", "-i", "sh",/r ],
    [ 'another environment', 'root@127.0.0.1', $run =~ s/"sh",/"setpriv", "--reset-env", "sh",/r ],
    [ 'a session of its own', 'root@127.0.0.1', $run =~ s/"sh",/"setsid", "sh",/r ],
    [ 'which forks', 'tester@127.0.0.1', $run =~ s/"sh",/"setsid", "--fork", "sh",/r ],
    [ 'which forks, as another user', 'tester@127.0.0.1', $run =~ s/host:run/host:as("other"):run/r =~ s/"sh",/"setsid", "--fork", "sh",/r ],
    [ 'a title over the environment', 'root@127.0.0.1', 'host:run { "perl", "-e", [[$0 = "x" x 9999; ' .
        'sub note { open my $f, ">>", $ARGV[0] or die; print $f @_ } note "begun\n"; ' .
        'select undef, undef, undef, 0.1 until -e "$ARGV[0].go"; note "done\n"]], log }' ],
    [ 'a script that becomes another program', 'root@127.0.0.1',
        $sh =~ s/\[\[(.*)\]\]/[[exec env -i sh -c '$1' sh "\$1"]]/r ],
    [ 'with environment and directory', 'root@127.0.0.1', $run =~ s/ \{(.*)\}/({$1}, { env = { A = "b" }, cwd = "\/tmp" })/r ],
) {
    my ($name, $host, $command) = @$case;
    my $runs = long($host, $command);
    is killed_and_resumed($name, $runs), 0, 'it goes on' or diag $runs->{said};
    like $runs->{stdout}, qr/got found/, 'with what the probe finds when it has ended';
}

# What the log says of begins and ends.
sub logged {
    open my $read, '<', $ENV{LOG} or die $!;
    return join ' ', map { s/\n//r } <$read>;
}

my $runs = long('root@127.0.0.1', $run, options => 'idempotent = true');
is killed_and_resumed('idempotent', $runs, begun => 2), 0, 'goes on';
is logged(), 'begun done begun done', 'again, when the first has ended';

$runs = long('root@127.0.0.1', $run, options => 'undo = function() end');
is killed_and_resumed('nobody can tell', $runs), 3, 'a person is asked';
like $runs->{said}, qr/may or may not have happened: sh -c/, 'whether it happened';

$runs = long('root@127.0.0.1', $run, options => 'undo = function() end', before => 'say("before")');
is killed_and_resumed('undone at once', $runs, verb => 'undo'), 0, 'undo waits as well' or diag $runs->{said};
like $runs->{said}, qr/perhaps done: look for yourself: book\/long/, 'and tells';

$runs = long('root@127.0.0.1', 'host:run({ "sh", "-c", "echo begun >>$1; exec sleep 600", "sh", log }, { timeout = 0.3 })',
    options => 'probe = probe, retry = { times = 3, backoff = 0.1 }');
$ENV{LOG} = "$ENV{SSHD}/small/again";
is $runs->hostler('run', 'book'), 1, 'a command that takes too long is not begun beside itself by another try';
like $runs->{said}, qr/begun by the try before, still runs \(process \d+\)/, 'which is told';
is logged(), 'begun', 'it was begun once';
my ($process) = $runs->{said} =~ /\(process (\d+)\)/;
kill KILL => $process;
open my $write, '>>', $ENV{LOG} or die $!;
print $write "done\n";
close $write;
is $runs->hostler('resume', 'last'), 0, 'and when a person has ended it, the run goes on' or diag $runs->{said};

subtest 'a worker whose lease is over' => sub {
    local $ENV{RUNS_STORE} = 'postgresql';
    local $ENV{HOSTLER_LEASE} = Runs::lease(2);
    my $here = long('root@127.0.0.1', $run);
    my $other = $here->beside;
    $ENV{LOG} = "$ENV{SSHD}/small/worker";
    is $here->hostler('run', '--queue', 'book'), 0, 'a run in the queue' or diag $here->{said};
    my $worker = $here->start('worker');
    ok Runs::wait_for(sub { -e $ENV{LOG} }), 'is begun by a worker' or diag $here->get('stderr');
    my @stopped = ($worker, children($worker));
    kill STOP => @stopped;
    my $second = $other->start('worker');
    ok Runs::wait_for(sub { $here->query("SELECT count(*) FROM effects WHERE summary LIKE 'look for a command%'") > 0 }),
        'which is stopped beyond its lease; another takes the run over';
    open my $go, '>', "$ENV{LOG}.go" or die $!;
    ok Runs::wait_for(sub { $here->query('SELECT status FROM runs') eq 'done' }), 'and comes to its end'
        or diag $other->get('stderr') . $here->query('SELECT error FROM runs');
    is logged(), 'begun done', 'its command was begun once';
    kill CONT => @stopped;
    kill TERM => $worker, $second;
    $_->[0]->finish($_->[1]) for [ $here, $worker ], [ $other, $second ];
    is logged(), 'begun done', 'also when the first goes on';
};

# What a command left in the background on purpose is not the command.
for my $daemon ('sleep 601 >/dev/null 2>&1 &', 'setsid sleep 602 </dev/null >/dev/null 2>&1 &',
    '{ setsid sleep 603 | cat; } >/dev/null 2>&1 &')
{
    $runs = long('root@127.0.0.1', $run =~ s/\[\[/[[$daemon /r);
    is killed_and_resumed("with $daemon", $runs), 0, 'goes on when the command has ended' or diag $runs->{said};
    like $runs->{stdout}, qr/got found/, 'and its daemon has not';
}

# What a command's parents hand on, in the user's shell and in one of another kind.
$runs = Runs->new(book => <<'LUA');
local ssh = require "ssh"
return playbook { summary = "ends", params = { arg("host", "string", "where") }, run = function(p)
    local host = ssh.connect(p.host, { known_hosts = env "SSHD" .. "/known_hosts", identity = env "SSHD" .. "/id_ed25519" })
    step("ends", function()
        for _, script in ipairs { "exit 7", "exit 137", "exit 143", "kill -KILL $$", "kill -TERM $$", "kill -SEGV $$", "kill 0",
            "trap 'exit 5' TERM; kill 0; sleep 60", "kill -INT $$" } do
            for name, call in pairs { run = function(options) return host:run({ "sh", "-c", script }, options) end,
                sh = function(options) return host:sh(script, options) end } do
                local result = call { check = false }
                say("%s %s: %d %s <%s>", name, script, result.status, result.signal or "-", result.stderr)
            end
        end
        say("printf <%s>", host:run({ "printf", "%s|", "a\nb", "'", "" }).stdout:gsub("\n", "N"))
        say("stdin %d", #host:run({ "cat" }, { stdin = ("x"):rep(300000) }).stdout)
        say("script %s", host:sh("echo $1 $A; cat", { args = { "one" }, env = { A = "two" }, stdin = "three" }).stdout:gsub("\n", " "))
        say("none %s", select(2, host:try { "no-such-program" }).status)
        say("odd %s", select(2, host:try { "sh", "-c", "exit 139" }).hint)
        say("as %s", host:as("other"):run({ "sh", "-c", "echo $(id -un) $HOME; exit 3" }, { check = false }).status)
        say("descriptors %s", host:run({ "ls", "/proc/self/fd" }).stdout:gsub("\n", " "))
        local ignored = { "grep", "SigIgn", "/proc/self/status" }
        say("ignored %s", host:run(ignored).stdout == host:run(ignored, { read = true }).stdout and "as always" or "more")
    end)
end }
LUA
for my $host ('tester@127.0.0.1', 'csh@127.0.0.1', 'root@127.0.0.1') {
    is $runs->hostler('run', 'book', $host), 0, "how commands of $host end" or diag $runs->{said};
    for my $case ([ 'exit 7', '7 -' ], [ 'exit 137', '137 -' ], [ 'exit 143', '143 -' ], [ 'kill -KILL $$', '0 KILL' ],
        [ 'kill -TERM $$', '0 TERM' ], [ 'kill -SEGV $$', '0 SEGV' ], [ 'kill 0', '0 TERM' ],
        [ "trap 'exit 5' TERM; kill 0; sleep 60", '5 -' ], [ 'kill -INT $$', '130 -' ])
    {
        like $runs->{stdout}, qr/\b$_ \Q$case->[0]: $case->[1] <>\E/, "$_ $case->[0]" for 'run', 'sh';
    }
    like $runs->{stdout}, qr/printf <aNb\|'\|\|>/, 'a program, not what sh has built in';
    like $runs->{stdout}, qr/stdin 300000\b.*script one two three\b.*none 127\b.*odd a shell says 139 of a program that signal 11/s,
        'what goes in and comes out';
    next if $host =~ /csh/; # who may not use sudo
    like $runs->{stdout}, qr/as 3\b.*descriptors 0 1 2 3 *\n.*ignored as always\b/s, 'what it inherits';
}

# The marked parents may be killed, too.
sub parents {
    return grep { read_file("/proc/$_/cmdline") =~ m{^/bin/sh\0-c\0HOSTLER_COMMAND=} } map { m{(\d+)} } glob '/proc/[0-9]*';
}

$runs = long('root@127.0.0.1', $run);
is killed_and_resumed('without its parents', $runs, meanwhile => sub { kill KILL => parents() }), 0, 'goes on';
like $runs->{stdout}, qr/got found/, 'when it has ended';

system('mount', '-o', 'remount,hidepid=2', '/proc') == 0 or die;
for my $case ([ 'their own', $run ], [ 'with sudo', $run =~ s/"sh",/"sudo", "-n", "-u", "other", "sh",/r ],
    [ 'as another user', $run =~ s/host:/host:as "other":/r ])
{
    my ($name, $command) = @$case;
    $runs = long('tester@127.0.0.1', $command);
    is killed_and_resumed("$name, on a host that hides what other users run", $runs), 0, 'is found' or diag $runs->{said};
    like $runs->{stdout}, qr/got found/, 'when it has ended';
}

done_testing;
