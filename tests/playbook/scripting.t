#!/usr/bin/perl
# The examples of SCRIPTING.md that are about an instance and what stands around it, against one in the local cloud.
use strict;
use warnings;
use Cloud;
use Hostler;
use Scripting;
use Test::More;

my $cloud = Cloud->connect;
my $setup = $cloud->setup('ada');
$setup->{status} == 0 or die "ada cannot be set up: $setup->{stderr}";

my $folder = playbooks();
system("cp -r playbooks/* $folder/playbooks/") == 0 or die 'cp failed';
my $letters = $cloud->letters_to('ada@example.com');
for my $example (grep { $_->{place} eq 'cloud' } Scripting::examples()) {
    Scripting::run_part(sub { return $cloud->run({ in => $folder }, @_) }, $folder, $example);
}
is scalar $cloud->letters_to('ada@example.com'), $letters + 1, 'Ada got the letter';
done_testing;
