#!/usr/bin/perl
# Runs that are killed: every effect happens once, whatever moment it was; doubts are settled by the probe or a person.
use strict;
use warnings;
use lib 'tests/lib';
use Runs;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);

# Writes its name into the file `log`, and kills the runner before or after that when the file `kill` says so.
my $write = <<'LUA';
local sh = require "sh"
local script = [[
    read -r moment name < kill 2>/dev/null
    if [ "$moment $name" = "before $1" ]; then rm kill; kill -KILL $(($(ps -o ppid= $PPID))); exit; fi
    if [ "$moment $name" = "copy $1" ]; then cp -r state copy; rm kill; fi
    echo "$1" >> log
    if [ "$moment $name" = "after $1" ]; then rm kill; kill -KILL $(($(ps -o ppid= $PPID))); fi
]]
local function write(name)
    sh.run { "sh", "-c", script, "sh", name }
    return name
end
local function written(name)
    return sh.run({ "grep", "-qx", name, "log" }, { read = true, check = false }).status == 0 and name or nil
end
LUA

my $book = $write . <<'LUA';
return playbook {
    summary = "five things, two of them for each item",
    run = function()
        local function once(name)
            return step(name, { probe = function() return written(name) end }, function() return write(name) end)
        end
        once "first"
        each({ "a", "b" }, { parallel = 1 }, function(item)
            once("make-" .. item)
            once("mend-" .. item)
        end)
        say("got %s", once "last")
    end,
}
LUA

my @names = qw(first make-a mend-a make-b mend-b last);

for my $moment (qw(before after)) {
    for my $name (@names) {
        my $runs = Runs->new(book => $book);
        $runs->put('kill', "$moment $name\n");
        is $runs->hostler('run', 'book'), -9, "killed $moment $name";
        $runs->quiet;
        like $runs->hostler('runs') == 0 && $runs->{stdout}, qr/ stopped /, 'it is listed as stopped';
        is $runs->hostler('resume', 'last'), 0, 'resumed' or diag $runs->{said};
        is join(' ', sort split /\n/, $runs->get('log')), join(' ', sort @names), 'everything happened once';
        like $runs->{stdout}, qr/got last/, 'and the end was reached';
    }
}

subtest 'killed at random moments' => sub {
    my $seed = $ENV{SEED} // int rand 1e6;
    srand $seed;
    note "SEED=$seed";
    my $runs = Runs->new(book => $write . <<'LUA');
return playbook {
    summary = "many things",
    run = function()
        local items = {}
        for i = 1, 10 do items[i] = "item" .. i end
        each(items, { parallel = 3 }, function(item)
            for i = 1, 4 do
                local name = item .. "-" .. i
                step(name, { probe = function() return written(name) end }, function() return write(name) end)
            end
        end)
    end,
}
LUA
    my $made = sub { scalar(() = $runs->get('log') =~ /\n/g) };
    my ($kills, $status, @command) = (0, -9, 'run', 'book');
    while ($status == -9) {
        my $pid = $runs->start(@command);
        my $enough = $made->() + 1 + int rand 5;
        Runs::wait_for(sub { $made->() >= $enough || $made->() == 40 });
        sleep rand 0.01;
        kill KILL => $pid if $enough <= 40; # nothing is left to be killed at, else
        $status = $runs->finish($pid);
        $kills += $status == -9;
        $runs->quiet;
        @command = ('resume', 'last');
    }
    is $status, 0, 'it ends well' or diag $runs->{said};
    ok $kills > 0, "$kills kills";
    is scalar(my @lines = split /\n/, $runs->get('log')), 40, 'forty things were made';
    my %count;
    $count{$_}++ for @lines;
    is_deeply [ grep { $count{$_} > 1 } sort keys %count ], [], 'none twice';
};

subtest 'the intent is on disk before the effect' => sub {
    plan skip_all => 'the journal is no file' if Runs::shared();
    my $runs = Runs->new(book => $book);
    $runs->put('kill', "copy make-a\n");
    is $runs->hostler('run', 'book'), 0, 'a run, and a copy of the journal from the midst of an effect';
    $runs->{state} = $runs->path('copy');
    is $runs->hostler('log', 'last', '--json'), 0, 'the copy opens';
    my @events = map { JSON::PP::decode_json($_) } split /\n/, $runs->{stdout};
    is scalar(grep { $_->{event} eq 'effect.begin' && $_->{text} =~ /make-a/ } @events), 1, 'the intent is in it';
    is scalar(grep { $_->{event} eq 'effect.end' && $_->{text} =~ /make-a/ } @events), 0, 'its end is not';
    is scalar(grep { $_->{event} eq 'step.end' && $_->{status} eq 'done' && $_->{name} eq 'first' } @events), 1,
        'the step before has its result';
};

my $doubt = $write . <<'LUA';
return playbook {
    summary = "one thing, and nobody can tell",
    run = function()
        local result = step("thing", { idempotent = env "IDEMPOTENT" ~= nil }, function() write "thing" return { id = 1 } end)
        say("id %s", result and result.id or "unknown")
    end,
}
LUA

subtest 'in doubt: a person decides' => sub {
    for my $case ([ 'again', 2, 'id 1' ], [ 'done', 1, 'id unknown' ], [ 'done {"id": 7}', 1, 'id 7' ]) {
        my ($answer, $times, $says) = @$case;
        my $runs = Runs->new(book => $doubt);
        $runs->put('kill', "after thing\n");
        $runs->hostler('run', 'book');
        $runs->quiet;
        is $runs->hostler('resume', 'last'), 3, 'without a terminal it parks';
        like $runs->{said}, qr/may or may not have happened/, 'and says why';
        is $runs->hostler('resume', 'last'), 3, 'however often it is resumed';
        is $runs->hostler('answer', 'last', $answer), 0, "answer: $answer" or diag $runs->{said};
        like $runs->{stdout}, qr/\Q$says\E/, $says;
        is scalar(() = $runs->get('log') =~ /thing/g), $times, "the effect happened $times times";
    }
};

subtest 'in doubt: idempotent' => sub {
    my $runs = Runs->new(book => $doubt);
    local $ENV{IDEMPOTENT} = 1;
    $runs->put('kill', "after thing\n");
    $runs->hostler('run', 'book');
    $runs->quiet;
    is $runs->hostler('resume', 'last'), 0, 'is run again';
    is $runs->get('log'), "thing\nthing\n", 'and happened twice';
};

subtest 'in doubt: a step that is tried again within the run' => sub {
    my $runs = Runs->new(book => $write . <<'LUA');
return playbook {
    summary = "takes longer than it may, the first time",
    run = function()
        retry({ times = 2, backoff = 0 }, function()
            say("got %s", step("thing", { timeout = 0.5, probe = function() return written "thing" end }, function()
                write "thing"
                sleep(60)
            end))
        end)
    end,
}
LUA
    is $runs->hostler('run', 'book'), 0, 'ends well' or diag $runs->{said};
    like $runs->{stdout}, qr/got thing/, 'with what its probe found';
    is $runs->get('log'), "thing\n", 'and happened once';
};

subtest 'a failed step runs again; RUN may be the beginning of an id' => sub {
    my $runs = Runs->new(book => $write . <<'LUA');
return playbook {
    summary = "fails until there is a file",
    run = function()
        step("before", function() return write "before" end)
        step("needs it", function() sh.run { "test", "-e", "it" } end)
        step("after", function() return write "after" end)
    end,
}
LUA
    is $runs->hostler('run', 'book'), 1, 'it fails';
    like $runs->{said}, qr/next +hostler resume (\w{6})\b.*hostler log \1/s, 'and says what to type next';
    my ($id) = $runs->{said} =~ /hostler resume (\w{6})/;
    $runs->put('it', '');
    is $runs->hostler('resume', substr $id, 0, 4), 0, 'resumed by the beginning of its id';
    is $runs->get('log'), "before\nafter\n", 'finished steps were not run again';
    is $runs->hostler('resume', $id), 0, 'a run that is done is left alone';
    like $runs->{stdout}, qr/is done/, 'and says so';
    is $runs->hostler('resume', 'zzz'), 2, 'no such run';
    is $runs->hostler('runs', '--json'), 0, 'runs as JSON';
    my ($row) = @{ JSON::PP::decode_json($runs->{stdout}) };
    is_deeply [ @$row{qw(id playbook status attempts steps)} ], [ $id, 'book', 'done', 2, 3 ], 'with what matters';
};

subtest 'the source is kept with the run' => sub {
    my $source = 'local helper = require "helper"
return playbook { summary = "x", run = function()
    step("one", function() return 1 end)
    say("this is %s %s", "the old playbook", helper.text)
    if not env "GO" then fail "stop" end
end }';
    my $runs = Runs->new(book => $source, helper => 'return { text = "and the old module" }');
    is $runs->hostler('run', 'book'), 1, 'stopped';
    (my $new = $source) =~ s/the old/the new/;
    $runs->put('playbooks/book.lua', $new);
    unlink $runs->path('playbooks/helper.lua');
    local $ENV{GO} = 1;
    is $runs->hostler('resume', 'last'), 0, 'resumed';
    like $runs->{stdout}, qr/the old playbook and the old module/, 'with the files it began with';
    delete $ENV{GO};
    $runs->put('playbooks/helper.lua', 'return { text = "and a new module" }');
    $runs->hostler('run', 'book');
    $runs->put('playbooks/book.lua', $new =~ s/return 1 end/return 2 end/r);
    $ENV{GO} = 1;
    is $runs->hostler('resume', 'last', '--code', 'latest'), 3, 'today\'s: a finished step was edited';
    like $runs->{said}, qr/edited since this run began/, 'it says so';
    is $runs->hostler('answer', 'last', 'y'), 0, 'and goes on after a yes' or diag $runs->{said};
};

subtest 'many steps, met again in another order' => sub {
    my $source = <<'LUA';
return playbook {
    summary = "adds up what its steps return",
    run = function()
        local items = { "a", "b", "c", "d", "e", "f" }
        local sum, long = 0, ("x"):rep(10000)
        each(items, { parallel = 3 }, function(item)
            for i = 1, 200 do
                local result = step("number " .. i, function()
                    return { value = i, long = i % 50 == 0 and long or "" }
                end)
                sum = sum + result.value
            end
        end)
        if not env "GO" then fail "stop" end
        say("the sum is %d", sum)
    end,
}
LUA
    my $runs = Runs->new(book => $source);
    is $runs->hostler('run', 'book'), 1, 'stopped';
    local $ENV{GO} = 1;
    (my $backwards = $source) =~ s/for i = 1, 200 do/for i = 200, 1, -1 do/;
    $backwards =~ s/"a", "b", "c", "d"/"d", "c", "b", "a"/;
    $backwards =~ s/end\)\n +if not/step("one more", function() return 1 end) end)\n if not/;
    $runs->put('playbooks/book.lua', $backwards);
    is $runs->hostler('resume', 'last', '--code', 'latest'), 0, 'resumed' or diag $runs->{said};
    like $runs->{stdout}, qr/the sum is 120600$/m, 'every result came back';
    is $runs->hostler('runs', '--json'), 0, 'runs';
    is JSON::PP::decode_json($runs->{stdout})->[0]{steps}, 1206, 'and only what was added was done';
};

subtest 'what is recorded takes no memory' => sub {
    plan skip_all => 'a sanitizer keeps what was freed' if Runs::sanitized();
    my $runs = Runs->new(book => <<'LUA');
local sh = require "sh"
return playbook {
    summary = "long results",
    params = { arg("count", "int", "how many") },
    run = function(p)
        for i = 1, p.count do
            step("number " .. i, function() return ("%04d"):format(i):rep(1000) end)
        end
        if not env "GO" then fail "stop" end
        wait_until("somebody to look", { timeout = 60, interval = 0.02 }, function()
            return sh.run({ "test", "-e", "seen" }, { read = true, check = false }).status == 0
        end)
    end,
}
LUA
    my $memory = sub {
        my ($count) = @_;
        unlink $runs->path('seen');
        $runs->hostler('run', 'book', $count);
        local $ENV{GO} = 1;
        my $pid = $runs->start('resume', 'last');
        ok Runs::wait_for(sub { $runs->get('stdout') =~ /somebody/ }), "$count steps are passed over";
        open my $status, '<', "/proc/$pid/status" or die $!;
        my ($most) = map { /^VmHWM:\s+(\d+)/ } <$status>;
        $runs->put('seen', '');
        is $runs->finish($pid), 0, 'to the end' or diag $runs->{said};
        return $most / 1024;
    };
    my ($few, $many) = ($memory->(1000), $memory->(4000));
    cmp_ok $many - $few, '<', 4, sprintf 'three thousand more, of 12 MB, take %.1f MB', $many - $few;
};

done_testing;
