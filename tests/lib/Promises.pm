# What every playbook promises, tried with one command line: a dry run prints what a real run then does and changes
# nothing; a second run changes nothing and says so; a run that is killed around one of its writes resumes to the same
# end, and no step that had finished is done again.
package Promises;

use strict;
use warnings;
use Chaos;
use Exporter 'import';
use JSON::PP qw(decode_json);
use Test::More;

our @EXPORT = qw(keeps_its_promises machine_of makes_what_was_planned);

# A transaction's beginning and end change nothing by themselves.
my $CONTROL = qr/^postgres\.(?:begin|commit|savepoint|release|rollback)\z/;

# Without CHAOS=all, so many places to be killed at are drawn for each command line; CHAOS_ONLY=upgrade tries those alone
# whose name matches.
my $SAMPLE = $ENV{CHAOS_SAMPLE} // 2;
my $ONLY   = do { my $pattern = $ENV{CHAOS_ONLY} // ''; qr/(?:$pattern)/ };

sub events { return map { decode_json $_ } split /\n/, $_[0]->{stdout} }

# The item of an `each` and the step that an event belongs to.
sub place_of {
    my ($scopes, $event) = @_;
    my (@items, $step);
    for (my $scope = $scopes->{ $event->{parent} // '' }; $scope; $scope = $scopes->{ $scope->{parent} // '' }) {
        unshift @items, $scope->{name} if $scope->{event} eq 'item.begin';
        $step //= $scope->{name} if $scope->{event} eq 'step.begin';
    }
    return { item => join('/', @items), step => $step };
}

# The changes that a run planned ('plan') or made ('effect.end'): { item, step, name, target, text }. In their order, but
# those of an item, which go on beside those of others, stand together.
sub changes {
    my ($run, $type) = @_;
    my (%scopes, @changes, %first);
    for my $event (events($run)) {
        $scopes{ $event->{scope} } = $event if $event->{event} =~ /\.begin\z/;
        next if $event->{event} ne $type || $event->{kind} ne 'write' || $event->{name} =~ $CONTROL;
        push @changes, { %{ place_of(\%scopes, $event) }, map { $_ => $event->{$_} } qw(name target text) };
        $first{ $changes[-1]{item} } //= @changes;
    }
    my $place = 0;
    $_->{place} = $place++ for @changes;
    return sort { $first{ $a->{item} } <=> $first{ $b->{item} } || $a->{place} <=> $b->{place} } @changes;
}

# A change in words that are the same in the plan and in the run: dates come later there, a port that is forwarded is any
# free one, and the size of a file is told where it is known.
sub words {
    my ($change) = @_;
    my $text = join ' | ', map { $_ // '' } @$change{qw(item step name target text)};
    $text =~ s/ \(\d+ bytes\)//;
    $text =~ s{:\d+/defaultdb}{:PORT/defaultdb};
    $text =~ s/\d{4}-?\d\d-?\d\d[T-]\d\d:?\d\d:?\d\dZ?/DATE/g;
    return $text;
}

# Every file of a droplet that its owners would miss, with owner, mode and content, and what runs. Dated copies are called
# the same whatever their date, so that a second one is a line more.
sub machine_of {
    my ($cloud, $droplet) = @_;
    my $text = $cloud->inside($droplet, 'sh', '-c', <<~'SH');
        find /etc /root /var/meltano -xdev -type d -printf '%u:%g %m directory  %p\n' -o -type f ! -name 'last-request*' \
            ! -name '*.log' ! -name '*.pyc' -printf '%u:%g %m ' -exec sha256sum '{}' ';' | sort -k 4
        systemctl is-active meltano caddy vsftpd
        SH
    return $text =~ s/\d{8}-\d{6}$/DATE/mgr;
}

# keeps_its_promises($cloud, NAME, {
#     command => [...],             what follows `hostler run`
#     before  => sub { ... },       brings about what the playbook is for, before each run
#     look    => sub { ... },       all it may change, as text; the same whenever its work is done
#     again   => qr/.../,           what a second run says
#     repeats => 1,                 a second run does it again, as the person asks: only what there is stays
# })
sub keeps_its_promises {
    my ($cloud, $name, $promise) = @_;
    return if $name !~ $ONLY;
    $promise->{before} //= sub { };
    subtest $name => sub {
        my ($end, $writes) = tells_the_truth($cloud, $promise) or return;
        changes_nothing_twice($cloud, $promise, $end);
        survives($cloud, $promise, $end, $_) for places($writes);
    };
}

# Two texts are the same; else the lines that only one of them has are shown.
sub same {
    my ($is, $should, $name) = @_;
    my (%is, %should);
    $is{$_}++     for split /\n/, $is;
    $should{$_}++ for split /\n/, $should;
    my @less = grep { ($is{$_} // 0) < $should{$_} } sort keys %should;
    my @more = grep { $is{$_} > ($should{$_} // 0) } sort keys %is;
    return ok(@less + @more == 0, $name) || diag map({ "- $_\n" } @less), map { "+ $_\n" } @more;
}

sub hostler {
    my ($cloud, $promise, @arguments) = @_;
    return $cloud->run({ timeout => 120 }, 'run', @{ $promise->{command} }, @arguments);
}

# Returns how things are at the end, and how many writes lead there.
sub tells_the_truth {
    my ($cloud, $promise) = @_;
    $promise->{before}->();
    my ($since, $before) = ($cloud->mark, $promise->{look}->());
    my $plan = hostler($cloud, $promise, '--dry-run', '--json');
    is $plan->{status}, 0, 'a dry run goes to its end' or diag $plan->{stderr};
    same $promise->{look}->(), $before, 'and changes nothing';
    is_deeply [ map { "$_->{method} $_->{path}" } $cloud->writes($since) ], [], 'in the cloud neither';

    my $run = hostler($cloud, $promise, '--json');
    is $run->{status}, 0, 'a real run does, too' or diag($run->{stderr}), return;
    makes_what_was_planned($plan, $run);
    return ($promise->{look}->(), scalar grep { $_->{event} eq 'effect.end' && $_->{kind} eq 'write' } events($run));
}

# The changes of a dry run are those of the real one, both with --json: the same effects in the same steps, on the same
# targets, with the same words. What a plan cannot know stands in it as <...>.
sub makes_what_was_planned {
    my ($plan, $run) = @_;
    my @planned = map { words($_) } changes($plan, 'plan');
    my @made    = map { words($_) } changes($run,  'effect.end');
    my @as_planned = @made;
    for my $index (grep { $_ <= $#made } 0 .. $#planned) {
        my $pattern = join '.+', map { quotemeta } split /<[^>]*>/, $planned[$index], -1;
        $as_planned[$index] = $planned[$index] if $made[$index] =~ /\A$pattern\z/;
    }
    is_deeply \@as_planned, \@planned, 'and makes the changes that were planned, in their order'
        or diag "planned:\n", map({ "  $_\n" } @planned), "made:\n", map { "  $_\n" } @made;
    cmp_ok scalar(@made), '>', 0, 'of which there are ' . @made;
}

sub changes_nothing_twice {
    my ($cloud, $promise, $end) = @_;
    my $run = hostler($cloud, $promise, '--json');
    is $run->{status}, 0, 'a second run ends well' or diag $run->{stderr};
    same $promise->{look}->(), $end, 'and leaves all as it is';
    is_deeply [ map { words($_) } changes($run, 'effect.end') ], [], 'with no change made' if !$promise->{repeats};
    my @said = map { $_->{text} // () } grep { $_->{event} =~ /^(?:say|warn)\z/ } events($run);
    like join("\n", @said), $promise->{again}, 'and says so';
}

# Where a run is killed: before and after each of its writes, or a few of these places.
sub places {
    my ($writes) = @_;
    my @all = map { ("intent:$_", "effect:$_") } 1 .. $writes;
    return @all if ($ENV{CHAOS} // '') eq 'all';
    my $seed = $ENV{CHAOS_SEED} // time;
    srand $seed;
    note "CHAOS_SEED=$seed";
    return map { splice @all, rand @all, 1 } grep { @all } 1 .. $SAMPLE;
}

sub survives {
    my ($cloud, $promise, $end, $place) = @_;
    $promise->{before}->();
    my ($chaos, $since) = (Chaos->new($cloud), $cloud->mark);
    my @wrong = grep { $_ ne '' } $chaos->survive([ { crash => $place } ], @{ $promise->{command} });
    push @wrong, 'it was not killed' if !$chaos->{deaths};
    push @wrong, done_twice($chaos), ordered_twice($cloud, $since);
    is join("\n", @wrong), '', "killed at $place, it is done in the end" or diag $chaos->{told};
    same $promise->{look}->(), $end, 'and all is as it should be';
}

# What the record of a run that was killed tells of steps that went on after they had finished.
sub done_twice {
    my ($chaos) = @_;
    my $recorded = $chaos->recorded or return 'nothing is recorded of it';
    my $log = $chaos->{cloud}->run({ env => { XDG_STATE_HOME => $chaos->{state} } }, 'log', $recorded->{id}, '--json', '--verbose');
    my (%scopes, %finished, @wrong);
    for my $event (events($log)) {
        $scopes{ $event->{scope} } = $event if $event->{event} =~ /\.begin\z/;
        my $inside = $event->{event} eq 'step.end' ? { %$event, parent => $event->{scope} } : $event;
        my $place = place_of(\%scopes, $inside);
        next if !defined $place->{step};
        my $step = "$place->{item}: $place->{step}";
        my $goes_on = $event->{event} =~ /^(?:step|effect)\.begin\z/ && ($event->{kind} // '') ne 'read';
        push @wrong, "the step '$step' went on after its end" if $finished{$step} && $goes_on;
        $finished{$step} = 1 if $event->{event} eq 'step.end' && $event->{status} eq 'done';
    }
    return @wrong;
}

# Orders of one thing that the cloud has carried out more than once.
sub ordered_twice {
    my ($cloud, $since) = @_;
    my %orders;
    for my $order (grep { $_->{method} eq 'POST' && ref $_->{request} eq 'HASH' } $cloud->writes($since)) {
        $orders{ join ' ', $order->{path}, $order->{request}{name} // $order->{request}{title} // '' }++;
    }
    return map { "ordered $orders{$_} times: $_" } grep { $orders{$_} > 1 } sort keys %orders;
}

1;
