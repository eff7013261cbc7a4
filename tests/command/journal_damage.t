#!/usr/bin/perl
# What can be wrong with the journal's file is said before anything is done.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

plan skip_all => 'store_damage.t is about a server' if Runs::shared();

my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "two effects",
    run = function()
        step("make", function()
            sh.run { "sh", "-c", "echo one >> log; if [ -e fill ]; then head -c 9000000 /dev/zero > state/fill 2>/dev/null; fi; true" }
        end)
        step("use", function() sh.run({ "sh", "-c", "echo two >> log" }) end)
    end,
}
LUA

sub refused {
    my ($runs, $pattern, $name) = @_;
    is $runs->hostler('run', 'book'), 1, "$name: refused" or diag $runs->{said};
    like $runs->{said}, $pattern, 'says what is wrong';
    is $runs->get('log'), '', 'before anything was done';
}

sub overwrite {
    my ($runs, $offset, $bytes) = @_;
    open my $file, '+<:raw', $runs->path('state/hostler/journal.db') or die $!;
    seek $file, $offset, 0;
    print $file $bytes;
    close $file or die $!;
}

# A journal with one run in it, and no effect yet.
sub with_journal {
    my $runs = Runs->new(book => $book, nothing => 'return playbook { summary = "x", run = function() end }');
    $runs->hostler('run', 'nothing');
    return $runs;
}

subtest 'modes' => sub {
    my $runs = with_journal();
    my $mode = sub { (stat $runs->path($_[0]))[2] & 07777 };
    is $mode->('state/hostler'), 0700, 'the directory is its owner\'s';
    is $mode->('state/hostler/journal.db'), 0600, 'the file, too';
};

subtest 'damage' => sub {
    my $runs = with_journal();
    overwrite($runs, 0, 'this is no database ' x 10);
    refused($runs, qr/journal .*journal\.db cannot be used: it is damaged/, 'not a database');
    $runs = with_journal();
    overwrite($runs, 4096, "\xff" x 65536);
    refused($runs, qr/it is damaged/, 'damaged within');
};

subtest 'no place' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put('state', 'a file');
    refused($runs, qr/cannot be opened/, 'a file in place of the directory');
    like $runs->{said}, qr/hint .*XDG_STATE_HOME/, 'and what to do';
};

SKIP: {
    skip 'mounting a small disk needs root', 1 if $> != 0 || system('mount -t tmpfs -o size=1m none /mnt 2>/dev/null && umount /mnt');
    subtest 'a full disk, a read-only disk' => sub {
        my $runs = Runs->new(book => $book);
        mkdir $runs->{state};
        system('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', $runs->{state}) == 0 or die;
        my $undo = sub { system 'umount', $runs->{state} };
        eval {
            $runs->put('fill', '');
            is $runs->hostler('run', 'book'), 1, 'the disk fills up between two effects';
            like $runs->{said}, qr/cannot be used: the disk is full/, 'it says so';
            is $runs->get('log'), "one\n", 'and the second effect did not happen';
            unlink $runs->path('fill');
            unlink $runs->path('state/fill');
            is $runs->hostler('resume', 'last'), 3, 'with space again, the step without a result is in doubt';
            is $runs->hostler('answer', 'last', 'again'), 0, 'and goes on' or diag $runs->{said};
            unlink $runs->path('log');
            system('head -c 2000000 /dev/zero > ' . $runs->path('state/fill') . ' 2>/dev/null');
            refused($runs, qr/the disk is full/, 'full from the beginning');
            unlink $runs->path('state/fill');
            system('mount', '-o', 'remount,ro', $runs->{state}) == 0 or die;
            refused($runs, qr/cannot be (opened|written)/, 'read-only');
            1;
        } or fail($@);
        $undo->();
    };
}

done_testing;
