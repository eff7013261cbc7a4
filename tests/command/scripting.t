#!/usr/bin/perl
# SCRIPTING.md: its examples run, against a real sshd, PostgreSQL and HTTP server (tests/playbook/scripting.t has those on
# an instance's services); and it names everything that there is, and nothing that there is not.
use strict;
use warnings;
use Hostler;
use Scripting;
use Test::More;

exec 'tests/lib/with-sshd', 'tests/lib/with-postgres', $^X, '-Itests/lib', $0 unless $ENV{SSHD};

# ---- the examples ----

my @examples = Scripting::examples();
cmp_ok scalar @examples, '>', 30, 'the examples are found';

my $STATUS = <<'LUA';
local http = require "http"
return playbook { summary = "A server to ask", run = function()
    http.serve({ port = 80 }, function(request)
        if request.path == "/hosts" then
            return { json = { { name = "web1", tag = request.query.tag }, { name = "web2", tag = request.query.tag } } }
        end
        return { status = request.path == "/reports" and request.json().host and 201 or 404 }
    end)
    say "it listens"
end }
LUA

my $folder = playbooks(status => $STATUS);
system('cp', "$ENV{SSHD}/known_hosts", "$ENV{HOME}/.ssh/known_hosts") == 0 or die 'cp failed';
open my $hosts, '>>', '/etc/hosts' or die $!; # with-sshd's own
print $hosts "127.0.0.1 status.example.com\n";
close $hosts;
my %environment = (
    HOME => $ENV{HOME}, XDG_STATE_HOME => "$folder/state", SSH_AUTH_SOCK => $ENV{SSH_AUTH_SOCK},
    PGPORT => $ENV{POSTGRES_PORT}, PGUSER => 'admin', PGPASSWORD => $ENV{POSTGRES_PASSWORD},
    PGSSLROOTCERT => $ENV{POSTGRES_CA}, API_TOKEN => 'a-token-for-tests',
);
sub run_here { return hostler({ in => $folder, env => \%environment }, @_) }

my $status = start({ in => $folder, env => { %environment, XDG_STATE_HOME => "$folder/other" } }, 'run', 'status');
wait_for($status, qr/it listens/) or die "there is no server: $status->{stdout}$status->{stderr}";
playbook($folder, $_->{file} =~ s/\.lua\z//r, $_->{code}) for grep { $_->{file} } @examples;
open my $order, '>', "$folder/order.json" or die $!;
print $order '{"id":"order-1","customer":"Ada Lovelace","boxes":2}';
close $order;

for my $example (grep { $_->{place} eq 'alone' } @examples) {
    if (!$example->{file}) {
        Scripting::run_part(\&run_here, $folder, $example);
        next;
    }
    Scripting::run_commands(\&run_here, $example);
    ok $example->{code} !~ /^return playbook/m || @{ $example->{commands} }, "$example->{file} is run";
}
kill TERM => $status->{pid};
finish($status);

# ---- whether it is all there ----

my $names = Scripting::names($folder);
my $told  = Scripting::told();
my @required = Scripting::required();
is_deeply [ grep { !$told->{sections}{$_} } @required ], [], 'every module that playbooks require has its place';
is_deeply [ Scripting::parts() ], [ map { m{([^/]+)\.lua$} } glob 'playbooks/parts/*.lua' ], 'every part has its place';
for my $name (sort keys %$names) {
    next if $name =~ /^(\w+)\./ && !$told->{sections}{$1} && $1 !~ /^(?:json|secret|webhook)$/;
    ok $told->{names}{$name}, "it tells of $name";
    my @missing = grep { $told->{names}{$name} && $told->{names}{$name} !~ /\b\Q$_\E\b/ } @{ $names->{$name} };
    is "@missing", '', "and of its options" if $told->{names}{$name} && $told->{names}{$name} !~ /ptions as for|as for `/;
}
for my $name (sort keys %{ $told->{names} }) {
    ok exists $names->{$name}, "there is $name";
    my %option = map { $_ => 1 } @{ $names->{$name} || [] };
    is join(' ', grep { !$option{$_} } @{ $told->{options}{$name} }), '', 'and it has the options told of';
}
for my $name (sort keys %{ $told->{beside} }) {
    like Scripting::text($told->{beside}{$name}), qr/^function \Q$name\E\(/m, "there is $name";
}
done_testing;
