#!/usr/bin/perl
# Every keyword that the ssh installed here knows stands in modules/ssh/config_keywords.lua, once, and every one that
# stands there is one: of this ssh, of a newer one or of Apple's.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my %elsewhere = map { $_ => 1 } qw(channeltimeout obscurekeystroketiming refuseconnection tag usekeychain versionaddendum
    warnweakcrypto);

sub content {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# Which of these words the ssh takes for keywords: it names those that it does not.
sub keywords_among {
    my @words = @_;
    my $folder = tempdir(CLEANUP => 1);
    open my $config, '>', "$folder/config" or die $!;
    print $config "$_ none\n" for @words;
    close $config or die $!;
    my $said = `ssh -G -F $folder/config nobody 2>&1`;
    my %bad = map { $_ => 1 } $said =~ /Bad configuration option: (\w+)/g;
    return grep { !$bad{$_} } @words;
}

my ($ssh) = grep { -x } map { "$_/ssh" } split /:/, $ENV{PATH};
my %seen;
my @words = grep { !$seen{$_}++ } content($ssh) =~ /(?<![a-z0-9])([a-z][a-z0-9]{2,33})(?=\0)/g;
my @known = keywords_among(@words);
cmp_ok(@known, '>', 90, 'ssh tells its keywords');

my %listed;
my ($tables) = content('modules/ssh/config_keywords.lua') =~ /^(local DONE .*?)^local function each_word/ms;
$tables =~ s/--[^\n]*//g;
$listed{$_}++ for map { split } $tables =~ /\[\[(.*?)\]\]/gs, $tables =~ /= *\n? *"([a-z0-9 ]+)",/g;
$listed{$_}++ for $tables =~ /^    (\w+) = \{ "/mg;
is_deeply([grep { !$listed{$_} } sort @known], [], 'each is listed');
is_deeply([grep { $listed{$_} > 1 } sort keys %listed], [], 'once');
my %is_known = map { $_ => 1 } keywords_among(keys %listed);
is_deeply([grep { !$is_known{$_} && !$elsewhere{$_} } sort keys %listed], [], 'and there are no others');
done_testing;
