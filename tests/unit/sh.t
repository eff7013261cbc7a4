#!build/lua-test
-- Local commands: results, errors, stopping, and what a command inherits.
local tap = require "tap"
local sh = require "sh"

local function alive(pid)
    return sh.run({ "ps", "-o", "stat=", "-p", pid }, { read = true, check = false }).stdout:match "^[^Z%s]" ~= nil
end

local function wait_gone(pid)
    return try(wait_until, "the end of " .. pid, { timeout = 10, interval = 0.05 }, function()
        return not alive(pid)
    end)
end

-- results
local result = sh.run { "printf", "%s|%s", "a b", "$HOME 'x'" }
tap.is(result.status, 0, "status")
tap.is(result.stdout, "a b|$HOME 'x'", "arguments arrive as they are: no shell")
tap.is(result.stderr, "", "stderr is empty")
tap.is(sh.run({ "cat" }, { stdin = "one\0two\n" }).stdout, "one\0two\n", "stdin, binary")
tap.is(sh.run({ "cat" }, { stdin = "" }).stdout, "", "empty stdin")
tap.is(sh.run({ "cat" }).stdout, "", "no stdin is an empty one")
tap.is(sh.run({ "true" }, { stdin = ("x"):rep(1000000) }).status, 0, "a program may leave its input unread")
local big = sh.run({ "cat" }, { stdin = ("0123456789abcdef"):rep(65536 * 4) })
tap.is(#big.stdout, 16 * 65536 * 4, "4 MiB through stdin and stdout")
local both = sh.run { "dd", "if=/dev/zero", "bs=1000", "count=1000", "status=none" }
tap.is(#both.stdout, 1000000, "1 MB of binary output")
tap.is(sh.run({ "sh", "-c", "echo out; echo err >&2" }).stderr, "err\n", "stderr apart from stdout")
tap.is(sh.run({ "pwd" }, { cwd = "/usr" }).stdout, "/usr\n", "cwd")
tap.is(sh.run({ "printf", "%s", 12 }).stdout, "12", "numbers are arguments too")

-- environment
tap.is(sh.run({ "printenv", "HOSTLER_A" }, { env = { HOSTLER_A = "x=y z" } }).stdout, "x=y z\n", "env adds a variable")
tap.like(sh.run({ "printenv" }, { env = { HOSTLER_A = 1 } }).stdout, "PATH=", "the environment is inherited")
tap.is(sh.run({ "printenv", "PATH" }, { env = { PATH = "/bin:/usr/bin" } }).stdout, "/bin:/usr/bin\n", "env replaces")
tap.is(sh.run({ "printenv", "PATH" }, { env = { PATH = false }, check = false }).stdout, "", "false leaves one out")
tap.raises("usage", function() sh.run({ "true" }, { env = { ["A=B"] = "c" } }) end, "no = in a name")
tap.raises("usage", function() sh.run({ "true" }, { env = { A = "b\0c" } }) end, "a value with NUL is refused")

-- secrets
local password = secret.wrap "correct horse battery"
local taken = sh.run({ "sha256sum" }, { stdin = password }).stdout
tap.is(taken, sh.run({ "sha256sum" }, { stdin = "correct horse battery" }).stdout, "stdin may be a secret")
local counted = sh.run({ "sh", "-c", "printf %s \"$P\" | wc -c" }, { env = { P = password } })
tap.is(counted.stdout:match "%d+", "21", "env may too")
tap.raises("secret", function() sh.run { "echo", password } end, "a secret argument is refused")

-- failures
local failed = tap.raises("sh.exit", function() sh.run { "sh", "-c", "echo said; echo why >&2; exit 3" } end,
    "exit status")
tap.is(failed.status, 3, "the error has the status")
tap.is(failed.stdout, "said\n", "and stdout")
tap.is(failed.stderr, "why\n", "and stderr")
tap.is(failed.target, "localhost", "and the target")
local signalled = tap.raises("sh.signal", function() sh.run { "sh", "-c", "kill -SEGV $$" } end, "ended by a signal")
tap.like(tostring(signalled), "SIGSEGV", "which is named")
local missing = tap.raises("sh.spawn", function() sh.run { "no-such-program" } end, "not found")
tap.like(tostring(missing), "no%-such%-program", "names the program")
tap.like(missing.hint, "PATH is .*/bin", "and PATH")
missing = tap.raises("sh.spawn", function() sh.run({ "ls" }, { env = { PATH = "/nowhere" } }) end,
    "PATH in env is searched")
tap.is(missing.hint, "PATH is /nowhere", "and named")
tap.raises("sh.spawn", function() sh.run { "/etc/passwd" } end, "not executable")
tap.raises("sh.spawn", function() sh.run({ "true" }, { cwd = "/no/such" }) end, "cwd does not exist")
tap.like(tostring(select(2, sh.try({ "true" }, { cwd = "/etc/passwd" }))), "not a directory", "cwd is a file")
tap.raises("sh.output", function() sh.run({ "yes" }, { limit = 100000 }) end, "more than the limit")
tap.is(#sh.run({ "head", "-c", "1000", "/dev/zero" }, { limit = 1000 }).stdout, 1000, "exactly the limit is fine")
tap.is(sh.run({ "sh", "-c", "exit 4" }, { check = false }).status, 4, "check = false returns the status")
local none, err = sh.try { "false" }
tap.ok(none == nil and err.code == "sh.exit", "try returns nil and the error")
tap.raises("usage", function() sh.run "ls" end, "a command line is refused")
tap.raises("usage", function() sh.run {} end, "so is an empty list")
tap.raises("usage", function() sh.run({ "ls" }, { shell = true }) end, "and an unknown option")
err = tap.raises("usage", function() sh.run({ "ls" }, { timout = 1 }) end, "one with a slip")
tap.is(err.hint, "did you mean 'timeout'?", "is told the nearest")
err = tap.raises("usage", function() sh.run({ "ls" }, { cwd = 1 }) end, "a value of another kind")
tap.is(err.message, "sh.run: cwd must be a string, not a number", "says which would do")
tap.raises("usage", function() sh.run { "echo", "a\0b" } end, "and a NUL in an argument")

-- stopping
local last_words = sh.run({ "mktemp" }).stdout:gsub("%s+$", "")
local slow = tap.raises("timeout", function()
    sh.run({ "sh", "-c", "trap 'echo ends >\"$1\"; exit' TERM; echo $$; sleep 100 & wait", "sh", last_words }, { timeout = 2 })
end, "a time limit")
tap.is(sh.run({ "cat", last_words }).stdout, "ends\n", "SIGTERM comes first, and is enough for most")
sh.run { "rm", last_words }
tap.ok(wait_gone(slow.stdout:match "%d+"), "what it started is gone too")
local started = now()
slow = tap.raises("timeout", function()
    sh.run({ "sh", "-c", "trap '' TERM; echo $$; sleep 100 & while :; do sleep 1; done" }, { timeout = 2 })
end, "a program that ignores SIGTERM")
tap.ok(now() - started >= 4 and now() - started < 60, "is killed two seconds later")
tap.ok(wait_gone(slow.stdout:match "%d+"), "and gone")
started = now()
tap.raises("timeout", function() timeout(0.3, function() sh.run { "sleep", "100" } end) end, "a deadline around it")
tap.ok(now() - started < 60, "ends it at once")
tap.raises("timeout", function() sh.run({ "setsid", "--fork", "sleep", "5" }, { timeout = 0.3 }) end,
    "a daemon that keeps the output open does not hold the run for ever")

-- what a command inherits
local open = sh.run({ "ls", "/proc/self/fd" }).stdout
tap.is(open, "0\n1\n2\n3\n", "no descriptor but its three, and ls's own")
-- The C library keeps 32 and above for itself, and some harnesses ignore those.
local ignored = sh.run({ "grep", "SigIgn", "/proc/self/status" }).stdout:match "%x%x%x%x%x%x%x%x%s*$"
tap.is(tonumber(ignored, 16) % 2 ^ 31, 0, "no ignored signal")
tap.like(sh.run({ "grep", "SigBlk", "/proc/self/status" }).stdout, "SigBlk:%s+0+%s", "no blocked one")

-- many at once
local numbers = {}
for i = 1, 40 do numbers[i] = tostring(i) end
local seen = 0
each(numbers, { parallel = 20, name = "numbers" }, function(number)
    if sh.run({ "echo", number }, { read = true }).stdout == number .. "\n" then seen = seen + 1 end
end)
tap.is(seen, 40, "forty commands, twenty at once")

tap.done()
