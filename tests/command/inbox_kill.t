#!/usr/bin/perl
# Deliveries that are each sent by three processes at once, which are killed at random and sent again until they are
# answered, on a journal that is a file and on one that is a database: each delivery makes one run, and each run belongs to
# a delivery. SEED=NUMBER repeats the misfortunes, DELIVERIES=NUMBER sets how many.
use strict;
use warnings;
use lib 'tests/lib';
use Deliveries;
use JSON::PP ();
use Runs;
use Test::More;
use Time::HiRes qw(sleep);

if (!$ENV{RUNS_STORE}) {
    for my $store ('file', 'postgresql') {
        local $ENV{RUNS_STORE} = $store;
        my @command = ($^X, '-Itests/lib', $0);
        is system($store eq 'file' ? @command : ('tests/lib/with-postgres', @command)), 0, "on a journal in $store";
    }
    done_testing;
    exit;
}
my $out = Test::More->builder;
$out->$_(\*STDERR) for qw(output failure_output todo_output);

$ENV{TOKEN} = 'the-token';
my $total = $ENV{DELIVERIES} // 120;
my $seed = $ENV{SEED} // int rand 1e6;
srand $seed;
note "SEED=$seed";

my $runs = Runs->new(
    hook => 'return webhook { summary = "x", path = "hook", from = webhook.bearer(secret "TOKEN"),
        key = function(delivery) return delivery.json.id end,
        run = function(delivery) return "book", { delivery.json.id } end }',
    book => 'return playbook { summary = "x", params = { arg("id", "string", "which") }, run = function(p) say(p.id) end }',
);

my %headers = (authorization => 'Bearer the-token', 'content-type' => 'application/json');
my @senders = map { $runs->beside } 1 .. 3;
my @missing = ([ 1 .. $total ], [ 1 .. $total ], [ 1 .. $total ]);
my (%answered, $kills, $rounds);

# Each process begins to send what it has no answer to; some are killed in the midst of it.
while (grep { @$_ } @missing) {
    die 'it does not come to an end' if ++$rounds > 60;
    my $gate = $runs->path("gate$rounds");
    my @begun = grep { @{ $missing[$_] } } 0 .. 2;
    my %pid = map {
        $_ => start_deliveries($senders[$_], 8, $gate, map { request('hook', qq({"id":"d$_"}), \%headers) } @{ $missing[$_] })
    } @begun;
    for my $sender (@begun) {
        Runs::wait_for(sub { $senders[$sender]->get('stdout') =~ /ready/ }) or die "not ready: " . $senders[$sender]->get('stderr');
    }
    $runs->put("gate$rounds", '');
    for my $sender (@begun) {
        sleep rand 0.3;
        next if $rounds > 6 || rand() < 0.3; # towards the end they are left alone
        $kills += kill KILL => $pid{$sender};
    }
    for my $sender (@begun) {
        $senders[$sender]->finish($pid{$sender});
        my @sent = @{ $missing[$sender] };
        my @left;
        my @answers = answers($senders[$sender]);
        for my $index (0 .. $#sent) {
            my $answer = $answers[$index];
            $answered{ $sent[$index] }{ $answer->{body}{delivery} }++ if $answer && $answer->{status} == 202;
            push @left, $sent[$index] if !$answer || $answer->{status} != 202;
        }
        $missing[$sender] = \@left;
    }
}
note "$rounds rounds, $kills killed";
cmp_ok $kills, '>', 0, 'some were killed';
is scalar(keys %answered), $total, 'every delivery was answered';
is join(' ', grep { keys %{ $answered{$_} } != 1 } sort keys %answered), '', 'always with the same number';
is $runs->query('SELECT count(*) FROM inbox'), $total, 'each is on record once';
is $runs->query('SELECT count(*) FROM runs'), $total, 'as many runs as deliveries';
is $runs->query('SELECT count(*) FROM runs WHERE id NOT IN (SELECT run FROM inbox)'), 0, 'no run belongs to none';
is $runs->query("SELECT count(*) FROM runs WHERE status <> 'queued'"), 0, 'all are in the queue';
is $runs->query('SELECT count(*) FROM runs WHERE id NOT IN (SELECT run FROM sources)'), 0, 'with the text of the playbook';
is $runs->query('SELECT count(DISTINCT arguments) FROM runs'), $total, 'each for its own';

done_testing;
