#!/usr/bin/perl
# The reports as people and programs see them: the live tree in a real terminal (tmux), plain lines, JSON.
use strict;
use warnings;
use utf8;
use Encode qw(decode);
use File::Temp qw(tempdir);
use JSON::PP ();
use Terminal;
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $hostler = ($ENV{HOSTLER_BUILD} // 'build') . '/hostler';
my $folder = tempdir(CLEANUP => 1);
my $story = 'tests/command/report/story.lua';
delete @ENV{qw(NO_COLOR TMUX LC_CTYPE LANG)};
$ENV{LC_ALL} = 'C.UTF-8';
$ENV{XDG_STATE_HOME} = $folder; # a journal of its own

sub hold { for my $name (@_) { open my $file, '>', "$folder/$name" or die $!; close $file } }
sub let_go { unlink map { "$folder/$_" } @_ }

# ---- a terminal ----

my $terminal;

sub terminal {
    my ($columns, $rows, $command) = @_;
    $terminal = Terminal->new($columns, $rows, $command);
}

sub see { $terminal->see(@_) }
sub leave { $terminal->leave }

my $clock = qr/\d+(?:\.\d)?s/;

hold(qw(first second third));
terminal(70, 24, "$hostler run $story $folder");
my $text = see(qr/sleep 0\.05/);
like($text, qr/^hostler run $story/, 'the header is the command');
like($text, qr/^  [⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] make a droplet/m, 'a running step spins') or diag $text;
like($text, qr/^    sh  sh -c /m, 'below it what it does now');
like($text, qr/^    sh  .*…$/m, 'cut to the width of the terminal');
ok($terminal->cursor_is_shown, 'the cursor stays visible');
let_go('first');
$text = see(qr/looks?, \d+s/);
like($text, qr/^  ✓ make a droplet  198\.18\.0\.12 +$clock$/m, 'an ended step has a tick, its result and its time') or diag $text;
like($text, qr/^    evil \\x1b\[31mred\\x1b\[0m � bell\\x07 \\u202e 東京$/m, 'control characters are made visible');
like($text, qr/^  ! two lines\n  of a warning$/m, 'a warning of two lines');
like($text, qr/^    waiting for ada\.example\.com to resolve \(\d+ looks?, \d+s\)$/m, 'what is waited for');
let_go('second');
$text = see(qr/web4  upgrade · sh  sh/);
like($text, qr/^  instances 4 items$/m, 'a group has a header') or diag $text;
like($text, qr/^    . web1  upgrade · sh  sh -c .*…/m, 'a row an item: its step and what it does');
like($text, qr/^  . 0 of 4 done/m, 'and a line for all');
$terminal->resize(50, 24);
$text = see(qr/^    . web1 .{0,40}…/m);
is(() = $text =~ /web1/g, 1, 'after a resize nothing is left over') or diag $text;
let_go('third');
$text = see(qr/status=/);
like($text, qr/✓ web1  1 step .*\n/, 'items scroll up when they end') or diag $text;
like($text, qr/^  ✓ 4 of 4 done +$clock$/m, 'the group ends with a summary');
like($text, qr/^✓ story done in $clock, \d+ changes$/m, 'so does the run');
unlike($text, qr/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/, 'no spinner is left') or diag $text;
like($text, qr/status=0/, 'exit status');
leave();

hold(qw(third));
terminal(60, 12, "$hostler run $story $folder --items 40 --fail");
$text = see(qr/more at work/);
like($text, qr/^    … 3\d more at work$/m, 'more items than rows are summed up') or diag $text;
like($text, qr/^  . 0 of 40 done/m, 'the summary stays visible');
let_go('third');
$text = see(qr/status=/, '-S', '-200');
is(() = $text =~ /^    ✓ web\d+ /mg, 39, 'the scrollback holds every item once') or diag $text;
like($text, qr/^    ✗ web2 +$clock\n      ✗ upgrade +$clock\n        no space left on web2$/m, 'and what failed, with the reason');
is(() = $text =~ /^  ✓ make a droplet/mg, 1, 'every step once');
like($text, qr/^  ✗ 39 of 40 done, 1 failed/m, 'the summary of the group');
like($text, qr/^✗ story failed after $clock/m, 'the run failed');
leave();

terminal(80, 24, "$hostler run $story $folder --ask");
$text = see(qr/Go on\?/);
like($text, qr/^  of a warning\nGo on\? \[y\/N\]\n\z/m, 'a prompt has the terminal for itself') or diag $text;
$terminal->keys('y', 'Enter');
$text = see(qr/status=/);
like($text, qr/Go on\? \[y\/N\] y\n  ✓ wait for the name/, 'then the story goes on below it') or diag $text;
leave();

hold(qw(first));
terminal(80, 24, "$hostler run $story $folder");
see(qr/sleep 0\.05/);
$terminal->keys('C-c');
$text = see(qr/status=/);
like($text, qr/■ make a droplet  cancelled/, 'Ctrl-C ends the step') or diag $text;
like($text, qr/^■ story stopped after/m, 'and the run');
like($text, qr/status=130/, 'with status 130');
ok($terminal->cursor_is_shown, 'the cursor is visible afterwards');
leave();

terminal(80, 24, "LC_ALL=C NO_COLOR=1 $hostler run $story $folder");
$text = see(qr/sleep 0\.05/, '-e');
like($text, qr/^  [-|\/\\] make a droplet/m, 'a terminal without UTF-8 gets ASCII');
unlike($text, qr/\e\[/, 'NO_COLOR: no colours');
let_go('first');
like(see(qr/status=/), qr/^  \+ make a droplet/m, 'and an ASCII tick');
leave();

terminal(80, 24, "$hostler run -n tests/command/report/plan.lua");
$text = see(qr/status=/);
like($text, qr/\(dry run: nothing is changed\)\n  ○ first\n +1\. touch '\/tmp\/a b'\n +2\. touch two\n/, 'a plan is numbered') or diag $text;
like($text, qr/^    web2\n      ○ more\n +\d\. touch web2$/m, 'and grouped under items and steps');
unlike($text, qr/look/, 'a step that writes nothing is left out');
like($text, qr/^✓ plan: 4 changes planned, none made$/m, 'and counted');
leave();

terminal(80, 24, "TERM=dumb $hostler run -v $story $folder");
$text = see(qr/status=/, '-S', '-200');
like($text, qr/^\d\d:\d\d:\d\d step   make a droplet: begin$/m, 'a dumb terminal gets plain lines') or diag $text;
leave();

# ---- plain lines ----

my $stamp = qr/^\d\d:\d\d:\d\d/m;
$text = decode('UTF-8', `$hostler run $story $folder --fail -v 2>/dev/null`);
like($text, qr/$stamp run    story: begin  hostler run $story/, 'plain: the run begins') or diag $text;
like($text, qr/$stamp step   make a droplet: done $clock  198\.18\.0\.12$/m, 'plain: a step ends');
like($text, qr/$stamp write  make a droplet: sh\.run localhost  true: done $clock$/m, 'plain: -v shows writes');
like($text, qr/$stamp warn   two lines\n$stamp warn   of a warning$/m, 'plain: every line has its head');
like($text, qr/$stamp step   web2\/upgrade: failed $clock  no space left on web2$/m, 'plain: items are part of the path');
like($text, qr/$stamp group  instances: failed $clock$/m, 'plain: a group ends');
unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f]/, 'plain: no control character');
$text = `$hostler run -n tests/command/report/plan.lua`;
like($text, qr/$stamp plan   web1\/more: 3\. touch web1$/m, 'plain: plan lines');

# ---- JSON ----

my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, `$hostler run $story $folder --fail --json 2>/dev/null`;
is($events[0]{event}, 'run.begin', 'json: every line is one object');
like($events[0]{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'json: times are RFC 3339');
my ($said) = grep { $_->{event} eq 'say' } @events;
is($said->{text}, "evil \e[31mred\e[0m \x{fffd} bell\a \x{202e} \x{6771}\x{4eac}", 'json: text is exact, bytes that are no UTF-8 replaced');
my ($begun) = grep { $_->{event} eq 'step.begin' } @events;
my ($ended) = grep { $_->{event} eq 'step.end' } @events;
is($ended->{scope}, $begun->{scope}, 'json: an end names the scope of its begin');
is($begun->{parent}, $events[0]{scope}, 'json: and its parent');
is($ended->{status}, 'done', 'json: status');
ok($ended->{seconds} >= 0, 'json: seconds');
is($events[-1]{status}, 'failed', 'json: the run failed');

done_testing();
