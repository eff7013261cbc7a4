#!/usr/bin/perl
# What the HTTP server holds for all its clients together: whoever sends half a body, or does not read an answer in parts,
# gives way when it is too much, and the requests of others are answered meanwhile. From one address or many, through TLS,
# on a unix socket.
use strict;
use warnings;
use Hostler;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IO::Socket::SSL qw(SSL_VERIFY_NONE);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

my $MEMORY = 8 << 20;
my $SERVERS = <<'LUA';
local http = require "http"
return playbook { summary = "Servers with little memory", params = { arg("folder", "string", "with a certificate") }, run = function(p)
    local servers, release, ended, written = {}, false, {}, 0
    local function handler(request)
        if request.path == "/stall" then
            wait_until("it is released", { timeout = 300, interval = 0.01 }, function() return release end)
        elseif request.path == "/parts" then
            return { stream = function(write)
                local ok, problem = pcall(function()
                    for part = 1, tonumber(request.query.count) do
                        write(("x"):rep(request.query.size))
                        written = part
                    end
                end)
                table.insert(ended, ok and "done" or problem.code)
                if not ok then
                    error(problem, 0)
                end
            end }
        end
        return tostring(#request.body)
    end
    servers.manager = http.serve({ timeout = 300 }, function(request)
        if request.path == "/release" then
            release = true
        elseif request.path == "/end" then
            for _, server in pairs(servers) do
                server:close()
            end
        end
        local status = { ended = json.array(ended), written = written }
        for name, server in pairs(servers) do
            status[name] = server:status()
        end
        return status
    end)
    local function serve(name, options)
        options.timeout, options.deadline, options.connections, options.per_address = 300, 300, 1000, 1000
        options.memory = options.memory or 2 ^ 23
        servers[name] = http.serve(options, handler)
    end
    for _, name in ipairs { "one", "many", "chunks", "heads", "ahead", "taken", "parts" } do
        serve(name, {})
    end
    serve("tls", { tls = { certificate = p.folder .. "/server.pem", key = p.folder .. "/server.key" } })
    serve("unix", { path = p.folder .. "/socket" })
    serve("tight", { memory = 2 ^ 20 })
    for name, server in pairs(servers) do
        say("%s=%d", name, server.port or 0)
    end
    say "ready"
    servers.manager:wait()
end }
LUA

my $folder = playbooks(servers => $SERVERS);
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -subj /CN=localhost"
    . " -keyout $folder/server.key -out $folder/server.pem 2>/dev/null") == 0 or die;
# Where the sanitizer keeps what was freed, to see whether it is used, it is not to keep much.
my $run = start({ in => $folder, env => { ASAN_OPTIONS => join ':', $ENV{ASAN_OPTIONS} // (), 'quarantine_size_mb=1' } },
    'run', 'servers', $folder);
wait_for($run, qr/ready|error/) or die "there are no servers: $run->{stdout}$run->{stderr}";
my %port = $run->{stdout} =~ /(\w+)=(\d+)/g;
$SIG{PIPE} = 'IGNORE';

my $clients = 0;

# A client of its own address where the server is to see many of them.
sub dial {
    my ($name) = @_;
    $clients++;
    return IO::Socket::UNIX->new(Peer => "$folder/socket") // die "no connection: $!" if $name eq 'unix';
    my $from = $name eq 'many' ? join '.', 127, 0, 1 + int($clients / 250), 1 + $clients % 250 : '127.0.0.1';
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{$name}, LocalAddr => $from)
        // die "no connection to $name: $!";
    return $name eq 'tls' ? IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => SSL_VERIFY_NONE) // die : $socket;
}

sub say_to {
    my ($socket, $bytes) = @_;
    for (my $sent = 0; $sent < length $bytes;) {
        $sent += syswrite($socket, $bytes, length($bytes) - $sent, $sent) // return;
    }
    return 1;
}

# A whole answer, or what there is of one at the end.
sub hear {
    my ($socket) = @_;
    my ($text, $ready) = ('', IO::Select->new($socket));
    while ($text !~ /\r\nContent-Length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)\z/s || length $2 < $1) {
        return "$text<silence>" if !($socket->can('pending') && $socket->pending) && !$ready->can_read(60);
        sysread($socket, $text, 65536, length $text) or return "$text<end>";
    }
    return $text;
}

sub post { my ($path, $length, $count) = @_; "POST $path HTTP/1.1\r\nHost: a\r\nContent-Length: $length\r\n\r\n" . 'x' x ($count // $length) }
sub body { hear($_[0]) =~ s/.*\r\n\r\n//sr }

sub ask {
    my ($name, $bytes) = @_;
    my $socket = dial($name);
    say_to($socket, $bytes);
    return body($socket);
}

sub manage { decode_json(ask('manager', "GET $_[0] HTTP/1.1\r\nHost: a\r\n\r\n")) }

# Asks until the condition holds of the server's status.
sub until_so {
    my ($name, $condition) = @_;
    my $status;
    for (my $end = time + 60; time < $end; sleep 0.02) {
        $status = manage('/')->{$name};
        return $status if $condition->($status);
    }
    diag explain $status;
    return;
}

sub memory { open my $status, '<', "/proc/$run->{pid}/status" or die $!; join('', <$status>) =~ /^VmRSS:\s+(\d+)/m; $1 << 10 }

# So many clients send this much of a request, of which `room` find room; then others ask, and the latest sends the rest.
sub crowd {
    my ($name, $count, $bytes, $room, $rest, $answer) = @_;
    my $before = memory();
    my @crowd = map { my $socket = dial($name); say_to($socket, $bytes); $socket } 1 .. $count;
    my $status = until_so($name, sub { $_[0]{crowded_out} >= $count - $room });
    ok $status, "$name: of $count clients with half a request most give way" or return;
    cmp_ok $status->{held}, '<=', $MEMORY, 'for what is held is bounded';
    cmp_ok memory() - $before, '<', 2 * $MEMORY, 'and memory does not grow';
    is ask($name, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), '0', 'a small request is answered';
    is ask($name, post('/', 500_000)), '500000', 'and a large one';
    like hear($crowd[0]), qr/\AHTTP\/1.1 503 .*\r\nRetry-After: \d+\r\n/s, 'the slowest is told to come again';
    say_to($crowd[-1], $rest);
    is body($crowd[-1]), $answer, 'the latest is answered when the rest has come';
    return;
}

# ---- half a body ----

crowd($_, 100, post('/', 1_000_000, 600_000), 13, 'x' x 400_000, '1000000') for 'one', 'many', 'unix', 'tls';
my $chunk = sprintf("%x\r\n", 60_000) . 'x' x 60_000 . "\r\n";
crowd('chunks', 100, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" . $chunk x 10, 13, "0\r\n\r\n", '600000');
crowd('heads', 600, "GET / HTTP/1.1\r\nHost: a\r\nX: " . 'x' x 30_000, 360, "\r\n\r\n", '0');

# ---- what nobody waits for any more ----

# The requests behind the first are read ahead, and of them a few bytes stay.
my @crowd = map { my $socket = dial('ahead'); say_to($socket, post('/stall', 60_000) . 'GET'); $socket } 1 .. 100;
my $status = until_so('ahead', sub { $_[0]{requests} == 100 && $_[0]{held} == 100 * (60_000 - 8192) });
ok $status, 'of bytes that are read ahead no more is held than has come';
is $status->{crowded_out}, 0, 'and nobody gives way for them';

# ---- whole bodies ----

@crowd = map { my $socket = dial('taken'); say_to($socket, post('/stall', 1_000_000)); $socket } 1 .. 8;
until_so('taken', sub { $_[0]{requests} == 8 });
like hear(do { my $socket = dial('taken'); say_to($socket, post('/', 1_000_000)); $socket }), qr/\AHTTP\/1.1 503 .*Retry-After/s,
    'where handlers have all that may be held a large request is told to come again';
is ask('taken', post('/', 2000)), '2000', 'a small one is answered';
manage('/release');
is_deeply [ map { body($_) } @crowd ], [ (1_000_000) x 8 ], 'and so are those that are there';
ok until_so('taken', sub { $_[0]{held} == 0 }), 'nothing is held then';
is ask('taken', post('/', 1_000_000)), '1000000', 'and there is room again';

my $limit = 1 << 20;
is ask('tight', post('/', $limit)), $limit, 'where memory is for one request it is for the largest';
is ask('tight', "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n", $limit) . 'x' x $limit . "\r\n0\r\n\r\n"),
    $limit, 'also in chunks';

# ---- answers in parts ----

@crowd = map { my $socket = dial('parts'); say_to($socket, "GET /parts?count=100&size=65536 HTTP/1.1\r\nHost: a\r\n\r\n"); $socket } 1 .. 300;
$status = until_so('parts', sub { $_[0]{requests} == 300 && $_[0]{connections} + $_[0]{crowded_out} == 300 && $_[0]{crowded_out} > 0 });
ok $status, 'of many clients that do not read their answers in parts some give way';
cmp_ok $status->{held}, '<=', $MEMORY, 'for these are held together with all else';
is ask('parts', post('/', 500_000)), '500000', 'a request is answered';
ok until_so('ended', sub { @{ $_[0] } >= $status->{crowded_out} && !grep { !/^(?:http\.gone|cancelled)$/ } @{ $_[0] } }),
    'who wrote these answers is told';
@crowd = ();

# An answer that is complete, and of which the client leaves a rest: a little less than at which the writer waits.
my $parts = "GET /parts?size=8192&count=%d HTTP/1.1\r\nHost: a\r\n\r\n";
my $first = dial('unix');
say_to($first, sprintf $parts, 10_000);
my ($written, $same) = (0, 0);
while ($same < 20) { # turns in which it might have gone on
    my $now = manage('/')->{written};
    ($written, $same) = ($now, $now && $now == $written ? $same + 1 : 0);
}
undef $first;
$status = until_so('unix', sub { $_[0]{connections} == 0 });
my ($crowded, $done) = ($status->{crowded_out}, 0);
for (1 .. 300) {
    my $ended = @{ manage('/')->{ended} };
    push @crowd, dial('unix');
    say_to($crowd[-1], sprintf $parts, $written - 2);
    until_so('ended', sub { @{ $_[0] } > $ended });
    $done++ if manage('/')->{ended}[$ended] eq 'done';
}
is $done, 300, 'answers are complete of which their clients leave a rest';
$status = until_so('unix', sub { $_[0]{crowded_out} > $crowded && $_[0]{connections} + $_[0]{crowded_out} - $crowded == 300 });
ok $status, 'some of which give way';
cmp_ok $status->{held}, '<=', $MEMORY, 'for it counts as well';

# ---- options ----

for ([ 'memory = 2 ^ 19', 'memory must be a number from 1048576' ], [ 'limit = 2 ^ 21, memory = 2 ^ 20', 'memory must be a number from 2097152' ],
    [ 'limit = 2 ^ 28', '' ]) {
    my $ended = run_book('local http = require "http"' . qq{return playbook { summary = "A server", run = function()
        http.serve({ $_->[0] }, function() end):close() say "served" end }});
    like "$ended->{stdout}$ended->{stderr}", qr/\Q$_->[1]\E/, "$_->[0]: " . ($_->[1] || 'that much is held then');
    is $ended->{stdout} =~ /served/ ? 1 : 0, $_->[1] ? 0 : 1, $_->[1] ? 'and is refused' : 'and it serves';
}

@crowd = ();
ok until_so($_, sub { $_[0]{held} == 0 }), "$_: when all have left nothing is held" for sort keys %port;
print { dial('manager') } "GET /end HTTP/1.1\r\nHost: a\r\n\r\n";
is finish($run)->{status}, 0, 'all servers end';
done_testing;
