#!/usr/bin/perl
# Playbooks with `once`: a run that stopped half-way is resumed or undone before another begins.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';
use Hostler;

my $folder = tempdir(CLEANUP => 1);
my %env = (XDG_STATE_HOME => "$folder/state");
my $book = <<"END";
local sh = require "sh"
return playbook {
    summary = "makes two files", once = true,
    params = { arg("who", "name", "whose"), flag("loud", "says more") },
    run = function(p)
        step("first", { undo = function() sh.run { "rm", "$folder/" .. p.who } end }, function()
            sh.run { "touch", "$folder/" .. p.who }
        end)
        step("second", { idempotent = true }, function() sh.run { "test", "-e", "$folder/ready" } end)
    end,
}
END
open my $file, '>', "$folder/pair.lua" or die $!;
print $file $book;
close $file;

sub run { return Hostler::hostler({ env => \%env }, @_) }

my $stopped = run('run', "$folder/pair.lua", 'ada');
is $stopped->{status}, 1, 'a run stops half-way';
my ($id) = $stopped->{stderr} =~ /hostler resume (\w+)/;
ok $id, 'and names itself';

my $again = run('run', "$folder/pair.lua", 'ada', '-v');
is $again->{status}, 1, 'the same is not begun again, whatever the options of the run';
like $again->{stderr}, qr/run $id began this and stopped half-way/, 'the reason is the first run';
like $again->{stderr}, qr/hostler resume $id .*hostler undo $id /, 'with what to do';

my $other = run('run', "$folder/pair.lua", 'grace');
like $other->{stderr}, qr/test failed with exit status 1/, 'other parameters are another matter';

open my $ready, '>', "$folder/ready" or die $!;
is run('resume', $id)->{status}, 0, 'resumed, it ends';
is run('run', "$folder/pair.lua", 'ada')->{status}, 0, 'and another may begin';

done_testing;
