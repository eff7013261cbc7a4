#!/usr/bin/perl
# Mail against real SMTP servers (aiosmtpd): starts them, and runs mail/cases.lua with their ports.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $server = "tests/unit/mail/server.py";
plan skip_all => "python3-aiosmtpd is not installed" if system("/usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null") != 0;

my $directory = tempdir(CLEANUP => 1);
for ([good => "DNS:localhost,IP:127.0.0.1"], [wrong => "DNS:mail.example.org"]) {
    my ($name, $names) = @$_;
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -addext subjectAltName=$names"
        . " -keyout $directory/$name.key -out $directory/$name.crt 2>/dev/null"
        . " && cat $directory/$name.crt $directory/$name.key > $directory/$name.pem") == 0
        or die("openssl cannot make a certificate");
}
my $pid = open(my $output, "-|", "/usr/bin/python3", $server, $directory) or die("cannot start $server: $!");
my $ports = <$output> // die("$server did not start");
chomp $ports;

system(($ENV{HOSTLER_BUILD} // "build") . "/lua-test", "tests/unit/mail/cases.lua", $directory, $ports);
my $status = $?;
kill "TERM", $pid;
close $output;
exit($status == 0 ? 0 : 1);
