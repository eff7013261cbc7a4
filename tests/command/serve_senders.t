#!/usr/bin/perl
# Senders of other make and hostler serve: directly, over its unix socket and on an address, and behind a real Caddy by
# both. What they sign is accepted however HTTP carries it, the client's address is recorded as Caddy saw it, and of bad
# bodies nothing is kept but a count.
use strict;
use warnings;
use lib 'tests/lib';
use Cwd qw(getcwd);
use Deliveries;
use JSON::PP ();
use Runs;
use Serve;
use Servers;
use Test::More;

chomp(my $modules = `tests/npm/install`);
die "tests/npm/install failed\n" if $?;
my $json = JSON::PP->new->utf8->canonical;
my %secrets = (
    TYPEFORM_SECRET => 'secret-of-typeform', ZAPIER_TOKEN => 'secret-of-zapier', HUB_SECRET => 'secret-of-hub', PASSWORD => 'secret-of-basic',
    STANDARD_SECRET => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
);
@ENV{ keys %secrets } = values %secrets;
@ENV{qw(NODE_PATH HOSTLER_PATH DO_API_TOKEN)} = ($modules, getcwd() . '/playbooks', 'x');
delete @ENV{qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)};

sub hook {
    my ($path, $from) = @_;
    return qq{return webhook { summary = "x", path = "$path", from = $from,
        key = function(delivery) return delivery.fields.id end,
        run = function(delivery) return "book", { delivery.fields.id } end }};
}
my $runs = Runs->new(
    standard => hook('standard', 'webhook.standard(secret "STANDARD_SECRET")'),
    hub256 => hook('hub256', 'webhook.hmac(secret "HUB_SECRET", { header = "X-Hub-Signature-256", prefix = "sha256=" })'),
    hub512 => hook('hub512', 'webhook.hmac(secret "HUB_SECRET", { header = "X-Signature", prefix = "sha512=", algorithm = "sha512" })'),
    bearer => hook('bearer', 'webhook.bearer(secret "ZAPIER_TOKEN")'),
    basic => hook('basic', 'webhook.basic("ada", secret "PASSWORD")'),
    book => 'return playbook { summary = "x", params = { arg("id", "string", "which") }, run = function(p) say(p.id) end }',
);

# ---- where it is asked: hostler on a unix socket and on an address, Caddy before both ----

my $servers = Servers->new('caddy', 'serve');
$servers->start_of_tree('caddy', ECHO => 'serve');
$servers->wait_for('caddy', 8081);
my ($socket, $address) = ($servers->folder . '/caddy/upstream.sock', $servers->address('serve') . ':8080');
my $second = $runs->beside;
my %serving = (
    unix => [ $runs, serve($runs, '--socket', $socket, '--jobs', 0) ],
    address => [ $second, serve($second, '--listen', $address, '--jobs', 0) ],
);
my $caddy = $servers->address('caddy');
my $tls = '--cacert ' . $servers->folder . '/server.pem';
my %ways = (
    'directly, a unix socket' => [ "--unix-socket $socket", 'http://hooks.example.com' ],
    'directly, an address' => [ '', "http://$address" ],
    'Caddy, a unix socket' => [ '', "http://$caddy:8081" ],
    'Caddy, an address' => [ '', "http://$caddy:8080" ],
    'Caddy, TLS and HTTP/2' => [ "$tls --http2", "https://$caddy:8443" ],
);

my $files = 0;

# What curl says of a body that it posts to a path: "STATUS BODY". Further words are for a shell.
sub post {
    my ($way, $path, $body, @words) = @_;
    my $name = 'body' . ++$files;
    $runs->put($name, $body);
    my ($options, $url) = @{ $ways{$way} };
    my $said = qx{curl --silent --show-error --max-time 100 $options --write-out '\\n%{http_code}' --data-binary \@@{[ $runs->path($name) ]} @words '$url/hooks/$path' 2>&1};
    my ($text, $status) = $said =~ /\A(.*)\n(\d+)\z/s or return $said;
    return "$status $text";
}

my $JSON = "-H 'Content-Type: application/json'";

# The hexadecimal code that openssl computes.
sub openssl {
    my ($algorithm, $key, $body, $encoding) = @_;
    $runs->put('signed', $body);
    my $file = $runs->path('signed');
    my $code = ($encoding // '') eq 'base64' ? `openssl dgst -$algorithm -hmac $key -binary $file | openssl base64 -A` : `openssl dgst -$algorithm -hmac $key -r $file`;
    return ($code =~ /^(\S+)/)[0];
}

sub typeform { my ($body, $key) = @_; return "$JSON -H 'Typeform-Signature: sha256=" . openssl('sha256', $key // $secrets{TYPEFORM_SECRET}, $body, 'base64') . "'" }

# A submission in the shape of Typeform's published sample (typeform.com/developers/webhooks/example-payload).
sub submission {
    my ($token) = @_;
    my @fields = map { { id => "field$_->[0]", title => $_->[2], type => $_->[1], ref => $_->[0], allow_multiple_selections => JSON::PP::false,
        allow_other_choice => JSON::PP::false } } [ 'full_name', 'short_text', "What's your name, {{hidden:user_id}}?" ], [ 'email', 'email', 'Where do we write to?' ],
        [ 'subdomain', 'short_text', 'Which name?' ], [ 'rating', 'opinion_scale', 'How do you like it?' ];
    return $json->encode({
        event_id => "event-$token", event_type => 'form_response',
        form_response => {
            form_id => 'a1b2c3', token => $token, submitted_at => '2026-03-01T18:17:02Z', landed_at => '2026-03-01T18:07:02Z',
            calculated => { score => 9 }, variables => [ { key => 'score', type => 'number', number => 4 } ], hidden => { user_id => 'u1' },
            definition => { id => 'a1b2c3', title => 'Sign-ups', fields => \@fields, endings => [] },
            answers => [
                { type => 'text', text => "Ada \x{2603}", field => { id => 'fieldfull_name', type => 'short_text', ref => 'full_name' } },
                { type => 'email', email => 'ada@example.com', field => { id => 'fieldemail', type => 'email', ref => 'email' } },
                { type => 'choice', choice => { id => 'c1', label => 'ada', ref => 'r1' }, field => { id => 'fieldsubdomain', type => 'multiple_choice', ref => 'subdomain' } },
                { type => 'number', number => 5, field => { id => 'fieldrating', type => 'opinion_scale', ref => 'rating' } },
            ],
            ending => { id => 'e1', ref => 'default_tys' },
        },
    });
}

# Signed by a library of Node's, whose headers are curl's words.
sub standard {
    my ($library, $id, $body) = @_;
    my $family = $library eq 'svix' ? 'svix' : 'webhook';
    open my $node, '-|', 'node', '-e', 'const [library, secret, id, body] = process.argv.slice(1); const { Webhook } = require(library);
        const at = new Date(); console.log(Math.floor(at.getTime() / 1000) + " " + new Webhook(secret).sign(id, at, body));',
        $library, $secrets{STANDARD_SECRET}, $id, $body or die "node: $!";
    my ($time, $signature) = <$node> =~ /^(\d+) (.*)$/;
    return "$JSON -H '$family-id: $id' -H '$family-timestamp: $time' -H '$family-signature: $signature'";
}

my $number = 0;
my $zap = "-H 'Authorization: Bearer $secrets{ZAPIER_TOKEN}'";

# What each sender posts, anew each time: path, body, curl's words.
my %senders = (
    "Typeform's sample" => sub { my $body = submission('t' . ++$number); ('typeform', $body, typeform($body)) },
    'Zapier, JSON' => sub { ('zapier', $json->encode({ token => 'z' . ++$number, full_name => 'Ada', email => 'ada@example.com', subdomain => 'ada' }), $zap, $JSON) },
    'Zapier, a form' => sub { ('zapier', 'token=z' . ++$number . '&full_name=Ada+L&email=ada%40example.com&subdomain=ada', $zap, "-H 'Content-Type: application/x-www-form-urlencoded; charset=utf-8'") },
    'Zapier, XML' => sub { ('zapier', '<?xml version="1.0" encoding="UTF-8"?><root><token>z' . ++$number . '</token><full_name>Ada &amp; L</full_name><email>ada@example.com</email><subdomain>ada</subdomain></root>', $zap, "-H 'Content-Type: application/xml'") },
    'GitHub, SHA-256' => sub { my $body = qq({"id":"g) . ++$number . qq("}); ('hub256', $body, $JSON, "-H 'X-Hub-Signature-256: sha256=" . openssl('sha256', $secrets{HUB_SECRET}, $body) . "'") },
    'SHA-512' => sub { my $body = qq({"id":"g) . ++$number . qq("}); ('hub512', $body, $JSON, "-H 'X-Signature: sha512=" . openssl('sha512', $secrets{HUB_SECRET}, $body) . "'") },
    'a bearer' => sub { ('bearer', qq({"id":"b) . ++$number . qq("}), $JSON, $zap) },
    'Basic' => sub { ('basic', qq({"id":"b) . ++$number . qq("}), $JSON, "--user ada:$secrets{PASSWORD}") },
    map({ my $library = $_; ($library => sub { my $body = qq({"id":"s) . ++$number . qq("}); ('standard', $body, standard($library, "m$number", $body)) }) } qw(standardwebhooks svix)),
);
for my $way (sort keys %ways) {
    for my $sender (sort keys %senders) {
        my ($path, $body, @words) = $senders{$sender}->();
        like post($way, $path, $body, @words), qr/^202 /, "$sender, $way";
        like post($way, $path, $body =~ s/(["<&]?)(id|token|email)\b/$1$2x/r, @words), qr/^403 /, '... but not with another body' if "@words" =~ /ignature/;
    }
}
is $runs->query("SELECT count(*) FROM inbox WHERE outcome = 'refused'"), 0, 'and all can be used'
    or diag $runs->query("SELECT webhook, reason FROM inbox WHERE outcome = 'refused'");
is $runs->query("SELECT count(*) FROM runs WHERE playbook = 'setup' AND arguments LIKE '%Ada%'"), 4 * keys %ways, 'sign-ups lead to set-ups';

# ---- however HTTP carries it ----

for my $way (sort keys %ways) {
    my %carried = (
        'HTTP/1.0' => '--http1.0', 'in chunks' => "-H 'Transfer-Encoding: chunked'", 'Expect: 100-continue' => "-H 'Expect: 100-continue'",
        'a query' => "'$ways{$way}[1]/hooks/bearer?a=b'", # one more on the same connection
    );
    for my $how (sort keys %carried) {
        next if $way =~ /HTTP\/2/ && $how =~ /1\.0/;
        my $said = post($way, 'bearer', qq({"id":"c) . ++$number . qq(","padding":") . 'x' x 200_000 . '"}', $JSON, $zap, $carried{$how});
        like $said, qr/^202 /, "$how, $way";
    }
}
my $kept = dial($address);
my %headers = (authorization => "Bearer $secrets{ZAPIER_TOKEN}", 'content-type' => 'application/json');
for my $round (1 .. 3) {
    send_bytes($kept, bytes_of(request('bearer', qq({"id":"kept$round"}), \%headers)) x 2);
    my @answers = map { answer_from($kept) } 1, 2;
    is_deeply [ map { $_->{status} } @answers ], [ 202, 202 ], 'two at once on a connection that is kept';
    is $answers[0]{body}{delivery}, $answers[1]{body}{delivery}, 'which are one';
}

# ---- whom it came from ----

sub remote_of { return $runs->query("SELECT remote FROM inbox WHERE key = '$_[0]'") }

for my $way (grep { /Caddy/ } sort keys %ways) {
    for my $forged ('', "-H 'X-Forwarded-For: 203.0.113.9'", "-H 'X-Forwarded-For: 203.0.113.9, 127.0.0.1' -H 'X-Forwarded-For: 203.0.113.8'", "-H 'X-Forwarded-For: cafe'") {
        my $id = 'from' . ++$number;
        post($way, 'bearer', qq({"id":"$id"}), $JSON, $zap, '--interface 127.0.0.9', $forged);
        is remote_of($id), '127.0.0.9', 'the client as Caddy saw it' . ($forged && ', whatever it says itself') . ", $way";
    }
}
for ([ 'cafe', '' ], [ '203.0.113.7:80', '' ], [ '203.0.113.7, 2001:db8::7', '2001:db8::7' ], [ 'unknown', '' ], [ '', '' ]) {
    my $id = 'told' . ++$number;
    ask($socket, request('bearer', qq({"id":"$id"}), { %headers, 'x-forwarded-for' => $_->[0] }));
    is remote_of($id), $_->[1], "a proxy that tells '$_->[0]'";
}

# ---- bad bodies ----

sub turned_away {
    my $looks = $runs->beside;
    $looks->hostler('inbox', '--turned-away', '--json') == 0 or die $looks->{said};
    my %count;
    $count{"$_->{webhook} $_->{reason}"} += $_->{count} for @{ $json->decode($looks->{stdout}) };
    return \%count;
}

my $body = submission('bad');
my $huge = $runs->path('huge');
system("head -c 100000000 /dev/zero >$huge") == 0 or die;
my $precious = '4929-precious';
my @bad = (
    [ 403, 'signup-typeform proof', 'a wrong signature', 'typeform', $body, typeform($body, 'wrong') ],
    [ 403, 'signup-typeform proof', 'a cut body', 'typeform', substr($body, 0, 100), typeform($body) ],
    [ 401, 'signup-typeform proof', 'no signature', 'typeform', $body, $JSON ],
    [ 403, 'signup-typeform proof', 'two signatures in two headers', 'typeform', $body, typeform($body, 'wrong'), "-H 'Typeform-Signature: sha256=x'" ],
    [ 400, 'bearer body', 'what is not JSON', 'bearer', "{\"id\":\"$precious", $JSON, $zap ],
    [ 400, 'bearer body', 'deep nesting', 'bearer', '[' x 100_000, $JSON, $zap ],
    [ 400, 'bearer body', 'a huge number', 'bearer', '{"id":1e999}', $JSON, $zap ],
    [ 400, 'bearer body', 'a number of very many digits', 'bearer', '{"id":' . '9' x 100_000 . '.5}', $JSON, $zap ],
    [ 400, 'bearer body', 'invalid UTF-8', 'bearer', "{\"id\":\"$precious\xff\"}", $JSON, $zap ],
    [ 400, 'bearer body', 'no body', 'bearer', '', $JSON, $zap ],
    [ 400, 'bearer body', 'XML that refers to a file', 'bearer', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "-H 'Content-Type: text/xml'", $zap ],
    [ 400, 'bearer body', 'a form that is none', 'bearer', "id=%zz$precious", "-H 'Content-Type: application/x-www-form-urlencoded'", $zap ],
    [ 415, 'bearer body', 'text', 'bearer', $precious, "-H 'Content-Type: text/plain'", $zap ],
    [ 415, 'bearer body', 'a file', 'bearer', $precious, "-H 'Content-Type: multipart/form-data; boundary=x'", $zap ],
    [ 413, 'bearer size', 'a byte too many', 'bearer', 'x' x (1024 * 1024 + 1), $JSON, $zap ],
    [ 413, 'bearer size', '2 MB in chunks', 'bearer', 'x' x 2_000_000, $JSON, $zap, "-H 'Transfer-Encoding: chunked'" ],
    [ 413, 'bearer size', '100 MB', 'bearer', '', $JSON, $zap, "--data-binary \@$huge" ],
    [ 413, 'bearer size', '100 MB in chunks', 'bearer', '', $JSON, $zap, "--data-binary \@$huge -H 'Transfer-Encoding: chunked'" ],
    [ 413, 'bearer size', '100 MB that a client asks for first', 'bearer', '', $JSON, $zap, "--data-binary \@$huge -H 'Expect: 100-continue'" ],
    [ 404, undef, '100 MB for nobody', 'nobody', '', $JSON, "--data-binary \@$huge" ],
    [ 405, 'bearer method', 'PUT', 'bearer', '{"id":"x"}', $JSON, $zap, '--request PUT' ],
);
my $before = turned_away();
my $rows = $runs->query('SELECT count(*) FROM inbox');
my %expected = %$before;
for my $way (sort keys %ways) {
    for (@bad) {
        my ($status, $count, $what, $path, $text, @words) = @$_;
        my $said = post($way, $path, $text, @words);
        # Caddy itself ends the connection of who goes on sending after he was answered: he may see that first.
        my $cut = ($status == 413 || $what =~ /100 MB/) && $way =~ /Caddy/ ? qr/curl: \((?:18|55|56|92)\)/ : qr/(*FAIL)/;
        like $said, qr/^$status \{"message":"[^"]+"|$cut/, "$what, $way";
        $expected{$count}++ if $count;
    }
}
is $runs->query('SELECT count(*) FROM inbox'), $rows, 'none of them is kept';
is status_of(post($_, 'bearer', qq({"id":"after @{[ ++$number ]}"}), $JSON, $zap)), 202, "and it goes on, $_" for sort keys %ways;

sub status_of { return ($_[0] =~ /^(\d+) /)[0] }

# ---- the end ----

for my $where (sort keys %serving) {
    my ($its, $pid) = @{ $serving{$where} };
    is end_serve($its, $pid), 0, "$where: it ends" or diag $its->{said};
    unlike $its->{said}, qr/$precious|secret-of-|MfKQ9r8|ada\@example/, 'and has told no secret, and nothing that was sent';
}
is_deeply turned_away(), \%expected, 'each of them is counted';
unlike $runs->journal, qr/$precious|secret-of-|MfKQ9r8/, 'in the journal is none either';
$servers->stop;
done_testing;
