#!/usr/bin/perl
# hostler serve as a service: where it listens, what it tells systemd and whoever watches, webhooks that are edited, a
# store that is away, and its end. Run by itself it does so on a journal that is a file and on one that is a database.
use strict;
use warnings;
use lib 'tests/lib';
use BothStores;
use Deliveries;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Runs;
use Serve;
use Servers;
use Socket qw(SOCK_DGRAM);
use Terminal;
use Test::More;

delete @ENV{qw(LISTEN_PID LISTEN_FDS NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID XDG_RUNTIME_DIR OTHER_TOKEN)};
$ENV{TOKEN} = 'the-token';

my $HOOK = <<'LUA';
return webhook { summary = "x", path = "hook", from = webhook.bearer(secret "TOKEN"),
    key = function(delivery) return delivery.json.id end,
    run = function(delivery) return "book", { delivery.json.id } end }
LUA
# Writes its name into `log`; one of a name with a dash waits for the file `go` before.
my $BOOK = <<'LUA';
local sh = require "sh"
return playbook { summary = "x", params = { arg("id", "string", "which") }, run = function(p)
    local function is_there(words) return sh.run(words, { read = true, check = false }).status == 0 or nil end
    if p.id:find "-" then
        sh.run({ "touch", "at" }, { read = true })
        wait_until("it may go on", { timeout = 100, interval = 0.02 }, function() return is_there { "test", "-e", "go" } end)
    end
    step("write", { probe = function() return is_there { "grep", "-qx", p.id, "log" } end }, function()
        sh.run { "sh", "-c", "echo $1 >> log", "sh", p.id }
    end)
end }
LUA

my $shared = Runs::shared();
my %headers = (authorization => 'Bearer the-token', 'content-type' => 'application/json');
my $health = { method => 'GET', path => '/healthz', headers => {}, body => '' };

sub new_runs { my $runs = Runs->new(hook => $HOOK, book => $BOOK, @_); return ($runs, $runs->path('serve.sock')) }
sub delivery { my ($id, $path) = @_; return request($path // 'hook', qq({"id":"$id"}), \%headers) }
sub status { my ($answer) = @_; return ($answer // { status => 'no answer' })->{status} }
sub log_of { my ($runs) = @_; return join ' ', sort split ' ', $runs->get('log') }
sub is_done { my ($runs, $count) = @_; return Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status = 'done'") == $count }) }
sub asks_again { my ($answer) = @_; return $answer && $answer->{status} == 503 && $answer->{headers}{'retry-after'} > 0 }

# ---- where it listens ----

# It does not serve: its status, and what it says.
sub refused {
    my ($runs, @arguments) = @_;
    my $other = $runs->beside;
    return $other->hostler('serve', @arguments) . ' ' . $other->{said};
}

subtest 'where it listens' => sub {
    my ($runs) = new_runs();
    my $pid = serve($runs, '--listen', '127.0.0.1:0,[::1]:0');
    my ($four, $six) = $runs->get('stdout') =~ m{^serving on http://(127\.0\.0\.1:[1-9]\d*)\n.*^serving on http://(\[::1\]:[1-9]\d*)$}ms;
    is status(ask($four, $health)), 200, 'on two addresses';
    like `curl --silent 'http://$six/healthz'`, qr/"ok"/, 'also of IPv6';
    like refused($runs, '--listen', $four), qr/^1 .*cannot listen on 127.0.0.1 port \d+: Address already in use/s, 'of which nobody else gets one';
    is end_serve($runs, $pid), 0, 'it ends' or diag $runs->{said};
    is dial($four), undef, 'and is gone';

    my $servers = Servers->new('a');
    my @tls = ('--certificate', $servers->folder . '/server.pem', '--key', $servers->folder . '/server.key');
    $pid = serve($runs, '--listen', '0.0.0.0:0', @tls);
    my ($port) = $runs->get('stdout') =~ m{^serving on https://0\.0\.0\.0:(\d+)$}m;
    my $curl = "curl --silent --cacert " . $servers->folder . "/server.pem https://localhost:$port";
    like `$curl/healthz`, qr/"ok"/, 'with TLS anywhere';
    like `$curl/hooks/hook -H 'Authorization: Bearer the-token' -H 'Content-Type: application/json' -d '{"id":"tls"}'`, qr/"accepted"/,
        'where deliveries are taken';
    is end_serve($runs, $pid), 0, 'and it ends';

    for my $address ('0.0.0.0:0', '[::]:0', '198.18.0.1:80', '[2001:db8::1]:80', '127.0.0.1:0,0.0.0.0:0') {
        like refused($runs, '--listen', $address), qr/^2 .*plain HTTP on \S+, port \d+, could be read .*\n.*Caddy.*--certificate/s, "plain HTTP on $address is refused";
    }
    like refused($runs, @$_), qr/^2 ./, "@$_ is refused" for [ '--listen', 'localhost:80' ], [ '--listen', '127.0.0.1:70000' ], [ '--listen', ',' ],
        [ '--listen', '127.0.0.1:0', '--socket', 'x' ], [ '--certificate', 'x', '--listen', '127.0.0.1:0' ], [ @tls ], [ '--jobs', -1 ],
        [ '--group', 'x', '--listen', '127.0.0.1:0' ];
    like refused($runs, '--listen', '127.0.0.1:0', '--certificate', '/nowhere', '--key', '/nowhere'), qr/^1 .*cannot read \/nowhere/s, 'a certificate that is not there';
    like refused($runs, '--socket', $runs->path('nowhere/x')), qr/^1 .*No such file/s, 'a folder that is not there';
};

subtest 'the usual socket' => sub {
    my ($runs) = new_runs();
    $runs->{program} = 'unshare';
    my $pid = $runs->start('--mount', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh', Runs::binary(), 'serve');
    is started($runs), 'unix:/run/hostler/serve.sock', 'of root';
    my $path = "/proc/$pid/root/run/hostler/serve.sock";
    is status(ask($path, $health)), 200, 'is served';
    is sprintf('%o', (stat $path)[2] & 0777), '660', 'for owner and group';
    is sprintf('%o', (stat "/proc/$pid/root/run/hostler")[2] & 0777), '755', 'in a folder that the group can enter';
    is end_serve($runs, $pid), 0, 'it ends' or diag $runs->{said};

    my ($user) = new_runs();
    mkdir $user->path('own') or die $!;
    system('chown', '-R', '65534:65534', $user->{folder}) == 0 or die;
    $user->{program} = 'setpriv';
    my @as = ('--reuid', 65534, '--regid', 65534, '--clear-groups', Runs::binary(), 'serve');
    {
        local $ENV{XDG_RUNTIME_DIR} = $user->path('own');
        $pid = $user->start(@as);
    }
    is started($user), 'unix:' . $user->path('own/hostler/serve.sock'), 'of a user';
    is status(ask($user->path('own/hostler/serve.sock'), $health)), 200, 'is served';
    is end_serve($user, $pid), 0, 'it ends';
    ok !-e $user->path('own/hostler/serve.sock'), 'and takes the socket along';
    $pid = $user->start(@as);
    like started($user), qr{^unix:\Q$user->{state}\E/hostler/serve\.sock$}, 'without XDG_RUNTIME_DIR beside the journal';
    is end_serve($user, $pid), 0, 'which ends as well';
} if !$shared;

subtest 'a socket that somebody has' => sub {
    my ($runs, $path) = new_runs();
    my $other = $runs->beside;
    my $pid = serve($runs);
    like refused($other, '--socket', $path), qr/^1 .*cannot listen on \Q$path\E: process $pid \(hostler\) listens there already/s, 'is refused';
    is status(ask($path, delivery('a'))), 202, 'and the other one goes on';
    kill KILL => $pid;
    $runs->finish($pid);
    $pid = serve($other, '--socket', $path);
    is status(ask($path, $health)), 200, 'one that was left is taken';
    is end_serve($other, $pid), 0, 'and goes at the end';
    ok !-e $path, 'with its file';
    $runs->put('serve.sock', 'precious');
    like refused($runs, '--socket', $path), qr/^1 .*the file there is no socket/s, 'a file is left alone';
} if !$shared;

# ---- sockets that systemd hands over ----

sub free_port { return IO::Socket::IP->new(Listen => 1, LocalAddr => $_[0])->sockport }

# Has systemd-socket-activate begin it with the first connection; its process number.
sub activate {
    my ($runs, $listen, @arguments) = @_;
    my $state = $runs->{state};
    local $runs->{program} = 'systemd-socket-activate';
    my $pid = $runs->start(map({ "--listen=$_" } @$listen), '-E', 'TOKEN', '-E', "XDG_STATE_HOME=$state", Runs::binary(), 'serve', @arguments);
    Runs::wait_for(sub { (() = $runs->get('stderr') =~ /^Listening on /mg) == @$listen }) or die $runs->get('stderr');
    return $pid;
}

subtest 'sockets of systemd' => sub {
    my ($runs) = new_runs();
    my $path = $runs->path('given');
    my $pid = activate($runs, [$path]);
    is status(ask($path, delivery('a'))), 202, 'a unix socket; the request that began it is answered';
    like $runs->get('stdout'), qr/^serving on unix:\Q$path\E$/m, 'and where it serves is said';
    is end_serve($runs, $pid), 0, 'it ends' or diag $runs->{said};
    unlink $path;

    my $port = free_port('127.0.0.1');
    $pid = activate($runs, [ "127.0.0.1:$port", $path ]);
    is status(ask("127.0.0.1:$port", $health)), 200, 'an address';
    is status(ask($path, $health)), 200, 'and a unix socket beside it';
    is end_serve($runs, $pid), 0, 'it ends';
    unlink $path;

    for my $address ('0.0.0.0', '[::]') {
        $port = free_port('0.0.0.0');
        $pid = activate($runs, ["$address:$port"]);
        dial($address eq '[::]' ? "[::1]:$port" : "127.0.0.1:$port");
        is $runs->finish($pid), 2, "plain HTTP on a socket of $address is refused";
        like $runs->{said}, qr/plain HTTP on \S+, port $port, could be read/, 'with the reason';
    }
    my $servers = Servers->new('a');
    $port = free_port('0.0.0.0');
    $pid = activate($runs, ["0.0.0.0:$port"], '--certificate', $servers->folder . '/server.pem', '--key', $servers->folder . '/server.key');
    like `curl --silent --cacert ${\$servers->folder}/server.pem https://localhost:$port/healthz`, qr/"ok"/, 'with a certificate it is served';
    is end_serve($runs, $pid), 0, 'and ends';
    $pid = activate($runs, [$path], '--socket', 'x');
    dial($path);
    is $runs->finish($pid), 2, 'another socket beside it is refused';
} if !$shared;

# ---- what systemd is told ----

subtest 'what systemd is told' => sub {
    my ($runs, $path) = new_runs();
    my $manager = IO::Socket::UNIX->new(Local => $runs->path('notify'), Type => SOCK_DGRAM) or die $!;
    my $hear = sub {
        my $text = '';
        IO::Select->new($manager)->can_read(120) and recv $manager, $text, 1000, 0;
        return $text;
    };
    local @ENV{qw(NOTIFY_SOCKET WATCHDOG_USEC)} = ($runs->path('notify'), 200_000);
    my $pid = serve($runs, '--jobs', 0);
    my %told;
    $told{ $hear->() }++ while !$told{'READY=1'} || ($told{'WATCHDOG=1'} // 0) < 3;
    is_deeply [ sort keys %told ], [ 'READY=1', 'WATCHDOG=1' ], 'that it serves, and lives';
    is $told{'READY=1'}, 1, 'once that it serves';
    is status(ask($path, $health)), 200, 'which it does by then';
    my $slow = dial($path);
    my $bytes = bytes_of(delivery('slow'));
    send_bytes($slow, substr $bytes, 0, -5);
    ask($path, $health) for 1 .. 2; # then the first part has been read
    kill TERM => $pid;
    my $heard;
    $heard = $hear->() while ($heard // '') ne 'STOPPING=1';
    is $hear->(), 'WATCHDOG=1', 'while it ends that it lives';
    send_bytes($slow, substr $bytes, -5);
    is status(answer_from($slow)), 202, 'while a client is waited for';
    is $runs->finish($pid), 0, 'and it ends';
    local $ENV{WATCHDOG_PID} = 1;
    $pid = serve($runs, '--jobs', 0);
    $heard = $hear->() while $heard ne 'READY=1';
    kill TERM => $pid;
    is $hear->(), 'STOPPING=1', 'another process of whom it is to hear is another one';
    is $runs->finish($pid), 0, 'which ends as well';
} if !$shared;

# ---- webhooks that are edited ----

subtest 'webhooks that are edited' => sub {
    my ($runs, $path) = new_runs(unready => 'return webhook { path = "unready", ', empty => '', later => "-- nothing yet\n");
    my $pid = serve($runs);
    is status(ask($path, delivery('a'))), 202, 'a webhook';
    ok asks_again(ask($path, delivery('a', 'unready'))), 'one that never was good asks to come again';
    ok asks_again(ask($path, delivery('a', 'other'))), 'so does each path while there is one whose own cannot be told';
    like $runs->get('stderr'), qr/webhook unready is broken: .*unready\.lua:1: .*asked to come again/, 'which is said';
    unlike $runs->get('stderr'), qr/webhook later/, 'a module is no webhook';

    $runs->put('playbooks/empty.lua', 'return {}');
    is status(eventually_ask($path, delivery('a', 'other'), 404)), 404, 'until it is a module';
    like $runs->get('stderr'), qr{^hostler: /hooks/other was asked for, to which no webhook answers: 404$}m, 'which is said';
    $runs->put('playbooks/unready.lua', $HOOK =~ s/"hook"/"unready"/r);
    is status(eventually_ask($path, delivery('b', 'unready'), 202)), 202, 'one that has become good is taken up';
    like $runs->get('stdout'), qr{^webhook unready: POST /hooks/unready$}m, 'which is said';

    $runs->put('playbooks/hook.lua', $HOOK =~ s/delivery.json.id end,$/"key " .. delivery.json.id end,/mr);
    is status(eventually_ask($path, delivery('c'), 202)), 202, 'an edited one';
    ok Runs::wait_for(sub { (() = $runs->get('stdout') =~ /^webhook hook:/mg) == 2 }), 'is said to be taken up';
    is status(ask($path, delivery('d'))), 202, 'and answers';
    is $runs->query("SELECT count(*) FROM inbox WHERE key = 'key d'"), 1, 'as it is now';

    for my $broken ('return webhook {', '', "error 'x'", 'return 1', "\0", 'return webhook { path = "hook" }') {
        $runs->put('playbooks/hook.lua', $broken);
        my $said = () = $runs->get('stderr') =~ /webhook hook is broken/g;
        ok Runs::wait_for(sub { $said < (() = $runs->get('stderr') =~ /webhook hook is broken: .*what it was before stays in force/g) }), 'a broken one is told';
        is status(ask($path, delivery("e$said"))), 202, 'and what it was stays in force';
        is $runs->query("SELECT count(*) FROM inbox WHERE key = 'key e$said'"), 1, 'as it was';
    }
    unlink $runs->path('playbooks/hook.lua');
    ok asks_again(eventually_ask($path, delivery('f'), 503)), 'while the file is away, senders are asked to come again';
    $runs->put('playbooks/renamed.lua', $HOOK);
    is status(eventually_ask($path, delivery('g'), 202)), 202, 'until it is there by another name';
    mkdir $runs->path('playbooks/folder.lua') or die $!;

    my $many = 0;
    for my $round (1 .. 30) { # replaced as editors do, and as others do
        $round % 2 ? $runs->put('playbooks/renamed.lua', "$HOOK-- $round\n") : do {
            $runs->put('playbooks/new', "$HOOK-- $round\n");
            rename $runs->path('playbooks/new'), $runs->path('playbooks/renamed.lua') or die $!;
        };
        my $status = status(ask($path, delivery("h$round")));
        $many++ if $status == 202 || $status == 503;
    }
    is $many, 30, 'while it is replaced nobody hears that there is nothing';
    is status(eventually_ask($path, delivery('i'), 202)), 202, 'and then it goes on';

    is status(ask($path, delivery('a', 'nobodys'))), 404, 'another path of nobody';
    unlike $runs->get('stderr'), qr/nobodys/, 'is not told once more a moment later';
    is status(ask($path, request('hook', '{"id":"j"}', { %headers, authorization => "Bearer wrong$_" }))), 403, 'a wrong proof' for 1, 2;
    my $told = () = $runs->get('stderr') =~ /^hostler: a request to renamed was answered with 403 and is not kept: bearer token is wrong$/mg;
    is $told, 1, 'is told once';
    is status(ask($path, request('hook', '{}', \%headers))), 200, 'what is ignored';
    like $runs->get('stderr'), qr/^hostler: a request to renamed was answered with 200 and is not kept: its key is nil, so it is nothing for this webhook$/m, 'is told';

    $runs->put('playbooks/rival.lua', $HOOK);
    ok Runs::wait_for(sub { $runs->get('stderr') =~ m{^hostler: webhook rival is not heard: \S*renamed\.lua answers to /hooks/hook too, and senders are asked to come again$}m }), 'a path of two is told';
    like $runs->get('stderr'), qr/^hostler: webhook renamed is not heard: \S*rival\.lua/m, 'of both';
    unlink $runs->path('playbooks/rival.lua');
    ok Runs::wait_for(sub { $runs->get('stdout') =~ m{^webhook renamed is heard again: POST /hooks/hook$}m }), 'and its end';
    like $runs->get('stderr'), qr/^hostler: webhook rival: its file is gone; for 10 minutes senders are asked to come again$/m, 'and that a file is gone';
    $runs->put('playbooks/signup-zapier.lua', $HOOK =~ s/"hook"/"typeform"/r);
    ok Runs::wait_for(sub { $runs->get('stderr') =~ m{^hostler: webhook signup-typeform is not heard: \S*signup-zapier\.lua answers to /hooks/typeform before it$}m }), 'so is one that a nearer one hides';

    $runs->put('playbooks/sealed.lua', $HOOK =~ s/"hook"/"sealed"/r =~ s/TOKEN/OTHER_TOKEN/r);
    ok asks_again(eventually_ask($path, delivery('a', 'sealed'), 503)), 'one whose secret is not set asks to come again';
    like $runs->get('stderr'), qr/webhook sealed: the secret OTHER_TOKEN is not set/, 'which is said';
    is end_serve($runs, $pid), 0, 'it ends' or diag $runs->{said};
} if !$shared;

# ---- a store that is away ----

subtest 'a store that is away' => sub {
    my ($runs, $path) = new_runs();
    Runs::control_postgres('--mode=fast', 'stop');
    my $pid = serve($runs);
    ok asks_again(ask($path, delivery('a'))), 'at the start: senders are asked to come again';
    ok asks_again(ask($path, $health)), 'and who asks for its health hears it';
    like $runs->get('stderr'), qr/cannot be reached/, 'as does who runs it';
    Runs::control_postgres('start');
    is status(eventually_ask($path, delivery('a'), 202)), 202, 'it goes on by itself';
    is status(eventually_ask($path, $health, 200)), 200, 'in good health';
    ok is_done($runs, 1), 'and its runs go' or diag $runs->get('stderr');
    Runs::control_postgres('--mode=immediate', 'stop');
    ok asks_again(ask($path, delivery('b'))), 'later: senders are asked to come again';
    ok asks_again(ask($path, $health)), 'and its health is told';
    Runs::control_postgres('start');
    is status(eventually_ask($path, delivery('b'), 202)), 202, 'it goes on by itself again';
    ok is_done($runs, 2), 'with its runs' or diag $runs->get('stderr');
    is log_of($runs), 'a b', 'each once';
    Runs::control_postgres('--mode=fast', 'stop');
    is end_serve($runs, $pid), 0, 'it ends also while the store is away' or diag $runs->{said};
    $pid = $runs->start('serve', '--socket', $path);
    started($runs);
    is end_serve($runs, $pid), 0, 'and where it never was there' or diag $runs->{said};
    Runs::control_postgres('start');
} if $shared;

# ---- the end ----

subtest 'told to end' => sub {
    my ($runs, $path) = new_runs();
    my $pid = serve($runs, '--jobs', 2);
    is status(ask($path, delivery($_))), 202, 'a delivery' for 'long-1', 'long-2';
    ok Runs::wait_for(sub { -e $runs->path('at') && $runs->query("SELECT count(*) FROM runs WHERE status = 'running'") eq '2' }),
        'whose run goes on: the workers have no place for more';
    my @slow = map { dial($path) } 1 .. 3;
    my @bytes = map { bytes_of(delivery("slow$_")) } 0 .. 2;
    send_bytes($slow[0], substr $bytes[0], 0, 20);
    send_bytes($slow[1], substr $bytes[1], 0, -1);
    send_bytes($slow[2], $bytes[2] . substr $bytes[2], 0, 5);
    ask($path, $health) for 1 .. 2;
    kill TERM => $pid;
    ok Runs::wait_for(sub { !-e $path }), 'SIGTERM: nobody else comes in';
    send_bytes($slow[0], substr $bytes[0], 20);
    send_bytes($slow[1], substr $bytes[1], -1);
    for my $index (0 .. 2) {
        my $answer = answer_from($slow[$index]);
        is status($answer), 202, 'who has begun to send is answered';
    }
    is $runs->finish($pid), 0, 'it ends' or diag $runs->{said};
    like $runs->{stdout}, qr/^run \w+ \(book\): stopped, and back in the queue$/m, 'what runs goes back to the queue';
    is $runs->query("SELECT count(*) FROM runs WHERE status = 'queued'"), 5, 'where all of them are';
    ok $runs->quiet, 'and nothing of it is left';
    $runs->put('go', '');
    $pid = serve($runs);
    ok is_done($runs, 5), 'the next one goes on with them';
    is log_of($runs), 'long-1 long-2 slow0 slow1 slow2', 'each once';

    unlink $runs->path('go'), $runs->path('at');
    is status(ask($path, delivery('long-3'))), 202, 'another one';
    ok Runs::wait_for(sub { -e $runs->path('at') }), 'which goes on';
    my $slow = dial($path);
    send_bytes($slow, substr $bytes[0], 0, 20);
    ask($path, $health) for 1 .. 2;
    kill TERM => $pid;
    Runs::wait_for(sub { !-e $path });
    kill TERM => $pid;
    is $runs->finish($pid), 143, 'SIGTERM twice: it ends at once';
    ok $runs->quiet, 'with its processes';
    $runs->put('go', '');
    $pid = serve($runs);
    ok is_done($runs, 6), 'and nothing is lost';

    unlink $runs->path('go'), $runs->path('at');
    ask($path, delivery($_)) for 'long-4', 'k1', 'k2';
    ok Runs::wait_for(sub { -e $runs->path('at') }), 'another one goes on';
    kill KILL => $pid;
    $runs->finish($pid);
    $runs->put('go', '');
    $pid = serve($runs);
    ok is_done($runs, 9), 'SIGKILL: nothing is lost either' or diag $runs->query('SELECT id, status, error FROM runs');
    is log_of($runs), 'k1 k2 long-1 long-2 long-3 long-4 slow0 slow1 slow2', 'and nothing happened twice';
    is end_serve($runs, $pid), 0, 'it ends';
};

subtest 'workers of their own' => sub {
    my ($runs, $path) = new_runs();
    my $pid = serve($runs, '--jobs', 0);
    is status(ask($path, delivery('a'))), 202, 'with --jobs 0 a delivery is taken';
    is $runs->query('SELECT status FROM runs'), 'queued', 'and its run is left to others';
    my $worker = $runs->beside;
    my $working = $worker->start('worker');
    ok is_done($runs, 1), 'to hostler worker';
    is status(ask($path, delivery('b'))), 202, 'also one that waits already';
    ok is_done($runs, 2), 'which hears of it';

    my @others = map { $runs->beside } 1 .. 2;
    my @serving = map { serve($_) } @others;
    my @places = ($path, map { $_->path('serve.sock') } @others);
    my @sockets = map { my $place = $_; map { [ dial($place), $_ ] } 1 .. 20 } @places;
    send_bytes($_->[0], bytes_of(delivery("n$_->[1]"))) for @sockets;
    my %given;
    for (@sockets) { my $answer = answer_from($_->[0]); $given{"$_->[1] " . ($answer->{body}{delivery} // 'none')}++ }
    is_deeply [ values %given ], [ (3) x 20 ], 'several on one store answer the same delivery alike';
    ok is_done($runs, 22), 'and its run goes once' or diag $runs->query('SELECT status, count(*) FROM runs GROUP BY status');
    is end_serve(@$_), 0, 'one ends' for [ $runs, $pid ], [ $others[0], $serving[0] ], [ $others[1], $serving[1] ];
    kill TERM => $working;
    is $worker->finish($working), 0, 'as does the worker';
};

subtest 'in a terminal' => sub {
    my ($runs, $path) = new_runs();
    my $terminal = Terminal->new(100, 30, "cd $runs->{folder} && XDG_STATE_HOME=$runs->{state} TOKEN=the-token " . Runs::binary() . ' serve --socket serve.sock');
    like $terminal->see(qr/^serving on unix:/m), qr/^serving on unix:/m, 'it says where it serves';
    is status(ask($path, delivery('a'))), 202, 'a delivery';
    like $terminal->see(qr/: done$/m), qr/^delivery \w+ to hook: run (\w+) \(book\) is queued\nrun \1 \(book\): begins\nrun \1 \(book\): done$/m, 'is told of';
    $terminal->keys('C-c');
    like $terminal->see(qr/^status=/m), qr/ended\nstatus=0$/m, 'Ctrl-C ends it';
    $terminal->leave;
} if !$shared;

done_testing;
