#!/usr/bin/perl
# hostler new, edit and diff: playbooks of one's own, through an upgrade of hostler.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Hostler;
use JSON::PP ();
use Test::More;

# An installed hostler, whose playbooks a test can upgrade.
my $prefix = abs_path(tempdir(CLEANUP => 1));
make_path("$prefix/bin", "$prefix/share/hostler/playbooks/parts");
copy($Hostler::binary, "$prefix/bin/hostler") or die $!;
chmod 0755, "$prefix/bin/hostler";
$Hostler::binary = "$prefix/bin/hostler";

my $folder = abs_path(playbooks());
rmdir "$folder/playbooks" or die $!;
my $mine = "$folder/home/.config/hostler/playbooks";

sub put {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
}

sub text {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file>;
}

sub ship { put("$prefix/share/hostler/playbooks/$_[0].lua", $_[1]) }

# An editor that replaces in the file what it is told to: EDITOR='"... editor" FROM TO'.
mkdir "$folder/a b" or die $!;
put("$folder/a b/editor", <<'SH');
#!/bin/sh
[ $# = 3 ] || { echo "editor: $# arguments" >&2; exit 9; }
sed -i "s|$1|$2|" "$3"
SH
chmod 0755, "$folder/a b/editor";

sub run { return hostler({ in => $folder }, @_) }
sub edit {
    my ($from, $to, @arguments) = @_;
    return hostler({ in => $folder, env => { EDITOR => qq('$folder/a b/editor' "$from" $to) } }, 'edit', @arguments);
}

my $greet = <<'LUA';
-- Greets.
return playbook {
    summary = "Greet the world",
    run = function()
        say("hello")
        say("good")
        say("bye")
        say("1")
        say("2")
        say("3")
        say("last words")
    end,
}
LUA
ship(greet => $greet);
ship(site => 'return { domain = "example.org" }');
ship('parts/host' => 'return { name = "www." .. require "site".domain }');
ship(name => 'return playbook { summary = "s", run = function() say(require "host".name) end }');

# ---- new ----

my $new = run('new', 'restart-ui');
is $new->{status}, 0, 'new' or diag $new->{stderr};
like $new->{stdout}, qr{^\Q$mine\E/restart-ui\.lua is made}, 'in the folder of one\'s own';
like $new->{stdout}, qr/hostler edit restart-ui/, 'and what to do next';
is run('check', 'restart-ui')->{status}, 0, 'what it makes passes the check' or diag run('check', 'restart-ui')->{stdout};
my $ran = run('run', 'restart-ui', 'ada', '--loud');
is $ran->{status}, 0, 'and runs' or diag $ran->{stderr};
like $ran->{stdout}, qr/HELLO ADA, FROM/, 'as it says';
is run('run', 'restart-ui', '--dry-run')->{status}, 0, 'also for show';
like run('show', 'restart-ui')->{stdout}, qr/What restart-ui does, in a sentence/, 'and explains itself';
is run('new', 'restart-ui')->{status}, 2, 'nothing is written over';
is run('new', 'greet')->{status}, 2, 'nor is a shipped one hidden';
like run('new', 'greet')->{stderr}, qr/hostler edit greet/, 'but what to do is said';
is run('new', '../x')->{status}, 2, 'a name that is none';

# ---- edit ----

my $edited = edit(hello => 'servus', 'greet');
is $edited->{status}, 0, 'edit a shipped one' or diag $edited->{stdout} . $edited->{stderr};
like text("$mine/greet.lua"), qr/say\("servus"\)/, 'a copy is edited';
is text("$prefix/share/hostler/playbooks/greet.lua"), $greet, 'the shipped one stays';
like $edited->{stdout}, qr/greet\.lua is a copy of .*1 file checked, nothing found.*hostler run greet -n.*hostler diff greet/s,
    'it is checked, and what comes next is said';
like run('run', 'greet')->{stdout}, qr/servus/, 'a run takes the copy';

$edited = edit(servus => 'moin', 'greet');
unlike $edited->{stdout}, qr/is a copy of/, 'the second time one\'s own is opened';
like text("$mine/greet.lua"), qr/moin/, 'and edited';
$edited = edit('say(.moin' => 'sey(\\"moin', 'greet');
is $edited->{status}, 1, 'a mistake';
like $edited->{stdout}, qr/there is no global 'sey'.*hostler edit greet/s, 'is found at once';
edit(sey => 'say', 'greet');

$edited = edit(nothing => 'else', 'site');
is $edited->{status}, 0, 'nothing changed';
like $edited->{stdout}, qr/Nothing was changed/, 'is said';
ok !-e "$mine/site.lua", 'and the copy goes again';
is_deeply [glob "$mine/.shipped/*"], ["$mine/.shipped/greet.lua"], 'with what it was made from';
$edited = edit('example.org' => 'example.net', 'site');
like $edited->{stdout}, qr/a module is used by the playbooks that stand beside it/, 'whom a module serves';

$edited = edit('www' => 'web', 'host');
is $edited->{status}, 0, 'a part that playbooks share' or diag $edited->{stderr};
like text("$mine/host.lua"), qr/web/, 'is copied beside the own playbooks';
like $edited->{stdout}, qr{is a copy of \S+/playbooks/parts/host\.lua}, 'from where it is shipped';
like run('diff', 'host')->{stdout}, qr/^\+return \{ name = "web\."/m, 'and compared with it';
copy("$prefix/share/hostler/playbooks/name.lua", "$mine/mine.lua") or die $!;
like run('run', 'mine')->{stdout}, qr/ web\.example\.net$/m, 'it serves the own playbooks';
like run('run', 'name')->{stdout}, qr/ www\.example\.org$/m, 'and not those that are shipped';
is run('new', 'host')->{status}, 2, 'its name is taken';

$edited = hostler({ in => $folder, env => { EDITOR => 'false' } }, 'edit', 'greet');
is $edited->{status}, 1, 'an editor that fails';
$edited = hostler({ in => $folder, env => { EDITOR => '/no/such/editor' } }, 'edit', 'greet');
is $edited->{status}, 1, 'an editor that is not there';
like $edited->{stderr}, qr{cannot start the editor /no/such/editor: No such file}, 'by its name';
$edited = hostler({ in => $folder, env => { EDITOR => q(vi "x) } }, 'edit', 'greet');
is $edited->{status}, 2, 'a setting that cannot be read';
$edited = hostler({ in => $folder, env => { EDITOR => 'false', VISUAL => "touch $folder/seen; true" } }, 'edit', 'greet');
ok -e "$folder/seen;", 'no shell reads $VISUAL, which comes first';
is run('edit', 'gret')->{status}, 2, 'a playbook that is not there';
like run('edit', 'gret')->{stderr}, qr/did you mean 'greet'/, 'and which may be meant';

# ---- diff and list, through an upgrade ----

my $diff = run('diff', 'greet');
like $diff->{stdout}, qr/^--- \S+share\S+\n\+\+\+ \Q$mine\E\/greet\.lua\n.*^-        say\("hello"\)\n\+        say\("moin"\)$/ms,
    'what was changed';
unlike run('list')->{stdout}, qr/has changed since/, 'the copy is up to date';
like run('list')->{stdout}, qr/greet .*\[\Q$mine\E\/greet\.lua, shadows \S+\/greet\.lua\]/, 'and hides the shipped one';

(my $newer = $greet) =~ s/last words/very last words/;
ship(greet => $newer);
like run('list')->{stdout}, qr/greet .*that has changed since it was copied: hostler diff greet/, 'after an upgrade: list';
my ($row) = grep { $_->{name} eq 'greet' } @{ JSON::PP::decode_json(run('list', '--json')->{stdout}) };
ok $row->{outdated}, 'and for programs';
my ($changed, $since) = split /^What hostler changed/m, run('diff', 'greet')->{stdout};
like $changed, qr/^-        say\("hello"\)\n\+        say\("moin"\)$/m, 'diff: what the person changed';
unlike $changed, qr/very last/, 'and nothing else';
like $since, qr/^-        say\("last words"\)\n\+        say\("very last words"\)$/m, 'what hostler changed';
unlike $since, qr/moin/, 'and nothing else';
like $since, qr/hostler edit greet --merged/, 'and how to go on';
$edited = edit('last words' => '"very last words"', 'greet');
like $edited->{stdout}, qr/the shipped one has changed since it was copied/, 'edit says so too';
is run('edit', 'greet', '--merged')->{status}, 0, 'taken over';
unlike run('list')->{stdout}, qr/has changed since/, 'then it is up to date again';
like run('diff', 'greet')->{stdout}, qr/^-        say\("hello"\)/m, 'and the diff is against the new one';
unlike run('diff', 'greet')->{stdout}, qr/^[-+].*last words/m, 'without what was taken over';

unlink "$prefix/share/hostler/playbooks/greet.lua";
like run('diff', 'greet')->{stdout}, qr/no longer ships greet.*^\+        say\("moin"\)$/ms, 'one that is no longer shipped';
like run('diff', 'restart-ui')->{stdout}, qr/restart-ui is yours alone/, 'one that never was';
ship(other => $greet);
like run('diff', 'other')->{stdout}, qr/other is as hostler ships it/, 'one that was not copied';
is run('edit', 'restart-ui', '--merged')->{status}, 2, 'nothing to take over';

mkdir "$folder/playbooks";
put("$folder/playbooks/other.lua", $greet);
$edited = edit(hello => 'hi', 'other');
like text("$folder/playbooks/other.lua"), qr/hi/, 'one in the folder at hand is the person\'s own';
ok !-e "$mine/other.lua", 'and is not copied';

done_testing;
