#!/usr/bin/perl
# A process that a worker keeps for runs: no run meets what one before it left behind. The library `leak` stands in for
# whatever may leak: it takes the place of chdir, which every run calls.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use Test::More;

exec 'tests/lib/with-sshd', $^X, '-Itests/lib', $0 unless $ENV{SSHD};

# Writes into `log` which process it is in, what it sees, and leaves something of each kind that a playbook can.
my $book = <<'LUA';
local sh = require "sh"
local counter = require "counter"
return playbook {
    summary = "leaves what it can",
    run = function()
        counter.count = counter.count + 1
        step("look", { idempotent = true }, function()
            local seen = ("%d %s"):format(counter.count, string.left or "clean")
            sh.run { "sh", "-c", 'echo "$(($(ps -o ppid= $PPID))) $1 $PWD" >> "$LOG"', "sh", seen }
        end)
        pcall(function() string.left = "left" end)
        say("the token is %s", env "TOKEN")
        if env "KEEPS" then secret "TOKEN" end
        sh.run({ "sh", "-c", "sleep 5 >/dev/null 2>&1 &" }, { read = true })
    end,
}
LUA

sub new_runs {
    my $runs = Runs->new(book => $book);
    $runs->put('playbooks/counter.lua', 'return { count = 0 }');
    $ENV{LOG} = $runs->path('log');
    return $runs;
}

# Runs, one after the other, by one worker with its two processes: what each wrote, a list of words each.
sub three_runs {
    my ($runs) = @_;
    $runs->hostler('run', '--queue', 'book') for 1 .. 3;
    is $runs->hostler('worker', '--once'), 0, 'a worker goes through three runs' or diag $runs->{said};
    my @lines = map { [ split ' ' ] } split /\n/, $runs->get('log');
    is scalar(@lines), 3, 'all happened';
    return @lines;
}

# How many processes went through them.
sub processes { my %seen = map { $_->[0] => 1 } @_; return scalar keys %seen }

subtest 'a world of its own' => sub {
    my $runs = new_runs();
    local $ENV{TOKEN} = 'correct-horse-battery';
    local $ENV{KEEPS} = 1;
    my @lines = three_runs($runs);
    cmp_ok processes(@lines), '<=', 2, 'two of them in one process';
    is_deeply [ map { [ @$_[1, 2] ] } @lines ], [ ([ 1, 'clean' ]) x 3 ], 'none finds anything of another';
    for my $id (split /\n/, $runs->query('SELECT id FROM runs')) {
        $runs->hostler('log', $id, '-v');
        like $runs->{said}, qr/the token is correct-horse-battery/, 'nor is hidden from it what was a secret of another only';
    }
};

subtest 'a directory of its own' => sub {
    my $runs = new_runs();
    my $gone = $runs->beside;
    $runs->hostler('run', '--queue', 'book');
    $gone->hostler('run', '--queue', $runs->path('playbooks/book.lua'));
    rename $gone->path('playbooks'), "$gone->{folder}.moved" and rmdir $gone->{folder} or system 'rm', '-r', $gone->{folder};
    my $worker = Runs->new_folder;
    @$worker{qw(state store)} = @$runs{qw(state store)};
    is $worker->hostler('worker', '--once'), 0, 'runs from two folders';
    my @lines = map { [ split ' ' ] } split /\n/, $runs->get('log');
    is $lines[0][3], $runs->{folder}, 'the first in its own';
    is $lines[1][3], $worker->{folder}, 'the second, whose folder is gone, in the one of the worker' or diag $worker->{said};
};

subtest 'connections' => sub {
    my $runs = new_runs();
    $runs->put('playbooks/book.lua', <<'LUA');
local ssh, http, dns, sh = require "ssh", require "http", require "dns", require "sh"
return playbook { summary = "reaches out", run = function()
    local host = ssh.connect("root@127.0.0.1", { known_hosts = env "SSHD" .. "/known_hosts", identity = env "SSHD" .. "/id_ed25519" })
    host:run({ "true" }, { read = true })
    pcall(http.get, "http://localhost:2222/", { timeout = 1 })
    pcall(dns.resolve, "localhost", "A")
    step("write", { idempotent = true }, function()
        host:run { "true" }
        sh.run { "sh", "-c", 'echo "$(($(ps -o ppid= $PPID)))" >> "$LOG"' }
    end)
end }
LUA
    cmp_ok processes(three_runs($runs)), '<=', 2, 'end with the run that made them: the process is kept';
};

subtest 'a run that ends its process' => sub {
    my $runs = new_runs();
    $runs->put('playbooks/crash.lua', <<'LUA');
local sh = require "sh"
return playbook { summary = "crashes until told otherwise", run = function()
    step("crash", { idempotent = true }, function()
        sh.run { "sh", "-c", 'echo crash >> "$LOG.crash"; test -e "$LOG.enough" || kill -KILL $(($(ps -o ppid= $PPID)))' }
    end)
end }
LUA
    $runs->hostler('run', '--queue', 'crash');
    $runs->hostler('run', '--queue', 'book');
    my $worker = $runs->start('worker');
    ok Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status = 'done'") eq '1' }), 'takes no other run with it'
        or diag $runs->get('stderr');
    like $runs->get('stdout'), qr/\(crash\): its process was ended by signal 9; it is gone on with$/m, 'it is told';
    ok Runs::wait_for(sub { my $crashes = () = $runs->get('log.crash') =~ /crash/g; $crashes >= 3 }), 'it is tried again';
    cmp_ok $runs->query("SELECT attempt FROM runs WHERE playbook = 'crash'"), '>=', 3, 'and again';
    $runs->put('log.enough', '');
    ok Runs::wait_for(sub { $runs->query("SELECT count(*) FROM runs WHERE status = 'done'") eq '2' }), 'until it ends well';
    kill TERM => $worker;
    is $runs->finish($worker), 0, 'the worker goes on all the while';
};

my $library = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <signal.h>
static void *sleep_long(void *unused) { sleep(60); return unused; }
static void leak(const char *what) {
    pthread_t thread;
    if (strcmp(what, "a descriptor") == 0) dup(2);
    if (strcmp(what, "a thread") == 0) pthread_create(&thread, NULL, sleep_long, NULL);
    if (strcmp(what, "memory") == 0) memset(malloc(100 << 20), 1, 100 << 20);
    if (strcmp(what, "a program") == 0 && fork() == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); pause(); }
}
int chdir(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "chdir");
    if (strcmp(path, "/") != 0) /* that is the guardian */
        leak(getenv("LEAK"));
    return real(path);
}
C

SKIP: {
    skip 'a library before a sanitizer', 1 if Runs::sanitized();
    subtest 'what is left behind' => sub {
        my $built = Runs->new_folder;
        $built->put('leak.c', $library);
        system('cc', '-shared', '-fPIC', '-o', $built->path('leak.so'), $built->path('leak.c'), '-ldl') == 0 or die;
        for my $what ('nothing', 'a descriptor', 'a thread', 'memory', 'a program') {
            my $runs = new_runs();
            local $ENV{LEAK} = $what;
            local $ENV{LD_PRELOAD} = $built->path('leak.so');
            my $processes = processes(three_runs($runs));
            if ($what eq 'nothing') { cmp_ok $processes, '<=', 2, 'nothing: the process is kept' }
            else                    { is $processes, 3, "$what: another process takes its place" }
        }
    };
}

done_testing;
