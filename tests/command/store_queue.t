#!/usr/bin/perl
# queue.t with the journal in PostgreSQL.
use strict;
use warnings;

$ENV{RUNS_STORE} = 'postgresql';
exec 'tests/lib/with-postgres', $^X, '-Itests/lib', 'tests/command/queue.t';
