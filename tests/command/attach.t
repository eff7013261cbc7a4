#!/usr/bin/perl
# hostler attach: joining a run in another process; its socket, and what others do to it.
use strict;
use warnings;
use Hostler;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep time);

my $book = <<'LUA';
local sh = require "sh"
return playbook { summary = "goes on until there is a file", run = function()
    local host, token = { name = "web1" }, secret.wrap("hunter2-hunter2")
    for i = 1, 5000 do
        if sh.try({ "test", "-e", "go" }, { read = true }) then
            return
        end
        step("step " .. i, function() sleep(0.05) return host.name .. i end)
    end
    say(token)
end }
LUA

sub sockets { my ($in) = @_; return glob "$in/home/state/hostler/attach/*" }

sub begin {
    my $in = $_[0] // playbooks(book => $book);
    my $run = start({ in => $in }, 'run', 'book');
    wait_for($run, qr/step 2: begin/);
    return ($in, $run);
}

sub attach { my ($in, @lines) = @_; return hostler({ in => $in, stdin => join('', map { "$_\n" } @lines) }, 'attach', 'last') }

sub let_go { my ($in, $run) = @_; system 'touch', "$in/go"; finish($run); unlink "$in/go"; return $run }

sub join_by_hand {
    my ($in) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => (sockets($in))[0]) or die "connect: $!";
    return $socket;
}

subtest 'looking on' => sub {
    my ($in, $run) = begin();
    my @files = sockets($in);
    is scalar(@files), 1, 'a socket';
    is sprintf('%o', (stat $files[0])[2] & 07777), '600', 'for its owner only';
    is sprintf('%o', (stat "$in/home/state/hostler/attach")[2] & 07777), '700', 'in such a directory';
    my $look = attach($in, 'tasks', 'locals', 'pause', 'where', 'locals', 'print host.name', 'print i', 'next', 'print i',
        'print nothing', 'steps', 'host.name', 'nonsense', 'continue');
    is $look->{status}, 0, 'attached, and left' or diag "$look->{stdout}$look->{stderr}";
    # It is in a step, which sleeps, or looks for the file between two.
    like $look->{stdout}, qr/^  .*(?:book\/step \d+  waits for sleep|task  waits for sh\.run)  at /m, 'its tasks';
    like $look->{stderr}, qr/nothing stands still/, 'variables only of what stands still';
    like $look->{stdout}, qr/stopped before book\/step \d+ at .*book\.lua:8/, 'stopped before a step';
    like $look->{stdout}, qr/^> +8  +step\("step "/m, 'its source';
    like $look->{stdout}, qr/^> #1  playbooks\/book\.lua:8/m, 'where';
    like $look->{stdout}, qr/^  host  = \{ name = "web1" \}\n  token = \[secret\]\n  i     = \d+$/m, 'locals; secrets are masked';
    my ($one, $two) = $look->{stdout} =~ /^"web1"\n(\d+)\n.*^(\d+)\n/ms;
    is $two, $one + 1, 'the next step';
    like $look->{stdout}, qr/^step 1 +done +web11/m, 'what steps returned';
    like $look->{stderr}, qr/no variable 'nothing'.*'host' is not known here.*'nonsense' is not known/s, 'what is wrong is said';
    let_go($in, $run);
    is $run->{status}, 0, 'the run ends as ever' or diag "$run->{stdout}$run->{stderr}";
    is scalar(sockets($in)), undef, 'and removes its socket';
    is attach($in)->{status}, 1, 'there is nothing to join then';
};

subtest 'leaving and cancelling' => sub {
    my ($in, $run) = begin();
    attach($in, 'pause');
    ok wait_for($run, qr/nobody is attached any more: the run goes on/), 'who leaves lets it go on';
    my $look = attach($in, 'cancel', 'pause');
    like $look->{stdout}, qr/has ended: cancelled/, 'cancelled' or diag "$look->{stdout}$look->{stderr}";
    finish($run);
    like $run->{stderr}, qr/cancelled with `hostler attach`/, 'the run knows by what';
    my ($again) = (hostler({ in => $in }, 'runs'))->{stdout} =~ /(cancelled)/;
    is $again, 'cancelled', 'and so it is recorded';
};

subtest 'what others do to the socket' => sub {
    my ($in, $run) = begin();
    local $SIG{PIPE} = 'IGNORE';
    for my $garbage ("garbage\n", "[]\n", "{\"ask\":5,\"id\":1}\n", "\0\xff\n", 'x' x 100000) {
        my $socket = join_by_hand($in);
        print $socket $garbage;
        $socket->flush;
        my @lines = grep { !/"event":/ } <$socket>;    # the run may have gone on meanwhile
        is scalar(@lines), 1, 'after the greeting whoever talks nonsense is left alone';
    }
    my $slow = join_by_hand($in);
    my $asking = join_by_hand($in);
    print $asking join '', map { qq({"ask":"tasks","id":$_}\n) } 1 .. 300;
    $asking->flush;
    my @many = map { join_by_hand($in) } 1 .. 20;
    my $before = () = $run->{stdout} =~ /: done/g;
    Hostler::drain($run, 0.2) for 1 .. 5;
    my ($last) = $run->{stdout} =~ /.*step (\d+): begin/s;
    ok wait_for($run, qr/step @{[$last + 5]}: begin/), 'the run goes on all the while';
    SKIP: {
        skip 'only root can be somebody else', 1 if $>;
        chmod 0755, $in, "$in/home", "$in/home/state", "$in/home/state/hostler", "$in/home/state/hostler/attach";
        chmod 0666, sockets($in);
        @many = ();
        sleep 0.2;
        my $said = `setpriv --reuid=65534 --clear-groups timeout 5 python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(100))' @{[sockets($in)]} 2>&1`;
        like $said, qr/^b''|reset by peer/, 'another user is turned away even if the file would let them in';
    }
    close $slow;
    let_go($in, $run);
    is $run->{status}, 0, 'and ends well' or diag $run->{stderr};
};

subtest 'the end of a wait' => sub {
    my $in = playbooks(book => 'local sh = require "sh"
        return playbook { summary = "x", run = function()
            local looks = 0
            wait_until("a file", { timeout = 60, interval = 0.02 }, function()
                looks = looks + 1
                return looks > 2 and sh.try({ "test", "-e", "go" }, { read = true })
            end)
        end }');
    my $run = start({ in => $in }, 'run', 'book');
    ok wait_for($run, qr/wait +for a file/), 'a run waits';
    my $socket = join_by_hand($in);
    readline $socket; # the greeting
    let_go($in, $run);
    is scalar(grep { /"event":"wait"/ && /"status":"done"/ } <$socket>), 1, 'who has joined it is told when it need not any more';
};

subtest 'more than may look on' => sub {
    my ($in, $run) = begin();
    my @eight = map { join_by_hand($in) } 1 .. 8;
    readline $_ for @eight; # their greetings: all are in
    my $ninth = attach($in, 'leave');
    is $ninth->{status}, 1, 'the ninth is not let in';
    like $ninth->{stderr}, qr/8 others have joined .*already/, 'and told why';
    unlike $ninth->{stdout}, qr/has ended/, 'but not that the run is over';
    let_go($in, $run);
};

subtest 'a process that was killed' => sub {
    my ($in, $run) = begin();
    kill KILL => $run->{pid};
    finish($run);
    my ($left) = sockets($in);
    ok $left, 'leaves its socket';
    my $look = attach($in);
    like $look->{stderr}, qr/is stopped: there is nothing to join/, 'which leads nowhere';
    (undef, $run) = begin($in);
    ok !-e $left, 'and is removed by the next run';
    let_go($in, $run);
};

done_testing;
