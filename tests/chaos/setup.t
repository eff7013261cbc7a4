#!/usr/bin/perl
# Set-up is killed around every write in turn, before it leaves and after it has happened, and at random moments, also
# while it resumes. Every time it is done in the end, and nothing is there twice.
use strict;
use warnings;
use Cloud;
use Chaos;
use Test::More;

my $cloud  = Cloud->connect;
my $seed   = $ENV{CHAOS_SEED} // time;
my $random = $ENV{CHAOS_RANDOM} // 20;
srand $seed;

my ($writes, $seconds) = Chaos::measure_setup($cloud, 'undisturbed');
note sprintf 'CHAOS_SEED=%d: %d writes, %.1f s', $seed, $writes, $seconds;
cmp_ok $writes, '>=', 15, 'set-up has its writes';

my @jobs;
for my $place (qw(intent effect)) {
    push @jobs, map { Chaos::setup_job($cloud, "$place-$_", "killed at $place $_", { crash => "$place:$_" }) } 1 .. $writes;
}
for my $number (1 .. $random) {
    my @after = map { sprintf '%.3f', rand($_) } $seconds, $seconds / 2, $seconds / 4;
    push @jobs, Chaos::setup_job($cloud, "random-$number", "killed after @after seconds", map { { after => $_ } } @after);
}
# Some steps have several writes and are begun again: to get on, every other attempt must live a little longer.
push @jobs, Chaos::setup_job($cloud, 'chain', 'killed again and again in one run',
    map { { crash => 'effect:' . (1 + $_ % 4) } } 1 .. $writes);
Chaos::run_all($ENV{CHAOS_JOBS} // 3, @jobs);
done_testing;
