#!/usr/bin/perl
# A write whose end nobody saw may have happened: the run that goes on asks, instead of doing it again. One that surely
# did not happen is simply done again.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Socket::INET;
use Runs;
use Test::More;

exec 'tests/lib/with-sshd', 'tests/lib/with-postgres', $^X, '-Itests/lib', $0 unless $ENV{SSHD};

# A server of one connection at a time, on a free port: what it says to each is the function's.
sub serve {
    my ($talk) = @_;
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die("listen: $!");
    my $pid = fork // die("fork: $!");
    if (!$pid) {
        $SIG{ALRM} = 'DEFAULT';
        alarm 120;
        while (my $client = $listener->accept) {
            $client->autoflush;
            $talk->($client);
            close $client;
        }
        exit;
    }
    return { pid => $pid, port => $listener->sockport };
}

sub http_request {
    my ($client) = @_;
    my $length = 0;
    while (defined(local $_ = <$client>)) {
        $length = $1 if /^content-length: (\d+)/i;
        last if /^\r?\n$/;
    }
    read $client, my ($body), $length;
}

sub http_answer {
    my ($status, $body, $length) = @_;
    return sub {
        my ($client) = @_;
        http_request($client);
        printf $client "HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s",
            $status, $length // length $body, $body;
    };
}

# An SMTP server that ends the conversation when it hears the word.
sub smtp_until {
    my ($word) = @_;
    return sub {
        my ($client) = @_;
        my $in_text;
        print $client "220 here\r\n";
        while (defined(local $_ = <$client>)) {
            return if /^$word/;
            next if $in_text;
            $in_text = /^DATA/;
            print $client /^EHLO/ ? "250-here\r\n250 8BITMIME\r\n" : /^DATA/ ? "354 go on\r\n" : "250 fine\r\n";
        }
    };
}

my %server = (
    silent    => serve(\&http_request),
    gateway   => serve(http_answer('502 Bad Gateway', '{}')),
    refusing  => serve(http_answer('422 Unprocessable Entity', '{"message":"no"}')),
    half      => serve(http_answer('200 OK', '{"half":', 100)),
    mail_data => serve(smtp_until('\.\r')),
    mail_from => serve(smtp_until('RCPT')),
);
my $closed = do {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die("listen: $!");
    $socket->sockport; # closed when this block ends
};

my $prelude = <<'LUA';
local http, mail, postgres, ssh = require "http", require "mail", require "postgres", require "ssh"
local function run(command, options)
    ssh.connect("127.0.0.1", { known_hosts = env "SSHD" .. "/known_hosts", identity = env "SSHD" .. "/id_ed25519" })
        :run(command, options)
end
local function database()
    return postgres.connect { host = "localhost", port = env "POSTGRES_PORT", user = "admin", dbname = "postgres",
        password = secret "POSTGRES_PASSWORD", ca_file = env "POSTGRES_CA" }
end
local function letter(port)
    mail.send { server = "smtp://127.0.0.1:" .. port, starttls = "never", from = "a@example.org", to = "b@example.org",
        subject = "x", text = "x" }
end
LUA

# What is written, and whether it may have happened when the run fails.
my @cases = (
    ['a command whose connection is lost', 1, 'run({ "sh", "-c", "kill -9 $(ps -o ppid= $(ps -o ppid= $PPID)); sleep 20" })'],
    ['a command with too much output', 1, 'run({ "yes" }, { limit = 1000 })'],
    ['a command that fails', 0, 'run({ "false" })'],
    ['a host where nobody listens', 0, 'ssh.connect("127.0.0.1:1", { identity = env "SSHD" .. "/id_ed25519" }):run({ "true" })'],
    ['a host that never speaks', 0,
        'ssh.connect("127.0.0.1:2301", { identity = env "SSHD" .. "/id_ed25519", timeout = 0.3 }):run({ "true" })'],
    ['a request without an answer', 1, "http.post(\"http://127.0.0.1:$server{silent}{port}/\", { json = {} })"],
    ['a request that a gateway answers', 1, "http.post(\"http://127.0.0.1:$server{gateway}{port}/\", { json = {} })"],
    ['a request whose answer breaks off', 1, "http.post(\"http://127.0.0.1:$server{half}{port}/\", { json = {} })"],
    ['a request that is refused', 0, "http.post(\"http://127.0.0.1:$server{refusing}{port}/\", { json = {} })"],
    ['a server that nobody runs', 0, "http.post(\"http://127.0.0.1:$closed/\", { json = {} })"],
    ['a statement whose connection is lost', 1, 'database():query("select pg_terminate_backend(pg_backend_pid())")'],
    ['a statement that is refused', 0, 'database():query("select 1 / 0")'],
    ['a letter that was on its way', 1, "letter($server{mail_data}{port})"],
    ['a letter before its text', 0, "letter($server{mail_from}{port})"],
    ['a mail server that nobody runs', 0, "letter($closed)"],
);

for my $case (@cases) {
    my ($name, $doubtful, $write) = @$case;
    my $runs = Runs->new(book => <<"LUA");
$prelude
return playbook { summary = "writes", run = function()
    step("write", function() $write end)
end }
LUA
    is $runs->hostler('run', 'book'), 1, "$name: the run fails" or diag $runs->{said};
    my $resumed = $runs->hostler('resume', 'last');
    if ($doubtful) {
        is $resumed, 3, '  and resumed, it asks' or diag $runs->{said};
        like $runs->{said}, qr/book\/write/, '  about the step';
    } else {
        is $resumed, 1, '  and resumed, it is tried again' or diag $runs->{said};
    }
}

kill TERM => map { $_->{pid} } values %server;
waitpid $_->{pid}, 0 for values %server;
done_testing;
