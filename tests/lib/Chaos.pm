# Runs that are killed with SIGKILL at chosen places and resumed until they are done, and what is wrong with what they
# have made. A question is answered as a person would who has looked.
package Chaos;

use strict;
use warnings;
use File::Temp qw(tempdir);
use Hostler ();
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

# Each run may take this many resumes.
my $MOST_RESUMES = 400;

sub new {
    my ($class, $cloud) = @_;
    return bless { cloud => $cloud, state => tempdir(CLEANUP => 1), told => '' }, $class;
}

# Runs one command until its end, or until it is killed: crash => "effect:3" kills it around its third write,
# after => 1.5 after so many seconds.
sub attempt {
    my ($self, $death, @arguments) = @_;
    my $run = $self->{cloud}->start({ env => { XDG_STATE_HOME => $self->{state}, HOSTLER_CRASH => $death->{crash} } },
        @arguments);
    if (defined $death->{after}) {
        my $end = time + $death->{after};
        while ((my $left = $end - time) > 0) {
            last if !$run->{out} && !$run->{err};
            Hostler::drain($run, $left > 0.1 ? 0.1 : $left);
        }
        kill KILL => $run->{pid};
    }
    local $Hostler::timeout = 300;
    Hostler::finish($run);
    $self->{told} .= join ' ', "--- hostler @arguments:", $run->{signal} ? 'killed' : "status $run->{status}", "\n";
    $self->{told} .= "$run->{stdout}$run->{stderr}" if !$run->{signal};
    return $run;
}

# What `hostler runs` tells of the one run, or undef when it died before it was recorded.
sub recorded {
    my ($self) = @_;
    my $run = $self->{cloud}->run({ env => { XDG_STATE_HOME => $self->{state} } }, 'runs', '--json');
    return $run->{status} ? undef : decode_json($run->{stdout})->[0];
}

# The answer of a person who has looked for the letter: is one with this Message-ID in the mailboxes?
sub answer {
    my ($self, $said) = @_;
    my ($id) = $said =~ /was interrupted.*(<login\.\d+\@[\w.]+>)/ or return undef;
    for my $path (glob "$self->{cloud}{env}{CLOUD_MAIL}/new/* $self->{cloud}{env}{CLOUD_MAIL}/cur/*") {
        return 'done' if Cloud::read_file($path) =~ /^Message-ID: \Q$id\E/mi;
    }
    return 'again';
}

# Begins the run and resumes it, dying as the list of deaths says (a function gives one for each attempt), until it is
# done. Returns what went wrong, or ''.
sub survive {
    my ($self, $deaths, @arguments) = @_;
    my $next = ref $deaths eq 'CODE' ? $deaths : do { my @list = @$deaths; sub { shift @list } };
    my $run = $self->attempt($next->() || {}, 'run', @arguments);
    for my $count (1 .. $MOST_RESUMES) {
        return '' if !$run->{signal} && $run->{status} == 0;
        my $recorded = $self->recorded;
        if ($run->{signal}) {
            $self->{deaths}++;
            $run = $self->attempt($next->() || {}, $recorded ? ('resume', $recorded->{id}) : ('run', @arguments));
        }
        elsif ($run->{status} == 3 && defined(my $answer = $self->answer($run->{stderr}))) {
            $self->{asked}++;
            $run = $self->attempt({}, 'answer', $recorded->{id}, $answer);
        }
        else {
            return "it ended with $run->{status}:\n$self->{told}";
        }
    }
    return "it was not done after $MOST_RESUMES resumes";
}

# What of a tenant's instance is missing, twice there or does not work: a list of words, empty when all is well. What was
# made since that time and has gone again counts, too.
sub problems {
    my ($self, $tenant, $since) = @_;
    my ($cloud, $name, @wrong) = ($self->{cloud}, "$tenant.meltanodata.com");
    my $state = $cloud->state;
    my %count = (
        droplet => scalar(grep { $_->{name} eq $name } @{ $state->{droplets} }),
        record  => scalar(grep { $_->{name} eq $tenant } @{ $state->{records} }),
        cluster => scalar(grep { $_->{name} =~ /-\Q$tenant\E\z/ } @{ $state->{clusters} }),
        letter  => scalar($cloud->letters_to("$tenant\@example.com")),
        map { my $title = $_; ("item $title" => scalar grep { $_->{title} eq $title } @{ $state->{items} }) }
            $name, "meltano\@$name",
    );
    push @wrong, map { "$_: $count{$_}" } grep { $count{$_} != 1 } sort keys %count;
    # The cloud's log forgets its oldest entries, so it can only tell of too many.
    my @made = grep { $_->{method} eq 'POST' && $_->{time} >= $since && ref $_->{request} eq 'HASH' } $cloud->writes;
    my %orders = (
        droplets => scalar(grep { $_->{path} eq '/v2/droplets' && $_->{request}{name} eq $name } @made),
        records  => scalar(grep { $_->{path} =~ m{/records\z} && $_->{request}{name} eq $tenant } @made),
        clusters => scalar(grep { $_->{path} eq '/v2/databases' && $_->{request}{name} =~ /-\Q$tenant\E\z/ } @made),
        items    => scalar(grep { $_->{path} =~ m{/items\z} && $_->{request}{title} =~ /^(meltano\@)?\Q$name\E\z/ } @made) / 2,
    );
    push @wrong, map { "orders of $_: $orders{$_}" } grep { $orders{$_} > 1 } sort keys %orders;
    return @wrong if @wrong;

    my $cluster = $cloud->cluster($tenant);
    my $users = $cloud->script('database', 'psql', $cluster->{connection}{database}, '-Atc',
        'select username from meltano_user order by username');
    push @wrong, "users: $users" if $users ne join '', map { "$_\n" } sort 'meltano', $tenant;
    my ($letter, $password) = ($cloud->letters_to("$tenant\@example.com"), $cloud->item($name)->{password});
    push @wrong, 'the letter has another password than 1Password' if $letter->{text} !~ /\b\Q$password\E\b/;
    my ($status) = $cloud->request(method => 'POST', url => "https://$name/auth/login",
        form => [ "username=$tenant", "password=$password" ], resolve => "$name:443:" . $cloud->droplet($tenant)->{public});
    push @wrong, "logging in: $status" if $status >= 400;
    return @wrong;
}

# Runs the jobs, so many at once, each in a process of its own; a job returns what went wrong. Each is one test.
sub run_all {
    my ($at_once, @jobs) = @_;
    my %running;
    while (@jobs || %running) {
        while (@jobs && keys %running < $at_once) {
            my $job = shift @jobs;
            open my $output, '+>', undef or die $!;
            my $pid = fork // die "fork: $!";
            if (!$pid) {
                my $wrong = eval { $job->{do}->() } // "it died: $@";
                print $output $wrong;
                $output->flush;
                POSIX::_exit(0);
            }
            $running{$pid} = { %$job, output => $output };
        }
        my $done = delete $running{ waitpid -1, 0 } or next;
        seek $done->{output}, 0, 0;
        my $wrong = do { local $/; readline($done->{output}) // '' };
        Test::More::is($wrong, '', $done->{name});
    }
}

# One setup that dies so: its job for run_all.
sub setup_job {
    my ($cloud, $tenant, $name, @deaths) = @_;
    return { name => $name, do => sub {
        my ($self, $since) = (Chaos->new($cloud), time);
        my $wrong = $self->survive(\@deaths, 'setup', '--', 'Ada Lovelace', "$tenant\@example.com", $tenant);
        my @wrong = $wrong ne '' ? $wrong : $self->problems($tenant, $since);
        push @wrong, 'it was not killed' if $deaths[0]{crash} && !$self->{deaths};
        $cloud->forget($tenant);
        return @wrong ? join("\n", @wrong, $wrong eq '' ? $self->{told} : ()) : '';
    } };
}

# How many writes a set-up has, how many seconds it takes, and which write is the letter: from one that nobody disturbs.
sub measure_setup {
    my ($cloud, $tenant) = @_;
    my $run = $cloud->setup($tenant, flags => ['--json']);
    die "set-up fails even when nobody disturbs it: $run->{stderr}" if $run->{status};
    my @writes =
        grep { $_->{event} eq 'effect.end' && $_->{kind} eq 'write' } map { decode_json $_ } split /\n/, $run->{stdout};
    my ($letter) = grep { $writes[ $_ - 1 ]{name} eq 'mail.send' } 1 .. @writes;
    return (scalar(@writes), $run->{seconds}, $letter);
}

1;
