#!/usr/bin/perl
# Every command says what it takes, and refuses a command line that it cannot understand: with its usage and status 2,
# never with a traceback.
use strict;
use warnings;
use Hostler;
use Test::More;

my @commands = hostler({}, 'help')->{stdout} =~ /^  hostler (\w+) /mg;
cmp_ok @commands, '>', 20, 'the commands';

# What may be left out, and where any word is an argument of its own.
my %takes_nothing = map { $_ => 1 } qw(runs inbox repl worker serve schedules list check doctor version help);
my %takes_many = map { $_ => 1 } qw(run check answer help);

my $folder = playbooks();

sub refuses {
    my ($what, @words) = @_;
    my $run = hostler({ in => $folder, stdin => '' }, @words);
    is $run->{status}, 2, "$what: status 2" or diag "$run->{stdout}$run->{stderr}";
    like $run->{stderr}, qr/^(?:hostler|usage|error): /m, '  says so';
    unlike "$run->{stdout}$run->{stderr}", qr/traceback|\.lua:\d+: in |\(nil\)/, '  without a traceback';
}

for my $command (@commands) {
    refuses("$command with nothing", $command) if !$takes_nothing{$command};
    refuses("$command with an option nobody knows", $command, '--no-such-option') if $command ne 'help';
    refuses("$command with too many words", $command, ('x') x 9) if !$takes_many{$command};
    refuses("$command with an empty word", $command, '') if !$takes_nothing{$command} && $command !~ /^(?:stubs)$/;
}

# ---- help ----

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# The options and arguments that a command's source declares; those of runs for the two that run a playbook.
sub declared {
    my ($command) = @_;
    my $source = slurp("runtime/command/$command.lua") . ($command =~ /^(?:run|doctor)$/ ? slurp('runtime/run/manifest.lua') : '');
    $source =~ s/\[(=*)\[.*?\]\1\]//gs;
    my @options = $source =~ /(?:\b(?:opt|flag)\(|kind = "(?:opt|flag)", name = )"([\w-]+)"/g;
    my @arguments = $source =~ /\b(?:arg|list)\("([\w-]+)", (?!\{ "\w+" \})/g;
    return ((map { "--$_" } @options), map { uc tr/-/_/r } @arguments);
}

my %is_c = (version => ['--libraries'], help => []);
my $options = 0;
for my $command (@commands) {
    my $run = hostler({ in => $folder }, $command, '--help');
    is $run->{status}, 0, "$command --help" or diag $run->{stderr};
    is $run->{stderr}, '', '  is no error';
    my @declared = $is_c{$command} ? @{ $is_c{$command} } : declared($command);
    $options += @declared;
    is_deeply [ grep { $run->{stdout} !~ /^  (?:-\w, )?\Q$_\E  +\S/m } @declared ], [], '  explains all that it takes';
    like $run->{stdout}, qr/^(?:usage: hostler $command\b|  hostler $command )/m, '  after its usage';
    is hostler({ in => $folder }, 'help', $command)->{stdout}, $run->{stdout}, "help $command is the same";
    is hostler({ in => $folder }, $command, ($command eq 'run' ? () : 'x'), '-h')->{stdout}, $run->{stdout}, '  and -h behind a word'
        if $command ne 'help';
}
cmp_ok $options, '>', 80, 'there is much to explain';
like hostler({ in => $folder }, 'log', '--', '--help')->{stderr}, qr/there is no run '--help'/, 'behind -- it is an argument';
done_testing;
