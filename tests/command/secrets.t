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
done_testing;
