#!/usr/bin/perl
# A file that the person names on the command line may be written by a run that only reads; no other file may.
use strict;
use warnings;
use Hostler;
use Test::More;

my $book = <<'LUA';
local file = require "file"
return playbook {
    summary = "report",
    effects = "read",
    params = { opt("report", "output", "where to"), opt("path", "path", "a path that is no output") },
    run = function(p)
        local password = secret("PASSWORD")
        file.write_output(p.report or p.path, "text with " .. env "PASSWORD" .. "\n")
        say("%s", password)
    end,
}
LUA

sub content {
    open my $file, '<', $_[0] or return undef;
    local $/;
    return <$file>;
}

my $folder = playbooks(report => $book);
my %options = (in => $folder, env => { PASSWORD => 'hunter2hunter2' });

my $run = hostler({%options}, 'run', 'report', '--report', 'out.txt');
is $run->{status}, 0, 'it is written' or diag $run->{stderr};
is content("$folder/out.txt"), "text with [secret]\n", 'without secrets';
is sprintf('%o', (stat "$folder/out.txt")[2] & 07777), '600', 'for its owner';
chmod 0644, "$folder/out.txt";
$run = hostler({%options}, 'run', 'report', "--report=$folder/out.txt");
is sprintf('%o', (stat "$folder/out.txt")[2] & 07777), '644', 'one that is there keeps its mode';

$run = hostler({%options}, 'run', 'report', '--path', 'other.txt');
is $run->{status}, 1, 'a file that was given for something else is refused';
like $run->{stderr}, qr/nobody named this file/, 'and it says why';
ok !-e "$folder/other.txt", 'it is not there';

$run = hostler({%options}, 'run', 'report', '--report', 'no/such/folder');
is $run->{status}, 1, 'where nothing can be written';
like $run->{stderr}, qr/cannot write no\/such\/folder: No such file or directory/, 'the reason';

$run = hostler({%options}, 'run', 'report', '--report', "a\nb");
is $run->{status}, 2, 'a path with a line break';
done_testing;
