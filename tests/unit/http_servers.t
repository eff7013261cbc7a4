#!/usr/bin/perl
# The HTTP client against web servers of other makes: starts them, and runs servers/http.lua with their addresses. The
# proxies hand every request on to Node's server, which is one of the strict ones, and says what arrived.
use strict;
use warnings;
use Servers;

my @proxies = qw(nginx apache lighttpd haproxy caddy);
my $servers = Servers->new('node', 'python', @proxies);
$servers->start(node => 'node', 'tests/servers/echo.js', $servers->address('node'));
$servers->start(python => '/usr/bin/python3', 'tests/servers/echo.py', $servers->address('python'));
$servers->start_of_tree($_, ECHO => 'node') for @proxies;
$servers->wait_for($_, 8080) for 'node', 'python';
$servers->wait_for($_, 8080, 8443) for @proxies;
exit $servers->run_lua('tests/unit/servers/http.lua');
