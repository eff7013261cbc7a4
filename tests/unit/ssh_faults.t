#!tests/lib/with-sshd build/lua-test
-- Hosts that are down, strange, changed or cut off: each fault made for real, and what a person is told.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local function file(name)
    return home .. "/" .. name
end
local function options(more)
    local all = { known_hosts = file "known_hosts", identity = file "id_ed25519" }
    for name, value in pairs(more or {}) do
        all[name] = value
    end
    return all
end
local function shell(script, ...)
    return sh.run({ "sh", "-c", script, "sh", ... }).stdout
end
local function refusal(code, target, more, name)
    return tap.raises(code, function() ssh.connect(target, options(more)) end, name)
end

-- ---- not there, or not an SSH server ----

local err = refusal("ssh.refused", "127.0.0.1:1", nil, "nobody listens")
tap.like(err.message, "port 1: Connection refused", "the message names the port")
tap.ok(err.hint, "and there is a hint")
err = refusal("ssh.unreachable", "198.51.100.1", { timeout = 1 }, "no way to the host")
tap.like(err.message, "unreachable", "says so")
err = refusal("ssh.resolve", "no-such-host.invalid", { timeout = 5 }, "a name that does not exist")
tap.like(err.message, "no%-such%-host%.invalid", "is named")
local started = now()
err = refusal("ssh.timeout", "127.0.0.1:2301", { timeout = 0.5 }, "a server that never says a word")
tap.like(err.message, "sent no SSH banner within 0.5 s", "in the message")
tap.ok(now() - started < 5, "after the time given")
err = refusal("ssh.protocol", "127.0.0.1:2302", { timeout = 0.5 }, "a web server")
tap.like(err.message, 'not an SSH server: it says "HTTP/1.1 400', "is told by what it says")
refusal("ssh.closed", "127.0.0.1:2303", nil, "a server that closes at once")
err = refusal("ssh.closed", "127.0.0.1:2304", nil, "a server that closes during the handshake")
tap.like(err.message, "during the handshake", "in the message")
refusal("ssh.protocol", "127.0.0.1:2305", { timeout = 0.5 }, "a server that talks without end")
started = now()
local _, cut = try(timeout, 0.3, ssh.connect, "127.0.0.1:2301", options())
tap.is({ cut.code, now() - started < 3 }, { "timeout", true }, "a deadline ends connecting")

-- ---- host keys ----

local function known(name, content)
    shell('cat "$2"/host_ed25519.pub >/dev/null; printf "%s" "$1" > "$3"', content, home, file(name))
    return file(name)
end
local function key_of(name)
    return shell("cut -d' ' -f1,2 \"$1\"", file(name)):gsub("\n", "")
end
local right, wrong, ecdsa = key_of "host_ed25519.pub", key_of "host2_ed25519.pub", key_of "host_ecdsa.pub"
local function connects(target, content, name, more)
    more = more or {}
    more.known_hosts = known("lines", content)
    local ok, problem = pcall(function() return ssh.connect(target, options(more)):run({ "true" }, { read = true }) end)
    tap.ok(ok, name, tostring(problem))
end

err = refusal("ssh.host_key_unknown", "127.0.0.1:2222", nil, "a host that known_hosts does not know")
local print = shell("ssh-keygen -lf \"$1\" | cut -d' ' -f2", file "host2_ed25519.pub"):gsub("\n", "")
tap.is(err.fingerprint, print, "with the fingerprint as ssh-keygen shows it")
tap.like(err.message, "ED25519 key SHA256:", "and the key's type")

err = refusal("ssh.host_key_changed", "127.0.0.1",
    { known_hosts = known("lines", "# one\n127.0.0.1 " .. wrong .. "\n") }, "a host whose key changed")
tap.like(err.message, "lines:2 has SHA256:", "names file and line")
tap.is({ err.known_hosts_line, err.known_fingerprint }, { "2", print }, "and the key it had")
tap.like(err.hint, "hostler run trust%-host", "and the playbook that explains")
refusal("ssh.host_key_changed", "127.0.0.1", { known_hosts = file "lines", host_key = "accept-new" },
    "accept-new refuses a changed key as well")

connects("tester@127.0.0.1", "other,127.0.0.1,web9 " .. right .. " a comment\n", "a list of names")
connects("tester@127.0.0.1", "127.0.?.* " .. right .. "\r\n", "wildcards")
connects("tester@127.0.0.1", "127.0.0.1 " .. ecdsa .. "\n", "the type of key that is known is asked for")
connects("tester@web1", "WEB1 " .. right, "a name in capitals, and no newline at the end")
connects("tester@web2", "web2 " .. wrong .. "\nweb2 " .. right .. "\n", "one of several keys of a type")
connects("tester@web3", "web3 " .. right .. "\n", "another address under the target's name", { address = "127.0.0.1" })
refusal("ssh.host_key_unknown", "127.0.0.1", { known_hosts = known("lines", "!127.0.0.1,127.* " .. right .. "\n") },
    "a name that is left out")
err = refusal("ssh.host_key_revoked", "127.0.0.1",
    { known_hosts = known("lines", "127.0.0.1 " .. right .. "\n@revoked * " .. right .. "\n") }, "a revoked key")
tap.like(err.message, "lines:2 revokes", "names its line")
err = refusal("ssh.host_key_unknown", "127.0.0.1",
    { known_hosts = known("lines", "@cert-authority * " .. wrong .. "\n") }, "an authority's line is no host key")
tap.like(err.hint, "authority", "and is mentioned")

local hashed = known("hashed", "web1 " .. right .. "\n[127.0.0.1]:2222 " .. wrong .. "\n")
shell("ssh-keygen -q -H -f \"$1\" 2>/dev/null; grep -q '^|1|' \"$1\"", hashed)
for _, target in ipairs { "tester@web1", "tester@127.0.0.1:2222" } do
    tap.is(ssh.connect(target, options { known_hosts = hashed }):run({ "true" }, { read = true }).status, 0,
        "a hashed name: " .. target)
end
refusal("ssh.host_key_unknown", "web2", { known_hosts = hashed }, "another hashed name")

local new = file "made/known_hosts"
tap.is(ssh.connect("tester@127.0.0.1:2222", options { known_hosts = new, host_key = "accept-new" }):run({ "true" },
    { read = true }).status, 0, "accept-new takes the key of a host that is new")
tap.is(shell("sed 's/ added 20[0-9TZ:-]* by hostler$//' \"$1\"", new), "[127.0.0.1]:2222 " .. wrong .. "\n",
    "and writes it down, with the time")
tap.is(shell("stat -c %a \"$1\" \"$1/known_hosts\"", file "made"), "700\n600\n", "for nobody else to read")
tap.is(ssh.connect("other@127.0.0.1:2222", options { known_hosts = new }):run({ "true" }, { read = true }).status, 0,
    "so that it is known from then on")

-- ---- forgetting ----

local lines = known("lines", ("web1,Other %s one\n# two\nweb1 %s\n127.* %s\nweb1x %s\n")
    :format(right, wrong, right, right))
shell("ssh-keygen -q -H -f \"$1\" 2>/dev/null; cat \"$1\" >> \"$2\"", known("hash", "web1 " .. ecdsa .. "\n"), lines)
local found = ssh.known_keys("web1", { known_hosts = lines })
tap.is({ #found, found[1].line, found[2].fingerprint }, { 3, 1, print }, "the lines of a host")
tap.is(ssh.forget("web1", { known_hosts = { lines, hashed } }), 4, "are forgotten")
tap.is(shell("cat \"$1\"", lines), ("Other %s one\n# two\n127.* %s\nweb1x %s\n"):format(right, right, right),
    "and the others stay")
tap.is(ssh.known_keys("web1", { known_hosts = { lines, hashed } }), {}, "so that nothing is known any more")
tap.ok(shell("cat \"$1.old\"", lines):find("web1,Other", 1, true), "a copy is kept")
tap.is(ssh.forget("web1", { known_hosts = lines }), 0, "what is not there is fine")

-- ---- logging in ----

err = refusal("ssh.auth", "nobody-here@127.0.0.1", nil, "a user who does not exist")
tap.like(err.message, "'nobody%-here'", "is named")
local runner = shell('readlink "/proc/$PPID/exe"'):gsub("\n", "")
local function with_agent(path, name, pattern)
    local script = 'local ssh = require "ssh"\n'
        .. 'local _, err = try(ssh.connect, "tester@127.0.0.1", { known_hosts = env "SSHD" .. "/known_hosts" })\n'
        .. 'say(err and err.code .. "|" .. err.message .. "|" .. tostring(err.hint) or "connected")\n'
    shell('printf "%s" "$1" > "$2"', script, file "agent.lua")
    local said = sh.run({ runner, file "agent.lua" }, { env = { SSH_AUTH_SOCK = path } }).stdout
    tap.like(said, pattern, name)
end
with_agent(file "agent", "an agent with a key", "^connected")
with_agent(false, "no agent", "^ssh%.auth|.*SSH_AUTH_SOCK is not set.*|start an agent")
with_agent(file "empty-agent", "an agent without keys", "^ssh%.auth|.*has no keys; it takes: publickey,.*|add your key: ssh%-add")
with_agent(file "gone", "an agent that is gone", "^ssh%.auth|.*does not answer: No such file.*|start the agent again")
shell('SSH_AUTH_SOCK="$1/empty-agent" ssh-add -q "$1/id_stranger"', home)
with_agent(file "empty-agent", "an agent whose key is refused",
    "^ssh%.auth|.*refused every key for 'tester': ED25519 'a stranger' SHA256:.*|put one of these keys")
shell([[
cd "$1"
for n in 1 2 3 4; do
    ssh-keygen -q -t ed25519 -N '' -C "extra $n" -f "extra$n"
    SSH_AUTH_SOCK="$1/empty-agent" ssh-add -q "extra$n"
done]], home)
shell('cat "$1" >> "$2"', hashed, file "known_hosts")
local many = 'local ssh = require "ssh"\n'
    .. 'local _, err = try(ssh.connect, "tester@127.0.0.1:2222", { known_hosts = env "SSHD" .. "/known_hosts" })\n'
    .. 'say(err.code .. "|" .. err.message .. "|" .. err.hint)\n'
shell('printf "%s" "$1" > "$2"', many, file "agent.lua")
tap.like(sh.run({ runner, file "agent.lua" }, { env = { SSH_AUTH_SOCK = file "empty-agent" } }).stdout,
    "^ssh%.auth|.*|too many keys", "more keys than the server looks at")

-- ---- cut off ----

local host = ssh.connect("root@127.0.0.1", options())
err = tap.raises("ssh.closed", function()
    host:run({ "sh", "-c", "echo before; sleep 0.1; kill $1; sleep 30", "sh", host:run({ "sh", "-c", "echo $PPID" },
        { read = true }).stdout:match "%d+" }, { read = true })
end, "the server's process is killed while a command runs")
tap.is(err.stdout, "before\n", "what it had said is kept")
tap.like(err.message, "sleep 30", "and the command is named")
tap.is(host:run({ "echo", "again" }, { read = true }).stdout, "again\n", "the next command connects anew")
local jump = ssh.connect("tester@web1", options())
local behind = ssh.connect("root@web2", options { jump = jump })
local jump_server = jump:run({ "sh", "-c", "echo $PPID" }, { read = true }).stdout:match "%d+"
parallel {
    function()
        err = tap.raises("ssh.closed", function() behind:run({ "sleep", "30" }, { read = true }) end,
            "the jump host goes while a command runs")
    end,
    function() shell("kill $1", jump_server) end,
}
tap.like(err.message, "tester@web1", "and is named")
local both = { host, ssh.connect("tester@127.0.0.1", options()) }
both[1]:close()
tap.is(both[1]:run({ "echo", "again" }, { read = true }).stdout, "again\n", "and so after it was closed")

local second = ssh.connect("root@127.0.0.1:2222", options { known_hosts = hashed })
local count = 0
each({ "1", "2", "3", "4", "5", "6" }, { parallel = 6 }, function(name)
    local said = second:run({ "sh", "-c", "sleep 0.1; echo $1", "sh", name }, { read = true }).stdout
    count = count + (said == name .. "\n" and 1 or 0)
end)
tap.is(count, 6, "six commands at once where the server allows two")

-- ---- silence ----

local quiet = ssh.connect("root@web2", options { keepalive = 0.2 })
local pid = quiet:run({ "sh", "-c", 'echo "$PPID"' }, { read = true }).stdout:match "%d+"
shell("kill -STOP $1; for p in $(ps -o pid= --ppid $1); do kill -STOP $p; done", pid)
err = tap.raises("ssh.closed", function() quiet:run({ "sleep", "30" }, { read = true }) end, "a host that falls silent")
tap.like(err.message, "has not answered", "is given up")
shell("kill -KILL $1", pid)
tap.done()
