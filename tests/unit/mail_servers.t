#!/usr/bin/perl
# Mail through mail servers of other makes: starts them, and runs servers/mail.lua with their addresses, on a machine
# whose name none of them would take, and once more on one with a proper name.
use strict;
use warnings;
use Servers;
use Test::More;

my @of_tree = qw(exim postfix opensmtpd);
my $servers = Servers->new('node', @of_tree);
chomp($ENV{NODE_PATH} = `tests/npm/install`);
$servers->start(node => 'node', 'tests/servers/smtp.js', $servers->address('node'), $servers->folder);
$servers->start_of_tree($_) for @of_tree;
$servers->wait_for($_, 2525) for 'node', @of_tree;
$servers->wait_for($_, 4650) for qw(node exim postfix);
for my $hostname ('my_laptop', 'laptop', 'controller.example.com') {
    ok $servers->run_lua_on($hostname, 'tests/unit/servers/mail.lua'), "on $hostname";
}
done_testing;
