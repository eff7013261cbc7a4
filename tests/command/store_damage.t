#!/usr/bin/perl
# What can be wrong with the database that is the journal is said before anything is done, and nothing is ever done that
# it does not know of.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

if (!$ENV{POSTGRES_PORT}) {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "many lines in a log",
    params = { opt("count", "int", "how many", 3) },
    run = function(p)
        for i = 1, p.count do
            step("line " .. i, {
                probe = function()
                    return sh.run({ "grep", "-qx", i, "log" }, { read = true, check = false }).status == 0 or nil
                end,
            }, function() sh.run { "sh", "-c", "echo $1 >> log", "sh", i } end)
        end
    end,
}
LUA

sub refused {
    my ($runs, $pattern, $name) = @_;
    is $runs->hostler('run', 'book'), 1, "$name: refused" or diag $runs->{said};
    like $runs->{said}, $pattern, 'says what is wrong' or diag $runs->{said};
    is $runs->get('log'), '', 'before anything was done';
}

# A journal with its tables.
sub with_journal {
    my $runs = Runs->new(book => $book);
    $runs->hostler('runs');
    return $runs;
}

subtest 'a server that only reads' => sub {
    my $runs = with_journal();
    my ($name) = $runs->{store} =~ m{/(\w+)\?};
    $runs->query("ALTER DATABASE $name SET default_transaction_read_only = on");
    refused($runs, qr/cannot execute \w+ in a read-only transaction.*hint +this server only reads/s, 'read-only');
};

subtest 'damage' => sub {
    my $runs = with_journal();
    $runs->query('DROP TABLE steps');
    refused($runs, qr/cannot be used: relation "steps" does not exist/, 'a table that is gone');

    $runs = with_journal();
    $runs->hostler('run', 'book', '--count', 1);
    my $file = "$ENV{POSTGRES_SOCKET}/data/" . $runs->query("SELECT pg_relation_filepath('effects')");
    Runs::control_postgres('stop');
    open my $table, '+<:raw', $file or die "$file: $!";
    print $table "\xff" x 8192;
    close $table or die $!;
    Runs::control_postgres('start');
    unlink $runs->path('log');
    refused($runs, qr/cannot be used: invalid page in block 0/, 'a page that is damaged');
};

SKIP: {
    my $small = "$ENV{POSTGRES_SOCKET}/small";
    skip 'mounting a small disk needs root', 1 if $> != 0 || !mkdir($small) || system "mount -t tmpfs -o size=10m none $small";
    subtest 'a full disk' => sub {
        eval {
            system('chown', 'postgres:', $small) == 0 or die;
            Runs::sql($_, 'postgres') for "CREATE TABLESPACE small LOCATION '$small'", 'CREATE DATABASE small TABLESPACE small';
            my $runs = Runs->new(book => $book);
            $runs->{store} =~ s{/\w+\?}{/small?};
            $runs->hostler('run', 'book', '--count', 20);    # now its tables have pages
            unlink $runs->path('log');
            system "head -c 20000000 /dev/zero > $small/fill 2>/dev/null";
            is $runs->hostler('run', 'book', '--count', 1000), 1, 'it is full in the midst of a run';
            like $runs->{said}, qr/cannot be used: could not extend file.*hint +free some space/s, 'says so' or diag $runs->{said};
            my @done = split /\n/, $runs->get('log');
            cmp_ok scalar(@done), '>', 0, scalar(@done) . ' lines are written';
            is $runs->query("SELECT count(*) FROM effects WHERE kind = 'write'"), 20 + @done, 'each one is known';
            unlink "$small/fill";
            is $runs->hostler('resume', 'last'), 0, 'with space again, it goes on' or diag substr $runs->{said}, -500;
            is $runs->get('log'), join('', map { "$_\n" } 1 .. 1000), 'every line is written once';
            Runs::sql('DROP DATABASE small', 'postgres');
            Runs::sql('DROP TABLESPACE small', 'postgres');
            1;
        } or fail($@);
        system 'umount', $small;
    };
}

done_testing;
