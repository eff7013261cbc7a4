#!/usr/bin/perl
# FTP against servers that each have a fault: starts them, and runs ftp/cases.lua with their ports.
use strict;
use warnings;
use IPC::Open2;

my $pid   = open2(my $output, my $input, '/usr/bin/python3', 'tests/unit/ftp/server.py');
my $ports = <$output> // die "the servers did not start\n";
chomp $ports;
system(($ENV{HOSTLER_BUILD} // 'build') . '/lua-test', 'tests/unit/ftp/cases.lua', $ports);
my $status = $?;
close $input;
waitpid $pid, 0;
exit($status == 0 ? 0 : 1);
