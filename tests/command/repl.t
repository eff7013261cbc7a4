#!/usr/bin/perl
# hostler repl over pipes: what is shown of values and errors, names, files, words, the run of what is written.
use strict;
use warnings;
use utf8;
use Encode qw(decode);
use Test::More;
use Hostler;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $in = playbooks(
    helper => 'local helper = {} function helper.twice(n) return 2 * n end return helper',
    book   => 'local helper = require "helper" local factor = 3
               local function times(n) return helper.twice(n) * factor end
               return playbook { summary = "s", run = function() step("one", function() end) end }',
);

# What a script of these lines writes.
sub script {
    my ($lines, %options) = @_;
    return hostler({ in => $in, stdin => "$lines\n", env => $options{env} // {} }, 'repl', @{ $options{arguments} // [] });
}

sub shows {
    my ($lines, $wanted, $name) = @_;
    my $run = script($lines);
    is(decode('UTF-8', $run->{stdout}), $wanted, $name) or diag $run->{stderr};
    is($run->{status}, 0, "$name: status");
}

# ---- values ----

shows('1 + 1', "2\n", 'an expression');
shows('nil', "nil\n", 'nil is shown');
shows('nil, 2, nil', "nil\n2\nnil\n", 'so are several values');
shows('x = 3', '', 'a statement gives nothing');
shows('(function() end)()', '', 'nor does a function without results');
shows('"a text"', "a text\n", 'a text alone is piped on as it is');
shows('"two\nlines\n"', "two\nlines\n", 'with its lines');
shows('"a", "b"', "\"a\"\n\"b\"\n", 'several are quoted');
shows('9007199254740991, 1e16, 0.1, -0, 1/0', "9007199254740991\n1e+16\n0.1\n-0\ninf\n", 'numbers');
shows('say("%s %s %d %s", 9007199254740991, 0.5, 9007199254740991, "x") say(-9007199254740991)',
    "9007199254740991 0.5 9007199254740991 x\n-9007199254740991\n", 'all digits of whole numbers, by say too');
shows('{ { id = 9007199254740991 } }', "id\n9007199254740991\n(1 row)\n", 'and in rows');
shows('{ 1, "b", { c = true } }', "{ 1, \"b\", { c = true } }\n", 'a table');
shows('{ b = 1, a = 2, ["two words"] = 3, ["end"] = 4 }', "{ a = 2, b = 1, [\"end\"] = 4, [\"two words\"] = 3 }\n",
    'its keys are in order');
shows('{ a = { b = { c = { d = 1 } } } }', "{ a = { b = { c = {...} } } }\n", 'down to some depth');
shows('t = {} t.t = t return t', "{ t = <cycle> }\n", 'a table in itself');
shows('{}', "{}\n", 'an empty one');
shows('{ "a\tb\27[31m\0" }', "{ \"a\\tb\\027[31m\\000\" }\n", 'what would do something to the terminal is written out');
like(script('{ json.null, secret.wrap "hunter2hunter2", say }')->{stdout},
    qr/^\{ json\.null, \[secret\], <function saying\.lua:\d+> \}$/, 'null, secrets and functions');
like(script('local l = {} for i = 1, 200 do l[i] = i end return l')->{stdout}, qr/\b50,\n\s*\.\.\. 150 more,?\n\}/, 'a long list is cut');
like(script('("x"):rep(300), 1')->{stdout}, qr/^"x{300}"$/m, 'a text is shown whole');
like(script('{ ("x"):rep(300) }')->{stdout}, qr/"x{200}" \.\.\. \(300 bytes\)/, 'inside a table its beginning');
shows('{ { name = "a", size = 1 }, { name = "bb" } }', "name  size\na     1\nbb    -\n(2 rows)\n", 'rows are a table');
like(script('local r = {} for i = 1, 40 do r["field" .. i] = "value " .. i end return { r }')->{stdout},
    qr/^field1 .*\nvalue 1 .*\n\(1 row; more fields: field\d+ /, 'as many columns as there is room for');
shows('dump { a = { b = { c = { d = { e = 1 } } } } }', "{ a = { b = { c = { d = { e = 1 } } } } }\n", 'dump shows more');
shows('local rows = { { name = "b", x = 1 } } rows.columns = { "x", "name" } return rows', "x  name\n1  b\n(1 row)\n",
    'rows of a query keep its order');

# ---- several lines, names ----

shows("for i = 1, 2 do\n  say(i)\nend", "1\n2\n", 'several lines that belong together');
shows("f = function(n)\n  return n + 1\nend\nf(2)", "3\n", 'a function');
shows("x = [[a\nb]]\n#x", "3\n", 'a text of several lines');
shows("local a = 5\na + 1", "6\n", 'a local stays for the next line');
shows("local function f() return 7 end\nf()", "7\n", 'a local function too');
shows("local a\na", "nil\n", 'also without a value');
shows("do local inner = 1 end\ntry(function() return inner end) == nil", "true\n", 'what is local to a block goes with it');
shows("local x, y = 1, 2; local z = x + y\nz", "3\n", 'several on one line');
shows("41\n_ + 1\n_", "41\n42\n42\n", '_ is the last value');
shows("x = 1 -- a comment\n-- only a comment\nx", "1\n", 'comments');
shows("helper.twice(4)", "8\n", 'a module beside the playbooks is there by its name');
shows("sh.run({ 'echo', 'hi' }, { read = true }).stdout", "hi\n", "hostler's own too");

# ---- errors ----

sub fails {
    my ($lines, $wanted, $name) = @_;
    my $run = script($lines);
    like($run->{stderr}, $wanted, $name) or diag "$run->{stdout}$run->{stderr}";
    is($run->{status}, 1, "$name: status");
    return $run;
}

fails('nohting', qr/there is no global 'nohting'/, 'a name that is not there');
fails("acme = 1\nacne", qr/did you mean 'acme'\?/, 'with what may be meant: a name of the session');
fails('helpr.twice(1)', qr/did you mean 'helper'\?/, 'or a module');
fails('print(1)', qr/say\(\.\.\.\) shows a line/, 'or what to say instead');
fails('x = = 1', qr/^error: unexpected symbol near '='/, 'a syntax error');
fails("x = {\n1,\n= }", qr/unexpected symbol near '='/, 'in a later line');
fails('for i = 1, 2 do', qr/'end' expected near '<eof>'/, 'a script that ends in the middle');
fails('fail("it broke", { code = "boom", hint = "mend it" })', qr/^error: it broke\n  hint      mend it/, 'an error is told');
my $run = fails("say 'one'\nfail 'two'\nsay 'three'", qr/two/, 'a script ends with its first error');
is($run->{stdout}, "one\n", 'and does no more');
shows("local ok = try(fail, 'x')\nok", "nil\n", 'one that is caught is none');
is(script("fail 'boom'\n")->{status}, 1, 'status');

# ---- -e, files ----

is(hostler({ in => $in }, 'repl', '-e', '6 * 7')->{stdout}, "42\n", '-e runs code');
$run = hostler({ in => $in, stdin => "say 'not read'\n" }, 'repl', '-e', 'fail "x"');
is($run->{status}, 1, '-e that fails');
is($run->{stdout}, '', 'nothing else is read');
is(hostler({ in => $in }, 'repl', '-e', "for i = 1, 2 do\n  say(i)\nend")->{stdout}, "1\n2\n", '-e with lines');
is(hostler({ in => $in }, 'repl', '--nonsense')->{status}, 2, 'an option that there is not');
$run = hostler({ in => $in, stdin => "times(2)\nfactor\n" }, 'repl', 'playbooks/book.lua');
is($run->{stdout}, "loaded playbooks/book.lua\n12\n3\n", "a playbook's file: its functions are there");
$run = hostler({ in => $in, wrap => ['sh', '-c', 'exec "$0" "$@" < script.lua'] }, 'repl');
open my $file, '>', "$in/script.lua" or die $!;
print $file "say 'from a file'\n1 + 2";
close $file;
$run = hostler({ in => $in, wrap => ['sh', '-c', 'exec "$0" "$@" < script.lua'] }, 'repl');
is($run->{stdout}, "from a file\n3\n", 'a file as standard input, its last line without an end');
like(fails(':load missing', qr/there is no playbook 'missing'/, ':load of nothing')->{stderr}, qr/error/, 'is an error');

# ---- words ----

like(script(':help')->{stdout}, qr/^  :load FILE +run a file/m, ':help lists the words');
like(script(':help ssh.connect')->{stdout}, qr/^ssh\.connect\(target, options\?\) -> ssh\.Host\n.*Connects to a host/s, ':help explains');
like(script(':help ssh.Host:run')->{stdout}, qr/allow_secret_argv/, 'a method');
like(script('h = { run = helper.twice }' . "\n:help sh.run")->{stdout}, qr/^sh\.run\(/, 'a function');
fails(':help nothing.here', qr/nothing is known of 'nothing\.here'/, 'what is not known');
fails(':hlep', qr/there is no :hlep\n.*did you mean :help\?/s, 'a word that there is not');
like(script(":trace on\nsh.run({ 'true' }, { read = true }).status")->{stdout}, qr/^read  sh\.run localhost  true  0\.\ds\n0\n/m,
    ':trace shows effects');
unlike(script(":trace on\n:trace off\nsh.run({ 'true' }, { read = true }).status")->{stdout}, qr/sh\.run/, 'until it is off');

# Files that are edited.
my $edited = playbooks(part => 'local part = {} part.__index = part
    function part.new() return setmetatable({ n = 5 }, part) end
    function part:show() return "old " .. self.n end return part');
my $repl = "p = part.new()\np:show()\n"
    . "sh.run({ 'sh', '-c', 'sed -i s/old/new/ playbooks/part.lua' }, { read = true }).status\n:reload\np:show()\n:reload\n";
is(hostler({ in => $edited, stdin => $repl }, 'repl')->{stdout}, "old 5\n0\nreloaded part\nnew 5\nnothing was edited\n",
    ':reload: values that were made before have the new methods');
playbook($edited, 'broken', 'return { n = 1 }');
$repl = "broken.n\nsh.run({ 'sh', '-c', 'echo = > playbooks/broken.lua' }, { read = true }).status\ntry(fail, 1)\n:reload\n";
$run = hostler({ in => $edited, stdin => $repl }, 'repl');
like($run->{stderr}, qr{unexpected symbol near '='}, ':reload of a file that is wrong');

# ---- jobs ----

like(script(":bg sleep(0.05) say 'from the side' return 9\nsleep(3)")->{stdout},
    qr/^\[1\] sleep.*\nfrom the side\n\[1\] done after \d\.\ds\n9\n\z/, ':bg runs beside');
like(script(":bg sleep(60)\n:tasks\n:stop 1\nsleep(0.1)")->{stdout}, qr/^ +sleep\(60\)  waits for sleep.*\n\[1\] stopped/m, ':tasks and :stop');
like(script(":bg sleep(60)\n1")->{stdout}, qr/^1\n\[1\] stopped/m, 'what runs is stopped at the end');
like(script(":bg ask 'name?'\nsleep(0.1)")->{stderr}, qr/a person has to answer.*without :bg/s, 'it cannot ask');

# ---- writes ----

$run = fails('sh.run { "touch", "made" }', qr/this run only reads.*:write on/s, 'it only reads');
ok(!-e "$in/made", 'really');
ok(!-e "$in/home/state/hostler/journal.db", 'a prompt that only reads leaves no record');
$run = hostler({ in => $in, stdin => "secret.wrap 'hunter2hunter2'\nsh.run { 'touch', 'made' }\nx = sh.run { 'sh', '-c', 'echo hunter2hunter2; exit 3' }\n" },
    'repl', '--write');
ok(-e "$in/made", '--write writes');
is($run->{status}, 1, 'and one fails');
my $runs = hostler({ in => $in }, 'runs')->{stdout};
like($runs, qr/^\w+ +done .* repl\b/m, 'the run is on record') or diag $runs;
my $log = hostler({ in => $in }, 'log', 'last')->{stdout};
like($log, qr/step   2: sh\.run \{ 'touch', 'made' \}: begin\n.*write .*touch made: done/, 'with what was typed as a step') or diag $log;
like($log, qr/step   3: x = .*: failed/, 'and how it ended');
unlike($log, qr/hunter2/, 'secrets stay secret');
like(hostler({ in => $in }, 'resume', 'last')->{stdout}, qr/is done: there is nothing to go on with/, 'there is nothing to resume');
$run = hostler({ in => $in, stdin => ":write on\nstep('mine', function() sh.run { 'touch', 'other' } end)\n:write off\nsh.run { 'true' }\n" }, 'repl');
like($run->{stderr}, qr/this run only reads/, ':write off');
$log = hostler({ in => $in }, 'log', 'last')->{stdout};
like($log, qr/step   mine: begin\n.*\n.*step   mine: done/, 'a step of its own name') or diag $log;
unlike($log, qr/step   2:/, 'is no other step');
is(script("lock 'a'\n1")->{status}, 0, 'a lock');
$run = start({ in => $in, stdin => "for i = 1, 2 do sh.run { 'true' } end\nsay 'there'\nsleep(100)\n" }, 'repl', '--write');
wait_for($run, qr/there/);
kill TERM => $run->{pid};
finish($run);
$runs = hostler({ in => $in }, 'runs')->{stdout};
like($runs, qr/^\w+ +cancelled /, 'one that is told to stop is recorded as cancelled') or diag $runs;

# ---- :save ----

sub saved {
    my ($name) = @_;
    open my $file, '<', "$in/home/.config/hostler/playbooks/$name.lua" or return "no $name.lua";
    local $/;
    return scalar <$file>;
}

$run = hostler({ in => $in, stdin => <<'LUA' }, 'repl', '--write');
target = "made-by-hand"
:mark
sh.run { "touch", target }
size = file.stat("/etc/hostname").size
total = 0
for i = 1, 2 do
  total = total + i
  last = i
end
local result = sh.run { "echo", "done" }
say(result.stdout)
function twice(n)
  return n * 2
end
twice(21)
size
step("mine", function() sh.run { "true" } end)
:save by-hand
LUA
is($run->{status}, 0, ':save') or diag $run->{stderr};
like($run->{stdout}, qr/^1 file checked, nothing found$/m, 'check finds nothing in it') or diag $run->{stdout};
my $playbook = saved('by-hand');
like($playbook, qr/local file = require "file"\nlocal sh = require "sh"\n/, 'it requires what it uses') or diag $playbook;
like($playbook, qr/opt\("target", "string", "target", "made-by-hand"\)/, 'what was given to a name is a parameter');
like($playbook, qr{opt\("path", "string", "path of file\.stat", "/etc/hostname"\)}, 'so is what was given to a function');
like($playbook, qr/step\("touch made-by-hand", function\(\)\n +sh\.run \{ "touch", target \}\n +end\)/, 'a write is a step');
like($playbook, qr/local result = step\("echo done", function\(\)\n +return sh\.run/, 'with its result');
like($playbook, qr/^ +-- looked at: size$/m, 'what was only looked at is a remark');
like($playbook, qr/^ +local last$/m, 'what a loop assigns is declared before');
like($playbook, qr/^ +step\("mine", function\(\)/m, 'a step stays what it is');
unlink "$in/made-by-hand";
$run = hostler({ in => $in }, 'run', 'by-hand', '--target', 'made-by-run');
is($run->{status}, 0, 'it runs') or diag "$run->{stdout}$run->{stderr}";
ok(-e "$in/made-by-run" && !-e "$in/made-by-hand", 'with other values');
fails(":save by-hand", qr/nothing was typed/, ':save of nothing');
fails("x = 1\n:save by-hand", qr/cannot be made: File exists/, ':save over another');
fails("x = 1\n:save By_Hand", qr/lower-case words/, ':save under a wrong name');
fails("x = secret.wrap 'hunter2hunter2'\n:save secrets", qr/a secret is written out in entry 1/, ':save of a secret');
fails("1 + 1\ny = _ + 1\n:save last-value", qr/entry 2 uses _/, ':save of what cannot be told');
is(saved('secrets'), 'no secrets.lua', 'leaves nothing');

# ---- a lock that cannot be recorded ----

my $nowhere = playbooks();
open my $blocked, '>', "$nowhere/blocked" or die $!;
close $blocked;
my $locks = hostler({ in => $nowhere, stdin => "try(lock, 'a')\ntry(lock, 'a')\ntry(lock, 'b')\n", env => { XDG_STATE_HOME => "$nowhere/blocked" } }, 'repl', '--write');
is scalar(() = $locks->{stdout} =~ /the journal .* cannot be used/g), 3, 'without a journal nothing is locked, the second time neither'
    or diag "$locks->{stdout}$locks->{stderr}";

done_testing;
