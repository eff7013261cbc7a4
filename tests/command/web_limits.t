#!/usr/bin/perl
# The HTTP server among clients who mean it ill: silent, slow, many, or not reading. Each keeps its honest ones; and none
# spins or grows. Also answers in parts, and an end that waits for the last answer.
use strict;
use warnings;
use Hostler;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

my $SERVERS = <<'LUA';
local http = require "http"
return playbook { summary = "Servers with limits", run = function()
    local servers, written, ended, release = {}, 0, {}, false
    local function handler(request)
        local path = request.path
        if path == "/stall" then
            wait_until("it is released", { timeout = 300, interval = 0.01 }, function() return release end)
            return "released"
        elseif path == "/burn" then
            local stop = now() + 2
            while now() < stop do end
        elseif path == "/big" then
            return { body = ("x"):rep(2 ^ 26) }
        elseif path == "/parts" then
            return { stream = function(write)
                local ok, problem = pcall(function()
                    for part = 1, tonumber(request.query.count) do
                        write(("%07d\n"):format(part):rep(2 ^ 13))
                        written = part
                    end
                end)
                table.insert(ended, ok and "done" or problem.code)
                if not ok then
                    error(problem, 0)
                end
            end }
        elseif path == "/break" then
            return { stream = function(write) write "a part" error "it breaks" end }
        end
        return "fine"
    end
    local function manage(request)
        if request.path == "/release" then
            release = request.query.now == "yes"
        elseif request.path == "/drain" then
            servers.draining:drain()
        elseif request.path == "/end" then
            for _, server in pairs(servers) do
                server:close()
            end
        end
        local status = {}
        for name, server in pairs(servers) do
            status[name] = server:status()
        end
        return { status = status, written = written, ended = json.array(ended) }
    end
    servers.manager = http.serve({ timeout = 300 }, manage)
    servers.strict = http.serve({ timeout = 1, deadline = 2 }, handler)
    servers.few = http.serve({ timeout = 300, deadline = 300, connections = 20, per_address = 20 }, handler)
    servers.polite = http.serve({ timeout = 300, connections = 40, per_address = 5 }, handler)
    servers.plain = http.serve({ timeout = 300, connections = 1000, per_address = 1000 }, handler)
    servers.draining = http.serve({ timeout = 300 }, handler)
    for name, server in pairs(servers) do
        say("%s=%d", name, server.port)
    end
    say "ready"
    servers.manager:wait()
end }
LUA

my $folder = playbooks(servers => $SERVERS);
my $run = start({ in => $folder }, 'run', 'servers');
wait_for($run, qr/ready/) or die "there are no servers: $run->{stdout}$run->{stderr}";
my %port = $run->{stdout} =~ /(\w+)=(\d+)/g;
$SIG{PIPE} = 'IGNORE';

sub dial {
    my ($name, $from) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{$name}, LocalAddr => $from // '127.0.0.1')
        // die "no connection to $name: $!";
}

sub get { "GET $_[0] HTTP/1.1\r\nHost: a\r\n\r\n" }

sub say_to {
    my ($socket, $bytes) = @_;
    my $count = syswrite $socket, $bytes;
    return ($count // 0) == length $bytes;
}

# What comes: until a whole short answer is there, or the end.
sub hear {
    my ($socket, $seconds) = @_;
    my ($text, $ready) = ('', IO::Select->new($socket));
    while ($ready->can_read($seconds // 60)) {
        sysread($socket, $text, 65536, length $text) or return $text . '<end>';
        return $text
            if $text =~ /^HTTP\/1.1 200 .*?\r\nContent-Length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)\z/s && length $2 >= $1;
    }
    return "$text<silence>";
}

sub ask {
    my ($name, $path, $from) = @_;
    my $socket = dial($name, $from);
    say_to($socket, get($path));
    return hear($socket);
}

sub manage { decode_json(ask('manager', $_[0] // '/') =~ s/.*\r\n\r\n//sr) }

# Asks until the condition holds.
sub until_so {
    my ($condition) = @_;
    for (my $end = time + 60; time < $end; sleep 0.02) {
        my $seen = manage();
        return $seen if $condition->($seen);
    }
    return;
}

# ---- who is silent or slow ----

my $socket = dial('strict');
is hear($socket), '<end>', 'who says nothing is let go, without a word';
$socket = dial('strict');
say_to($socket, "GET / HTTP/1.1\r\n");
like hear($socket), qr/\AHTTP\/1.1 408 .*<end>\z/s, 'who falls silent in a head is told';
$socket = dial('strict');
say_to($socket, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
like hear($socket), qr/\AHTTP\/1.1 408 .*<end>\z/s, 'and who does in a body';
$socket = dial('strict');
say_to($socket, get('/'));
like hear($socket), qr/fine\z/, 'a client of a strict server is answered';
is hear($socket), '<end>', 'and let go when nothing follows';

# A handler computes for longer than a client may be silent; meanwhile one who has begun a request ends it.
$socket = dial('strict');
say_to($socket, "GET / HTTP/1.1\r\n");
my $other = dial('strict');
say_to($other, get('/burn'));
sleep 0.3;
say_to($socket, "Host: a\r\n\r\n");
like hear($socket), qr/fine\z/, 'a server that was busy does not take its own delay for the client\'s';
undef $other;

# Never silent, and never done.
for my $beginning ("GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n") {
    $socket = dial('strict');
    say_to($socket, $beginning);
    my $bytes = 0;
    while (!IO::Select->new($socket)->can_read(0.1) && $bytes < 400) {
        say_to($socket, 'x');
        $bytes++;
    }
    my $answer = hear($socket);
    ok $answer =~ /\AHTTP\/1.1 408 / && $bytes > 5 && $bytes < 400, 'a request has a deadline, too'
        or diag "$bytes bytes, $answer";
}

$socket = dial('strict');
say_to($socket, get('/big'));
ok until_so(sub { $_[0]{status}{strict}{connections} == 0 }), 'who does not read an answer is let go';

# ---- who comes in numbers ----

sub crowd {
    my ($name, $count, $bytes) = @_;
    my @crowd = map { dial($name) } 1 .. $count;
    defined $bytes and say_to($_, $bytes) for @crowd;
    return @crowd;
}

my @crowd = crowd('few', 20);
like ask('few', '/'), qr/fine\z/, 'where all places are taken by silent clients another one is answered';
is hear($crowd[0]), '<end>', 'in the place of the first';
is scalar(grep { IO::Select->new($_)->can_read(0) } @crowd[ 2 .. 19 ]), 0, 'and of nobody else';

@crowd = crowd('few', 20, get('/'));
hear($_) for @crowd;
like ask('few', '/'), qr/fine\z/, 'where they are taken by idle ones';
is hear($crowd[0]), '<end>', 'in the place of the longest idle one';
is scalar(grep { IO::Select->new($_)->can_read(0) } @crowd[ 2 .. 19 ]), 0, 'and of nobody else';

@crowd = crowd('few', 20, "GET / HTTP/1.1\r\nX:");
like ask('few', '/'), qr/fine\z/, 'where they are taken by slow ones';

@crowd = crowd('few', 300);
like ask('few', '/'), qr/fine\z/, 'where fifteen times as many come as there are places';
@crowd = ();
until_so(sub { $_[0]{status}{few}{connections} == 0 });

@crowd = crowd('few', 20, get('/stall'));
until_so(sub { $_[0]{status}{few}{connections} == 20 });
my $late = dial('few');
say_to($late, get('/'));
manage('/release?now=yes');
is scalar(grep { hear($_) =~ /released\z/ } @crowd), 20, 'who waits for an answer keeps his place, and gets it';
like hear($late), qr/fine\z/, 'and who came late is answered then';
manage('/release?now=no');

@crowd = crowd('polite', 5, "GET / HTTP/1.1\r\nX:");
like ask('polite', '/'), qr/\AHTTP\/1.1 429 .*<end>\z|\A<end>\z/s, 'one address has no more than its share';
like ask('polite', '/', '127.0.0.2'), qr/fine\z/, 'which is no matter of another one';
say_to($crowd[0], "y\r\nHost: a\r\n\r\n");
like hear($crowd[0]), qr/fine\z/, 'who was there before is still heard';
like ask('polite', '/'), qr/fine\z/, 'and gives way to the next of its address when idle';
cmp_ok manage()->{status}{polite}{turned_away}, '>=', 1, 'who is turned away is counted';

# ---- no descriptors ----

sub descriptors { scalar(() = glob "/proc/$run->{pid}/fd/*") }
sub ticks { open my $stat, '<', "/proc/$run->{pid}/stat" or die $!; (split ' ', <$stat> =~ s/.*\) //r)[ 11, 12 ] }

@crowd = crowd('plain', 30);
until_so(sub { $_[0]{status}{plain}{connections} == 30 });
my $manager = dial('manager');
say_to($manager, get('/'));
hear($manager);
my $most = descriptors();
system('prlimit', "--pid=$run->{pid}", "--nofile=$most:4096") == 0 or die 'prlimit failed';
like ask('plain', '/'), qr/fine\z/, 'without a descriptor an idle client gives up his';

my @stalled = crowd('plain', 1, get('/stall'));
push @stalled, crowd('plain', 1, get('/stall')) while @stalled < 29;
my $begun = time;
my ($user, $system) = ticks();
$late = dial('plain');
say_to($late, get('/'));
my $heard = hear($late, 1);
my ($user_after, $system_after) = ticks();
my $share = ($user_after + $system_after - $user - $system) / 100 / (time - $begun);
cmp_ok $share, '<', 0.5, 'a server without a descriptor does not spin';
system('prlimit', "--pid=$run->{pid}", '--nofile=4096:4096') == 0 or die 'prlimit failed';
$heard = hear($late) if $heard !~ /fine\z/;
like $heard, qr/fine\z/, 'and goes on when there is one';
manage('/release?now=yes');
@crowd = @stalled = ();
until_so(sub { $_[0]{status}{plain}{connections} <= 1 });
manage('/release?now=no');

# ---- answers in parts ----

# All parts, and what stands behind the last.
sub read_parts {
    my ($socket) = @_;
    my ($text, $body) = ('', '');
    while (sysread $socket, $text, 1 << 20, length $text) {
        last if substr($text, -7) eq "\r\n0\r\n\r\n";
    }
    pos($text) = index($text, "\r\n\r\n") + 4;
    while ($text =~ /\G([0-9a-f]+)\r\n/gc) {
        $body .= substr $text, pos $text, hex $1;
        pos($text) += hex $1;
        $text =~ /\G\r\n/gc or last;
    }
    return ($body, substr $text, pos $text);
}

$socket = dial('plain');
say_to($socket, get('/parts?count=2'));
my ($body, $rest) = read_parts($socket);
is $body . $rest, "0000001\n" x 8192 . "0000002\n" x 8192, 'an answer in parts arrives whole';
say_to($socket, get('/'));
like hear($socket), qr/fine\z/, 'and its connection goes on';

$socket = dial('plain');
say_to($socket, "GET /parts?count=1 HTTP/1.0\r\n\r\n");
like hear($socket), qr/Connection: close\r\n\r\n(?:0000001\n){8192}<end>\z/, 'in HTTP/1.0 it ends with the connection';
$socket = dial('plain');
say_to($socket, "HEAD /parts?count=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
like hear($socket), qr/chunked\r\nConnection: close\r\n\r\n<end>\z/, 'HEAD has no part of it';
$socket = dial('plain');
say_to($socket, get('/break'));
like hear($socket), qr/\r\n\r\n6\r\na part\r\n<end>\z/, 'one that breaks is seen to';

sub memory { open my $status, '<', "/proc/$run->{pid}/status" or die $!; join('', <$status>) =~ /^VmRSS:\s+(\d+)/m; $1 / 1024 }

# 128 MB for a client that does not read: the writer waits.
my $memory = memory();
my $done = @{ manage()->{ended} };
$socket = dial('plain');
say_to($socket, get('/parts?count=2048'));
my ($seen, $written) = (-1, 0);
for (my $end = time + 60; $seen != $written && time < $end; sleep 0.3) {
    ($seen, $written) = ($written, manage()->{written} || -2);
}
cmp_ok $written, '<', 1024, 'a writer waits for a client that does not read';
cmp_ok memory() - $memory, '<', 16, 'and memory does not grow';
($body, $rest) = read_parts($socket);
is length $body, 2 ** 27, 'when the client reads it has all';
is substr($body, -8), "0002048\n", 'to the last part';
is manage()->{ended}[-1], 'done', 'and the writer is done';
$socket = dial('plain');
say_to($socket, get('/parts?count=2048'));
until_so(sub { $_[0]{status}{plain}{connections} >= 1 });
sysread $socket, my $some, 100;
undef $socket;
ok until_so(sub { @{ $_[0]{ended} } == $done + 2 && $_[0]{ended}[-1] =~ /^(?:http\.gone|cancelled)$/ }),
    'a writer whose client leaves is told';

# ---- the end ----

@crowd = crowd('draining', 3);
@stalled = crowd('draining', 3, get('/stall'));
my $half = dial('draining');
say_to($half, "GET / HTTP/1.1\r\n");
until_so(sub { $_[0]{status}{draining}{requests} == 3 && $_[0]{status}{draining}{connections} == 7 });
manage('/drain');
is scalar(grep { hear($_) eq '<end>' } @crowd), 3, 'a server that is to end lets go of the idle';
ok !eval { dial('draining') }, 'and takes nobody any more';
say_to($half, "Host: a\r\n\r\n");
like hear($half), qr/Connection: close\r\n\r\nfine\z/, 'a request that was under way is answered';
manage('/release?now=yes');
is scalar(grep { hear($_) =~ /released\z/ } @stalled), 3, 'and so are those of handlers';
undef $_ for @stalled, $half;
ok until_so(sub { $_[0]{status}{draining}{connections} == 0 }), 'then it is closed';

print { dial('manager') } get('/end');
my $ended = finish($run);
is $ended->{status}, 0, 'all servers end';
is(() = "$ended->{stdout}$ended->{stderr}" =~ /failed: .*it breaks/g, 1, 'and of what failed the handler is told alone')
    or diag "$ended->{stdout}$ended->{stderr}";
done_testing;
