#!/usr/bin/perl
# Ten instances are set up at once by one run, which is killed again and again, each time after a few more writes of
# whichever instances. In the end there are ten that work, and nothing is there twice.
use strict;
use warnings;
use Cloud;
use Chaos;
use Test::More;

my $cloud = Cloud->connect;
my $seed  = $ENV{CHAOS_SEED} // time;
srand $seed;
note "CHAOS_SEED=$seed";

my @tenants = map { "each-$_" } 1 .. $ENV{CHAOS_INSTANCES} // 10;
push @{ $cloud->{tenants} }, @tenants;
my ($chaos, $since) = (Chaos->new($cloud), time);
# A step of several writes is begun again after each death. So every third attempt may live longer: else no item of the
# ten that are in such a step at once would ever come to its end.
my $attempt = 0;
my $wrong = $chaos->survive(sub { return { crash => 'effect:' . (1 + int rand($attempt++ % 3 ? 8 : 4 * @tenants)) } },
    'tests/chaos/playbooks/ten.lua', @tenants);
is $wrong, '', 'the run is done in the end';
cmp_ok $chaos->{deaths}, '>=', scalar(@tenants), "it was killed $chaos->{deaths} times, and asked " . ($chaos->{asked} // 0) . ' times';
is join("\n", $chaos->problems($_, $since)), '', $_ for @tenants;
done_testing;
