#!/usr/bin/perl
# A downloaded file is on its disk before it takes the place of the one that was there, so that a crash leaves one of the
# two whole. strace tells the order.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

exec 'tests/lib/with-sshd', $^X, '-Itests/lib', $0 unless $ENV{SSHD};
plan skip_all => 'the leak check of a sanitizer does not go with strace' if Runs::sanitized();

my $runs = Runs->new(book => <<'LUA');
local ssh = require "ssh"
return playbook { summary = "fetches a file", run = function()
    local host = ssh.connect("127.0.0.1", { known_hosts = env "SSHD" .. "/known_hosts", identity = env "SSHD" .. "/id_ed25519" })
    step("fetch", function() host:download("/etc/services", "services") end)
end }
LUA
$runs->put('services', 'an old one');

my $pid = fork // die;
if (!$pid) {
    chdir $runs->{folder};
    $ENV{XDG_STATE_HOME} = $runs->{state};
    open STDOUT, '>', 'stdout';
    open STDERR, '>', 'stderr';
    exec qw(strace -f -y -o trace -e), 'trace=fsync,fdatasync,rename,renameat,renameat2', Runs::binary(), 'run', 'book'
        or POSIX::_exit(98);
}
is $runs->finish($pid), 0, 'a download' or diag $runs->{said};
is $runs->get('services'), do { local (@ARGV, $/) = '/etc/services'; <> }, 'is whole';
my $trace = $runs->get('trace');
my ($temporary) = $trace =~ /rename\w*\(.*?"([^"]*services\.\w{6})"/;
ok $temporary, 'it comes by a rename' or diag $trace;
like $trace, qr{fsync\(\d+<\Q$temporary\E>.*rename\w*\(.*"\Q$temporary\E"}s, 'after its content was brought to the disk' or diag $trace;
my $folder = $temporary =~ s{/[^/]*\z}{}r;
like $trace, qr{rename\w*\(.*"\Q$temporary\E".*fsync\(\d+<\Q$folder\E>}s, 'and its name is, after that' or diag $trace;

done_testing;
