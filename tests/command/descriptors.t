#!/usr/bin/perl
# How many files and connections a run may have open: as many as the system allows.
use strict;
use warnings;
use Test::More;
use Hostler;

my $folder = playbooks(limits => <<'END');
local sh = require "sh"
return playbook {
    summary = "tells the limit", effects = "read",
    run = function()
        say("%s", sh.run({ "sh", "-c", "echo soft $(ulimit -Sn), hard $(ulimit -Hn)" }, { read = true }).stdout)
    end,
}
END

my $run = hostler({ in => $folder, wrap => ['prlimit', '--nofile=64:200'] }, 'run', 'limits');
is $run->{status}, 0, 'a run under a low limit';
like $run->{stdout} . $run->{stderr}, qr/soft 200, hard 200/, 'has raised it as far as it may';
done_testing;
