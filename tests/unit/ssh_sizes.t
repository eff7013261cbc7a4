#!tests/lib/with-sshd build/lua-test
-- How long commands may be: what goes through, what does not, and that nobody else's command is harmed by it.
local tap = require "tap"
local ssh = require "ssh"

local home = env "SSHD"
local function connect(target)
    return ssh.connect(target, { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
end
local host = connect "root@127.0.0.1"

--- Runs fn while another task's command runs on the same connection; whether that one ended well.
local function beside(fn)
    local begun, neighbour = false, nil
    parallel {
        function()
            begun = true
            neighbour = host:run({ "cat" }, { read = true, stdin = ("x"):rep(3000000) })
        end,
        function()
            wait_until("the other one begins", { timeout = 60, interval = 0.001 }, function() return begun end)
            fn()
        end,
    }
    return #neighbour.stdout == 3000000
end

local by = host:run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true }).stdout
for _, size in ipairs { 8000, 9000, 33000, 34600, 34711, 40000, 120000, 131000 } do
    local long = ("it's $long\n"):rep(math.ceil(size / 11)):sub(1, size)
    local output
    tap.ok(beside(function() output = host:run({ "printf", "%s", long }, { read = true }).stdout end),
        ("an argument of %d bytes leaves others alone"):format(size))
    tap.ok(output == long, "and arrives as it is")
end
local words = {}
for number = 1, 5000 do
    words[number] = ("word %d"):format(number):rep(20)
end
tap.ok(host:run({ "printf", "%s\\n", unpack(words) }, { read = true }).stdout == table.concat(words, "\n") .. "\n",
    "700 KB in many arguments")
local long = ("l"):rep(100000)
local result = host:run({ "sh", "-c", "cat; pwd; echo $NAME ${#1}", "sh", long }, {
    read = true, stdin = "input\n", cwd = "/usr/share", env = { NAME = "value" },
})
tap.is(result.stdout, "input\n/usr/share\nvalue 100000\n", "with input, a directory and an environment")
tap.is(host:as("tester"):run({ "sh", "-c", "id -un; echo ${#1}", "sh", long }, { read = true }).stdout,
    "tester\n100000\n", "as another user")
tap.is(host:sh("echo ${#1}; cat", { read = true, args = { long }, stdin = "end" }).stdout, "100000\nend", "a script")
tap.is(host:run({ "test", long, "=", long }, { read = true }).status, 0, "what a shell runs by itself")
tap.is(host:run({ "sh", "-c", "exit 7", long }, { read = true, check = false }).status, 7, "its status is the command's")
tap.is(host:run({ "sh", "-c", "kill -KILL $$", long }, { read = true, check = false }).signal, "KILL", "or its signal")
tap.is(host:run({ "sh", "-c", "echo \"<${r-}${n-}>\"", "sh", long }, { read = true }).stdout, "<>\n",
    "it gets no variables of ours")

local err
tap.ok(beside(function()
    err = tap.raises("ssh.exit", function() host:run({ "true", "x" }, { read = true, env = { LONG = ("v"):rep(200000) } }) end,
        "an environment that the host's kernel does not take")
end), "leaves others alone")
err = tap.raises("ssh.exit", function() host:run({ "/bin/echo", ("x"):rep(140000) }, { read = true }) end,
    "an argument that the host's kernel does not take")
tap.like(err.hint, "131,071", "names its limit")
tap.like(err.hint, "stdin", "and the way around it")
tap.is(host:run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true }).stdout, by, "all that on one connection")
tap.done()
