# A run of three steps, each of which waits until it may go on, for tests of stores and of the queue.
package ThreeThings;
use strict;
use warnings;
use Exporter 'import';
use Runs;

our @EXPORT = qw(book at go wrote status);

# Each step writes its name into the file `log` once the file `go-NAME` is there; `at` says where it is.
our $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "three things, each when it may",
    params = { opt("lock", "string", "a lock to hold") },
    run = function(p)
        if p.lock then lock(p.lock) end
        for _, name in ipairs { "one", "two", "three" } do
            wait_until("go-" .. name, { timeout = 60, interval = 0.05 }, function()
                return sh.run({ "sh", "-c", "echo $1 > at; test -e go-$1", "sh", name }, { read = true, check = false }).status == 0
            end)
            local function written()
                return sh.run({ "grep", "-qx", name, "log" }, { read = true, check = false }).status == 0 or nil
            end
            step(name, { probe = written }, function() sh.run { "sh", "-c", "echo $1 >> log", "sh", name } end)
        end
        say("the store is %s", env("HOSTLER_STORE", "a file"))
    end,
}
LUA

# A folder with it as the playbook `book`, and other playbooks.
sub book { return Runs->new(book => $book, @_) }

# Waits until the run is at the step.
sub at { my ($runs, $name) = @_; return Runs::wait_for(sub { $runs->get('at') eq "$name\n" }) }

# Lets these steps go on; all of them without names.
sub go { my ($runs, @names) = @_; $runs->put("go-$_", '') for @names ? @names : qw(one two three) }

sub wrote { my ($runs) = @_; return join ' ', split /\n/, $runs->get('log') }

# How the newest run stands.
sub status { my ($runs) = @_; return $runs->query('SELECT status FROM runs ORDER BY number DESC LIMIT 1') }

1;
