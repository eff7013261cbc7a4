#!/usr/bin/perl
# FTP with servers of other makes: starts them, and runs servers/ftp.lua with their addresses.
use strict;
use warnings;
use Servers;

my @names = qw(vsftpd proftpd pure-ftpd);
my $servers = Servers->new(@names);
$servers->start_of_tree($_) for @names;
$servers->wait_for($_, 2121) for @names;
exit $servers->run_lua('tests/unit/servers/ftp.lua');
