#!/usr/bin/perl
# Statements that a store writes together are all there or none, however many they are and whatever others write meanwhile;
# what others gave before is not among them. On a journal that is a file and on one that is a database.
use strict;
use warnings;
use lib 'tests/lib';
use Deliveries;
use Runs;
use Test::More;

exec 'tests/lib/with-postgres', $^X, '-Itests/lib', $0 unless $ENV{POSTGRES_PORT};

my $SCRIPT = <<'LUA';
local import = ...
local store = import "journal/store".open()

local function insert(record, name)
    record("INSERT INTO source_texts (hash, content) VALUES ($1, '')", name)
end

local function count(pattern)
    return store.read("SELECT count(*) AS count FROM source_texts WHERE hash LIKE $1", pattern)[1].count
end

local function together(prefix, last)
    local statements = {}
    for index = 1, 600 do
        insert(function(sql, ...) statements[index] = { sql, n = select("#", ...), ... } end, prefix .. index)
    end
    statements[601] = { last, n = 0 }
    return pcall(store.transaction, statements)
end

insert(store.later, "before")
say("failed %s", tostring(together("lost-", "INSERT INTO source_texts (hash) VALUES ('no content')")))
say("before %d, lost %d", count "before", count "lost-%")
say("done %s", tostring(together("kept-", "INSERT INTO source_texts (hash, content) VALUES ('last', '')")))
say("kept %d, last %d", count "kept-%", count "last")
insert(store.later, "after")
say("after %d", count "after")

-- Tasks side by side, each with statements of its own.
local tasks = {}
for number = 1, 20 do
    tasks[number] = function()
        insert(store.later, "other-" .. number)
        local fails = number % 2 == 0
        together(("task%d-"):format(number), fails and "INSERT INTO source_texts (hash) VALUES ('no content')"
            or "INSERT INTO source_texts (hash, content) VALUES ('end" .. number .. "', '')")
    end
end
parallel(tasks)
say("others %d, tasks %d, ends %d", count "other-%", count "task%", count "end%")
LUA

for my $store ('file', 'postgresql') {
    local $ENV{RUNS_STORE} = $store;
    my $runs = Runs->new;
    $runs->put('script.lua', $SCRIPT);
    local $runs->{program} = Deliveries::lua_test();
    is $runs->hostler('script.lua'), 0, "in $store" or diag $runs->{said};
    is $runs->{stdout}, "failed false\nbefore 1, lost 0\ndone true\nkept 600, last 1\nafter 1\nothers 20, tasks 6000, ends 10\n",
        'what was written together is there as a whole, or not at all';
}
done_testing;
