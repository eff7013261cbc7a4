#!/usr/bin/perl
# A secret leaves by no way: each line of the playbook below tries one.
use strict;
use warnings;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use Hostler;

my $plain = "hunter2 p\@ss/word+\"quoted\" 'x' \$a.*[b";
my $lines = "-----BEGIN KEY-----\nfirstlineofthekey\nsecondlineofkey\n-----END KEY-----\n";
sub url { my $t = shift; $t =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge; return $t }
my %forms = (
    plain => $plain, base64 => encode_base64($plain, ''), url => url($plain), url_lower => url($plain) =~ s/(%..)/lc $1/ger,
    shell => "'" . ($plain =~ s/'/'\\''/gr) . "'", json => JSON::PP->new->allow_nonref->encode($plain),
    basic => encode_base64("user:$plain", ''), basic2 => encode_base64("me:$plain", ''), basic3 => encode_base64("you2:$plain!", ''),
);
my $head = 'local s, k, f = secret "TOKEN", secret "KEY", env "FORM" ';
my %routes = (
    say       => 'say(s) say("a " .. s) say("%s", s) warn(tostring(s)) say(f) say("x" .. f .. "y")',
    lines     => 'say(env "KEY") for line in env("KEY"):gmatch "[^\n]+" do say("  | " .. line) end',
    fail      => 'fail("no " .. s, { hint = f, stderr = env "KEY" .. f, target = f, cause = f })',
    error     => 'error(f)',
    raised    => 'error({ message = f, s })',
    secret    => 'error(s)',
    step      => 'step("name " .. f, function() return { f, s } end)',
    result    => 'step("x", function() return f end)',
    each      => 'each({ f, "b" }, function(x) fail(x) end)',
    runtime   => 'local t = {} t[f].x = 1',
    global    => 'return _G[f]',
    require   => 'require(f)',
    json      => 'say(try(json.encode, { f })) json.decode(f)',
    cut       => 'fail(("x"):rep(2030) .. f) ',
    wait      => 'wait_until(f, { timeout = 0.01, interval = 0.001 }, function() end)',
    ask       => 'ask(f)',
    format    => 'say(("%s"):format(s)) say(("%q"):format(f)) say(table.concat({ "a", s, f }, " "))',
    pieces    => 'say(tostring(s):rep(3) .. #tostring(s))',
    command   => 'step("x", function() require "sh".run({ "sh", "-c", "echo \"$1\" >&2; exit 3", "sh", f }) end)',
);
for my $route (sort keys %routes) {
    for my $form (sort keys %forms) {
        my $in = playbooks(book => "return playbook { summary = 's', run = function() $head $routes{$route} end }");
        for my $options ([], $form eq 'plain' ? ['--json', '-v'] : ()) {
            my $run = hostler({ in => $in, env => { TOKEN => $plain, KEY => $lines, FORM => $forms{$form} } }, 'run', 'book', @$options);
            my $all = $run->{stdout} . $run->{stderr};
            my @seen = grep { index($all, $_) >= 0 } 'hunter2', 'p@ss', 'quoted', 'firstline', 'secondline', substr(encode_base64($plain, ''), 4, 8),
                substr($forms{$form}, 12, 10);
            is("@seen", '', "$route, $form @$options") or diag($all);
            is($run->{signal}, 0, 'no crash') or diag($all);
        }
    }
}
my $two = run_book('return playbook { summary = "s", run = function() secret "A" secret "B" say("<abcdefghijklmnop>") end }',
    { env => { A => 'abcdefghij', B => 'fghijklmnop' } });
like($two->{stdout}, qr/<\[secret\]>/, 'secrets that overlap are hidden whole');
my $argument = hostler({ in => playbooks(book => 'return playbook { summary = "s", params = { arg("x", "string", "x") }, run = function() secret "A" fail "x" end }'),
    env => { A => 'abcdefghij' } }, 'run', 'book', 'abcdefghij');
unlike($argument->{stderr}, qr/abcdefghij/, 'not in the command that is shown again');
like(run_book('return playbook { summary = "s", run = function() secret "NO_SUCH" end }')->{stderr},
    qr/the secret NO_SUCH is not set.*hint +export NO_SUCH=/s, 'a missing secret says what to do');

# What a program gets of the environment that a secret came from.
my %given = (TOKEN => 'abcdefghij', OTHER => 'klmnopqrst', PGPASSWORD => 'uvwxyzabcd', PLAIN => 'plain text');

sub printed {
    my ($before, $options) = @_;
    my $in = playbooks(book => qq{return playbook { summary = "s", run = function() $before
        require "sh".run({ "sh", "-c", "printenv >printed" }, { read = true, $options }) end }});
    my $run = hostler({ in => $in, env => \%given }, 'run', 'book');
    is($run->{status}, 0, 'it runs') or diag $run->{stderr};
    return read_file("$in/printed");
}

sub read_file {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!";
    return join '', <$file>;
}
my $all = printed('', '');
like($all, qr/^TOKEN=abcdefghij$/m, 'a variable that nobody has read as a secret is inherited');
unlike($all, qr/PGPASSWORD/, 'a password of libpq is not');
my $less = printed('secret "TOKEN"', '');
unlike($less, qr/TOKEN|abcdefghij/, 'nor is one that was read as a secret');
like($less, qr/^\Q$_\E=/m, "$_ is") for qw(PATH HOME OTHER PLAIN);
my $given = printed('', 'env = { TOKEN = secret "TOKEN", PGPASSWORD = "x" }');
like($given, qr/^$_$/m, "unless it is given: $_") for 'TOKEN=abcdefghij', 'PGPASSWORD=x';
my $edited = playbooks(book => 'return playbook { summary = "s", run = function() end }');
open my $script, '>', "$edited/editor" or die $!;
print $script "#!/bin/sh\nprintenv >'$edited/printed'\n";
close $script;
chmod 0700, "$edited/editor" or die $!;
hostler({ in => $edited, env => { %given, EDITOR => "$edited/editor", HOSTLER_STORE => 'postgresql://a:b@/x' } }, 'edit', 'book');
my $editors = read_file("$edited/printed");
like($editors, qr/^PLAIN=/m, 'an editor inherits');
unlike($editors, qr/PGPASSWORD|HOSTLER_STORE/, 'without the passwords');
done_testing;
