#!/usr/bin/perl
# Journals of other versions: an older one is brought up to date, with all that is in it; a newer one is left alone.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "a step with a secret in its result, and one that fails at first",
    run = function()
        local made = step("make", function()
            sh.run { "sh", "-c", "echo make >> log" }
            return { password = secret.wrap "quite-a-secret" }
        end)
        step("use", function() sh.run({ "sh", "-c", "test -e go && cat > used" }, { stdin = made.password }) end)
    end,
}
LUA

sub set_version {
    my ($runs, $version) = @_;
    $runs->query($runs->{store} ? "UPDATE journal_version SET version = $version" : "PRAGMA user_version = $version");
}

# What takes a journal of a version back to the one before.
my %back = (
    9 => "ALTER TABLE runs DROP COLUMN crashes",
    8 => "DROP TABLE schedule_times; DROP TABLE schedules; ALTER TABLE runs DROP COLUMN turn",
    7 => "DROP INDEX runs_by_turn; DROP INDEX runs_by_key; CREATE INDEX runs_by_status ON runs (status);
        ALTER TABLE runs DROP COLUMN key; ALTER TABLE runs DROP COLUMN priority; ALTER TABLE runs DROP COLUMN at_most",
    6 => "DROP TABLE inbox; DROP TABLE inbox_turned_away",
    5 => "ALTER TABLE effects DROP COLUMN reach",
    4 => "DROP INDEX runs_by_number; ALTER TABLE runs DROP COLUMN number; CREATE INDEX runs_by_start ON runs (started)",
    3 => "ALTER TABLE runs ADD COLUMN seal TEXT; UPDATE runs SET seal = (SELECT fingerprint FROM seal); DROP TABLE seal;
        DROP INDEX steps_by_position",
    2 => "DROP INDEX runs_by_status; ALTER TABLE runs DROP COLUMN lease; ALTER TABLE runs DROP COLUMN batch;
        ALTER TABLE runs DROP COLUMN queued; ALTER TABLE runs DROP COLUMN cancel",
);

for my $version (1 .. keys %back) {
    subtest "version $version" => sub {
        my $runs = Runs->new(book => $book);
        is $runs->hostler('run', 'book'), 1, 'a run that stops';
        for (my $at = 1 + keys %back; $at > $version; $at--) {
            $runs->query($_) for split /;/, $back{$at};
        }
        set_version($runs, $version);
        $runs->put('go', '');
        is $runs->hostler('resume', 'last'), 0, 'goes on' or diag $runs->{said};
        is $runs->get('log') . $runs->get('used'), "make\nquite-a-secret", 'with what it had';
    };
}

subtest 'a newer one' => sub {
    my $runs = Runs->new(book => $book);
    $runs->hostler('runs');
    set_version($runs, 99);
    is $runs->hostler('run', 'book'), 1, 'refused';
    like $runs->{said}, qr/made by a newer hostler \(version 99; this one knows \d+\)/, 'says why';
    is $runs->get('log'), '', 'before anything was done';
};

done_testing;
