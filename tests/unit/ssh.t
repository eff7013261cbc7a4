#!tests/lib/with-sshd build/lua-test
-- Connecting and running commands, against real servers.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local function file(name)
    return home .. "/" .. name
end
local function options(more)
    local all = { known_hosts = file "known_hosts", identity = file "id_ed25519" }
    for name, value in pairs(more or {}) do
        all[name] = value ~= json.null and value or nil
    end
    return all
end
local function root(more)
    return ssh.connect("root@127.0.0.1", options(more))
end

sh.run({ "sh", "-c", 'cat > "$HOME/.ssh/config"' }, { stdin = ([[
Host elsewhere
    HostName 127.0.0.1
    User tester
    IdentityFile %s
    UserKnownHostsFile %s
Host b?hind !beyond
    HostName web2
    User root
    IdentityFile %s
    UserKnownHostsFile %s
    ProxyJump elsewhere
Host strange
    ProxyCommand nc %%h %%p
]]):format(file "id_ecdsa", file "known_hosts", file "id_ecdsa", file "known_hosts") })

local host = root()

-- ---- commands ----

local result = host:run({ "sh", "-c", "echo out; echo err >&2" }, { read = true })
tap.is(result, { status = 0, stdout = "out\n", stderr = "err\n" }, "a command's status and both streams")
local odd = { "a b", "", "'", '"', "$HOME", "*", "a\nb", "\\", "~", "-n", ";", "é", "`id`", "A=b" }
result = host:run({ "printf", "%s\\0", unpack(odd) }, { read = true })
tap.is(result.stdout, table.concat(odd, "\0") .. "\0", "arguments arrive as they are")
tap.is(host:run({ "printf", "%s", 12, 1.5 }, { read = true }).stdout, "121.5", "numbers are arguments too")
tap.is(host:run({ "cat" }, { read = true }).stdout, "", "without stdin a command reads nothing")
local bytes = {}
for code = 0, 255 do
    bytes[#bytes + 1] = string.char(code)
end
local binary = table.concat(bytes):rep(64)
tap.ok(host:run({ "cat" }, { read = true, stdin = binary }).stdout == binary, "binary input and output")
local visible = binary:gsub("%z", "")
tap.ok(host:run({ "sh", "-c", 'printf %s "$VALUE"' }, { read = true, env = { VALUE = visible } }).stdout == visible,
    "any bytes in the environment")
tap.is(host:run({ "sh", "-c", "printf %s $VALUE; pwd; cat" }, {
    read = true, env = { VALUE = secret.wrap "hush-hush" }, cwd = "/usr/share", stdin = secret.wrap "also hushed",
}).stdout, "hush-hush/usr/share\nalso hushed", "a secret in the environment and on stdin, and a directory")
tap.is(host:run({ "sh", "-c", "cat /proc/*/cmdline" }, { read = true, env = { VALUE = secret.wrap "hush-hush" } })
    .stdout:find("hush-hush", 1, true), nil, "a secret is in no argument")

local err = tap.raises("ssh.exit", function() host:run({ "sh", "-c", "echo why >&2; exit 7" }, { read = true }) end,
    "a status that is not 0 raises")
tap.is({ err.status, err.stderr }, { 7, "why\n" }, "with the status and what it said")
tap.like(err.message, "`sh %-c .*` ended with status 7", "and the command in the message")
tap.is(host:run({ "false" }, { read = true, check = false }).status, 1, "check = false returns the status")
local nothing, refused = host:try({ "false" }, { read = true })
tap.is({ nothing, refused.code }, { nil, "ssh.exit" }, "try returns the error")
err = tap.raises("ssh.signal", function() host:run({ "sh", "-c", "kill -KILL $$" }, { read = true }) end,
    "a command that a signal ends")
tap.is(err.signal, "KILL", "with the signal's name")
err = tap.raises("ssh.secret", function() host:run({ "echo", secret.wrap "hush-hush" }) end, "a secret argument raises")
tap.like(err.hint, "stdin", "and says how to pass it")
tap.is(host:run({ "printf", "%s", secret.wrap "it's\nhushed" }, { read = true, allow_secret_argv = true }).stdout,
    "it's\nhushed", "unless the tool takes it only so")
tap.raises("usage", function() host:run "ls" end, "a command is a list")
tap.raises("usage", function() host:run({ "ls" }, { sudo = true }) end, "unknown options are named")
tap.raises("usage", function() host:run({ "ls" }, { env = { ["A B"] = "c" } }) end, "a variable's name is checked")
local started = now()
err = tap.raises("timeout", function()
    host:run({ "sh", "-c", "echo begun; sleep 100" }, { read = true, timeout = 0.3 })
end, "a command that takes too long")
tap.is({ err.stdout, now() - started < 60 }, { "begun\n", true }, "says what it had said, at once")

tap.is(host:run({ "command", "-v", "sh" }, { read = true }).stdout, "/usr/bin/sh\n", "what only a shell can run")
tap.is(host:run({ "[", "a b", "=", "a b", "]" }, { read = true }).status, 0, "and what it runs by itself")
err = tap.raises("ssh.exit", function() host:run({ "no-such-program" }, { read = true }) end,
    "a program that is not there")
tap.is(err.status, 127, "is status 127")

-- ---- scripts ----

result = host:sh([[
first=$1
cat
echo "$first $# $0"
exit 0
]], { read = true, args = { "a b", "c" }, stdin = "input " })
tap.is(result.stdout, "input a b 2 sh\n", "a script with arguments and input")
err = tap.raises("ssh.exit", function() host:sh("exit 3", { read = true }) end, "a script's status")
tap.is(err.status, 3, "is the command's")

-- ---- output ----

result = host:sh([[
head -c 1000000 /dev/zero | tr '\0' x &
head -c 1000000 /dev/zero | tr '\0' y >&2
wait
]], { read = true })
tap.ok(result.stdout == ("x"):rep(1000000) and result.stderr == ("y"):rep(1000000), "1 MB on both streams at once")
err = tap.raises("ssh.output", function() host:run({ "head", "-c", "100000000", "/dev/zero" }, { read = true }) end,
    "100 MB of output")
tap.ok(#err.stdout <= 4096 and err.hint, "keeps little of it and says what to do")
tap.is(host:run({ "echo", "still here" }, { read = true }).stdout, "still here\n", "and the connection goes on")
tap.raises("ssh.output", function() host:run({ "echo", "12345" }, { read = true, limit = 3 }) end,
    "a limit of one's own")

-- ---- sharing ----

local outputs, count = {}, 0
local names = {}
for number = 1, 30 do
    names[number] = tostring(number)
end
each(names, { parallel = 30 }, function(name)
    outputs[name] = root():run({ "sh", "-c", "sleep 0.0$1; echo $1", "sh", name }, { read = true }).stdout
end)
for name, output in pairs(outputs) do
    count = count + (output == name .. "\n" and 1 or 0)
end
tap.is(count, 30, "30 tasks share a connection that takes 10 commands at once")
result = host:run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true })
tap.is(result.stdout, root():run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true }).stdout,
    "it is the same connection")
local big = ("z"):rep(3000000)
parallel {
    function() tap.ok(host:run({ "cat" }, { read = true, stdin = big }).stdout == big, "3 MB through cat") end,
    function() tap.ok(host:run({ "cat" }, { read = true, stdin = big }).stdout == big, "and again beside it") end,
}
local _, cancelled = try(timeout, 0.2, function() host:run({ "sleep", "60" }, { read = true }) end)
tap.is(cancelled.code, "timeout", "a deadline ends a command")
tap.is(host:run({ "echo", "fine" }, { read = true }).stdout, "fine\n", "and leaves the connection usable")

-- ---- other users ----

local tester = host:as "tester"
tap.is(tester:run({ "sh", "-c", "id -un; echo $HOME $USER; pwd" }, { read = true }).stdout,
    ("tester\n%s tester\n%s\n"):format(file "tester", file "tester"), "root as another user, in their home")
tap.is(tester:run({ "sh", "-c", "printf '%s ' $A; pwd; cat" }, {
    read = true, cwd = "/tmp", env = { A = "b" }, stdin = "c",
}).stdout, "b /tmp\nc", "with environment, directory and input")
local login = ssh.connect("tester@web1", options())
tap.is(login:as "other":run({ "id", "-un" }, { read = true }).stdout, "other\n", "by sudo when root did not log in")
err = tap.raises("ssh.exit", function() login:as "root":run({ "id" }, { read = true }) end, "sudo that would ask")
tap.like(err.stderr, "password", "says so")
tap.is(tostring(tester), "tester@root@127.0.0.1", "a host shows who it is used as")

-- ---- keys ----

local function whoami(more)
    return ssh.connect("tester@127.0.0.1", options(more)):run({ "id", "-un" }, { read = true }).stdout
end
for _, name in ipairs { "id_ed25519", "id_ecdsa", "id_rsa", "id_pem" } do
    tap.is(whoami { identity = file(name), address = "127.0.0.1" }, "tester\n", "logs in with the file " .. name)
end
tap.is(whoami { identity = json.null }, "tester\n", "logs in with the agent's RSA key")
tap.is(#ssh.agent_keys(), 1, "the agent's keys")
tap.is(ssh.agent_keys()[1].type, "RSA", "and their types")
err = tap.raises("ssh.auth", function() whoami { identity = file "id_stranger" } end, "a key that the host refuses")
tap.like(err.message, "ED25519 '.*id_stranger' SHA256:", "names the key")
tap.is(err.user, "tester", "and the user")
err = tap.raises("ssh.auth", function() whoami { identity = file "id_locked" } end, "a key file with a passphrase")
tap.like(err.message, "passphrase: add it to the agent", "says what to do")
err = tap.raises("ssh.auth", function() whoami { identity = file "nothing" } end, "a key file that is not there")
tap.like(err.message, "does not exist", "says so")
err = tap.raises("ssh.auth", function() whoami { identity = file "no_key" } end, "a file that holds no key")
tap.like(err.message, "holds no private key", "says so too")

-- ---- going through another host ----

local inner = ssh.connect("root@web2", options { jump = "tester@127.0.0.1" })
tap.like(inner:run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true }).stdout, "127.0.1.2 22",
    "through a jump host")
tap.ok(inner:run({ "cat" }, { read = true, stdin = big }).stdout == big, "with 3 MB to and fro")
local deeper = ssh.connect("root@web3", options { jump = "tester@127.0.0.1,tester@web1" })
tap.is(deeper:run({ "id", "-un" }, { read = true }).stdout, "root\n", "through two")
tap.is(ssh.connect("root@localhost", options { jump = inner }):run({ "id", "-un" }, { read = true }).stdout, "root\n",
    "through a host that is connected")
err = tap.raises("ssh.unreachable", function()
    ssh.connect("root@127.0.0.1:1", options { jump = "tester@127.0.0.1" })
end, "a jump host that cannot reach the target")
tap.like(err.message, "tester@127.0.0.1 cannot reach", "is named")
tap.raises("ssh.refused", function() ssh.connect("root@web1", options { jump = "tester@127.0.0.1:1" }) end,
    "a jump host that is down")

-- ---- OpenSSH's configuration ----

tap.is(ssh.connect "elsewhere":run({ "id", "-un" }, { read = true }).stdout, "tester\n",
    "an alias with user, key and address")
tap.is(ssh.connect "behind":run({ "id", "-un" }, { read = true }).stdout, "root\n",
    "an alias with ProxyJump, itself an alias")
tap.raises("ssh.config", function() ssh.connect "strange" end, "ProxyCommand is refused, with a hint")

tap.raises("usage", function() ssh.connect("host", { host_key = "no" }) end, "host keys cannot be ignored")
tap.raises("usage", function() ssh.connect "a b" end, "a host's name is checked")
tap.raises("usage", function() ssh.connect "-oProxyCommand=x" end, "and never an option of ssh")
tap.done()
