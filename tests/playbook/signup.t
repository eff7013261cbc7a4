#!/usr/bin/perl
# Sign-ups as they come from the world: by TLS to Caddy, which hands on to `hostler serve`, whose own workers set the
# instances up. What a customer gets by it, and what an operator sees: of one that comes twice and by two ways, of names
# that cannot be had, of a service that is killed amid its work.
use strict;
use warnings;
use Cloud;
use Hostler ();
use JSON::PP ();
use Test::More;

my $cloud = Cloud->connect;
my $json = JSON::PP->new;
my ($gateway) = $cloud->{env}{DIGITALOCEAN_API_URL} =~ m{//([\d.]+)};
my $hooks = $gateway =~ s/\d+\z/2/r;
my ($owner, $serve) = $$;

END {
    local $?;
    $cloud->script('hooks', 'down') if $cloud && $owner == $$;
}

sub serve {
    $serve = $cloud->start({}, 'serve', '--socket', "/run/hostler-cloud/$ENV{HOSTLER_CLOUD}/hooks/serve.sock");
    Hostler::wait_for($serve, qr/^serving on /m) or die "hostler serve: $serve->{stderr}\n";
}

# Caddy's own answers have no body.
sub answered { my ($body) = @_; return $body ? %{ $json->decode($body) } : () }

# Typeform tells of a customer: the answer, { status, delivery, message }.
sub sign_up {
    my ($token, @customer) = @_;
    my ($status, $body) = $cloud->script('signup', ref $token ? @$token : ('--token', $token), @customer) =~ /^(\d{3}) (.*)$/m;
    return { answered($body), status => $status, exit => $? >> 8 };
}

# The same from a Zap.
sub zap {
    my ($type, $body, $token) = @_;
    my ($status, $text) = $cloud->request(method => 'POST', url => 'https://hooks.meltanodata.com/hooks/zapier',
        resolve => "hooks.meltanodata.com:443:$hooks", body => $body,
        headers => [ "Content-Type: $type", 'Authorization: Bearer ' . ($token // $cloud->{env}{ZAPIER_TOKEN}) ]);
    return { answered($text), status => $status };
}

sub answer { my ($got) = @_; return "$got->{status} " . ($got->{delivery} // '-') }

sub on_record { return @{ $json->decode($cloud->run({}, qw(inbox --json), @_)->{stdout}) } }
sub delivery { my ($id) = @_; return $json->decode($cloud->run({}, 'inbox', 'show', $id, '--json')->{stdout}) }
sub runs { return scalar @{ $json->decode($cloud->run({}, qw(runs --json --playbook setup))->{stdout}) } }

# The delivery when it stands like this.
sub stands {
    my ($id, $status) = @_;
    my $found;
    eval {
        $cloud->wait_until("delivery $id to be $status", sub { ($found = delivery($id))->{status} =~ /^(?:$status|done|refused|failed)$/ });
        1;
    } or diag $@;
    is $found->{status}, $status, "its delivery is $status" or diag $json->encode($found), $cloud->run({}, 'log', $found->{run})->{stdout};
    return $found;
}

sub droplets_ordered {
    my ($tenant, $mark) = @_;
    return scalar grep { $_->{path} eq '/v2/droplets' && $_->{request}{name} eq "$tenant.meltanodata.com" } $cloud->writes($mark);
}

$cloud->claim($_) for qw(grace alan eve taken);
my $mark = $cloud->mark;
my $taken = $cloud->start_setup('taken');
$cloud->script('hooks', $_) for qw(down proxy);
serve();

my $grace = sign_up('grace1', 'Grace Hopper', 'grace@example.com', 'Grace');
my @before = ("$grace->{status} $grace->{exit}", runs());

subtest 'what is nothing for us' => sub {
    my $partial = sign_up([qw(--token partial1 --partial)], 'Grace Hopper', 'grace@example.com', 'grace');
    is "$partial->{status} $partial->{exit}", '200 0', 'a form that was left before its end';
    is zap('application/json', '{}', 'not-the-token')->{status}, 403, 'a Zap that does not know the token';
    is scalar(on_record()), 1, 'neither is on record';
    my $counts = sub {
        return join ', ', sort map { "$_->{webhook} $_->{reason} $_->{count}" }
            @{ JSON::PP::decode_json($cloud->run({}, qw(inbox --turned-away --json))->{stdout}) };
    };
    $cloud->wait_until('both counts', sub { $counts->() =~ /typeform.*zapier/ });
    is $counts->(), 'signup-typeform ignored 1, signup-zapier proof 1', 'but both are counted';
};

subtest 'a customer signs up' => sub {
    is $before[0], '202 0', 'Typeform is told that it is accepted';
    my $row = stands($grace->{delivery}, 'done');
    is $row->{remote}, $gateway, 'it has the address that Caddy saw';
    my $droplet = $cloud->droplet('grace');
    like $cloud->inside($droplet, qw(getent ahostsv4 hooks.meltanodata.com)), qr/^\Q$hooks\E /, 'who asks the DNS finds the way to Caddy';
    my @letters = $cloud->letters_to('grace@example.com');
    is scalar @letters, 1, 'the customer has one letter';
    my ($user, $password) = $letters[0]{text} =~ /^ *User +(\S+)\n *Password +(\S+)$/m;
    is $user, 'grace', 'with the user';
    like $cloud->log_in('grace', $user, $password), qr/Welcome, grace/, 'and the password, which lets them in';
    my $log = $cloud->run({}, 'log', $row->{run}, '-f')->{stdout};
    like $log, qr/run +setup: begin .*\n(?:.*\n)*.*run +setup: done/, 'the operator reads what the run did';
    unlike $log, qr/\Q$password\E/, 'but not the password';
    Hostler::catch_up($serve);
    like $serve->{stdout},
        qr/^delivery $grace->{delivery} to signup-typeform: run $row->{run} \(setup\) is queued$/m, 'the service has told of it';
};

subtest 'the same once more, and by a Zap' => sub {
    my $same = '202 ' . $grace->{delivery};
    my @grace = ('Grace Hopper', 'grace@example.com', 'grace');
    is answer(sign_up('grace1', @grace)), $same, 'Typeform is given the same answer';
    my %fields = (token => 'grace1', full_name => $grace[0], email => $grace[1], subdomain => $grace[2]);
    is answer(zap('application/json', $json->encode(\%fields))), $same, 'so is a Zap with JSON';
    is answer(zap('application/x-www-form-urlencoded',
        'token=grace1&full_name=Grace+Hopper&email=grace%40example.com&subdomain=grace')), $same, 'with a form';
    is answer(zap('application/xml', '<?xml version="1.0"?><zap>' . join('', map { "<$_>$fields{$_}</$_>" } sort keys %fields) . '</zap>')),
        $same, 'with XML';
    is runs(), $before[1], 'there is no further run';
    is droplets_ordered('grace', $mark), 1, 'and one droplet';
};

subtest 'names that cannot be had' => sub {
    is Hostler::finish($taken)->{status}, 0, 'somebody has the name already' or diag $taken->{stderr};
    my $eve = sign_up('eve1', 'Eve Moneypenny', 'eve@example.com', 'taken');
    is $eve->{status}, 202, 'a sign-up for it is accepted';
    my $row = stands($eve->{delivery}, 'refused');
    is $row->{reason}, 'taken.meltanodata.com is taken: it is complete, and answers', 'and says why';
    my $ours = sign_up('ours1', 'Eve Moneypenny', 'eve@example.com', 'hooks');
    is $ours->{status}, 200, 'one for a name that we have ourselves is answered with 2xx as well';
    is stands($ours->{delivery}, 'refused')->{run}, undef, 'and makes no run';
    my $inbox = $cloud->run({}, 'inbox')->{stdout};
    like $inbox, qr/^$eve->{delivery} +refused .* is taken/m, 'the inbox shows the reason of the one';
    like $inbox, qr/^$ours->{delivery} +refused .*the name 'hooks' is kept for ourselves/m, 'and of the other';
    is scalar($cloud->letters_to('eve@example.com')), 0, 'the customer has heard nothing yet';
    my $again = $cloud->run({}, 'inbox', 'run', $eve->{delivery}, '--', 'Eve Moneypenny', 'eve@example.com', 'eve');
    is $again->{status}, 0, 'the operator gives them another name' or diag $again->{stderr};
    stands($eve->{delivery}, 'done');
    like(($cloud->letters_to('eve@example.com'))[0]{text}, qr{https://eve\.meltanodata\.com/}, 'and they have their login');
};

subtest 'the service is killed amid a set-up' => sub {
    my $form = 'token=alan1&full_name=Alan+Turing&email=alan%40example.com&subdomain=alan';
    my $alan = zap('application/x-www-form-urlencoded', $form);
    is $alan->{status}, 202, 'a Zap tells of a customer';
    $cloud->wait_until('the droplet', sub { droplets_ordered('alan', $mark) });
    kill KILL => $serve->{pid};
    is Hostler::finish($serve)->{signal}, 9, 'the service is gone';
    unlike zap('application/x-www-form-urlencoded', $form)->{status}, qr/^2/, 'what comes meanwhile is not said to be taken';
    isnt delivery($alan->{delivery})->{status}, 'done', 'the set-up is not over';
    serve();
    is answer(zap('application/x-www-form-urlencoded', $form)), "202 $alan->{delivery}", 'the next service knows the sign-up';
    stands($alan->{delivery}, 'done');
    is droplets_ordered('alan', $mark), 1, 'one droplet was made';
    is scalar($cloud->letters_to('alan@example.com')), 1, 'and one letter written';
    kill TERM => $serve->{pid};
    is join(' ', @{ Hostler::finish($serve) }{qw(status signal)}), '0 0', 'told to end, the service ends' or diag $serve->{stderr};
};

done_testing;
