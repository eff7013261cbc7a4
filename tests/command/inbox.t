#!/usr/bin/perl
# Webhooks from their requests to what comes of them, on a journal that is a file and on one that is a database: what is
# answered, what is kept of it, and the commands that show it. Run by itself it does both.
use strict;
use warnings;
use lib 'tests/lib';
use BothStores;
use Deliveries;
use JSON::PP ();
use Runs;
use Test::More;

@ENV{qw(ORDERS_SECRET ORDERS_TOKEN TYPEFORM_SECRET ZAPIER_TOKEN DO_API_TOKEN)} = qw(the-secret the-token tf-secret zap-token x);

my $ORDERS = <<'LUA';
-- Orders from the shop.
return webhook {
    summary = "Orders",
    path = "orders",
    from = webhook.typeform(secret "ORDERS_SECRET"),
    key = function(delivery)
        return not delivery.json.ignored and delivery.json.id or nil
    end,
    run = function(delivery)
        if delivery.json.loop then while true do end end
        if delivery.json.touch then require "sh".run({ "touch", "touched" }, { read = true }) end
        return delivery.json.playbook or "order", { delivery.json.name, times = delivery.json.times }
    end,
}
LUA
my $ORDER = <<'LUA';
local helper = require "helper"
return playbook {
    summary = "An order",
    params = { arg("name", "name", "whose"), opt("times", "int", "how often", 1) },
    run = function(p)
        if p.name == "fails" then fail "this one fails" end
        if p.name == "taken" then step("look", function() fail("that name is taken", { code = "taken" }) end) end
        step("write", function() require "sh".run { "sh", "-c", 'echo "$1" >> log', "sh", helper.of(p.name) .. p.times } end)
    end,
}
LUA
my $runs = Runs->new(orders => $ORDERS, order => $ORDER, helper => 'return { of = function(name) return "for " .. name .. " " end }');
my $json = JSON::PP->new;

sub order { my (%fields) = @_; return signed('orders', $json->encode(\%fields), 'the-secret') }

sub inbox {
    my (@words) = @_;
    $runs->hostler('inbox', '--json', @words) == 0 or die $runs->{said};
    return @{ $json->decode($runs->{stdout}) };
}

sub count_runs { return $runs->query('SELECT count(*) FROM runs') }

# ---- a delivery ----

my $answer = deliver($runs, order(id => 'o1', name => 'Ada'));
is $answer->{status}, 202, 'a genuine delivery is accepted';
like $answer->{body}{delivery}, qr/^\w{8}$/, 'and has a number';
is $answer->{headers}{'Cache-Control'}, 'no-store', 'which nobody keeps';
my ($row) = inbox();
is $row->{status}, 'new', 'it is listed';
is "$row->{webhook} $row->{key} $row->{playbook} $row->{remote}", 'orders o1 order 192.0.2.7', 'with what it is';
is $runs->query("SELECT status FROM runs WHERE id = '$row->{run}'"), 'queued', 'and its run is in the queue';

my ($again, $third) = deliver($runs, order(id => 'o1', name => 'Ada'), order(id => 'o1', name => 'Grace'));
is_deeply $again, $answer, 'the same key again gets the same answer';
is_deeply $third, $answer, 'whatever else it says';
is count_runs(), 1, 'and no second run';

$runs->put('playbooks/helper.lua', 'return { of = function() return "edited " end }');
is $runs->hostler('resume', $row->{run}), 0, 'the run goes' or diag $runs->{said};
is $runs->get('log'), "for Ada 1\n", 'with the texts as they were when it came';
is((inbox())[0]{status}, 'done', 'and the inbox says that it is done');

# ---- what a command line must not take for its own ----

($answer) = deliver($runs, order(id => 'o2', name => '--yes', times => 3));
is $answer->{status}, 202, 'a name that looks like an option';
($row) = inbox('--limit', 1);
is $runs->hostler('resume', $row->{run}), 0, 'is a name' or diag $runs->{said};
is $runs->get('log'), "for Ada 1\nedited 3\n", 'and options are options';

# ---- what cannot be used ----

my %bad = (
    'a value that does not fit' => [ order(id => 'b1', name => "two\nlines"), qr/^NAME must be a name .*, not 'two\\10lines'$/ ],
    'a field that is not there' => [ order(id => 'b2'), qr/^name is missing$|^NAME is missing/ ],
    'a value of another kind' => [ order(id => 'b3', name => [1]), qr/^name is a table, and no text$/ ],
    'a key of another kind' => [ order(id => [1], name => 'x'), qr/^the key cannot be told: the webhook's key returned a table, and no text$/ ],
    'a playbook that is not there' => [ order(id => 'b4', playbook => 'ordr', name => 'x'), qr/^there is no playbook 'ordr'$/ ],
    'what is no playbook' => [ order(id => 'b5', playbook => 'helper', name => 'x'), qr/cannot be loaded: .* is no playbook$/ ],
    'what a function cannot read' => [ order(id => 'b6', name => 'x', times => 'many'), qr/^--times must be a whole number, not 'many'$/ ],
    'what a webhook does itself' => [ order(id => 'b7', touch => 1, name => 'x'), qr/^a webhook touches nothing: / ],
    'what is no table' => [ signed('orders', '7', 'the-secret'), qr/^the key cannot be told: .*orders\.lua:7: attempt to index/ ],
);
my $before = count_runs();
for my $what (sort keys %bad) {
    my ($request, $reason) = @{ $bad{$what} };
    my ($first, $second) = deliver($runs, $request, $request);
    is $first->{status}, 200, "$what: received";
    is_deeply $second, $first, 'as often as it comes';
    ($row) = inbox('--limit', 1);
    is $row->{status}, 'refused', 'and refused';
    like $row->{reason}, $reason, 'with its reason';
}
is count_runs(), $before, 'no run comes of these';
ok !-e $runs->path('touched'), 'and nothing is touched';
is scalar(inbox('--status', 'refused')), scalar keys %bad, 'each is kept once';
is scalar(inbox('--status', 'done', '--webhook', 'orders')), 2, 'filters';

# ---- a person mends it ----

($row) = grep { $_->{key} eq 'b1' } inbox();
is $runs->hostler('inbox', 'run', $row->{id}), 2, 'as it is it cannot be run again';
like $runs->{said}, qr/NAME must be a name/, 'which is said';
is $runs->hostler('inbox', 'run', $row->{id}, 'Two Lines', '--times', 2), 0, 'with other arguments it can' or diag $runs->{said};
my ($id) = $runs->{said} =~ /^run (\w+) is queued$/m;
is $runs->hostler('inbox', 'run', $row->{id}, 'x'), 2, 'but not twice at once';
like $runs->{said}, qr/run $id of it is in the queue/, 'which is said too';
is $runs->hostler('resume', $id), 0, 'it goes' or diag $runs->{said};
is((grep { $_->{key} eq 'b1' } inbox())[0]{status}, 'done', 'and is done');
is deliver($runs, $bad{'a value that does not fit'}[0])->{status}, 200, 'the same key is answered as before';
is $runs->hostler('inbox', 'run', $row->{id}, 'Again'), 0, 'what is done can be done again';
deliver($runs, order(id => 'f1', name => 'fails'));
($row) = inbox('--limit', 1);
is $runs->hostler('resume', $row->{run}), 1, 'a run that fails';
($row) = inbox('--limit', 1);
is "$row->{status}: $row->{reason}", 'failed: this one fails', 'has failed in the inbox';

deliver($runs, order(id => 'f2', name => 'taken'));
($row) = inbox('--limit', 1);
is $runs->hostler('resume', $row->{run}), 1, 'a run that finds out that it must not be';
($row) = inbox('--limit', 1);
is "$row->{status}: $row->{reason}", 'refused: that name is taken', 'makes the delivery refused';
is $runs->hostler('inbox', 'run', $row->{id}, 'Free'), 0, 'which can be run with another name' or diag $runs->{said};
is((inbox('--limit', 1))[0]{status}, 'new', 'and is new then');
deliver($runs, order(id => 'f3', name => 'fails'));
($row) = inbox('--limit', 1);
is $runs->hostler('resume', $row->{run}), 1, 'another one fails';

# ---- what is kept ----

is $runs->hostler('inbox', 'show', $row->{id}), 0, 'inbox show' or diag $runs->{said};
like $runs->{stdout}, qr/^status +failed\n.*^reason +this one fails\n.*^next +hostler resume $row->{run} .*^POST +\/hooks\/orders\n.*"name":"fails"/ms, 'tells all of it';
unlike $runs->{stdout}, qr/signature|sha256=/i, 'but for the proof';
is $runs->hostler('inbox', 'show', 'last', '--json'), 0, 'also as data';
is $json->decode($json->decode($runs->{stdout})->{body})->{name}, 'fails', 'with the body';
is $runs->hostler('inbox', 'show', 'nothing'), 2, 'what there is not';
deliver($runs, signed('orders', '{"id":"secret","name":"Ada","card":"4929-secret-number"}', 'the-secret'));
unlike $runs->journal, qr/4929-secret-number|$ENV{ORDERS_SECRET}/, 'in the journal bodies are sealed, and no secret is there';

# ---- what is turned away: nothing is kept but a count ----

my $rows = scalar inbox();
my $good = order(id => 'x1', name => 'Ada');
my %cut = (%$good, body => MIME::Base64::encode_base64('{"id":"x1","na', ''));
my @turned = (
    [ 404, request('nothing', '{}'), 'a path that nobody names' ], [ 404, { %$good, path => '/orders' }, 'another folder' ],
    [ 404, { %$good, path => '/hooks/orders/' }, 'a path below' ], [ 405, { %$good, method => 'GET' }, 'GET' ],
    [ 401, request('orders', '{}'), 'no signature' ], [ 403, \%cut, 'a cut body' ],
    [ 403, signed('orders', '{}', 'another-secret'), 'another secret' ],
    [ 413, request('orders', 'x' x 1000, undef, times => 100_000), '100 MB' ],
    [ 400, signed('orders', '{"id"', 'the-secret'), 'what is not JSON' ],
    [ 400, signed('orders', '[' x 1000, 'the-secret'), 'deep nesting' ],
    [ 400, signed('orders', '{"id":1e999}', 'the-secret'), 'a huge number' ],
    [ 400, signed('orders', "{\"id\":\"\xff\"}", 'the-secret'), 'what is not UTF-8' ],
    [ 415, { %$good, headers => { %{ $good->{headers} }, 'content-type' => 'text/plain' } }, 'another kind of text' ],
    [ 200, order(id => 'x2', ignored => JSON::PP::true), 'what the webhook ignores' ],
);
my @answers = deliver($runs, map { $_->[1] } @turned);
is $answers[$_]{status}, $turned[$_][0], $turned[$_][2] for 0 .. $#turned;
is $answers[3]{headers}{Allow}, 'POST', 'what is allowed is said';
is scalar(inbox()), $rows, 'none of it is kept';
is $runs->hostler('inbox', '--turned-away', '--json'), 0, 'but counted';
is_deeply { map { $_->{reason} => $_->{count} } @{ $json->decode($runs->{stdout}) } },
    { method => 1, proof => 3, size => 1, body => 5, ignored => 1 }, 'each by its reason';
unlike join('', map { $json->encode($_) } @answers) . $runs->{said}, qr/the-secret/, 'and no secret is told';
$answer = deliver($runs, order(id => 'huge', name => 'Ada', number => 1))->{status};
is $answer, 202, 'and it goes on';

# ---- a function that does not come to its end ----

if (!$runs->{store}) { # once, as it takes its time
    $answer = deliver($runs, order(id => 'loop', loop => JSON::PP::true));
    is $answer->{status}, 200, 'a function that computes for ever';
    like((inbox('--limit', 1))[0]{reason}, qr/^the webhook's run takes longer than 5 seconds$/, 'is ended');
}

# ---- files that are broken, and come back ----

$runs->put('playbooks/orders.lua', $ORDERS =~ s/summary = "Orders"/summary = /r);
$answer = deliver($runs, order(id => 'y1', name => 'Ada'));
is $answer->{status}, 503, 'a webhook whose file is broken';
cmp_ok $answer->{headers}{'Retry-After'}, '>', 0, 'asks for another try';
like $runs->{said}, qr/trouble: the webhook orders is out of order: .*orders\.lua:\d+: /, 'and says why, here';
is deliver($runs, request('nothing', ''))->{status}, 404, 'other paths are as they were';
$runs->put('playbooks/orders.lua', $ORDERS =~ s/path = "orders"/path = ("or" .. "ders"), nonsense = 1/r);
is deliver($runs, request('orders', ''))->{status}, 503, 'one whose path cannot be told';
is deliver($runs, request('nothing', ''))->{status}, 503, 'may be the one that any path leads to';
$runs->put('playbooks/orders.lua', $ORDERS);
delete local $ENV{ORDERS_SECRET};
is deliver($runs, order(id => 'y1', name => 'Ada'))->{status}, 503, 'a secret that is not set';
like $runs->{said}, qr/trouble: the webhook orders waits for the secret ORDERS_SECRET/, 'is named';
$ENV{ORDERS_SECRET} = 'the-secret';
$runs->put('playbooks/other.lua', $ORDERS);
is deliver($runs, order(id => 'y1', name => 'Ada'))->{status}, 503, 'two webhooks of one path in one folder';
unlink $runs->path('playbooks/other.lua');
is deliver($runs, order(id => 'y1', name => 'Ada'))->{status}, 202, 'all is well again';

# ---- pruning ----

$rows = scalar inbox();
my $kept = scalar inbox('--status', 'new');
is $runs->hostler('inbox', '--prune', '0s'), 0, 'pruning';
like $runs->{said}, qr/^(\d+) deliveries forgotten$/m, 'says how many';
is scalar(inbox()), $kept, 'what has not ended stays';
$runs->hostler('inbox', '--prune', '90d');
like $runs->{said}, qr/^0 deliveries forgotten/m, 'and what is not old';

my ($done) = deliver($runs, order(id => 'p1', name => 'Ada'));
($row) = inbox('--limit', 1);
$runs->hostler('resume', $row->{run});
$runs->hostler('runs', '--prune', '0s');
is scalar(grep { $_->{key} eq 'p1' } inbox()), 0, 'a run that is forgotten takes its delivery with it';
is $runs->hostler('worker', '--once'), 0, 'a worker' or diag $runs->{said};
is scalar(inbox('--status', 'new')), 0, 'goes through what is new';

# ---- one sign-up that comes both ways ----

my @field = (full_name => 'text', email => 'email', subdomain => 'text');
sub typeform {
    my ($token, $type, %answers) = @_;
    my @answers = map { { type => $answers{type}{$_} // { @field }->{$_}, ($answers{type}{$_} // { @field }->{$_}) => $answers{$_},
        field => { id => "id_$_", type => 'short_text', ref => $_ } } } grep { $_ ne 'type' } sort keys %answers;
    return signed('typeform', $json->encode({ event_id => "event-$token", event_type => $type, form_response => {
        form_id => 'form1', token => $token, submitted_at => '2026-01-02T03:04:05Z', definition => { id => 'form1', fields => [] },
        answers => \@answers } }), 'tf-secret');
}
sub zap { my ($type, $body) = @_; return request('zapier', $body, { authorization => 'Bearer zap-token', 'content-type' => $type }) }
my %grace = (full_name => 'Grace Hopper', email => 'grace@example.com', subdomain => ' Grace ');
$before = count_runs();
@answers = deliver($runs, typeform('t0', 'form_response_partial', %grace), typeform('t1', 'form_response', %grace),
    zap('application/json', $json->encode({ token => 't1', %grace })), typeform('t1', 'form_response', %grace),
    zap('application/x-www-form-urlencoded', 'token=t2&full_name=Alan+T&email=alan%40example.com&subdomain=alan'),
    zap('application/xml', '<zap><token>t3</token><full_name>Edsger</full_name><email>e@example.com</email><subdomain>edsger</subdomain></zap>'));
is join(' ', map { $_->{status} } @answers), '200 202 202 202 202 202', 'sign-ups by Typeform and by Zaps of three kinds';
is $answers[2]{body}{delivery}, $answers[1]{body}{delivery}, 'one that comes both ways is one';
is count_runs(), $before + 3, 'and makes one run';
$runs->hostler('runs', '--json', '--playbook', 'setup');
is_deeply [ map { $_->{arguments} } reverse @{ $json->decode($runs->{stdout}) } ], [ [ '--new', '--', 'Grace Hopper', 'grace@example.com', 'grace' ],
    [ '--new', '--', 'Alan T', 'alan@example.com', 'alan' ], [ '--new', '--', 'Edsger', 'e@example.com', 'edsger' ] ], 'with the answers';
my %refused = (
    'a bad e-mail' => [ { %grace, email => 'grace' }, qr/^EMAIL must be an e-mail address/ ],
    'an impossible name' => [ { %grace, subdomain => 'grace_h' }, qr/^SUBDOMAIN must be 1 to 63/ ],
    'a name that is ours' => [ { %grace, subdomain => 'WWW' }, qr/^the name 'www' is kept for ourselves/ ],
    'an answer that is missing' => [ { %grace, subdomain => ' ' }, qr/^there is no answer 'subdomain', which is the customer's subdomain/ ],
);
for my $what (sort keys %refused) {
    is deliver($runs, typeform("r $what", 'form_response', %{ $refused{$what}[0] }))->{status}, 200, $what;
    like((inbox('--limit', 1))[0]{reason}, $refused{$what}[1], 'is refused');
}
my $choice = typeform('t4', 'form_response', %grace, subdomain => { label => 'chosen' }, type => { subdomain => 'choice' });
is deliver($runs, $choice)->{status}, 202, 'a choice is its label';

# ---- without a server ----

$runs->put('body', '{"id":"t9","name":"Ada","times":2}');
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body'), 0, 'webhook test';
like $runs->{stdout}, qr/^proof +missing: .*^key +t9\n^run +hostler run order --times=2 -- Ada\n^outcome +accepted, answered 202\n/ms, 'says what would come of a body';
my ($header) = map { "Typeform-Signature: $_->{headers}{'typeform-signature'}" } signed('orders', $runs->get('body'), 'the-secret');
$runs->hostler('webhook', 'test', 'orders', '--file', 'body', '--header', $header);
like $runs->{stdout}, qr/^proof +holds$/m, 'with its proof';
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body', '--header', 'Typeform-Signature: sha256=AAAA'), 1, 'a wrong one';
like $runs->{stdout}, qr/^proof +wrong: Typeform's signature is wrong\n^outcome +turned away, answered 403\n/m, 'is turned away';
is scalar(grep { $_->{key} eq 't9' } inbox()), 0, 'and nothing is recorded';
deliver($runs, signed('orders', $runs->get('body'), 'the-secret'));
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body', '--json'), 0, 'as data';
is $json->decode($runs->{stdout})->{delivery}, (inbox('--limit', 1))[0]{id}, 'what is there already is said';
$runs->put('body', '{"id":"t9","ignored":true}');
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body'), 1, 'what would be ignored';
like $runs->{stdout}, qr/^outcome +ignored, answered 200\n^reason +its key is nil/m, 'with that reason, and not that of the proof';
$runs->put('body', 'rubbish{');
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body'), 1, 'what is nothing';
like $runs->{stdout}, qr/^outcome +turned away, answered 400\n^reason +the body is not JSON/m, 'is taken as the server takes what says nothing of itself';
$runs->put('body', 'id=t9');
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body'), 1, 'a form';
like $runs->{stdout}, qr/^body +read as application\/x-www-form-urlencoded; --header .*^reason .*field 'json' \(a nil value\): the body is a form$/ms, 'is not the JSON that was looked for';
{
    local $ENV{ORDERS_SECRET};
    delete $ENV{ORDERS_SECRET};
    $runs->hostler('webhook', 'test', 'orders', '--file', 'body');
    like $runs->{stdout}, qr/^proof +not checked: the secret ORDERS_SECRET is not set, and until it is .*\(503\)$/m, 'a secret that is not set';
    is $runs->hostler('run', 'orders'), 2, 'a webhook is not run without it either';
    like $runs->{said}, qr/this is a webhook/, 'and that is what is said';
}
is $runs->hostler('webhook', 'test', 'ordrs', '--file', 'body'), 2, 'a webhook that is not there';
like $runs->{said}, qr/there is no webhook 'ordrs'.*did you mean 'orders'/s, 'is looked for among the webhooks';
is $runs->hostler('webhook', 'test', 'typeform', '--file', 'body'), 2, 'a path';
like $runs->{said}, qr/\/hooks\/typeform is that of 'signup-typeform'/, 'is known';
is $runs->hostler('webhook', 'list'), 2, 'there is but `test`';
like $runs->{said}, qr/there is no `hostler webhook list`/, 'which is said';
$runs->put('body', '{"id":"t10"}');
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body'), 1, 'what would be refused';
like $runs->{stdout}, qr/^outcome +refused, answered 200\n^reason +NAME is missing/m, 'with its reason';
is $runs->hostler('webhook', 'test', 'orders', '--file', '-'), 1, 'the body may come on standard input';
is $runs->hostler('webhook', 'test', 'order', '--file', 'body'), 2, 'a playbook is no webhook';
is $runs->hostler('webhook', 'test', 'orders', '--file', 'body', '--header', 'nonsense'), 2, 'nor is that a header';
is $runs->hostler('webhook', 'test', 'orders'), 2, 'a body is needed';
is $runs->hostler('run', 'orders'), 2, 'a webhook is not run';
like $runs->{said}, qr/this is a webhook.*hostler webhook test orders/s, 'but tried';

# ---- a key that could not be told ----

my $delivery = order(id => 'k1', name => 'Ada');
$runs->put('playbooks/orders.lua', $ORDERS =~ s/delivery\.json\.id or/delivery.json.order.id or/r);
is deliver($runs, $delivery)->{status}, 200, 'a webhook that cannot tell the key';
my ($unknown) = inbox('--limit', 1);
is $unknown->{status}, 'refused', 'refuses it';
$runs->put('playbooks/orders.lua', $ORDERS);
is $runs->hostler('webhook', 'test', 'orders', '--file', '-'), 1, 'mended';
is deliver($runs, $delivery)->{status}, 202, 'it takes it when it comes again';
my ($known) = inbox('--limit', 1);
is $runs->hostler('inbox', 'run', $unknown->{id}), 2, 'then the first is not run beside it';
like $runs->{said}, qr/delivery $known->{id} has come with its key, 'k1'.*inbox run $unknown->{id} ARGUMENTS/s, 'unless a person wants that';
$runs->put('playbooks/orders.lua', $ORDERS =~ s/delivery\.json\.id or/delivery.json.order.id or/r);
$delivery = order(id => 'k2', name => 'Ada');
deliver($runs, $delivery);
($unknown) = inbox('--limit', 1);
$runs->put('playbooks/orders.lua', $ORDERS);
is $runs->hostler('inbox', 'run', $unknown->{id}), 0, 'one that has not come again is run' or diag $runs->{said};
$before = count_runs();
is deliver($runs, $delivery)->{status}, 200, 'and known by its key from then on';
is count_runs(), $before, 'so that it makes no second run';

# ---- the store is away ----

if ($runs->{store}) {
    Runs::control_postgres('--mode=immediate', 'stop');
    $answer = deliver_while_away(order(id => 'z1', name => 'Ada'));
    is $answer->{status}, 503, 'while the database is away';
    is deliver($runs, order(id => 'z1', name => 'Ada'))->{status}, 202, 'and when it is back';
}

# The server is up when the process begins, and gone when the request comes.
sub deliver_while_away {
    my ($request) = @_;
    Runs::control_postgres('start');
    my $pid = start_deliveries($runs, 1, 'open-now', $request);
    Runs::wait_for(sub { $runs->get('stdout') =~ /^ready/m }) or die 'it is not ready';
    Runs::control_postgres('--mode=immediate', 'stop');
    $runs->put('open-now', '');
    $runs->finish($pid);
    my ($found) = answers($runs);
    Runs::control_postgres('start');
    return $found;
}

done_testing;
