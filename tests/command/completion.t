#!/usr/bin/perl
# hostler completion: what Tab offers, asked of the shells themselves where they are installed.
use strict;
use warnings;
use File::Basename qw(dirname);
use Hostler;
use Test::More;

my $folder = playbooks(
    move => 'return playbook { summary = "Move it", params = { arg("where", { "here", "there" }, "w"), '
        . 'opt("speed", { "slow", "fast" }, "how"), flag("soft", "gently") }, run = function() end }',
    site => 'return {}',
);
my $path = dirname($Hostler::binary);

sub words {
    my ($line) = @_;
    my $run = hostler({ in => $folder }, 'completion', 'words', $line);
    is $run->{status}, 0, "status for '$line'";
    return join ' ', $run->{stdout} =~ /^(\S+)\t/mg;
}

is words('hostler chec'), 'check', 'commands';
is words('hostler run mo'), 'move', 'playbooks';
is words('hostler run sit'), '', 'not modules';
is words('hostler run move '), 'here there', 'choices of an argument';
is words('hostler run move --s'), '--speed --soft', 'options of the playbook';
is words('hostler run move --dry'), '--dry-run', 'and of every run';
is words('hostler run move --speed '), 'slow fast', 'values of an option';
is words('hostler run nothing --'), '', 'nothing for what is not there';
like hostler({ in => $folder }, 'completion', 'words', 'hostler run mo')->{stdout}, qr/^move\tMove it$/m, 'explained';
hostler({ in => $folder }, 'run', 'move', 'here');
like words('hostler log '), qr/^last \S+$/, 'runs';
is hostler('completion', 'tcsh')->{status}, 2, 'another shell';

# ---- names ----

playbook($folder, visit => 'local completion_names = require "completion_names"
return playbook { summary = "Visit", params = { list("whom", "subdomain", "w"), opt("host", "subdomain", "h") },
    run = function() completion_names.keep("subdomain", { "grace", "ada", "$(id)" }) end }');
is words('hostler run visit '), '', 'no names before there was a listing';
hostler({ in => $folder }, 'run', 'visit', 'x');
is words('hostler run visit '), 'ada grace', 'the names that were listed last, as far as a shell can take them';
is words('hostler run visit ada g'), 'grace', 'each of several';
is words('hostler run visit --host a'), 'ada', 'and for an option';

# What bash offers: its own completion function, called as readline calls it.
sub bash {
    my ($line) = @_;
    my $script = 'source <(hostler completion bash); COMP_LINE=$1 COMP_POINT=${#1}; _hostler; printf "%s " "${COMPREPLY[@]}"';
    open my $out, '-|', 'env', "PATH=$path:$ENV{PATH}", "HOME=$folder/home", "XDG_STATE_HOME=$folder/home/state", 'sh', '-c',
        'cd "$1" && exec bash --norc -c "$2" bash "$3"', 'sh', $folder, $script, $line or die $!;
    local $/;
    return <$out> =~ s/ +$//r;
}
is bash('hostler run move --speed fa'), 'fast', 'bash: a value';
is bash('hostler vers'), 'version', 'bash: a command';

for my $shell ('zsh', 'fish') {
  SKIP: {
        my $there = grep { -x "$_/$shell" } split /:/, $ENV{PATH};
        skip "$shell is not installed", 1 unless $there;
        my $script = hostler('completion', $shell)->{stdout};
        open my $in, '|-', $shell, '-n' or die $!;
        print $in $script;
        ok close($in), "$shell reads its script";
    }
}
SKIP: {
    skip 'fish is not installed', 1 unless grep { -x "$_/fish" } split /:/, $ENV{PATH};
    local $ENV{PATH} = "$path:$ENV{PATH}";
    my $offered = `cd $folder && HOME=$folder/home fish -c 'source (hostler completion fish | psub); complete -C "hostler run mo"'`;
    is $offered, "move\tMove it\n", 'fish: a playbook, explained';
}

done_testing;
