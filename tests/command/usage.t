#!/usr/bin/perl
# Every command refuses a command line that it cannot understand: with its usage and status 2, never with a traceback.
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
done_testing;
