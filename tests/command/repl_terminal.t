#!/usr/bin/perl
# hostler repl in a real terminal: keys, colours, what appears while a line is typed, Ctrl-C, completion, history.
use strict;
use warnings;
use utf8;
use Cwd qw(abs_path);
use Hostler ();
use Terminal;
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $hostler = abs_path(($ENV{HOSTLER_BUILD} // 'build') . '/hostler');
my $folder = Hostler::playbooks(
    prompt => 'return { name = "example.com" }',
    shop => 'local shop = {} shop.__index = shop
             function shop.open() return setmetatable({ till = { coins = 3, notes = 2 }, made = 0 }, shop) end
             function shop:sell() self.made = self.made + 1 end
             function shop:sweep() end
             shop.__completes = { sell = function(self, beginning) sleep(self.slow or 0)
                 return { "apples", "apricots", "bread" } end }
             return shop',
);
my $terminal;

sub repl {
    my (%options) = @_;
    $terminal->leave if $terminal;
    my $environment = join ' ', "XDG_STATE_HOME=$folder/state", "HOME=$folder/home", 'NO_COLOR=1', $options{env} // ();
    $terminal = Terminal->new($options{columns} // 80, $options{rows} // 24,
        "cd $folder && $environment $hostler repl @{[ $options{arguments} // '' ]}");
    return $terminal->see(qr/> $|> \n\z|>\n\z/);
}

sub line { my ($text) = @_; $terminal->type($text); $terminal->keys('Enter') }
sub see { $terminal->see(@_) }

# The screen comes to show this.
sub shows {
    my ($pattern, $name) = @_;
    return like(see($pattern), $pattern, $name);
}

my $prompt = qr/^example\.com read-only, 0 open>/m;

# ---- lines ----

like(repl(), qr/\A$prompt\n\z/, 'the prompt says the site, the mode and the connections');
line('1 + 1');
shows(qr/open> 1 \+ 1\n2\n$prompt\n\z/, 'a value');
line('for i = 1, 2 do');
shows(qr/^   \.\.\.$/m, 'a line that is not whole is continued');
line('say("line " .. i)');
line('end');
shows(qr/^   \.\.\. end\nline 1\nline 2\n$prompt/m, 'and run when it is');
$terminal->keys('Up');
shows(qr/open> for i = 1, 2 do\nsay\("line " \.\. i\)\nend\n\z/, 'it comes back as one');
$terminal->keys('C-c');
shows(qr/^end\^C\n$prompt\n\z/m, 'Ctrl-C clears the line');
line('fail "it broke"');
line('_err.code, _err.traceback:match "entry %d+:%d+"');
shows(qr/^error: it broke\n.*^"failed"\n"entry \d:1"$/ms, 'an error is told and kept');
line('"two\nlines"');
shows(qr/^\[\[\ntwo\nlines\]\]$/m, 'a text of several lines');
$terminal->type("x = '\x{e9}\x{6771}\x{4eac}'");
$terminal->keys('Left', 'BSpace');
line("\x{1f600}");
line('x');
shows(qr/^"é東\x{1f600}"$/m, 'characters of all widths');

# ---- Ctrl-C ----

# Runs what does not end, and stops it once it has begun.
my $begun = 0;

sub interrupt {
    my ($code) = @_;
    $begun++;
    line("say('begun ' .. $begun) $code");
    see(qr/^begun $begun$/m);
    $terminal->keys('C-c');
}

interrupt('sleep(100)');
shows(qr/^\^C\ncancelled\n$prompt\n\z/m, 'Ctrl-C cancels what runs');
interrupt('while true do end');
shows(qr/^begun 2\n\^C\ncancelled\n$prompt\n\z/m, 'also what never waits');
interrupt('while true do pcall(function() while true do end end) end');
shows(qr/^begun 3\n\^C\ncancelled\n$prompt\n\z/m, 'or catches everything');
for my $times (1 .. 3) {
    $terminal->keys('C-c');
    see(qr/cancelled\n(?:.*\^C\n){$times}$prompt\n\z/);
}
line('"still " .. "here"');
shows(qr/^"still here"$/m, 'Ctrl-C never ends the prompt');
line(':bg say "busy" while true do end');
see(qr/^busy$/m);
$terminal->type('abc');
$terminal->keys('C-c');
shows(qr/^\[1\] stopped after/m, 'it stops a job that lets nobody else come');
$terminal->keys('C-d');
shows(qr/^status=0$/m, 'Ctrl-D leaves');

# ---- lines that appear while one is typed ----

repl(columns => 50);
line('go = 0');
line(':bg for i = 1, 3 do wait_until("it", { timeout = 9, interval = 0.02 }, function() return go == i end) say("said " .. i) end');
see(qr/waiting for it/);
line('go = 1');
see(qr/said 1/);
line(':bg sleep(0.5) go = 2');
my $long = 'text = "this is a line that goes on over the edge of the terminal, and over the next one as well, for sure"';
$terminal->type($long);
my $text = see(qr/said 2\n.*for\s+sure"\n\z/s);
(my $joined = $text) =~ s/\n//g;
like($joined, qr/said 2.*open> \Q$long\E\z/, 'a line that wraps stays whole when others appear above it') or diag $text;
is(() = $text =~ /said 2/g, 1, 'and these appear once');
$terminal->resize(37, 24);
line(' .. "!"');
line(':bg sleep(0.5) go = 3');
$terminal->type('"after " .. ');
$terminal->resize(61, 20);
$text = see(qr/said 3\n.*after.*\n\z/s);
like($text, qr/^example\.com read-only, 0 open> "after " \.\.\n\z/m, 'after a resize too') or diag $text;
is(() = $text =~ /"after "/g, 1, 'nothing is left over') or diag $text;
line('#text');
shows(qr/^"after 99"$/m, 'the line can be gone on with');
$terminal->keys('C-d');
see(qr/status=/);

# ---- pasting ----

repl();
$terminal->paste("for i = 1, 2 do\n\tsay('pasted ' .. i)\nend\n");
$text = see(qr/end\n?\z/);
like($text, qr/open> for i = 1, 2 do\n +say\('pasted ' \.\. i\)\nend\n\z/, 'what is pasted is text: its tabs complete nothing') or diag $text;
$terminal->keys('Enter');
shows(qr/^pasted 1\npasted 2\n$prompt/m, 'it runs with Enter');
$terminal->paste('local kept = "a" ');
line('.. "b"');
line('kept');
shows(qr/^"ab"$/m, 'and can be gone on with');

# ---- completion ----

sub completed {
    my ($typed, $wanted, $name, $tabs) = @_;
    $terminal->type($typed);
    $terminal->keys('Tab') for 1 .. $tabs // 1;
    like(see($wanted), $wanted, $name);
    $terminal->keys('C-c');
    see(qr/\^C\n$prompt\n\z/);
}

line('market = shop.open()');
completed('mar', qr/open> market$/m, 'completion of a name');
completed('sys', qr/open> systemd$/m, 'of a module');
completed('market.ti', qr/open> market\.till$/m, 'of a field');
completed('market.till.', qr/^coins  notes\n.*open> market\.till\.$/m, 'of the fields of a field');
completed('market:s', qr/^sell +sweep\n.*open> market:s$/m, 'of methods');
completed('systemd.on(1):res', qr/^reset_failed  restart\n.*open> systemd\.on\(1\):res$/m, 'of the methods of what a function returns');
completed('ssh.connect("x", { know', qr/known_hosts$/m, 'of options');
completed('ssh.connect("x", { host_key = "', qr/^accept-new  strict\n/m, 'of what an option may be');
completed('require "post', qr/open> require "postgres$/m, 'of modules to require');
completed(':tr', qr/open> :trace$/m, 'of words');
completed(':help ssh.Host:do', qr/ssh\.Host:download$/m, 'of what :help knows');
completed('market:sell "ap', qr/^apples +apricots\n.*open> market:sell "ap$/m, 'of what only the object knows');
line('market.slow = 0.4');
completed('market:sell "br', qr/open> market:sell "bread$/m, 'from memory');
line('other = shop.open() other.slow = 0.3');
$terminal->type('other:sell "b');
$terminal->keys('Tab');
$terminal->type('x');
shows(qr/other:sell "bx$/m, 'a look-up does not keep anybody from typing');
$terminal->keys('BSpace', 'Tab');
shows(qr/other:sell "bread$/m, 'and finds its answer');
$terminal->keys('C-c');
line('other.slow = 50 third = shop.open() third.slow = 50');
$terminal->type('third:sell "b');
$terminal->keys('Tab', 'C-u');
line('market.made + third.made');
shows(qr/^0\n$prompt/m, 'nothing of what was completed was called');

# ---- history ----

line('secret.wrap "hunter2hunter2"');
line('password = "swordfish"');
see(qr/sword.*\n$prompt\n\z/);
$terminal->keys('C-r');
$terminal->type('market = ');
shows(qr/\(search 'market = '\) market = shop\.open\(\)\n\z/, 'Ctrl-R searches');
$terminal->keys('C-e');
$terminal->type('.till');
shows(qr/open> market = shop\.open\(\)\.till\n\z/, 'and what it finds can be edited');
$terminal->keys('Enter');
see(qr/till\n$prompt\n\z/);
$terminal->keys('C-r');
$terminal->type('nothing like it');
shows(qr/failed search/, 'or finds nothing');
$terminal->keys('C-g', 'C-d');
see(qr/status=/);
open my $file, '<', "$folder/state/hostler/history" or die $!;
my $history = join '', <$file>;
like($history, qr/^market = shop\.open\(\)$/m, 'the history is kept');
like($history, qr/^for i = 1, 2 do\\nsay\("line " \.\. i\)\\nend$/m, 'an entry a line');
unlike($history, qr/hunter2|swordfish/, 'without lines that hold a secret');
is((stat "$folder/state/hostler/history")[2] & 0777, 0600, 'for its owner alone');
open $file, '>', "$folder/state/hostler/history" or die $!;
print $file "old $_\n" for 1 .. 2500;
print $file "market = shop.open().till\n";
close $file;
repl();
$terminal->keys('Up');
shows(qr/open> market = shop\.open\(\)\.till$/m, 'the next prompt has it');
open $file, '<', "$folder/state/hostler/history" or die $!;
is(() = <$file>, 1000, 'it does not grow for ever');
is((stat $file)[2] & 0777, 0600, 'and stays private');
$terminal->keys('C-c');

# ---- leaving, other terminals ----

line(':bg sleep(60)');
$terminal->keys('C-d');
shows(qr/^\[1\] stopped after .*\nstatus=0$/m, 'what runs beside is stopped');
repl(arguments => '--write');
shows(qr/^example\.com WRITES, 0 open>/m, 'the prompt says that it writes');
line("sh.run { 'touch', 'made' }");
see(qr/status = 0/);
$terminal->keys('C-d');
shows(qr/^what was written is on record: hostler log \w+\nstatus=0$/m, 'and at the end where that is recorded');
repl(env => 'TERM=dumb');
line('"du" .. "mb"');
$text = see(qr/"dumb"\n.*open>/);
like($text, qr/open> "du" \.\. "mb"\n"dumb"\n.*open>\n\z/, 'a dumb terminal') or diag $text;
$terminal->keys('C-d');
shows(qr/status=0/, 'and its end');
$terminal->leave;
$terminal = Terminal->new(80, 24, "cd $folder && XDG_STATE_HOME=$folder/state $hostler repl");
like($terminal->see(qr/open>/, '-e'), qr/\e\[36mexample\.com read-only, 0 open>/, 'colours');
line('{ 1, "a" }');
like($terminal->see(qr/"a".*"a"/s, '-e'), qr/\{ \e\[36m1\e\[39m, \e\[32m"a"\e\[39m \}/, 'of values');
$terminal->type('x = 1');
see(qr/x = 1/);
$terminal->keys('C-z');
my $pid = $terminal->pid;
ok(stops($pid), 'Ctrl-Z stops it');
kill CONT => $pid;
line('23');
line('x');
shows(qr/open> x = 123\n/, 'and it goes on with the line');
$terminal->leave;
ok(Hostler::holds(sub { !kill 0, $pid }), 'it ends with its terminal');

done_testing;

# Whether a process stops within a minute.
sub stops {
    my ($process) = @_;
    for (my $until = time + 60; time < $until; select undef, undef, undef, 0.02) {
        open my $status, '<', "/proc/$process/status" or return 0;
        return 1 if grep { /^State:\s+T/ } <$status>;
    }
    return 0;
}
