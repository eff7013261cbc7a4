#!/usr/bin/perl
# Undo, with the journal in PostgreSQL: the same tests.
use strict;
use warnings;

$ENV{RUNS_STORE} = 'postgresql';
exec 'tests/lib/with-postgres', $^X, '-Itests/lib', 'tests/command/journal_undo.t';
