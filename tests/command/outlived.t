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

subtest 'local commands end with their run' => sub {
    my $runs = Runs->new(book => <<'LUA');
local sh = require "sh"
return playbook { summary = "a command with a child, and one in the background", run = function()
    step("long", function()
        parallel {
            function() sh.run { "sh", "-c", 'sleep 600 & echo $$ $! >>pids; trap "" TERM INT HUP; wait; wait; sleep 600' } end,
            function() sh.run({ "sh", "-c", 'echo $$ >>pids; exec sleep 600' }, { read = true }) end,
        }
    end)
end }
LUA
    for my $signals ([ 'KILL' ], [ 'INT', 'INT' ]) {
        $runs->put('pids', '');
        my $pid = $runs->start('run', 'book');
        ok Runs::wait_for(sub { $runs->get('pids') =~ /\n.*\n/ }), 'the commands go on';
        my @pids = split ' ', $runs->get('pids');
        is scalar(@pids), 3, 'three processes';
        kill $_ => $pid for @$signals;
        $runs->finish($pid);
        ok Runs::wait_for(sub { !grep { alive($_) } @pids }), "after SIG@$signals they are gone";
        ok $runs->quiet, 'and nothing is left';
    }
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
    [ 'a csh', 'csh@127.0.0.1', $run ],
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

$runs = long('root@127.0.0.1', 'host:run({ "sh", "-c", "echo begun >>$1; sleep 600", "sh", log }, { timeout = 0.3 })',
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

system('mount', '-o', 'remount,hidepid=2', '/proc') == 0 or die;
$runs = long('tester@127.0.0.1', 'host:run { "sh", "-c", "echo begun >>$1; sleep 600", "sh", log }');
$ENV{LOG} = "$ENV{SSHD}/tester/hidden";
system('install', '-m', '666', '/dev/null', $ENV{LOG}) == 0 or die;
my $pid = $runs->start('run', 'book');
ok Runs::wait_for(sub { logged() =~ /begun/ }), 'on a host that hides what other users run' or diag $runs->get('stderr');
kill KILL => $pid;
$runs->finish($pid);
for my $status (glob q{/proc/[0-9]*/cmdline}) {
    open my $cmdline, '<', $status or next;
    local $/;
    kill KILL => $status =~ m{(\d+)} if (<$cmdline> // '') =~ /^sh\0-c\0echo begun|^sleep\x{0}600/;
}
is $runs->hostler('resume', 'last'), 3, 'a person is asked, although the probe has not found it' or diag $runs->{said};
like $runs->{said}, qr/nobody can tell whether `sh -c .*hides the programs of other users/, 'and told why';
is logged(), 'begun', 'nothing was begun again';
is $runs->hostler('answer', 'last', 'done "mine"'), 0, 'their answer holds' or diag $runs->{said};
like $runs->{said}, qr/got mine/, 'for the step';

done_testing;
