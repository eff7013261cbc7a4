#!/usr/bin/perl
# Deliveries that others have signed: the npm packages standardwebhooks and svix, and openssl on a command line, as the
# senders' own pages show it. A changed body, an old one and another secret are turned away.
use strict;
use warnings;
use lib 'tests/lib';
use Deliveries;
use JSON::PP ();
use Runs;
use Test::More;

chomp(my $modules = `tests/npm/install`);
die "tests/npm/install failed\n" if $?;
$ENV{NODE_PATH} = $modules;
my $json = JSON::PP->new;
@ENV{qw(STANDARD_SECRET STANDARD_BEFORE SHOP_SECRET)} = ('whsec_' . 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_' . 'b3RoZXItc2VjcmV0LWZvci10ZXN0cw==', 'shop-secret');

my $runs = Runs->new(
    standard => 'return webhook { summary = "Standard Webhooks", path = "standard",
        from = webhook.standard { secret "STANDARD_SECRET", secret "STANDARD_BEFORE" },
        key = function(delivery) return delivery.headers["webhook-id"] or delivery.headers["svix-id"] end,
        run = function(delivery) return "book", { delivery.json.name } end }',
    shop => 'return webhook { summary = "Another sender", path = "shop",
        from = webhook.hmac(secret "SHOP_SECRET", { header = "X-Hub-Signature-256", prefix = "sha256=" }),
        key = function(delivery) return delivery.json.id end,
        run = function(delivery) return "book", { delivery.json.name } end }',
    book => 'return playbook { summary = "x", params = { arg("name", "name", "whose") }, run = function(p) say(p.name) end }',
);

# What a program of node prints, as JSON.
sub node {
    my ($program, @arguments) = @_;
    open my $node, '-|', 'node', '-e', $program, @arguments or die "node: $!";
    local $/;
    my $answer = <$node>;
    close $node or die "node failed\n";
    return $json->decode($answer);
}

my $SIGN = <<'JS';
const [library, secret, id, seconds, body] = process.argv.slice(1);
const { Webhook } = require(library);
const at = new Date((Math.floor(Date.now() / 1000) + Number(seconds)) * 1000);
const signature = new Webhook(secret).sign(id, at, body);
console.log(JSON.stringify({ time: String(at.getTime() / 1000), signature }));
JS

sub standard {
    my ($library, $family, $secret, $id, $seconds, $body) = @_;
    my $made = node($SIGN, $library, $secret, $id, $seconds, $body);
    return request('standard', $body, { 'content-type' => 'application/json', "$family-id" => $id,
        "$family-timestamp" => $made->{time}, "$family-signature" => $made->{signature} });
}

my $body = '{"name":"Ada é ☃"}';
my @cases;
for my $library (qw(standardwebhooks svix)) {
    my $family = $library eq 'svix' ? 'svix' : 'webhook';
    my $good = standard($library, $family, $ENV{STANDARD_SECRET}, "$library-1", 0, $body);
    my $before = standard($library, $family, $ENV{STANDARD_BEFORE}, "$library-2", 0, $body);
    my $other = standard($library, $family, 'whsec_' . 'bm90LW91ci1zZWNyZXQ=', "$library-3", 0, $body);
    push @cases, [ 202, $good, "$library signs" ], [ 202, $before, 'also with the secret before' ], [ 403, $other, 'another is not ours' ],
        [ 403, standard($library, $family, $ENV{STANDARD_SECRET}, "$library-4", -3600, $body), 'an hour ago' ],
        [ 403, standard($library, $family, $ENV{STANDARD_SECRET}, "$library-5", 3600, $body), 'in an hour' ],
        [ 403, { %$good, body => MIME::Base64::encode_base64('{"name":"Eve"}', '') }, 'a changed body' ],
        [ 403, { %$good, headers => { %{ $good->{headers} }, "$family-id" => "$library-6" } }, 'another id' ],
        [ 401, request('standard', $body), 'none' ];
}

# openssl, as on a command line.
open my $file, '>', $runs->path('shop.json') or die $!;
print $file '{"id":"s1","name":"Grace"}';
close $file;
my ($code) = `openssl dgst -sha256 -hmac shop-secret -hex @{[ $runs->path('shop.json') ]}` =~ /([0-9a-f]{64})$/m;
my $shop = request('shop', $runs->get('shop.json'), { 'x-hub-signature-256' => "sha256=$code" });
push @cases, [ 202, $shop, 'openssl signs' ], [ 403, { %$shop, body => MIME::Base64::encode_base64('{"id":"s2"}', '') }, 'a changed body' ];

my @answers = deliver($runs, map { $_->[1] } @cases);
is $answers[$_]{status}, $cases[$_][0], $cases[$_][2] for 0 .. $#cases;
is $runs->query('SELECT count(*) FROM runs'), 5, 'a run for each that is genuine';

# ---- over HTTP ----

# What serves here is http.serve, which stands in for a server of webhooks.
$runs->put('serve.lua', <<'LUA');
local import = ...
local deliver = import "inbox/deliver"
local http = require "http"
local server = http.serve({}, function(request)
    local answer = deliver.deliver(request)
    return { status = answer.status, headers = answer.headers, body = answer.body }
end)
say("at %s", server.url)
server:wait()
LUA
my $pid = do { local $runs->{program} = Deliveries::lua_test(); $runs->start('serve.lua') };
Runs::wait_for(sub { $runs->get('stdout') =~ /^at \S+\n/m }) or die 'it does not serve: ' . $runs->get('stderr');
my ($url) = $runs->get('stdout') =~ /^at (\S+)/m;

my $SEND = <<'JS';
const [library, secret, url, body] = process.argv.slice(1);
const { Webhook } = require(library);
const at = new Date(), family = library === "svix" ? "svix" : "webhook";
const headers = { "content-type": "application/json; charset=utf-8", [family + "-id"]: "http-" + library,
    [family + "-timestamp"]: String(Math.floor(at.getTime() / 1000)), [family + "-signature"]: new Webhook(secret).sign("http-" + library, at, body) };
async function send() {
    const statuses = [];
    for (const path of ["/hooks/standard", "/hooks/standard?again=1", "/hooks/nothing"])
        statuses.push((await fetch(url + path, { method: "POST", headers, body })).status);
    console.log(JSON.stringify(statuses));
}
send();
JS
is_deeply node($SEND, $_, $ENV{STANDARD_SECRET}, $url, $body), [ 202, 202, 404 ], "node sends, $_ signs" for qw(standardwebhooks svix);
my @curl = ('curl', '-sS', '-w', "%{http_code}\n", '--data-binary', '@' . $runs->path('shop.json'), '-H', 'Content-Type: application/json');
my $said = join '', map { my @words = @$_; open my $curl, '-|', @curl, @words or die $!; <$curl> }
    [ '-H', "X-Hub-Signature-256: sha256=$code", "$url/hooks/shop" ], [ "$url/hooks/shop" ];
like $said, qr/^\{"delivery":"\w+","message":"accepted"\}\n202\n\{.*\}\n401\n\z/, 'and curl, as openssl signs';
kill TERM => $pid;
$runs->finish($pid);

done_testing;
