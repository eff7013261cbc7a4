#!/usr/bin/perl
# What comes from outside does nothing to a terminal, by whatever way it gets there, and makes no line of its own: bytes
# as they reach the terminal, of `script`, which is independent.
use strict;
use warnings;
use JSON::PP ();
use Test::More;
use Hostler;
use Terminal;

# A clipboard (OSC 52), a title, colours, a cursor that goes up, C1 controls and the mark that turns the direction.
my $evil = "\e]52;c;aGk=\a\e]0;title\e\\\e[31mred\e[2A\xc2\x9b5A\x07\x08\xe2\x80\xae\x7f\x00" =~ s/\0//r;
my $lua = join '', map { sprintf '\\%03d', ord } split //, $evil;
my $forged = 'one\n  hint      rm -rf /\nerror: two\n\u{2713} done';
$forged =~ s/\\u\{2713\}/✓/;

# Runs it in a terminal of its own, where nobody types; returns the bytes that the terminal got.
sub in_terminal {
    my ($in, $env, @words) = @_;
    my $command = join ' ', map { "'" . s/'/'\\''/gr . "'" } $Hostler::binary, @words;
    local %ENV = (PATH => $ENV{PATH}, HOME => "$in/home", XDG_STATE_HOME => "$in/home/state", TERM => 'xterm-256color',
        LC_ALL => 'C.UTF-8', map({ $_ => $ENV{$_} } grep { defined $ENV{$_} } qw(ASAN_OPTIONS UBSAN_OPTIONS)), %$env);
    my $shell = fork // die $!;
    if (!$shell) {
        open STDIN,  '<', '/dev/null' or die $!;
        open STDOUT, '>', "$in/bytes" or die $!;
        chdir $in or die $!;
        exec 'script', '-qec', $command, '/dev/null' or die $!;
    }
    waitpid $shell, 0;
    open my $file, '<:raw', "$in/bytes" or die $!;
    local $/;
    return <$file> =~ s/\^D\x08\x08//gr; # how the terminal itself shows the end of its input
}

# Nothing of it is left that does anything; hostler's own colours and cursor are no part of it.
sub is_harmless {
    my ($text, $name) = @_;
    my @found = grep { index($text, $_) >= 0 } "\e]", "\e\\", "\e[2A", "\x07", "\x08", "\xc2\x9b", "\xe2\x80\xae", "\x7f";
    is(join(' ', map { unpack 'H*', $_ } @found), '', $name =~ s/[^ -~]/./gr =~ tr/#/./r) or diag(unpack 'H*', substr $text, -600);
}

sub book {
    my ($body, $more) = @_;
    return "local evil = \"$lua\" return playbook { summary = 's', " . ($more // '') . " run = function(p) $body end }";
}

my %ways = (
    stderr  => "step('x', function() require 'sh'.run({ 'sh', '-c', 'printf %s \"\$1\" >&2; exit 3', 'sh', evil }) end)",
    answer  => "local http = require 'http' local server = http.serve({ address = '127.0.0.1' }, function() return { status = 500, body = evil } end)
                http.get('http://127.0.0.1:' .. server.port, { retries = 0 })",
    fail    => "fail(evil, { hint = evil, target = evil, cause = evil, stderr = evil, detail = evil, excerpt = evil })",
    step    => "step('name ' .. evil, function() fail(evil) end)",
    each    => "each({ evil, 'b' }, function(x) say(x) warn(x) fail(x) end)",
    said    => "say(evil) warn(evil) dump(evil, { evil }) show({ { name = evil } }, { 'name' })",
    wait    => "wait_until(evil, { timeout = 0.3, interval = 0.1 }, function() end)",
    error   => "error(evil)",
    ask     => "ask(evil)",
    confirm => "confirm(evil, evil)",
    manual  => "manual(evil)",
    lock    => "lock(evil) lock('')",
);
for my $way (sort keys %ways) {
    my $in = playbooks(book => book($ways{$way}));
    my @options = $way eq 'wait' ? () : ([], ['--json', '-v'], ['--dry-run']);
    is_harmless(in_terminal($in, {}, 'run', 'book', @$_), "$way @$_") for @options;
    is_harmless(in_terminal($in, {}, 'run', 'book'), "$way, nobody answers") if $way eq 'wait';
    my $piped = hostler({ in => $in }, 'run', 'book');
    is_harmless("$piped->{stdout}$piped->{stderr}", "$way, in a pipe");
    is_harmless(in_terminal($in, {}, @$_), "$way, @$_") for ['log', 'last', '-v'], ['runs', '--json'],
        $way =~ /ask|confirm|manual/ ? ['answer', 'last'] : ();
}

# Of a playbook, and typed at a prompt.
{
    my $in = playbooks(book => book('', "params = { arg(evil, 'string', evil) }, handbook = evil,") =~ s/'s'/evil/r,
        broken => "error(\"$lua\")");
    is_harmless(in_terminal($in, {}, @$_), "@$_") for ['list'], ['list', '--json'], ['show', 'book'], ['show', 'broken'],
        ['check'], ['run', 'book'], ['run', $evil], [$evil], ['help', $evil], ['completion', 'words', 'hostler run '];
    is_harmless(in_terminal($in, {}, 'repl', '-e', $_), "repl -e $_") for "return \"$lua\"", "return { \"$lua\" }",
        "error(\"$lua\")", "fail(\"$lua\", { stderr = \"$lua\" })", "return { { name = \"$lua\" } }", "say(\"$lua\")",
        "return select(2, try(fail, \"$lua\"))";
    my $piped = hostler({ in => $in }, 'repl', '-e', "return \"$lua\"");
    is($piped->{stdout}, "$evil\n", 'a program gets a text as it is');
}

# Where the line editor has the terminal.
{
    my $in = playbooks(book => book("step('name ' .. evil, function() fail 'x' end)"));
    my $terminal = Terminal->new(150, 50, "cd '$in' && HOME='$in/home' '$Hostler::binary' run book --debug");
    my $screen = $terminal->see(qr/lua:1>$/m);
    like($screen, qr/^step 'book\/name \\x1b\]52;c;aGk=\\x07.*' failed at/m, 'what the debugger says') or diag(unpack 'H*', $screen);
    $terminal->type('abort');
    $terminal->keys('Enter');
    $terminal->see(qr/status=/);
}

# What another wrote into the journal.
{
    my $in = playbooks(book => 'return playbook { summary = "s", run = function() step("x", function() require "sh".run { "true" } end) ask "y" end }');
    hostler({ in => $in }, 'run', 'book');
    is(system('python3', '-c', 'import glob, sqlite3, sys
journal = sqlite3.connect(glob.glob(sys.argv[1] + "/home/state/hostler/journal*")[0])
for change in ("runs SET operator = ?, status = ?", "events SET name = ?, kind = ?, text = ?, status = ?, target = ?",
        "effects SET name = ?, kind = ?, target = ?, summary = ?, status = ?", "answers SET question = ?"):
    journal.execute("UPDATE " + change, [sys.argv[2]] * change.count("?"))
journal.commit()', $in, $evil), 0, 'a journal that somebody else has written');
    is_harmless(in_terminal($in, {}, @$_), "foreign rows: @$_") for ['runs'], ['runs', '--json'], ['log', 'last', '-v'],
        ['log', 'last', '--json'], ['answer', 'last'], ['resume', 'last'], ['cancel', 'last'], ['debug', 'last'];
}

# Lines that pass for others.
{
    my $in = playbooks(book => "return playbook { summary = 's', run = function()
        step(\"a $forged\", function() fail(\"$forged\", { target = \"$forged\", hint = \"$forged\" }) end) end }");
    my $run = hostler({ in => $in }, 'run', 'book');
    unlike($run->{stderr}, qr/^(?:  hint      rm|error: two|✓)/m, 'no line of the report is another') or diag($run->{stderr});
    like($run->{stderr}, qr/^error: one\n {7}  hint/m, 'the further lines of a message stand below it');
    like($run->{stderr}, qr/^  step +.*a one\\n  hint/m, 'a step is on one line');
    unlike($run->{stdout}, qr/^(?:  hint|error|✓)/m, 'nor in the lines of the run');
    my $tree = in_terminal($in, { NO_COLOR => 1 }, 'run', 'book');
    unlike($tree, qr/^(?:error: two|✓ done)/m, 'nor in the tree');
    my @lines = split /\n/, hostler({ in => $in }, 'run', 'book', '--json')->{stdout};
    is(scalar(grep { !eval { JSON::PP::decode_json($_) } } @lines), 0, 'one JSON object a line');
    $in = playbooks(book => "return playbook { summary = 's', params = { arg('x', 'string', 'x') }, run = function(p) ask('a\\n2. b') end }");
    hostler({ in => $in }, 'run', 'book', "a\n1999 done");
    unlike(hostler({ in => $in }, 'runs')->{stdout}, qr/^1999/m, 'one line a run');
    unlike(hostler({ in => $in }, 'answer', 'last')->{stdout}, qr/^2\./m, 'one number a question');
}
done_testing;
