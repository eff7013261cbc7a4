# `use BothStores;` before anything is tested: run by itself, the file runs on a journal that is a file and on one that is a
# database, which are one test each; RUNS_STORE=file, or beside a PostgreSQL RUNS_STORE=postgresql, runs it on one.
package BothStores;
use strict;
use warnings;
use Test::More ();

sub import {
    if (!$ENV{RUNS_STORE}) {
        for my $store ('file', 'postgresql') {
            local $ENV{RUNS_STORE} = $store;
            my @command = ($^X, '-Itests/lib', $0);
            Test::More::is(system($store eq 'file' ? @command : ('tests/lib/with-postgres', @command)), 0,
                "on a journal in $store");
        }
        Test::More::done_testing();
        exit;
    }
    # What each prints is no test of the file above.
    my $out = Test::More->builder;
    $out->$_(\*STDERR) for qw(output failure_output todo_output);
}

1;
