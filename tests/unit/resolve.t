#!tests/lib/with-postgres /usr/bin/perl
# How names become addresses: by this machine's /etc/hosts and resolv.conf, whoever asks, and never longer than is
# waited for. The machine's files are the test's own, in a mount namespace; its name server is below.
use strict;
use warnings;
use lib 'tests/lib';
use Hostler;
use IO::Socket::INET;
use POSIX qw(_exit);
use Test::More;
use File::Temp qw(tempdir);

my $folder = tempdir(CLEANUP => 1);
my @children;
my $parent = $$;
END { local $?; if ($$ == $parent) { kill TERM => $_ and waitpid $_, 0 for @children } }

sub background {
    my ($work) = @_;
    my $child = fork // die "fork: $!";
    if (!$child) {
        $SIG{TERM} = 'DEFAULT';
        $work->();
        _exit(0);
    }
    push @children, $child;
}

sub put {
    my ($name, $text) = @_;
    open my $file, '>', "$folder/$name" or die $!;
    print $file $text;
    close $file or die $!;
    return "$folder/$name";
}

# ---- a name server: silent about what is called silent.*, and of all else it knows dns.test and what is in it ----

my $address = join '.', 127, 53, $$ >> 8 & 255, $$ & 255;
my $dns = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $address, LocalPort => 53) or die "a name server: $!";

sub labels {
    my ($question) = @_;
    my ($at, @labels) = (12);
    while (my $size = ord substr $question, $at, 1) {
        push @labels, substr $question, $at + 1, $size;
        $at += $size + 1;
    }
    return @labels;
}

background(sub {
    while (my $from = $dns->recv(my $question, 1500)) {
        my $name = lc join '.', labels($question);
        my $type = unpack 'n', substr $question, 12 + length($name) + 2, 2;
        open my $log, '>>', "$folder/asked" or die $!;
        syswrite $log, "$name $type\n";
        next if $name =~ /^silent\./;
        my $known  = $name =~ /(^|\.)dns\.test$/;
        my $answer = $known && $type == 1 ? "\xc0\x0c" . pack('nnNnC4', 1, 1, 60, 4, 127, 0, 0, 1) : '';
        $dns->send(pack('nnnnnn', unpack('n', $question), $known ? 0x8180 : 0x8183, 1, $answer ? 1 : 0, 0, 0)
            . substr($question, 12, length($name) + 6) . $answer, 0, $from);
    }
});

# The questions asked since, of this name.
sub asked {
    my ($name) = @_;
    open my $log, '<', "$folder/asked" or return;
    return grep { /^\Q$name\E / } <$log>;
}

# ---- a server that greets in whatever way is wanted, for those who find its address ----

sub server {
    my ($greeting, $reads) = @_;
    my $socket = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die $!;
    background(sub {
        while (1) {
            my $client = $socket->accept or next;
            $client->sysread(my $request, 4096) if $reads;
            put('request', $request) if $reads;
            print $client $greeting;
            close $client;
        }
    });
    return $socket->sockport;
}

my $web    = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1);
my $banner = server("421 go away\r\n", 0);
my $socks  = server("\5\0", 1);
my $closed = do { my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1'); $socket->sockport };

my @wrap = ('unshare', '--mount', '--propagation', 'private', 'sh', '-c',
    'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"', 'sh',
    put('resolv.conf', "nameserver $address\n"), put('hosts', "127.0.0.1 localhost hosts.test proxy.test\n"));

# Runs these statements in a playbook that only reads.
sub book {
    return playbooks(book => <<"EOS");
local ssh, http, mail, ftp, postgres = require "ssh", require "http", require "mail", require "ftp", require "postgres"
return playbook { summary = "s", effects = "read", run = function() $_[0] end }
EOS
}
sub begin { my ($code, %env) = @_; start({ in => book($code), wrap => \@wrap, env => \%env }, 'run', 'book') }
sub run_to_end { finish(begin(@_)) }

my %ways = (
    ssh => sub { qq{ssh.connect("root\@$_[0]:$_[1]", { host_key = "accept-new" }):run({ "true" }, { read = true })} },
    http => sub { qq{http.get("http://$_[0]:$_[1]/", { retries = 0 })} },
    probe => sub { qq{http.probe_tls("$_[0]", { port = $_[1] })} },
    mail => sub { qq{mail.check { server = "smtp://$_[0]:$_[1]", starttls = "never" }} },
    ftp => sub { qq{ftp.list("$_[0]:$_[1]", { tls = "never" })} },
    postgres => sub { qq{postgres.connect { host = "$_[0]", port = $_[1], user = "x", password = "y" }} },
);

# ---- a name server that says nothing ----

# libraries ask again after five seconds: a process that ends with its timeout has asked each of its questions once.
sub once_each {
    my ($host, $what) = @_;
    my %count;
    $count{$_}++ for asked($host);
    ok(scalar(keys %count), "$what: the name server was asked");
    is_deeply([ grep { $count{$_} > 1 } keys %count ], [], "$what: and the process was gone before it was asked again");
}

for my $way (sort keys %ways) {
    my $host = "silent.$way-timeout.test";
    my $run  = run_to_end("timeout(1, function() " . $ways{$way}->($host, 1) . " end)");
    is($run->{status}, 1, "$way: a timeout ends it") or diag $run->{stderr};
    like($run->{stderr}, qr/1 s|timeout/, "$way: and is what is told");
    once_each($host, "$way, timeout");

    $host = "silent.$way-ctrl-c.test";
    $run  = begin($ways{$way}->($host, 1));
    my $end = time + 20;
    select undef, undef, undef, 0.02 until asked($host) || time > $end;
    kill INT => $run->{pid};
    finish($run);
    is($run->{status}, 130, "$way: so does Ctrl-C") or diag $run->{stderr};
    once_each($host, "$way, Ctrl-C");
}

# ---- whose own time is over ----

sub tells {
    my ($what, $code, $pattern, %env) = @_;
    my $run = run_to_end(qq{local ok, err = pcall(function() $code end)
        say("%s: %s (%s)", err.code, err.message, err.hint or "no hint")}, %env);
    like($run->{stdout}, qr/say +$pattern/, $what) or diag $run->{stderr};
}
tells('http: its timeout', 'http.get("http://silent.own.test/", { timeout = 0.5 })',
    qr/timeout: the name of silent\.own\.test:80 was not found within 0\.\d+ s/m);
tells('ssh: its timeout', 'ssh.connect("silent.own.test", { timeout = 0.5 }):run({ "true" }, { read = true })',
    qr/ssh\.resolve: .*silent\.own\.test.*within 0\.5 s/m);
tells('postgres: its timeout', 'postgres.connect { host = "silent.own.test", timeout = 0.5 }',
    qr/postgres\.connect: .*silent\.own\.test.*no answer within 0\.5 seconds/m);
tells('mail: its timeout', 'mail.check { server = "smtp://silent.own.test:25", timeout = 0.5 }',
    qr/timeout: .*silent\.own\.test/m);
tells('ftp: its timeout', 'ftp.list("silent.own.test", { timeout = 0.5 })', qr/timeout: .*silent\.own\.test/m);

# ---- names that do not exist ----

my %codes = (ssh => 'ssh.resolve', http => 'http.dns', probe => 'http.dns', mail => 'mail.check', ftp => 'ftp',
    postgres => 'postgres.connect');
tells("$_: a name that does not exist", $ways{$_}->('nobody.test', 1),
    qr/\Q$codes{$_}\E: .*nobody\.test.*the name does not exist.*\((?!no hint).*\)/m) for sort keys %ways;
tells("$_: a name that is none", $ways{$_}->('x' x 64 . '.test', 1),
    qr/\Q$codes{$_}\E: .*xxx\.test.*no name that DNS can hold.*\((?!no hint).*\)/m) for sort keys %ways;

# ---- names that do: a server that is no such server is found under each ----

my %met = (
    ssh => [ $banner, qr/ssh\.protocol: .*not an SSH server/m ],
    http => [ $closed, qr/http\.connect: .*Connection refused/m ],
    probe => [ $closed, qr/http\.connect: .*Connection refused/m ],
    mail => [ $banner, qr/mail\.check: .*refused to serve: 421/m ],
    ftp => [ $banner, qr/ftp: .*refused to serve: 421/m ],
    postgres => [ $closed, qr/postgres\.connect: .*Connection refused/m ],
);
for my $way (sort keys %met) {
    tells("$way: a name in /etc/hosts", $ways{$way}->('hosts.test', $met{$way}[0]), $met{$way}[1]);
    tells("$way: a name of DNS", $ways{$way}->('dns.test', $met{$way}[0]), $met{$way}[1]);
}
is(scalar(asked('hosts.test')), 0, 'what /etc/hosts knows is not asked for');

sub says {
    my ($what, $code, $pattern, %env) = @_;
    my $run = run_to_end($code, %env);
    like($run->{stdout}, $pattern, $what) or diag $run->{stderr};
}
says("http: from $_", "say(http.get('http://$_:$web/').body)", qr/ hello$/m)
    for qw(hosts.test HOSTS.test dns.test dns.test. localhost 127.0.0.1 127.1);
says('http: several requests', "for i = 1, 3 do say(http.get('http://often.dns.test:$web/').body) end", qr/hello/);
is(scalar(asked('often.dns.test')), 2, 'ask once, for either kind of address');
for my $where ('127.0.0.1', 'hosts.test') {
    says("http: `resolve` says $where", "say(http.get('http://elsewhere.test:$web/',
        { resolve = { ['elsewhere.test:$web'] = '$where' } }).body)", qr/ hello$/m);
}
is(scalar(asked('elsewhere.test')), 0, 'then the name is not asked for');

# ---- a proxy ----

says('http: a proxy is what is looked for', "say(http.get('http://silent.behind.test/').body)", qr/ hello$/m,
    http_proxy => "http://proxy.test:$web");
like(do { local (@ARGV, $/) = "$folder/request"; <> }, qr{^GET http://silent\.behind\.test/}, 'and asked for the page');
is(scalar(asked('silent.behind.test')), 0, 'its page is its own business');
says('http: a proxy by its number', "say(http.get('http://silent.behind.test/').body)", qr/ hello$/m,
    all_proxy => "http://127.0.0.1:$web");
tells('http: a proxy that does not exist', 'http.get "http://dns.test/"',
    qr/http\.dns: .*the proxy nobody\.test: the name does not exist/, http_proxy => 'http://nobody.test:1');
tells('http: a name that a SOCKS proxy is not asked for', 'http.get "http://nobody.test/"',
    qr/http\.dns: .*address of nobody\.test: the name does not exist/, all_proxy => "socks5://127.0.0.1:$socks");
says('http: no proxy for this one', "say(http.get('http://dns.test:$web/').body)", qr/ hello$/m,
    http_proxy => 'http://nobody.test:1', no_proxy => '.test');

# ---- PostgreSQL on several hosts ----

sub with_store {
    my ($hosts) = @_;
    my $store = "postgresql://admin:$ENV{POSTGRES_PASSWORD}\@$hosts/postgres?sslmode=require";
    return hostler({ in => $folder, wrap => \@wrap, env => { HOSTLER_STORE => $store } }, 'runs');
}
for my $first ('nobody.test', 'silent.store.test') {
    my $run = with_store("$first:1,hosts.test:$ENV{POSTGRES_PORT}");
    is($run->{status}, 0, "$first does not keep it from the next host") or diag $run->{stderr};
    ok(scalar(asked($first)), 'after it was looked for');
    like(with_store("$first:1,hosts.test:$closed")->{stderr},
        qr/\Q$first\E cannot be resolved: .*; .*127\.0\.0\.1.*Connection refused/s, 'both are told of');
}
is(with_store("hosts.test:$ENV{POSTGRES_PORT},later.test:1")->{status}, 0, 'the first host is enough');
is(scalar(asked('later.test')), 0, 'and the next is not looked for');
done_testing;
