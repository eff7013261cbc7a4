#!/usr/bin/perl
# A server's certificate is renewed while it serves: who connects then is shown the new one, who is connected stays, and
# files that do not do change nothing.
use strict;
use warnings;
use Hostler;
use IO::Socket::INET;
use IO::Socket::SSL qw(SSL_VERIFY_NONE);
use Test::More;

my $SERVER = <<'LUA';
local http = require "http"
return playbook { summary = "A server", params = { opt("tls", "string", "a folder with a certificate") }, run = function(p)
    local server
    server = http.serve({ tls = p.tls and { certificate = p.tls .. "/server.pem", key = p.tls .. "/server.key" } }, function(request)
        if request.path == "/renew" then
            local _, problem = try(server.renew, server)
            return problem and ("%s: %s"):format(problem.code, tostring(problem)) or "renewed"
        elseif request.path == "/end" then
            server:drain()
        end
        return "fine"
    end)
    say("at %s", server.url)
    server:wait()
end }
LUA

my $folder = playbooks(server => $SERVER);

# A certificate for this name, and its key.
sub certify {
    my ($name, $certificate, $key) = @_;
    system('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 2>/dev/null'
        . " -subj /CN=$name -keyout $folder/$key -out $folder/$certificate") == 0 or die;
}

sub serve {
    my $run = start({ in => $folder }, 'run', 'server', @_);
    wait_for($run, qr/ at https?:\S+|error/m);
    my ($port) = $run->{stdout} =~ /127\.0\.0\.1:(\d+)/ or die "$run->{stdout}$run->{stderr}";
    return ($run, $port);
}

sub ask {
    my ($socket, $path) = @_;
    my $text = '';
    print $socket "GET $path HTTP/1.1\r\nHost: a\r\n\r\n";
    while ($text !~ /\r\nContent-Length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)\z/s || length $2 < $1) {
        sysread($socket, $text, 65536, length $text) or return;
    }
    return $text =~ s/.*?\r\n\r\n//sr;
}

certify('first', 'server.pem', 'server.key');
my ($run, $port) = serve('--tls', $folder);

sub dial { IO::Socket::SSL->new(PeerAddr => "127.0.0.1:$port", SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 60) // die "no connection: $!" }
sub shown { dial()->peer_certificate('commonName') }

my $early = dial();
is $early->peer_certificate('commonName'), 'first', 'a server shows its certificate';
certify('second', 'server.pem', 'server.key');
is shown(), 'first', 'which it has read';
is ask($early, '/renew'), 'renewed', 'and reads again when it is told';
is shown(), 'second', 'it shows the new one then';
is ask($early, '/'), 'fine', 'and who was connected stays';

certify('third', 'server.pem', 'other.key');
like ask($early, '/renew'), qr/\Ahttp\.listen: the certificate \S+server\.pem with the key \S+server\.key does not do: key values mismatch/,
    'a certificate without its key does not do';
is shown(), 'second', 'and changes nothing';
truncate "$folder/server.pem", 100;
like ask($early, '/renew'), qr/\Ahttp\.listen: the certificate \S+server\.pem with/, 'nor half a certificate';
unlink "$folder/server.key";
like ask($early, '/renew'), qr/\Ahttp\.listen: cannot read \S+server\.key: No such file/, 'nor none';
is shown(), 'second', 'which changes nothing either';
certify('fourth', 'server.pem', 'server.key');
is ask(dial(), '/renew'), 'renewed', 'when they do again they are taken';
is_deeply [ shown(), ask($early, '/') ], [ 'fourth', 'fine' ], 'and the first client is still there';
ask($early, '/end');
close $early;
is finish($run)->{status}, 0, 'the server ends';

($run, $port) = serve();
my $plain = IO::Socket::INET->new("127.0.0.1:$port") or die $!;
like ask($plain, '/renew'), qr/\Ausage: .*has no certificate/, 'a server without a certificate says so';
ask($plain, '/end');
close $plain;
finish($run);
done_testing;
