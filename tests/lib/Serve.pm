# hostler serve in a folder of Runs.pm, and clients that speak HTTP to it. A place is the path of a unix socket, or
# ADDRESS:PORT. Requests are those of Deliveries.pm.
package Serve;
use strict;
use warnings;
use Exporter 'import';
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Runs;

our @EXPORT = qw(serve started dial bytes_of send_bytes answer_from ask ask_raw eventually_ask end_serve);

my $json = JSON::PP->new;

# Starts it on the socket `serve.sock` of the folder, unless the arguments say where, and waits until it serves; its
# process number.
sub serve {
    my ($runs, @arguments) = @_;
    my @where = grep({ /^--(?:socket|listen)$/ } @arguments) ? () : ('--socket', $runs->path('serve.sock'));
    my $pid = $runs->start('serve', @where, @arguments);
    started($runs) or die 'hostler serve does not serve: ' . $runs->get('stdout') . $runs->get('stderr');
    return $pid;
}

# Waits until it says where it serves; false when it has said why it does not.
sub started {
    my ($runs) = @_;
    Runs::wait_for(sub { $runs->get('stdout') =~ /^serving on /m || $runs->get('stderr') =~ /^(?:error|hostler): cannot|^usage/m });
    return $runs->get('stdout') =~ /^serving on (\S+)$/m ? $1 : undef;
}

# A connection to the place; undef when nobody listens there.
sub dial {
    my ($place) = @_;
    return IO::Socket::UNIX->new(Peer => $place) if $place =~ m{/};
    return IO::Socket::IP->new(PeerAddr => $place);
}

# The bytes of a request: its fields, and {version}, {more} (lines of the head).
sub bytes_of {
    my ($request) = @_;
    my $body = decode_base64($request->{body}) x ($request->{times} // 1);
    my %headers = %{ $request->{headers} };
    return join '', "$request->{method} $request->{path} HTTP/" . ($request->{version} // '1.1') . "\r\nHost: hooks.example.com\r\n",
        map({ "$_: $headers{$_}\r\n" } sort keys %headers), $request->{more} // '', 'Content-Length: ' . length($body), "\r\n\r\n", $body;
}

sub send_bytes {
    my ($socket, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $count = syswrite($socket, $bytes) or return 0;
        substr $bytes, 0, $count, '';
    }
    return 1;
}

# The next answer on a connection: { status, headers (lower case), text, body (where the text is JSON) }; undef when the
# connection ends before it is whole.
sub answer_from {
    my ($socket) = @_;
    my ($text, $answer) = (${*$socket}{rest} // '');
    until ($answer = whole_answer(\$text)) {
        sysread($socket, $text, 65536, length $text) or return;
    }
    ${*$socket}{rest} = $text;
    return $answer;
}

# Takes the first answer out of the text, if it is whole; what only says "go on" is passed over.
sub whole_answer {
    my ($text) = @_;
    $$text =~ s/\AHTTP\/1\.1 100 [^\r]*\r\n\r\n//;
    my ($status, $head) = $$text =~ m{\AHTTP/1\.1 (\d+) [^\r]*\r\n(.*?\r\n)\r\n}s or return;
    my $begin = $+[0];
    my %headers = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } split /\r\n/, $head;
    my $length = $headers{'content-length'} // 0;
    return if length $$text < $begin + $length;
    my $body = substr $$text, $begin, $length;
    $$text = substr $$text, $begin + $length;
    return { status => $status, headers => \%headers, text => $body, body => scalar eval { $json->decode($body) } };
}

# The answer to a request on a connection of its own; undef when there is none.
sub ask_raw {
    my ($place, $bytes) = @_;
    my $socket = dial($place) or return;
    send_bytes($socket, $bytes); # what is refused early is answered all the same
    return answer_from($socket);
}

sub ask { my ($place, $request) = @_; return ask_raw($place, bytes_of($request)) }

# Asks until the answer has this status; the last answer.
sub eventually_ask {
    my ($place, $request, $status) = @_;
    my $answer;
    Runs::wait_for(sub { $answer = ask($place, $request); ($answer // { status => 0 })->{status} == $status });
    return $answer;
}

# Has it end as systemd does; its exit status.
sub end_serve {
    my ($runs, $pid) = @_;
    kill TERM => $pid;
    return $runs->finish($pid);
}

1;
