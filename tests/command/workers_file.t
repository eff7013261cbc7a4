#!/usr/bin/perl
# workers.t with a journal that is a file.
use strict;
use warnings;

$ENV{RUNS_STORE} = 'file';
exec $^X, '-Itests/lib', 'tests/command/workers.t';
