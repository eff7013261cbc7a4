# Faults made for real on one instance, one after the other, and what triage-500 says of each: its verdict, the evidence,
# and what mends it, which is then done to the letter.
package Triage;

use strict;
use warnings;
use Cloud;
use Test::More;
use Time::HiRes qw(sleep time);

# An instance of its own for a test, which is set up first.
sub new {
    my ($class, $tenant) = @_;
    my $cloud = Cloud->connect;
    my $made  = $cloud->setup($tenant);
    is $made->{status}, 0, 'an instance' or die $made->{stderr};
    return bless {
        cloud => $cloud, tenant => $tenant, name => "$tenant.meltanodata.com", droplet => $cloud->droplet($tenant),
        cluster => $cloud->cluster($tenant),
    }, $class;
}

sub shell  { my ($self, @words) = @_; return $self->{cloud}->inside($self->{droplet}, 'sh', '-c', @words) }
sub triage { my ($self, @words) = @_; return $self->{cloud}->run({}, 'run', 'triage-500', $self->{tenant}, @words) }

# As the server's superuser, in the instance's database.
sub sql {
    my ($self, $statement) = @_;
    return $self->{cloud}->script('database', 'psql', $self->{cluster}{connection}{database}, '-qAtc', $statement);
}

# Waits for a shell's condition inside.
sub wait_inside {
    my ($self, $condition) = @_;
    my $end = time + 60;
    until ($self->shell("($condition) >/dev/null 2>&1 && echo yes") =~ /yes/) {
        die "waited in vain inside for $condition\n" if time > $end;
        sleep 0.05;
    }
}

sub wait_until_it_serves {
    my ($self) = @_;
    my $end = time + 60;
    while (time < $end) {
        return if $self->shell('curl -s -o /dev/null -m 5 -w "%{http_code}" http://localhost:5000/') eq '302';
        sleep 0.05;
    }
    die 'the instance does not serve again: ' . $self->triage->{stdout};
}

# A drop-in of the unit, and a start with it, which may fail; an empty text takes it away.
sub drop_in {
    my ($self, $text) = @_;
    my $folder = '/etc/systemd/system/meltano.service.d';
    $self->shell($text eq '' ? "rm -rf $folder" : "mkdir -p $folder; printf '%s\\n' '$text' >$folder/fault.conf");
    $self->shell('systemctl daemon-reload; systemctl reset-failed meltano; systemctl restart meltano');
}

# Does what a verdict says, to the letter, and agrees when asked.
sub follow {
    my ($self, $command) = @_;
    my $run = $self->{cloud}->run({}, split ' ', $command);
    if ($run->{status} == 3) {
        my ($answer) = $run->{stderr} =~ /hostler answer (\w+) VALUE/ or die $run->{stderr};
        $run = $self->{cloud}->run({}, 'answer', $answer, 'yes');
    }
    is $run->{status}, 0, "`hostler $command` ends well" or diag $run->{stdout}, $run->{stderr};
}

# What a verdict tells a person to type on the host, up to "then:", and then the playbook.
sub follow_by_hand {
    my ($self, $verdict) = @_;
    my ($advice, $command) = $verdict =~ /by hand: (?:on \S+: )?(.*); then: (?:hostler )?(.*)$/m or return fail 'there is advice';
    $advice =~ s/ \(.*//;
    $advice =~ s/^if nobody needs it: //;
    $self->shell("$advice 2>&1");
    is $?, 0, "`$advice` can be typed";
    $self->follow($command =~ s/^systemctl daemon-reload; hostler //r);
}

# One fault:
#   make      how it is made; `after` is what a person then does, where that is not in the words of the verdict
#   cause     of the verdict, evidence and says: what it shows, mend: the playbook that it names
#   by_hand   what it says that a person does; obey: that this is typed, to the letter
sub fault {
    my ($self, $what, %fault) = @_;
    subtest $what => sub {
        $fault{make}->();
        my $run = $self->triage;
        is $run->{status}, 0, 'the triage ends well' or diag $run->{stderr};
        my ($verdict) = $run->{stdout} =~ /^(\S+ say +verdict, .*)/ms;
        like $verdict, qr/verdict, \Q$fault{cause}\E:/, 'the verdict' or diag $run->{stdout};
        like $verdict, $fault{evidence}, 'the evidence' if $fault{evidence};
        my ($mend) = $verdict =~ /mend it: hostler (.*)$/m;
        is $mend, $fault{mend} ? "run $fault{mend}" : undef, $fault{mend} ? 'what mends it' : 'no playbook mends it';
        like $verdict, $fault{by_hand}, 'what a person does' if $fault{by_hand};
        $self->follow_by_hand($verdict) if $fault{obey};
        $self->follow($mend) if $mend && !$fault{not_followed};
        $fault{after}->() if $fault{after};
        $self->shell('[ "$(curl -s -o /dev/null -m 5 -w "%{http_code}" http://localhost:5000/)" = 302 ]'
            . ' || { systemctl reset-failed meltano; systemctl restart meltano; }');
        $self->wait_until_it_serves;
    };
}

# At the end of a test: nothing of its faults is left.
sub nothing_is_wrong {
    my ($self) = @_;
    my $run = $self->triage;
    like $run->{stdout}, qr/verdict, healthy:/, 'in the end nothing is wrong' or diag $run->{stdout};
    unlike $run->{stdout}, qr/also noticed/, 'nor odd' or diag $run->{stdout};
}

1;
