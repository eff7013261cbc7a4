#!/usr/bin/perl
# free-disk: a disk that is really full, consent asked, room made; what is the customer's stays.
use strict;
use warnings;
use Cloud;
use Clusters;
use Test::More;

my $cloud  = Cloud->connect;
my $tenant = 'crowded';
my $made   = $cloud->setup($tenant);
is $made->{status}, 0, 'an instance' or die $made->{stderr};
my $droplet = $cloud->droplet($tenant);
my ($project, $log) = ('/var/meltano/project', '/var/meltano/project/.meltano/run/meltano-ui.log');

sub shell     { return $cloud->inside($droplet, 'sh', '-c', @_) }
sub free_disk { return $cloud->run({}, 'run', 'free-disk', $tenant, @_) }
sub sizes     { return shell("stat -c '%n %s %U %a' $log $project/export.csv") }

# The customer's export is the largest file; the log takes what is left. Meltano, which logs each request, cannot start.
$cloud->script('droplet', 'disk', $droplet->{id}, '12M');
shell("head -c 4000000 /dev/zero >$project/export.csv; chown meltano: $project/export.csv;"
    . "yes 'a line of the log that nobody reads' | head -c 20000000 >>$log 2>/dev/null; systemctl restart meltano 2>/dev/null");
like shell("df --output=pcent $project"), qr/100%/, 'the disk is full';
my $before = sizes();

subtest 'asking' => sub {
    my $plan = free_disk('--dry-run');
    is $plan->{status}, 0, 'a dry run ends well' or diag $plan->{stderr};
    like $plan->{stdout}, qr/would ask: Remove all but the last MB of meltano-ui\.log\?.*plan .*shorten \Q$log\E to its last 1024 kB/s, 'and shows what would go';
    is free_disk()->{status}, 3, 'without a terminal it waits for an answer';
    my $run = typed($cloud, "n\n", {}, 'run', 'free-disk', $tenant);
    is $run->{status}, 1, 'no';
    like $run->{stdout}, qr/100% used.*4 MB +\Q$project\E\/export\.csv.*Remove all but the last MB of meltano-ui\.log\?/s, 'the disk and its largest files are shown';
    is sizes(), $before, 'nothing went';
};

subtest 'yes' => sub {
    my $run = typed($cloud, "y\n", {}, 'run', 'free-disk', $tenant);
    is $run->{status}, 0, 'ends well' or diag $run->{stdout}, $run->{stderr};
    my ($size) = sizes() =~ /\Q$log\E (\d+) meltano 644/;
    cmp_ok $size, '<=', 1024 * 1024 + 10_000, 'the log is short, and still meltano\'s'; # it goes on meanwhile
    like shell("head -n 1 $log"), qr/^a line of the log that nobody reads$/, 'it begins with a whole line';
    is((sizes() =~ /^(\S+csv .*)$/m)[0], ($before =~ /^(\S+csv .*)$/m)[0], 'the customer\'s file stays');
    is shell('systemctl is-active meltano'), "active\n", 'Meltano runs again';
};

subtest 'again' => sub {
    my $run = free_disk();
    is $run->{status}, 0, 'nothing is asked' or diag $run->{stderr};
    like $run->{stdout}, qr/nothing that can go without being missed.*0 changes/s, 'for there is nothing';
};

subtest 'full of what somebody may miss' => sub {
    shell("head -c 20000000 /dev/zero >>$project/export.csv 2>/dev/null");
    my $run = free_disk();
    is $run->{status}, 1, 'cannot be mended so';
    like $run->{stdout}, qr/11 MB +\Q$project\E\/export\.csv/, 'it says where it is';
    like $run->{stderr}, qr/error: .* is still \d+% full.*remove some of the files above by hand/s, 'and leaves it to a person';
    cmp_ok $run->{seconds}, '<', 20, 'without waiting for what cannot start';
    shell("rm $project/export.csv");
    $cloud->script('droplet', 'disk', $droplet->{id}, '2G');
};
done_testing;
