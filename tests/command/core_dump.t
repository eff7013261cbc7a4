#!/usr/bin/perl
# A process that holds secrets leaves no core dump, and others of its user cannot look into it; who works on hostler can
# have both.
use strict;
use warnings;
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Hostler;

my $token = 'core-token-5b1f0c';
my $book = 'return playbook { summary = "s", run = function() local s = secret "TOKEN" say "ready" sleep(60) end }';
my @unlimited = ('sh', '-c', 'ulimit -c unlimited; exec "$@"', 'sh');

# Starts it where cores would be left; returns the run as soon as it holds its secret.
sub holding {
    my ($env, @wrap) = @_;
    my $in = playbooks(book => $book);
    chmod 0755, $in;
    system 'chown', '-R', 'nobody', $in if @wrap && $> == 0;
    my $run = start({ in => $in, env => { TOKEN => $token, %$env }, wrap => [@unlimited, @wrap] }, 'run', 'book');
    $run->{in} = $in;
    ok(wait_for($run, qr/ready/), 'it holds a secret') or diag($run->{stdout} . $run->{stderr});
    return $run;
}

# Ends it as a fault would; returns whether the kernel says that it left a core.
sub left_core {
    my ($run) = @_;
    kill ABRT => $run->{pid};
    waitpid $run->{pid}, 0;
    is($? & 127, POSIX::SIGABRT, 'ended as by a fault');
    return ($? & 128) != 0 || scalar(() = glob "$run->{in}/core*") > 0;
}

is(left_core(holding({})) ? 1 : 0, 0, 'no core dump');
SKIP: {
    my $elsewhere = tempdir(CLEANUP => 1);
    system @unlimited, 'sh', '-c', 'cd "$1" && kill -ABRT $$', 'sh', $elsewhere;
    skip 'this machine leaves no core dumps at all', 3 unless $? & 128;
    skip 'the sanitizers leave none', 3 if $Hostler::binary =~ /sanitize/;
    ok(left_core(holding({ HOSTLER_CORE => 1 })), 'HOSTLER_CORE=1: there is one');
}

SKIP: {
    skip 'only root can become another user', 6 unless $> == 0;
    my @nobody = ('setpriv', '--reuid', 'nobody', '--clear-groups');
    system(@nobody, 'test', '-x', $Hostler::binary) == 0 or skip 'another user cannot reach this build', 6;
    my $look = sub { system('sh', '-c', 'exec 2>/dev/null; "$@"', 'sh', @nobody, 'grep', '-aqs', $token, "/proc/$_[0]/environ") == 0 ? 1 : 0 };
    for my $case ([{}, 0, 'cannot look into it'], [{ HOSTLER_CORE => 1 }, 1, 'HOSTLER_CORE=1: can']) {
        my $run = holding($case->[0], @nobody);
        is($look->($run->{pid}), $case->[1], "another process of its user: $case->[2]");
        my $attached = hostler({ in => $run->{in}, stdin => "tasks\n", wrap => \@nobody }, 'attach', 'last');
        like($attached->{stdout}, qr/waits for/, 'hostler attach does its work') or diag($attached->{stderr});
        kill KILL => $run->{pid};
        finish($run);
    }
}
done_testing;
