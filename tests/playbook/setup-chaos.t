#!/usr/bin/perl
# A sample of `make chaos`: set-up is killed at some places, drawn with a printed seed, and resumed.
use strict;
use warnings;
use Cloud;
use Chaos;
use Test::More;

my $cloud = Cloud->connect;
my $seed  = $ENV{CHAOS_SEED} // time;
srand $seed;
diag "CHAOS_SEED=$seed";

my ($writes, $seconds, $letter) = Chaos::measure_setup($cloud, 'undisturbed');
my @effects = sort { $a <=> $b } map { 1 + int rand $writes - 1 } 1 .. 3;
my $after   = sprintf '%.3f', rand $seconds;
Chaos::run_all(3,
    (map { Chaos::setup_job($cloud, "effect-$effects[$_]-$_", "killed after write $effects[$_]", { crash => "effect:$effects[$_]" }) }
        0 .. $#effects),
    Chaos::setup_job($cloud, 'intent', 'killed before the write ' . ($writes - 1), { crash => 'intent:' . ($writes - 1) }),
    Chaos::setup_job($cloud, 'letter', 'killed after the letter', { crash => "effect:$letter" }),
    Chaos::setup_job($cloud, 'moment', "killed after $after s", { after => $after }),
);
done_testing;
