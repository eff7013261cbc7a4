#!/usr/bin/perl
# hostler run: statuses, arguments and their types, what a wrong playbook is told.
use strict;
use warnings;
use Test::More;
use Hostler;

sub book {
    my ($params, $body) = @_;
    return "return playbook { summary = \"s\", params = { $params }, run = function(p) $body end }\n";
}

sub told {
    my ($run, $status, $pattern, $name) = @_;
    is($run->{status}, $status, "$name: status") or diag($run->{stderr});
    like($run->{stderr}, $pattern, "$name: says so");
    is($run->{signal}, 0, "$name: no crash");
}

is(run_book(book('', 'say "hello"'))->{status}, 0, 'a run that is done');
told(run_book(book('', 'fail "it broke"')), 1, qr/it broke/, 'a run that fails');
told(run_book(book('', 'ask "name?"')), 3, qr/a person has to answer: name\?/, 'a question without a terminal');
is(run_book(book('', 'confirm "sure?" manual "x"'), '-n')->{status}, 0, 'a dry run asks nothing');
told(hostler(), 2, qr/^$/, 'no command');
my $folder = playbooks(upgrade => book('', ''), site => 'return {}');
told(hostler({ in => $folder }, 'run', 'upgrad'), 2, qr/no playbook 'upgrad'.*did you mean 'upgrade'/s, 'a playbook misspelled');
told(hostler({ in => $folder }, 'rnu', 'x'), 2, qr/no command 'rnu'.*did you mean `hostler run`/s, 'a command misspelled');
told(hostler({ in => $folder }, 'upgrade'), 2, qr/did you mean `hostler run upgrade`/, 'a playbook as a command');
told(hostler({ in => $folder }, 'run'), 2, qr/which playbook/, 'no playbook');
told(hostler({ in => $folder }, 'run', 'upgrade', '--dryrun'), 2, qr/did you mean --dry-run/, 'an option misspelled');
told(hostler({ in => $folder }, 'run', 'upgrade', 'x'), 2, qr/one argument too many: 'x'/, 'an argument too many');
told(hostler({ in => $folder }, 'run', './upgrade.lua'), 2, qr/no file/, 'a file that is not there');
told(hostler({ in => $folder }, 'run', './playbooks'), 2, qr/no file/, 'a folder');

my $two = book('arg("full-name", "name", "whose it is"), opt("size", "int", "how big", 3), flag("fast", "be quick")',
    'say("%s|%s|%s", p.full_name, p.size, tostring(p.fast))');
told(run_book($two), 2, qr/FULL_NAME is missing: whose it is.*usage: hostler run book FULL_NAME \[--size INT\] \[--fast\]/s,
    'an argument is missing');
like(run_book($two, 'Ada', '--size=7', '--fast')->{stdout}, qr/Ada\|7\|true/, '--option=value');
like(run_book($two, '--size', '8', 'Ada')->{stdout}, qr/Ada\|8\|false/, '--option value, before the arguments');
like(run_book($two, '--', '--fast')->{stdout}, qr/--fast\|3\|false/, 'after -- all are arguments');
like(run_book($two, '--', '--help')->{stdout}, qr/--help\|3/, 'also --help');
like(run_book($two, '--help')->{stdout}, qr/usage: hostler run book/, '--help shows the playbook');
told(run_book($two, 'Ada', '--size'), 2, qr/--size needs a value/, 'an option without its value');
told(run_book($two, 'Ada', '--size=x'), 2, qr/--size must be a whole number, not 'x'/, 'an option of the wrong type');
told(run_book($two, 'Ada', '--fast=1'), 2, qr/--fast takes no value/, 'a flag with a value');

my %good = (
    subdomain => ['ada', 'a', 'a-1', '0x', 'a' x 63],
    email     => ['ada@example.com', 'a.b+c@x-y.example.org', "o'hara\@example.com"],
    name      => ['Ada Lovelace', "O'Hara \"x\"", "Ada \xc3\xa9\xe2\x98\x83", '$(touch x)', '`id`;'],
    int       => ['0', '-5', '123456789012345'],
    number    => ['0.5', '.5', '-3'],
    string    => ['', 'x y', '*'],
    path      => ['/tmp/x', 'a b'],
);
my %bad = (
    subdomain => ['', 'Ada', 'a' x 64, 'a.b', 'a b', 'a;b', 'a-', "a\n", "\xc3\xa9", 'a_b', '$(id)'],
    email     => ['', 'ada', 'ada@', '@x.org', "ada\@example.com\n", "a\nBcc: x\@y.org\@x.org", 'a b@x.org', 'a@x..org', 'a@x'],
    name      => ['', ' ', "a\nb", "a\x1b[2J", "\xff\xfe", 'x' x 201, "a\tb"],
    int       => ['', '1.5', '1e3', 'x', '0x10', '9' x 40],
    number    => ['', '1.', 'inf', 'nan', '9' x 400, '1e5'],
    string    => ["a\x07", "\xc0\x80"],
    path      => ['', "a\nb", "\xff"],
);
for my $type (sort keys %good) {
    my $in = playbooks(book => book("arg(\"value\", \"$type\", \"x\")", 'say("<%s>", tostring(p.value))'));
    for my $value (@{ $good{$type} }) {
        my $run = hostler({ in => $in }, 'run', 'book', '--', $value);
        is($run->{status}, 0, "$type takes '$value'") or diag($run->{stderr});
        like($run->{stdout}, qr/<\Q@{[$type eq 'number' ? $value + 0 : $value]}\E>/, "and hands it on") if $type ne 'int';
    }
    for my $value (@{ $bad{$type} }) {
        my $run = hostler({ in => $in }, 'run', 'book', '--', $value);
        is($run->{status}, 2, "$type refuses '" . ($value =~ s/[^ -~]/?/gr) . "'");
        like($run->{stderr}, qr/VALUE must be/, 'and says what it wants');
        unlike($run->{stderr}, qr/[\x00-\x08\x0b-\x1f]/, 'without control characters');
    }
}
told(run_book(book('arg("x", {"a", "b"}, "x")', ''), 'c'), 2, qr/X must be one of a, b, not 'c'/, 'a choice');
told(run_book(book('list("tenants", "subdomain", "x")', '')), 2, qr/TENANTS is missing/, 'a list wants one');
like(run_book(book('list("t", "subdomain", "x")', 'say(#p.t .. p.t[2])'), 'a', 'b')->{stdout}, qr/2b/, 'a list takes all');

my @wrong = (
    ["return playbook {\n  run = function() end,\n}", qr/book\.lua:1: the playbook lacks 'summary'/],
    ["return playbook {\n  summary = \"s\",\n  sumary = 3,\n  run = function() end,\n}", qr/lua:3: .*no field 'sumary'.*did you mean 'summary'/s],
    ["return playbook {\n  summary = 5,\n  run = function() end,\n}", qr/lua:2: the field 'summary' must be a string, not a number/],
    ["return playbook {\n  summary = \"s\",\n  effects = \"none\",\n  run = function() end,\n}", qr/lua:3: .*'effects'/],
    ["return playbook {\n  summary = \"s\",\n  params = { 5 },\n  run = function() end,\n}", qr/lua:3: parameter 1 is not made by/],
    [book("\n arg(\"X\", \"int\", \"x\")", ''), qr/lua:2: .*lower-case.*'X'/],
    [book("\n arg(\"x\", \"integer\", \"x\")", ''), qr/lua:2: .*no type 'integer'; there are duration, email, int/],
    [book("\n opt(\"x\", \"int\", \"x\", \"ten\")", ''), qr/lua:2: .*its default, ten, is not of its type/],
    [book('arg("x", "int", "x"), opt("x", "int", "x")', ''), qr/'x' has the name of another parameter/],
    [book('flag("json", "x")', ''), qr/'json' has the name of an option of `hostler run`/],
    [book('list("a", "int", "x"), arg("b", "int", "x")', ''), qr/'b' comes after the list 'a'/],
    ["return playbook {\n  summary = ,\n}", qr/book\.lua:2: unexpected symbol/],
    ['return 5', qr/does not return a playbook/],
    ['', qr/does not return a playbook/],
    ["x = 5", qr/book\.lua:1: 'x' would become a global/],
    ["local a\nfial 'x'", qr/lua:2: there is no global 'fial'.*did you mean 'fail'/s],
    ["sh.run { \"true\" }", qr/there is no global 'sh'.*`local sh = require "sh"`/s],
    ["error(setmetatable({}, { __index = function() error 'again' end, __tostring = error }))", qr/a table value was raised as an error/],
    ["error 'boom'", qr/book\.lua:1: boom/],
    ["\x1bLJ\x02\x0a\x00", qr/book\.lua/],
    ["\x00\xff\xfe binary", qr/book\.lua/],
    ['--' . 'x' x 20_000_000, qr/too large/i],
);
for my $case (@wrong) {
    my $run = run_book($case->[0]);
    is($run->{status}, 2, 'an invalid playbook: ' . substr $case->[0] =~ s/[^ -~]+/ /gr, 0, 60) or diag($run->{stderr});
    like($run->{stderr}, $case->[1], 'and why');
}
SKIP: {
    skip 'root reads everything', 2 if $> == 0;
    my $in = playbooks(book => book('', ''));
    chmod 0, "$in/playbooks/book.lua";
    told(hostler({ in => $in }, 'run', 'book'), 2, qr/cannot read .*denied/i, 'a file that may not be read');
}

# ---- what is shown ----

like run_book('return playbook { summary = "x", run = function() fail "no" end }')->{stderr}, qr/hostler resume/, 'what failed can be gone on with';
unlike run_book('return playbook { summary = "x", effects = "read", run = function() fail "no" end }')->{stderr}, qr/hostler resume/,
    'what only reads is as well begun anew';

my $looks = 'local sh = require "sh"
return playbook { summary = "looks", run = function() sh.run({ "true" }, { read = true }) end }';
unlike run_book($looks)->{stdout}, qr/sh\.run/, 'effects are not shown';
like run_book($looks, '-v')->{stdout}, qr/^\S+ read   sh\.run localhost  true: done/m, 'unless -v asks for them: reads too';

done_testing;
