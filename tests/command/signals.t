#!/usr/bin/perl
# Interrupting a run, and output that cannot be written.
use strict;
use warnings;
use Test::More;
use Hostler;

sub interrupted {
    my ($name, $body, %more) = @_;
    my $in  = playbooks(book => "return playbook { summary = 's', run = function() say 'begun' $body end }");
    my $run = start({ in => $in, %{ $more{options} // {} } }, 'run', 'book');
    ok(wait_for($run, $more{after} // qr/begun/), "$name: begins") or diag($run->{stderr});
    kill $more{signal} // 'INT', $run->{pid};
    finish($run);
    is($run->{status}, $more{status} // 130, "$name: status") or diag("$run->{stdout}$run->{stderr} signal $run->{signal}");
    is($run->{signal}, 0, "$name: no crash");
    like($run->{stderr}, $more{says} // qr/^error: interrupted \(Ctrl-C\)/m, "$name: says so");
    unlike($run->{stderr}, qr/hostler: interrupted/, "$name: says it once");
    cmp_ok($run->{seconds}, '<', 60, "$name: soon");
    return $run;
}

interrupted('a sleep', 'sleep(100)');
interrupted('a loop', 'while true do end');
interrupted('a pattern that takes for ever', 'local text = ("a"):rep(40) return text:find(("a?"):rep(40) .. text .. "b")');
interrupted('brackets that never close', 'return (("("):rep(3000000)):find("%b()")');
interrupted('a large set', 'return (("a"):rep(1000000)):find("[" .. ("b"):rep(3000000) .. "]")');
interrupted('the same text again', 'return (("a"):rep(3000000) .. "b"):find("^(a*)%1c")');
interrupted('a gsub of a large text', 'local text = ("a"):rep(30) return (text:rep(1000):gsub("(a*)*(a*)*(a*)*(a*)*(a*)*c", ""))');
interrupted('a loop that catches', 'while true do pcall(sleep, 100) end');
interrupted('a loop that computes and catches', 'while true do pcall(function() while true do end end) end');
interrupted('a loop of waits', 'while true do sleep(0) end');
interrupted('a step', 'step("one", function() sleep(100) end)', says => qr{step +book/one});
interrupted('fifty items', 'local t = {} for i = 1, 50 do t[i] = i end each(t, { parallel = 50 }, function() sleep(100) end)');
{
    my $run = interrupted('steps of three items', 'each({ 1, 2, 3 }, { parallel = 2 }, function(n) '
            . 'step("wait", function() say "in step" sleep(100) end) end)', after => qr/in step.*in step/s);
    is(() = $run->{stdout} =~ /^\S+ item +\d: cancelled .*interrupted \(Ctrl-C\)$/mg, 2, 'every item that had begun says why');
    like($run->{stdout}, qr/item +2: cancelled.*\n\S+ group  each: cancelled .*interrupted \(Ctrl-C\)\n\S+ run /, 'then the each ends');
    unlike($run->{stdout}, qr/the task that started this one/, 'and nobody blames another');
}
{
    my $run = interrupted('steps side by side', 'parallel { function() step("a", function() say "in a" sleep(100) end) end, '
            . 'function() step("b", function() say "in b" sleep(100) end) end }', after => qr/in a.*in b/s);
    is(() = $run->{stdout} =~ /^\S+ step +[ab]: cancelled .*interrupted \(Ctrl-C\)$/mg, 2, 'every function says why');
}
{
    my $in  = playbooks(book => 'return playbook { summary = "s", run = function() '
            . 'timeout(0.2, each, { 1, 2 }, function() sleep(100) end) end }');
    my $run = hostler({ in => $in }, 'run', 'book');
    is(() = $run->{stdout} =~ /^\S+ item +\d: \S+ .*timed out after 0.2 s$/mg, 2, 'items of an each that took too long say so');
    like($run->{stdout}, qr/^\S+ group  each: .*timed out after 0.2 s$/m, 'and it ends');
}
interrupted('parallel', 'parallel { function() sleep(100) end, function() while true do sleep(0.01) end end }');
interrupted('retry', 'retry({ times = 1000 }, function() sleep(100) end)');
interrupted('try', 'while true do try(sleep, 100) end');
interrupted('wait_until', 'wait_until("it", { timeout = 100 }, function() return false end)');
interrupted('a playbook that hides it', 'pcall(sleep, 100)');
interrupted('a playbook that renames it', 'local ok, e = pcall(sleep, 100) fail("other", { cause = e })', says => qr/other/);
interrupted('SIGTERM', 'sleep(100)', signal => 'TERM', says => qr/interrupted \(SIGTERM\)/);
interrupted('SIGHUP', 'sleep(100)', signal => 'HUP', says => qr/interrupted \(SIGHUP\)/);
like(interrupted('a shield', 'pcall(sleep, 100) shield(5, function() sleep(0.2) say "cleaned" end)')->{stdout}, qr/cleaned/,
    'cleanup in a shield is done');
my $inside = interrupted('inside a shield', 'shield(5, function() sleep(0.3) say "cleaned" end) say "never"');
like($inside->{stdout}, qr/cleaned/, 'a shield that has begun goes on');
like(interrupted('done before', 'step("one", function() end) say "the first is done" sleep(100)',
    after => qr/the first is done/)->{stderr}, qr/done +one/, 'what was done is told');

{
    my $in  = playbooks(book => 'return playbook { summary = "s", run = function() shield(100, function() say "begun" sleep(90) end) end }');
    my $run = start({ in => $in }, 'run', 'book');
    wait_for($run, qr/begun/);
    kill INT => $run->{pid};
    Hostler::holds(sub { !Hostler::pending($run->{pid}) });
    kill INT => $run->{pid};
    finish($run);
    is($run->{status}, 130, 'a second Ctrl-C stops at once');
    cmp_ok($run->{seconds}, '<', 60, 'really');
}
{
    my $in  = playbooks(book => "return playbook { summary = 's', run = function() require 'sh'.run({ 'sleep', '7531.$$' }, { read = true }) end }");
    my $run = start({ in => $in }, 'run', 'book');
    ok(Hostler::holds(sub { `ps -eo args` =~ /^sleep 7531\.$$/m }), 'a command runs');
    kill INT => $run->{pid};
    finish($run);
    is($run->{status}, 130, 'it is interrupted') or diag($run->{stderr});
    unlike(scalar(`ps -eo args`), qr/^sleep 7531\.$$/m, 'and not left behind');
}
is(run_book('while true do end', { wrap => ['timeout', '-s', 'INT', '0.5'] })->{status} & 0x7f, 124 & 0x7f, 'a loop while it is loaded is stopped');

my $full = hostler({ wrap => ['sh', '-c', 'exec "$0" "$@" >/dev/full'] }, 'help');
is($full->{status}, 1, 'output to a full disk');
like($full->{stderr}, qr/cannot write.*No space left/, 'is told');
# Much happens after the first line is lost; asking the agent leaves another errno.
my $lines = playbooks(book => 'return playbook { summary = "s", run = function() say "one" require("ssh").agent_keys() say "two" end }');
$full = hostler({ in => $lines, wrap => ['ssh-agent', 'sh', '-c', 'exec "$0" "$@" >/dev/full'] }, 'run', 'book');
is($full->{status}, 1, 'a run whose lines are lost');
like($full->{stderr}, qr/^hostler: cannot write to standard output: No space left on device$/m, 'tells why');
is(hostler({ in => $lines, wrap => ['bash', '-c', 'ssh-agent "$0" "$@" | exit 0'] }, 'run', 'book')->{stderr}, '', 'a reader that went away is told nothing');
my $in = playbooks(book => 'return playbook { summary = "s", run = function() for i = 1, 100 do say "line" end step("end", function() end) fail "at the end" end }');
is(hostler({ in => $in, wrap => ['sh', '-c', 'exec "$0" "$@" >&-'] }, 'run', 'book')->{status}, 1, 'closed output');
like(hostler({ in => $in, wrap => ['sh', '-c', '"$0" "$@" | true'] }, 'run', 'book')->{stderr}, qr/at the end/, 'a reader that went away does not stop a run');
is(hostler({ in => $in, close => [0] }, 'list')->{status}, 0, 'closed input');
like(hostler({ in => playbooks(book => 'return playbook { summary = "s", run = function() ask "name?" end }'), close => [0] }, 'run', 'book')->{stderr},
    qr/a person has to answer/, 'a question with closed input');
done_testing;
