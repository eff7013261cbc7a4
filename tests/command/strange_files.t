#!/usr/bin/perl
# A FIFO, a device or a folder where hostler wants a file: what can be read to its end is, and Ctrl-C is heard meanwhile;
# else it is said what the file is. Nothing waits for ever.
use strict;
use warnings;
use File::Path qw(make_path);
use Hostler;
use POSIX qw(mkfifo);
use Test::More;

my $SAY = 'return playbook { summary = "Say", run = function() say "said" end }';
my $HOOK = <<'LUA';
return webhook { summary = "Hook", path = "hook", from = webhook.hmac(secret "TOKEN", { header = "X-Sign" }),
    key = function(delivery) return delivery.json.id end, run = function() end }
LUA
my $folder = playbooks(book => $SAY, hook => $HOOK);
my $NEEDED = 'it is a FIFO; an ordinary file is needed';

sub run_here { return hostler({ in => $folder }, @_) }

sub content {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file>;
}

# A shell line, with hostler as $0.
sub shell {
    my ($line) = @_;
    return hostler({ in => $folder, wrap => ['sh', '-c', $line] });
}

# Runs this while somebody writes the text into the FIFO.
sub with_writer {
    my ($fifo, $text, @arguments) = @_;
    my $pid = fork // die $!;
    if (!$pid) {
        open my $out, '>', $fifo or POSIX::_exit(1);
        print $out $text;
        close $out;
        POSIX::_exit(0);
    }
    my $run = run_here(@arguments);
    kill KILL => $pid;
    waitpid $pid, 0;
    return $run;
}

mkfifo "$folder/fifo", 0600 or die $!;

# ---- recordings ----

is run_here('run', 'book', '--record', 'recording')->{status}, 0, 'a recording';
my $recording = content("$folder/recording");
my $run = with_writer("$folder/fifo", $recording, 'run', 'book', '--replay', 'fifo');
is $run->{status}, 0, 'is replayed from a FIFO' or diag $run->{stderr};
like $run->{stdout}, qr/said/, 'as from a file';
is shell('cat recording | exec "$0" run book --replay /dev/stdin')->{status}, 0, 'and from standard input';
for my $signal (qw(INT TERM)) {
    my $waiting = start({ in => $folder }, 'run', 'book', '--replay', 'fifo');
    # It has opened the FIFO once one may write to it without waiting.
    my $writer;
    Hostler::holds(sub { sysopen $writer, "$folder/fifo", POSIX::O_WRONLY() | POSIX::O_NONBLOCK() });
    kill $signal => $waiting->{pid};
    my $ended = finish($waiting);
    like "$ended->{status} $ended->{signal}", qr/^130 0$/, "SIG$signal is heard while nobody writes" or diag $ended->{stderr};
    close $writer;
}
$run = run_here('run', 'book', '--record', 'fifo');
isnt $run->{status}, 0, 'nothing is recorded into a FIFO that nobody reads';
unlike $run->{stdout}, qr/said/, 'nor run';
like $run->{stderr}, qr/the recording fifo cannot be written: it is a FIFO, and nobody reads it/, 'which is said';
playbook($folder, 'long', 'return playbook { summary = "Long", run = function() say "sleeps" sleep(1000) end }');
for my $book (qw(book long)) {
    my $reader = fork // die $!;
    exec 'sh', '-c', 'exec cat "$0/fifo" > "$0/carried"', $folder or POSIX::_exit(1) if !$reader;
    my $recorded;
    Hostler::holds(sub { # before somebody reads it is refused
        $recorded = start({ in => $folder }, 'run', $book, '--record', 'fifo');
        return wait_for($recorded, qr/said|sleeps/) || !finish($recorded);
    });
    kill INT => $recorded->{pid} if $book eq 'long';
    is finish($recorded)->{status}, $book eq 'long' ? 130 : 0, "$book is recorded into a FIFO" or diag $recorded->{stderr};
    waitpid $reader, 0;
    $run = run_here('run', $book, '--replay', 'carried');
    like $run->{stdout}, qr/said|sleeps/, 'whose reader has the recording' or diag $run->{stderr};
}
like run_here('run', 'book', '--replay', 'home')->{stderr}, qr/recording home cannot be read: Is a directory/, 'a folder is none';

# ---- deliveries ----

my $body = '{ "id": "4711" }';
$run = with_writer("$folder/fifo", $body, 'webhook', 'test', 'hook', '--file', 'fifo');
like $run->{stdout}, qr/4711/, 'a body from a FIFO' or diag $run->{stderr};
$run = hostler({ in => $folder, stdin => $body }, 'webhook', 'test', 'hook', '--file', '-');
like $run->{stdout}, qr/4711/, 'and from standard input' or diag $run->{stderr};

# ---- playbooks and what is beside them ----

like run_here('run', './fifo')->{stderr}, qr/there is no file \.\/fifo/, 'a FIFO is no playbook';
my $own = playbooks(book => 'local site = require "site" ' . $SAY);
mkfifo "$own/playbooks/site.lua", 0600 or die $!;
mkfifo "$own/playbooks/other.lua", 0600 or die $!;
$run = hostler({ in => $own }, 'list');
is $run->{status}, 0, 'FIFOs among the playbooks are passed over' or diag $run->{stderr};
$run = hostler({ in => $own }, 'run', 'book');
is $run->{status}, 0, 'and nothing waits for site.lua' or diag $run->{stderr};

# ---- hostler's own files ----

is run_here('runs')->{status}, 0, 'the journal is there';
for my $name ('journal.db', 'key') {
    my $other = playbooks(book => 'return playbook { summary = "Seal", run = function()
        step("s", function() return secret.random(8) end) end }');
    make_path("$other/home/state/hostler", { mode => 0700 });
    mkfifo "$other/home/state/hostler/$name", 0600 or die $!;
    $run = hostler({ in => $other }, 'run', 'book');
    isnt $run->{status}, 0, "a FIFO for $name fails a run";
    like $run->{stderr}, qr/$NEEDED/, 'and is named' or diag $run->{stderr};
}
done_testing;
