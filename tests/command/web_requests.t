#!/usr/bin/perl
# The HTTP server reads requests as RFC 9112 has them and no other way: a table of what it refuses, with which status, over
# raw sockets; and what is right, however it comes, arrives as it was sent.
use strict;
use warnings;
use Hostler;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;

my $SERVER = <<'LUA';
local http = require "http"

-- JSON holds no bytes that are no text.
local function shown(text)
    return (text:gsub("[%z\128-\255]", function(byte) return ("<%02x>"):format(byte:byte()) end))
end

return playbook { summary = "A server to ask", run = function()
    local server
    server = http.serve({ limit = 1000, timeout = 60 }, function(request)
        if request.path == "/end" then
            server:close()
        end
        for name, value in pairs(request.headers) do
            request.headers[name] = shown(value)
        end
        for _, field in ipairs(request.fields) do
            field[2] = shown(field[2])
        end
        return { method = request.method, target = request.target, path = request.path, query = request.query,
            headers = request.headers, fields = json.array(request.fields), body = shown(request.body),
            status = server:status() }
    end)
    say("port %d", server.port)
    server:wait()
end }
LUA

my $folder = playbooks(server => $SERVER);
my $server = start({ in => $folder }, 'run', 'server');
wait_for($server, qr/port (\d+)/) or die "there is no server: $server->{stdout}$server->{stderr}";
my ($port) = $server->{stdout} =~ /port (\d+)/;

sub dial { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "no connection: $!" }

# Reads until the server closes the connection, or one whole answer has come; whether it was closed, and all that came.
sub hear {
    my ($socket) = @_;
    my ($text, $ready) = ('', IO::Select->new($socket));
    while ($ready->can_read(30)) {
        sysread($socket, $text, 65536, length $text) or return (1, $text);
        return (0, $text) if $text =~ /^HTTP\/1.1 [25]0[04].*?\r\nContent-Length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)\z/s && length $2 >= $1;
    }
    return (0, $text);
}

# What a request gets: "400 closed", "200", "closed".
sub outcome {
    my ($bytes) = @_;
    my $socket = dial();
    local $SIG{PIPE} = 'IGNORE';
    print $socket $bytes;
    $socket->flush;
    my ($closed, $text) = hear($socket);
    my ($status) = $text =~ m{\AHTTP/1\.1 (\d+) };
    return join ' ', $status // (), $closed ? 'closed' : ();
}

my $get  = "GET / HTTP/1.1\r\nHost: a\r\n";
my $post = "POST / HTTP/1.1\r\nHost: a\r\n";
my $chunked = "${post}Transfer-Encoding: chunked\r\n\r\n";

# ---- what is refused ----

my @bad = (
    # who ends a body where
    [ '400', 'two lengths', "${post}Content-Length: 1\r\nContent-Length: 5\r\n\r\nabcde" ],
    [ '400', 'one length twice', "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde" ],
    [ '400', 'two lengths in one field', "${post}Content-Length: 5, 5\r\n\r\nabcde" ],
    [ '400', 'a length and chunks', "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunks and a length', "${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" ],
    [ '400', 'a length below zero', "${post}Content-Length: -5\r\n\r\n" ],
    [ '400', 'a length with a plus', "${post}Content-Length: +5\r\n\r\nabcde" ],
    [ '400', 'a hexadecimal length', "${post}Content-Length: 0x5\r\n\r\nabcde" ],
    [ '400', 'a length in other digits', "${post}Content-Length: \xd9\xa5\r\n\r\nabcde" ],
    [ '400', 'an empty length', "${post}Content-Length:\r\n\r\n" ],
    [ '400', 'a length with a space in it', "${post}Content-Length: 1 0\r\n\r\nabcdefghij" ],
    [ '413', 'a length of 10^20', "${post}Content-Length: 100000000000000000000\r\n\r\n" ],
    [ '413', 'a length beyond the limit', "${post}Content-Length: 1001\r\n\r\n" ],
    [ '400', 'two codings', "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunked twice', "${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunked, then another coding', "${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" ],
    [ '400', 'a coding that is nearly chunked', "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunked after a vertical tab', "${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunked in quotes', "${post}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" ],
    [ '400', 'identity', "${post}Transfer-Encoding: identity\r\nX: y\r\n\r\nabc" ],
    [ '501', 'another coding under chunks', "${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'chunks in HTTP/1.0', "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'a chunk of no hexadecimal size', "${chunked}zz\r\n" ],
    [ '400', 'a chunk without a size', "$chunked\r\n" ],
    [ '400', 'a chunk below zero', "${chunked}-1\r\n" ],
    [ '400', 'a chunk of 0x5', "${chunked}0x5\r\nabcde\r\n0\r\n\r\n" ],
    [ '400', 'a chunk larger than 64 bits', "${chunked}fffffffffffffffff\r\n" ],
    [ '413', 'a chunk beyond the limit', "${chunked}ffffff\r\n" . 'x' x 1001 ],
    [ '413', 'many chunks beyond the limit', $chunked . "a\r\n0123456789\r\n" x 101 ],
    [ '400', 'a chunk longer than its size', "${chunked}3\r\nabcd\r\n0\r\n\r\n" ],
    [ '400', 'a chunk that ends in a line feed', "${chunked}3\r\nabc\n0\r\n\r\n" ],
    [ '400', 'a size that ends in a line feed', "${chunked}3\nabc\r\n0\r\n\r\n" ],
    [ '400', 'a space after a size', "${chunked}3 \r\nabc\r\n0\r\n\r\n" ],
    [ '400', 'a carriage return in an extension', "${chunked}3;a\rb\r\nabc\r\n0\r\n\r\n" ],
    [ '400', 'a line feed in an extension', "${chunked}3;a\nb\r\nabc\r\n0\r\n\r\n" ],
    [ '400', 'an extension without an end', "${chunked}3;" . 'a' x 300 ],
    [ '400', 'a trailer with a folded line', "${chunked}0\r\nA: b\r\n c\r\n\r\n" ],
    [ '400', 'a trailer that ends in a line feed', "${chunked}0\r\nA: b\n\r\n" ],
    [ '431', 'a trailer without an end', "${chunked}0\r\n" . "A: b\r\n" x 200 ],
    # lines and fields
    [ '400', 'a folded field', "${get}X: a\r\n b\r\n\r\n" ],
    [ '400', 'a folded field, by a tab', "${get}X: a\r\n\tb\r\n\r\n" ],
    [ '400', 'a folded coding', "${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'a first field that is folded', "GET / HTTP/1.1\r\n Host: a\r\n\r\n" ],
    [ '400', 'a space before a colon', "${post}Content-Length : 5\r\n\r\nabcde" ],
    [ '400', 'a tab before a colon', "${post}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" ],
    [ '400', 'a field without a name', "${get}: x\r\n\r\n" ],
    [ '400', 'a field without a colon', "${get}X\r\n\r\n" ],
    [ '400', 'a name that is no token', "${get}X(y): z\r\n\r\n" ],
    [ '400', 'a name beyond ASCII', "${get}X\xc3\xa9: z\r\n\r\n" ],
    [ '400', 'a NUL in a name', "${get}X\0Y: z\r\n\r\n" ],
    [ '400', 'a NUL in a value', "${get}X: y\0z\r\n\r\n" ],
    [ '400', 'another control character in a value', "${get}X: y\x01z\r\n\r\n" ],
    [ '400', 'a delete in a value', "${get}X: y\x7fz\r\n\r\n" ],
    [ '400', 'a carriage return in a value', "${get}X: y\rz\r\n\r\n" ],
    [ '400', 'a line feed in a value', "${get}X: y\nContent-Length: 5\r\n\r\n" ],
    [ '400', 'lines that end in line feeds', "GET / HTTP/1.1\nHost: a\n\n" ],
    [ '400', 'an end without its carriage return', "$get\n" ],
    [ '400', 'two empty lines first', "\r\n\r\n$get\r\n" ],
    [ '400', 'an empty line of a line feed first', "\n$get\r\n" ],
    [ '431', 'a field that is too large', "${get}X: " . 'y' x 40000 . "\r\n\r\n" ],
    [ '431', 'too many fields', $get . "X: y\r\n" x 200 . "\r\n" ],
    # the host
    [ '400', 'no Host', "GET / HTTP/1.1\r\n\r\n" ],
    [ '400', 'an empty Host', "GET / HTTP/1.1\r\nHost:\r\n\r\n" ],
    [ '400', 'two Hosts', "${get}Host: b\r\n\r\n" ],
    [ '400', 'two Hosts in HTTP/1.0', "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n" ],
    [ '400', 'a list of Hosts', "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" ],
    [ '400', 'a Host with a path', "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" ],
    [ '400', 'a Host with a user', "GET / HTTP/1.1\r\nHost: u\@a\r\n\r\n" ],
    [ '400', 'no Host beside a URL', "GET http://a/ HTTP/1.1\r\n\r\n" ],
    [ '400', 'a URL without a host', "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a URL with a user', "GET http://u\@a/ HTTP/1.1\r\nHost: a\r\n\r\n" ],
    # the request line
    [ '400', 'a control character in a method', "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a NUL in a method', "GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a method beyond ASCII', "G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a colon in a method', "GET: / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a space before a method', " GET / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'two spaces after a method', "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a tab after a method', "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '501', 'a long method', 'A' x 33 . " / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '501', 'CONNECT', "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a NUL in a path', "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'an encoded NUL in a path', "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a path beyond ASCII', "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a percent sign that encodes nothing', "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a percent sign at the end', "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a fragment', "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a space in a path', "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a path without its slash', "GET a HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a star for GET', "GET * HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'another scheme', "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '414', 'a long path', 'GET /' . 'a' x 9000 . " HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'no version', "GET /\r\n\r\n" ],
    [ '400', 'a version in small letters', "GET / http/1.1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a version of one digit', "GET / HTTP/1\r\nHost: a\r\n\r\n" ],
    [ '400', 'a version of three digits', "GET / HTTP/1.10\r\nHost: a\r\n\r\n" ],
    [ '400', 'a space after the version', "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" ],
    [ '400', 'another protocol', "GET / RTSP/1.0\r\n\r\n" ],
    [ '505', 'HTTP/2 by itself', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" ],
    [ '505', 'HTTP/0.9 by name', "GET / HTTP/0.9\r\n\r\n" ],
    [ '417', 'an expectation that nobody knows', "${post}Expect: a-miracle\r\nContent-Length: 1\r\n\r\na" ],
    # no HTTP
    [ '400', 'the beginning of TLS', "\x16\x03\x01\x02\x00\x01" ],
    [ '400', 'zeros', "\0" x 100 ],
    [ '400', 'SSH', "SSH-2.0-OpenSSH_9.2\r\n" ],
);
is outcome($_->[2]), "$_->[0] closed", $_->[1] for @bad;

# ---- what was hidden behind it ----

# Behind something that is refused stands another request: it is answered to nobody.
for my $first (
    "${post}Content-Length: 1\r\nContent-Length: 0\r\n\r\n",
    "${post}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
) {
    my $socket = dial();
    print $socket "${first}GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    my ($closed, $text) = hear($socket);
    my @answers = $text =~ m{HTTP/1\.1 (\d+)}g;
    is_deeply [ $closed, @answers ], [ 1, 400 ], 'what stands behind a request that is refused is not read';
}

# ---- what is right ----

sub ask {
    my ($bytes) = @_;
    my $socket = dial();
    print $socket $bytes;
    my ($closed, $text) = hear($socket);
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my $document = eval { decode_json($body) } // { text => $text };
    return { %$document, closed => $closed, head => $head };
}

my $answer = ask("POST /a%20b/c%2Fd?x=1&y=a+b%21&x=2&z HTTP/1.1\r\nHost: a:80\r\nX-One:  1 \t\r\nx-one:2\r\nCookie: a=1\r\n"
    . "Cookie: b=2\r\nEmpty:\r\nContent-Length: 4\r\n\r\na\0\xff\n");
is $answer->{method}, 'POST', 'a request arrives: its method';
is $answer->{target}, '/a%20b/c%2Fd?x=1&y=a+b%21&x=2&z', 'its target as it was sent';
is $answer->{path}, '/a b/c/d', 'its path';
is_deeply $answer->{query}, { x => 2, y => 'a b!', z => '' }, 'its query';
is_deeply $answer->{headers}, { host => 'a:80', 'x-one' => '1, 2', cookie => 'a=1; b=2', empty => '', 'content-length' => 4 },
    'its headers, of which repeated ones can be told';
is_deeply $answer->{fields}, [ [ 'Host', 'a:80' ], [ 'X-One', '1' ], [ 'x-one', '2' ], [ 'Cookie', 'a=1' ],
    [ 'Cookie', 'b=2' ], [ 'Empty', '' ], [ 'Content-Length', '4' ] ], 'and as they were sent';
is $answer->{body}, "a<00><ff>\n", 'its body';
ok !$answer->{closed}, 'and the connection stays';

is ask("${chunked}3\r\nabc\r\n0A;name=\"v\"\r\n0123456789\r\n0\r\nX-Trailer: y\r\n\r\n")->{body}, 'abc0123456789', 'chunks';
is ask("${post}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")->{body}, '', 'none, in capitals';
is ask("GET http://other.test/x?y HTTP/1.1\r\nHost: a\r\n\r\n")->{headers}{host}, 'other.test',
    "a URL's own host counts before the field";
is ask("GET http://other.test HTTP/1.1\r\nHost: a\r\n\r\n")->{path}, '/', 'and its path may be empty';
is ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")->{path}, '*', 'a star for OPTIONS';
is ask("\r\n$get\r\n")->{path}, '/', 'one empty line first is forgiven';
is ask("GET / HTTP/1.3\r\nHost: a\r\n\r\n")->{path}, '/', 'a later version of the same kind';
is ask("M-SEARCH / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n")->{method}, 'M-SEARCH', 'any method that is a token';
is ask("${get}Expect:\r\n\r\n")->{path}, '/', 'no expectation';
is ask("${get}X: \xe9 \xc3\xa9\tb\r\n\r\n")->{headers}{x}, "<e9> <c3><a9>\tb", 'bytes beyond ASCII in a value';
is ask($post . 'Content-Length: 1000' . "\r\n\r\n" . 'x' x 1000)->{body}, 'x' x 1000, 'a body of just the limit';
my $old = ask("GET / HTTP/1.0\r\n\r\n");
ok $old->{path} eq '/' && $old->{head} =~ /^Connection: close\r?$/m, 'HTTP/1.0 without a Host, which is closed then';
like ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")->{head}, qr/^Connection: keep-alive\r?$/m, 'or not, where it asks';
like ask("${get}Connection: x, Close\r\n\r\n")->{head}, qr/^Connection: close\r?$/m, 'one that is to be closed is';

# In pieces, of which each is one byte.
my $socket = dial();
$socket->setsockopt(6, 1, 1);
for my $byte (split //, "${chunked}3\r\nabc\r\n0\r\nX: y\r\n\r\n") {
    syswrite $socket, $byte;
}
like +(hear($socket))[1], qr/"body":"abc"/, 'a request that comes byte by byte';

# Several at once are answered one after the other.
$socket = dial();
print $socket map { "${post}X: $_\r\nContent-Length: 2\r\n\r\n$_$_" } 1 .. 3;
my ($text, @bodies) = ('');
while (@bodies < 3) {
    sysread($socket, $text, 65536, length $text) or last;
    @bodies = $text =~ /"body":"(\d+)"/g;
}
is_deeply \@bodies, [ 11, 22, 33 ], 'requests that were sent at once are answered in their order';
print $socket "GET / HTTP/1.1\r\n\r\n";
like +(hear($socket))[1], qr/\AHTTP\/1.1 400 /, 'and one behind them may still be wrong';

$socket = dial();
print $socket "${post}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
sysread $socket, $text, 4096;
is $text, "HTTP/1.1 100 Continue\r\n\r\n", 'who waits to be asked for a body is asked';
print $socket 'abc';
like +(hear($socket))[1], qr/"body":"abc"/, 'and sends it';
is outcome("${post}Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"), '413 closed', 'unless it is too large';

$socket = dial();
print $socket "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
like +(hear($socket))[1], qr/^Content-Length: [1-9]\d*\r\n.*\r\n\r\n\z/ms, 'HEAD has the head alone';

# A client that sends a whole body before it reads sees why it was refused.
$socket = dial();
{
    local $SIG{PIPE} = 'IGNORE';
    print $socket "${post}Content-Length: 20000000\r\n\r\n", 'x' x 20_000_000;
    $socket->flush;
}
like +(hear($socket))[1], qr/\AHTTP\/1.1 413 /, 'who sends 20 MB that are refused reads why';

# ---- what is told of it ----

my $secret = 'hunter2-hunter2';
outcome("GET /$secret HTTP/1.1\r\nAuthorization: Bearer $secret\r\n\r\n");
outcome("${get}Authorization: Bearer $secret\r\n $secret\r\n\r\n");
outcome("${get}$secret\0$secret: x\r\n\r\n");
my $refused = ask("$get\r\n")->{status}{refused};
cmp_ok $refused, '>=', scalar @bad, 'what was refused is counted';
print { dial() } "GET /end HTTP/1.1\r\nHost: a\r\n\r\n";
my $ended = finish($server);
is $ended->{status}, 0, 'the server ends';
unlike "$ended->{stdout}$ended->{stderr}", qr/hunter2/, 'and nothing of what it refused is told';
done_testing;
