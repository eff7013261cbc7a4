#!/usr/bin/perl
# A disk that takes no more of the journal: nothing is done that is not on record, what hinders is said, and once it is
# mended everything goes on. The disk that is full is one; for a quota, a disk that fails, and one that the kernel has made
# read-only amid all, the library `fault` stands in: while there is a file with the error's number, writes below the
# state directory fail with it.
use strict;
use warnings;
use lib 'tests/lib';
use Deliveries;
use Errno qw(EDQUOT EIO ENOSPC EROFS);
use JSON::PP ();
use Runs;
use Test::More;
use ThreeThings;

plan skip_all => 'store_damage.t is about a server' if Runs::shared();

my $library = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int find_fault(int fd) {
    char link[32], path[4096] = "", number[16] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    FILE *file = fopen(getenv("FAULT"), "re");
    if (!file)
        return 0;
    size_t length = fread(number, 1, sizeof number - 1, file);
    fclose(file);
    return length > 0 && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "journal.db") && !strstr(path, "-shm") ? atoi(number) : 0;
}
static int fault(int fd) {
    int before = errno, number = find_fault(fd);
    errno = before;
    return number;
}
#define FAIL(fd) do { int number = fault(fd); if (number) { errno = number; return -1; } } while (0)
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { FAIL(fd); return REAL(pwrite)(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { FAIL(fd); return REAL(pwrite64)(fd, bytes, length, at); }
int fsync(int fd) { FAIL(fd); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL(fd); return REAL(fdatasync)(fd); }
C

my $ends = <<'LUA';
local sh = require "sh"
return playbook { summary = "spoils the disk in its one step", run = function()
    step("only", { probe = function()
        return sh.run({ "test", "-e", "happened" }, { read = true, check = false }).status == 0 or nil
    end }, function() sh.run { "sh", "-c", "touch happened; [ -e once ] || sh spoil; touch once" } end)
end }
LUA
my $talks = <<'LUA';
local sh = require "sh"
return playbook { summary = "talks, while the disk is spoiled", run = function()
    sh.run({ "sh", "-c", "sh spoil" }, { read = true })
    for i = 1, 600 do say("line %d", i) end
    step("only", function() sh.run { "touch", "happened" } end)
end }
LUA
my $hook = <<'LUA';
return webhook {
    summary = "Orders", path = "orders", from = webhook.bearer(secret "TOKEN"),
    key = function(delivery) return delivery.json.id end,
    run = function() return "book", {} end,
}
LUA
$ENV{TOKEN} = 'the-token';

# What there is before and after, with ways to spoil the disk and to mend it.
sub check_disk {
    my ($new, $spoil, $mend, $said) = @_;
    subtest 'an intent' => sub {
        my $runs = $new->();
        my $pid = $runs->start('run', 'book');
        go($runs, 'one');
        ok at($runs, 'two'), 'a run';
        $spoil->($runs);
        go($runs);
        is $runs->finish($pid), 1, 'fails';
        like $runs->{said}, $said, 'says why' or diag $runs->{said};
        is wrote($runs), 'one', 'before it does what it cannot record';
        $spoil->($runs); # a log that is no longer in use has left its space
        isnt $runs->hostler('resume', 'last'), 0, 'so it does when it is resumed now';
        like $runs->{said}, $said, 'for the same reason' or diag $runs->{said};
        is wrote($runs), 'one', 'and does nothing';
        $mend->($runs);
        is $runs->hostler('resume', 'last'), 0, 'then it goes on' or diag $runs->{said};
        is wrote($runs), 'one two three', 'to its end';
    };
    subtest 'a result' => sub {
        my $runs = $new->();
        is $runs->hostler('run', 'ends'), 1, 'a run whose result cannot be recorded fails' or diag $runs->{said};
        like $runs->{said}, $said, 'says why' or diag $runs->{said};
        $mend->($runs);
        is $runs->hostler('resume', 'last'), 0, 'then it goes on' or diag $runs->{said};
        is $runs->query("SELECT status FROM steps"), 'done', 'with the step that has happened';
    };
    subtest 'events' => sub {
        my $runs = $new->();
        is $runs->hostler('run', 'talks'), 1, 'a run that has much to tell' or diag $runs->{said};
        like $runs->{said}, $said, 'says why' or diag $runs->{said};
        ok !-e $runs->path('happened'), 'before it does anything';
        $mend->($runs);
        $runs->put('spoil', '');
        is $runs->hostler('resume', 'last'), 0, 'then it goes on' or diag $runs->{said};
        ok -e $runs->path('happened'), 'to its end';
    };
    subtest 'the queue' => sub {
        my $runs = $new->();
        $runs->hostler('run', '--queue', 'book');
        go($runs);
        $spoil->($runs);
        is $runs->hostler('run', '--queue', 'book'), 1, 'nothing is taken into it';
        like $runs->{said}, $said, 'as is said' or diag $runs->{said};
        is $runs->hostler('worker', '--once'), 1, 'nothing is taken out of it';
        like $runs->{said}, $said, 'as is said' or diag $runs->{said};
        is wrote($runs), '', 'and nothing done';
        $mend->($runs);
        is $runs->hostler('worker', '--once'), 0, 'then what was in it is gone on with' or diag $runs->{said};
        is wrote($runs), 'one two three', 'to its end';
        is $runs->query('SELECT count(*) FROM runs'), 1, 'and there was no more';
    };
    subtest 'a delivery' => sub {
        my $runs = $new->();
        my $request = request('orders', '{"id": "7"}', { 'content-type' => 'application/json', authorization => 'Bearer the-token' });
        $runs->hostler('runs');
        $spoil->($runs);
        is deliver($runs, $request)->{status}, 503, 'is to come again';
        like $runs->{said}, qr/trouble: .*$said/, 'the log says why' or diag $runs->{said};
        $mend->($runs);
        is $runs->query('SELECT count(*) FROM inbox') . $runs->query('SELECT count(*) FROM runs'), '00', 'nothing is left of it';
        is deliver($runs, $request)->{status}, 202, 'then it is accepted';
    };
}

sub new_runs {
    my ($spoil) = @_;
    my $runs = book(ends => $ends, talks => $talks, orders => $hook);
    $runs->put('spoil', $spoil);
    return $runs;
}

SKIP: {
    skip 'mounting a small disk needs root', 1 if $> != 0 || system('mount -t tmpfs -o size=1m none /mnt 2>/dev/null && umount /mnt');
    my @mounted;
    my $new = sub {
        my $runs = new_runs('head -c 9000000 /dev/zero > state/fill 2>/dev/null');
        mkdir $runs->{state} or die $!;
        system('mount', '-t', 'tmpfs', '-o', 'size=2m', 'none', $runs->{state}) == 0 or die;
        push @mounted, $runs->{state};
        $runs->hostler('runs');
        return $runs;
    };
    subtest 'full' => sub {
        check_disk($new, sub { system 'sh', '-c', 'cd "$1" && sh spoil', 'sh', $_[0]{folder} },
            sub { unlink $_[0]->path('state/fill') or die $! }, qr/cannot be used: the disk is full/);
    };
    system 'umount', $_ for @mounted;
}

SKIP: {
    skip 'a library before a sanitizer', 1 if Runs::sanitized();
    my $built = Runs->new_folder;
    $built->put('fault.c', $library);
    system('cc', '-shared', '-fPIC', '-o', $built->path('fault.so'), $built->path('fault.c'), '-ldl') == 0 or die;
    for my $case (
        [ 'a quota that is used up', EDQUOT, qr/cannot be used: the disk is full/ ],
        [ 'a disk that fails', EIO, qr/cannot be used: its disk fails/ ],
        [ 'a disk that was made read-only', EROFS, qr/cannot be used: it cannot be written/ ],
    ) {
        my ($name, $number, $said) = @$case;
        subtest $name => sub {
            local $ENV{LD_PRELOAD} = $built->path('fault.so');
            local $ENV{FAULT} = $built->path('fault');
            my $new = sub { unlink $ENV{FAULT}; my $runs = new_runs("echo $number > \$FAULT"); $runs->hostler('runs'); return $runs };
            check_disk($new, sub { $built->put('fault', $number) }, sub { unlink $ENV{FAULT} or die $! }, $said);
        };
    }
}

done_testing;
