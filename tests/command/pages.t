#!/usr/bin/perl
# What is printed for people to read is broken between words, at the width of their screen.
use strict;
use warnings;
use utf8;
use Hostler;
use Terminal;
use Test::More;

sub words { join ' ', grep { $_ ne '' } split /\s+/, $_[0] }

my @commands = hostler({}, 'help')->{stdout} =~ /^  hostler (\w+) /mg;
for my $page ('show setup', 'show ssh.connect', 'show ssh.Host', 'list', 'help', 'run setup one', 'frobnicate',
    map { "$_ --help" } grep { $_ ne 'help' } @commands) {
    my $run = hostler({}, split / /, $page);
    my $piped = Encode::decode('UTF-8', $run->{stdout} . $run->{stderr});
    $piped =~ s/\n  hostler:modules\S+\n//;
    for my $columns (64, 100) {
        my $terminal = Terminal->new($columns, 150, "env HOME=$Hostler::elsewhere/home $Hostler::binary $page");
        my $screen = $terminal->see(qr/status=\d/);
        $screen =~ s/\n  hostler:modules\S+(?=\n)//;
        $screen =~ s/status=\d+\n?//;
        is words($screen), words($piped), "$page: no word is cut at $columns columns";
        unlike $screen, qr/^\S.*\n\S.*\n\S.*\n\S.*\n\S/m, '  and what goes on is indented' if $page ne 'help';
    }
}
my $narrow = Terminal->new(50, 150, "env HOME=$Hostler::elsewhere/home $Hostler::binary show setup");
like $narrow->see(qr/status=\d/), qr/^  Makes     a droplet .*\n {12}\S/m, 'below the words of the line, where it has a label';
done_testing;
