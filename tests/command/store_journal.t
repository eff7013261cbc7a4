#!/usr/bin/perl
# The journal's tests again, with the journal in PostgreSQL.
use strict;
use warnings;
use Test::More;

if (!$ENV{POSTGRES_PORT}) {
    $ENV{RUNS_STORE} = 'postgresql';
    exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0;
}

for my $file (sort glob 'tests/command/journal_*.t') {
    open my $test, '-|', $^X, '-Itests/lib', $file or die "$file: $!";
    print "    $_" while <$test>;
    close $test;
    is $?, 0, $file;
}
done_testing;
