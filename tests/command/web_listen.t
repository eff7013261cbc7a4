#!/usr/bin/perl
# Where the HTTP server listens: unix sockets and inherited descriptors beside addresses; and that clients and proxies of
# other makes get on with it: curl, Node, Python and wrk; Caddy and nginx, which hand requests on to its unix socket.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Hostler;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use Servers;
use Test::More;

my $SERVER = <<'LUA';
local http = require "http"
return playbook { summary = "A server", params = { opt("path", "string", "a unix socket"), opt("fd", "int", "a descriptor"),
    opt("group", "string", "whose the socket is"), opt("tls", "string", "a folder with a certificate") }, run = function(p)
    local tls = p.tls and { certificate = p.tls .. "/server.pem", key = p.tls .. "/server.key" }
    local server
    server = http.serve({ path = p.path, group = tonumber(p.group) or p.group, fd = p.fd, tls = tls, limit = 2 ^ 24 }, function(request)
        if request.path == "/end" then
            server:drain()
        elseif request.path == "/parts" then
            return { stream = function(write)
                for part = 1, 3 do
                    write(("part %d of %s\n"):format(part, request.headers["x-name"]))
                    if request.query.pause then
                        wait_until("it is read", { timeout = 60, interval = 0.01 }, function() return server.read end)
                    end
                end
            end }
        elseif request.path == "/read" then
            server.read = true
        end
        return { path = request.path, remote = request.remote, peer = request.peer, length = #request.body,
            sum = #request.body:gsub("[^x]", ""), host = request.headers.host }
    end)
    say("at %s", server.url)
    server:wait()
end }
LUA

my $folder = playbooks(server => $SERVER);
my $servers = Servers->new('caddy', 'nginx');

sub serve {
    my ($options, @arguments) = @_;
    my $run = start({ in => $folder, %$options }, 'run', 'server', @arguments);
    wait_for($run, qr/ at (?:unix|http)\S+|error/m);
    return $run;
}

sub client { my $said = qx{$_[0] 2>&1}; return eval { decode_json($said) } // { said => $said } }
sub curl { my ($path, $url, @more) = @_; return client("curl --silent --show-error --max-time 60 --unix-socket '$path' @more 'http://a$url'") }

sub end_of {
    my ($run, $path) = @_;
    curl($path, '/end');
    return finish($run)->{status};
}

# ---- a unix socket ----

my $path = "$folder/socket";
my $run = serve({}, '--path', $path);
like $run->{stdout}, qr/at unix:\Q$path\E$/m, 'a server listens on a unix socket';
is sprintf('%o', (stat $path)[2]), '140660', "which is its owner's and group's";
my $answer = curl($path, '/x');
is $answer->{path}, '/x', 'curl asks it';
is_deeply [ @{ $answer->{peer} }{qw(uid gid)}, $answer->{remote} ], [ $>, $) + 0, undef ], 'and is known by its user';
my $python = q{python3 -c 'import http.client, socket, sys, os
c = http.client.HTTPConnection("a"); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])
c.request("GET", "/first"); assert c.getresponse().read()
c.request("POST", "/second", body=(b"x" * 100000 for _ in range(30)), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
print(c.getresponse().read().decode().replace("\"pid\":%d" % os.getpid(), "\"pid\":\"mine\""))' };
$answer = client("$python $path");
is_deeply [ @$answer{qw(path length)}, $answer->{peer}{pid} ], [ '/second', 3000000, 'mine' ],
    'so does Python, twice on a connection, and its process is known';
my $node = q{node -e 'const http = require("http"); const agent = new http.Agent({ keepAlive: true });
const ask = (path, body) => new Promise((done) => { const r = http.request({ socketPath: process.argv[1], path, agent,
    method: body ? "POST" : "GET" }, (a) => { let text = ""; a.on("data", (d) => text += d); a.on("end", () => done([a, text])); }); r.end(body); });
(async () => { const first = await ask("/one"), second = await ask("/two", "x".repeat(50000)), parts = await ask("/parts");
console.log(JSON.stringify({ first: JSON.parse(first[1]).path, second: JSON.parse(second[1]).sum, parts: parts[1],
    chunked: parts[0].headers["transfer-encoding"] })); agent.destroy(); })()' };
is_deeply client("$node $path"), { first => '/one', second => 50000, chunked => 'chunked',
    parts => join('', map { "part $_ of nil\n" } 1 .. 3) }, 'and Node, which reads an answer in parts';

my $second = finish(serve({}, '--path', $path));
like "$second->{stdout}$second->{stderr}", qr/cannot listen on \Q$path\E: process $run->{pid} \(hostler\) listens there already/,
    'a socket that somebody has is refused, with who has it';
is curl($path, '/x')->{path}, '/x', 'and left to him';
is end_of($run, $path), 0, 'a server ends';
ok !-e $path, 'and takes its file along';

$run = serve({}, '--path', $path);
kill KILL => $run->{pid};
finish($run);
ok -S $path, 'one that was killed leaves its file';
my @runs = map { start({ in => $folder }, 'run', 'server', '--path', $path) } 1 .. 4;
wait_for($_, qr/ at unix:|listens there/m) for @runs;
my @have = grep { $_->{stdout} =~ / at unix:/ } @runs;
is scalar @have, 1, 'of several that come then one takes its place';
is curl($path, '/x')->{path}, '/x', 'and is asked';
is end_of($have[0], $path), 0, 'and ends';
finish($_) for grep { $_ != $have[0] } @runs;

open my $file, '>', $path or die $!;
print $file 'precious';
close $file;
my $refused = finish(serve({}, '--path', $path));
like "$refused->{stdout}$refused->{stderr}", qr/cannot listen on \Q$path\E: the file there is no socket/, 'a file is refused';
is -s $path, 8, 'and left alone';
$refused = finish(serve({}, '--path', "$folder/nowhere/socket"));
like "$refused->{stdout}$refused->{stderr}", qr/nowhere\/socket: No such file or directory/, 'and a folder that is not there';

# ---- the socket's group ----

# As root that may not give files away, in these groups.
sub confined { return { wrap => [ 'setpriv', '--bounding-set=-chown', '--inh-caps=-chown', "--groups=$_[0]", '--' ] } }

unlink $path;
for ([ 'www-data', {} ], [ 33, {} ], [ 'www-data', confined('0,33') ]) {
    $run = serve($_->[1], '--path', $path, '--group', $_->[0]);
    is_deeply [ sprintf('%o', (stat $path)[2]), (stat $path)[ 4, 5 ] ], [ '140660', $>, 33 ], "a socket belongs to the group $_->[0]";
    is end_of($run, $path), 0, 'and its server ends';
}
$run = serve({ wrap => [ 'strace', '-f', '-o', "$folder/calls", '-e', 'trace=bind,fchownat,fchmodat,listen' ] }, '--path', $path, '--group', 33);
end_of($run, $path);
my $calls = do { open my $in, '<', "$folder/calls" or die $!; local $/; <$in> };
like $calls, qr/bind\(.*fchownat\(.*fchmodat\(.*0660.*listen\(/s, 'it does before anybody can connect';
for ([ 'no-such-group', {}, qr/there is no group 'no-such-group'.*groupadd/s ], [ '4294967295', {}, qr/there is no group '4294967295'/ ],
    [ 33, confined('0'), qr/its file cannot be given to the group '33': Operation not permitted.*SupplementaryGroups/s ]) {
    my $ended = finish(serve($_->[1], '--path', $path, '--group', $_->[0]));
    like "$ended->{stdout}$ended->{stderr}", qr/cannot listen on \Q$path\E: .*$_->[2]/s, "another one does not do: $_->[0]";
    ok !-e $path, 'and leaves no file';
}
my $without = finish(serve({}, '--fd', 3, '--group', 33));
like "$without->{stdout}$without->{stderr}", qr/a group is for the file of a unix socket/, 'nor one without a path';

my $deep = "$folder/" . 'a' x 100;
mkdir $deep or die $!;
$run = serve({}, '--path', "$deep/socket");
ok -S "$deep/socket", 'a path may be longer than the kernel takes';
chdir $deep or die $!;
is curl('socket', '/x')->{path}, '/x', 'and is asked there';
is end_of($run, 'socket'), 0, 'and ends';
ok !-e "$deep/socket", 'and goes';
chdir $ENV{PWD} or die $!;

# ---- a descriptor ----

# Opens descriptor 3 as told, writes its port down, and becomes the command.
my $INHERIT = <<'PYTHON';
import os, socket, sys
kind, family, listens = sys.argv[1].split()
s = socket.socket(getattr(socket, family), getattr(socket, kind))
s.bind(sys.argv[2] + "/given" if family == "AF_UNIX" else ("127.0.0.1", 0))
if listens == "yes": s.listen()
open(sys.argv[2] + "/port", "w").write(str(s.getsockname()[1]) if family != "AF_UNIX" else "0")
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.execv(sys.argv[3], sys.argv[3:])
PYTHON

sub inherited { unlink "$folder/given"; return serve({ wrap => [ 'python3', '-c', $INHERIT, $_[0], $folder ] }, '--fd', 3) }

$run = inherited('SOCK_STREAM AF_INET yes');
my ($port) = do { open my $in, '<', "$folder/port" or die $!; <$in> };
like $run->{stdout}, qr{at http://127\.0\.0\.1:$port$}m, 'a server takes an inherited socket';
is client("curl --silent http://127.0.0.1:$port/x")->{remote}, '127.0.0.1', 'and is asked there';
client("curl --silent http://127.0.0.1:$port/end");
is finish($run)->{status}, 0, 'and ends';
$run = inherited('SOCK_STREAM AF_UNIX yes');
is curl("$folder/given", '/x')->{peer}{uid}, $>, 'also of a unix socket';
is end_of($run, "$folder/given"), 0, 'which ends';
ok -S "$folder/given", 'and leaves the file, for it is not its own';
for ([ 'SOCK_STREAM AF_INET no', 'nobody listens on it' ], [ 'SOCK_DGRAM AF_INET no', 'it is no stream socket' ]) {
    my $ended = finish(inherited($_->[0]));
    like "$ended->{stdout}$ended->{stderr}", qr/cannot serve on descriptor 3: $_->[1]/, "one that does not do: $_->[1]";
}
my $closed = finish(serve({}, '--fd', 19));
like "$closed->{stdout}$closed->{stderr}", qr/descriptor 19: it is not open/, 'nor one that is not open';
my $both = finish(serve({}, '--fd', 3, '--path', $path));
like "$both->{stdout}$both->{stderr}", qr/one of address, path and fd/, 'nor two places';

# ---- TLS ----

my $keys = $servers->folder;
$run = serve({}, '--tls', $keys);
my ($tls) = $run->{stdout} =~ m{at https://127\.0\.0\.1:(\d+)};
my $with = "--silent --show-error --cacert $keys/server.pem https://localhost:$tls";
is client("head -c 3000000 /dev/zero | tr '\\0' x | curl --data-binary \@- $with/x")->{sum}, 3000000, 'curl sends 3 MB over TLS';
is client("curl --tls-max 1.2 $with/x")->{path}, '/x', 'also by TLS 1.2';
like client("curl --tls-max 1.1 $with/x")->{said}, qr/curl: \(35\)/, 'not by older ones';
is client(qq{python3 -c 'import ssl, sys, urllib.request as u
print(u.urlopen("https://localhost:$tls/x", b"x" * 500000, context=ssl.create_default_context(cafile=sys.argv[1])).read().decode())' $keys/server.pem})
    ->{sum}, 500000, 'Python does';
is client(qq{NODE_EXTRA_CA_CERTS=$keys/server.pem node -e 'fetch("https://localhost:$tls/x").then(async (a) => console.log(await a.text()))'})
    ->{path}, '/x', 'Node does';
my $plain = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls) or die $!;
print $plain "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
local $/;
is eval { local $SIG{ALRM} = sub { die }; alarm 60; <$plain>; alarm 0; 1 }, 1, 'who speaks plainly is let go';
client("curl $with/end");
is finish($run)->{status}, 0, 'and it ends';

system("openssl pkey -in $keys/server.key -aes256 -passout pass:secret -out $folder/server.key && cp $keys/server.pem $folder") == 0 or die;
my $sealed = finish(serve({}, '--tls', $folder));
like "$sealed->{stdout}$sealed->{stderr}", qr/server\.key does not do: .*\n.*without a passphrase/s,
    'a key with a passphrase is refused, and nobody is asked for it';

# ---- proxies ----

for my $proxy ('caddy', 'nginx') {
    $servers->start_of_tree($proxy, ECHO => 'caddy'); # whose own sites nobody asks
    $servers->wait_for($proxy, 8081);
    my ($at, $socket) = ($servers->address($proxy) . ':8081', $servers->folder . "/$proxy/upstream.sock");
    $run = serve({}, '--path', $socket);
    chown 0, 33, $socket; # nginx drops to www-data
    my $seen = client("curl --silent http://$at/x%20y");
    is $seen->{path}, '/x y', "$proxy hands a request on";
    is $seen->{peer}{uid}, $proxy eq 'caddy' ? 0 : 33, 'and is known by its user';
    is client("head -c 5000000 /dev/zero | tr '\\0' x | curl --silent --data-binary \@- http://$at/x")->{sum}, 5000000, 'and 5 MB';
    like qx{curl --silent -H 'X-Name: ada' http://$at/parts}, qr/\Apart 1 of ada\npart 2 of ada\npart 3 of ada\n\z/, 'and an answer in parts';
    open my $parts, '-|', "curl --silent --no-buffer 'http://$at/parts?pause=1'" or die $!;
    { local $/ = "\n"; like scalar <$parts>, qr/part 1/, 'of which each comes when it is written' }
    client("curl --silent http://$at/read");
    is scalar(() = <$parts> =~ /part/g), 2, 'to the end';
    my $load = qx{wrk -t 1 -c 20 -d 1s http://$at/x};
    ok $load =~ /(\d+) requests in/ && $1 > 0 && $load !~ /Non-2xx|Socket errors/, 'wrk goes through it' or diag $load;
    is end_of($run, $socket), 0, 'and the server ends';
    # Its connections outlive the server: the next one is found.
    $run = serve({}, '--path', $socket);
    chown 0, 33, $socket;
    is client("curl --silent --retry 5 http://$at/again")->{path}, '/again', "$proxy finds the next one";
    is end_of($run, $socket), 0, 'which ends as well';
}
done_testing;
