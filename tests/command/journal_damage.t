#!/usr/bin/perl
# What can be wrong with the journal or its key is said before anything is done; secrets are nowhere in it.
use strict;
use warnings;
use lib 'tests/lib';
use MIME::Base64 qw(encode_base64);
use Runs;
use Test::More;

my $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "two effects, and a secret between them",
    run = function()
        local made = step("make", function()
            sh.run { "sh", "-c", "echo one >> log; if [ -e fill ]; then head -c 9000000 /dev/zero > state/fill 2>/dev/null; fi; true" }
            return { password = secret.random(24), name = "ada", list = json.array {}, deep = { more = { 1, 2, 3 } } }
        end)
        step("use", function()
            if env "STOP" then fail("no, not with " .. tostring(made.password)) end
            sh.run({ "sh", "-c", "echo two >> log; cat > password" }, { stdin = made.password })
        end)
        say("%s %d %d", made.name, #made.list, made.deep.more[3])
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
    $runs = with_journal();
    overwrite($runs, 60, pack 'N', 99);    # the user version of SQLite's file format
    refused($runs, qr/made by a newer hostler \(version 99/, 'a newer version');
};

subtest 'no place' => sub {
    my $runs = Runs->new(book => $book);
    $runs->put('state', 'a file');
    refused($runs, qr/cannot be opened/, 'a file in place of the directory');
    like $runs->{said}, qr/hint .*XDG_STATE_HOME/, 'and what to do';
};

subtest 'keys' => sub {
    for my $case ([ 'lost', sub { unlink $_[0] }, qr/cannot be used: No such file.*put it back/s ],
        [ 'another', sub { open my $f, '>:raw', $_[0]; print $f 'x' x 32 }, qr/not the one this run's secrets were sealed with/ ],
        [ 'open to others', sub { chmod 0644, $_[0] }, qr/chmod 600/ ]) {
        my ($name, $damage, $pattern) = @$case;
        my $runs = Runs->new(book => $book);
        local $ENV{STOP} = 1;
        is $runs->hostler('run', 'book'), 1, "$name: a run that stops";
        delete $ENV{STOP};
        $damage->($runs->path('state/hostler/key'));
        is $runs->hostler('resume', 'last'), 1, 'is not resumed';
        like $runs->{said}, $pattern, 'says why';
        is $runs->get('log'), "one\n", 'nothing was done';
    }
};

subtest 'secrets' => sub {
    my $runs = Runs->new(book => $book);
    local $ENV{STOP} = 1;
    $runs->hostler('run', 'book');
    my $held = $runs->journal . $runs->{said};
    delete $ENV{STOP};
    is $runs->hostler('resume', 'last'), 0, 'resumed' or diag $runs->{said};
    like $runs->{stdout}, qr/ada 0 3/, 'with the same result';
    my $password = $runs->get('password');
    is length $password, 24, 'and the same secret';
    $held .= $runs->journal . $runs->{said};
    my $encoded = encode_base64($password, '') =~ s/=+$//r;
    is index($held, $_), -1, 'which is nowhere in the journal' for $password, substr($encoded, 0, 30);
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
