#!tests/lib/with-sshd build/lua-test
-- Files of any size to and fro, forwarded ports, and commands whose end nobody tells; each fault made for real.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local function shell(script, ...)
    return sh.run({ "sh", "-c", script, "sh", ... }).stdout
end
local function options(more)
    local all = { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" }
    for name, value in pairs(more or {}) do
        all[name] = value
    end
    return all
end
local big = shell("mktemp -d"):gsub("\n", "") -- on a disk
local function file(name)
    return big .. "/" .. name
end
local function names()
    return (shell("cd \"$1\"; ls -A | tr '\\n' ' '", big))
end
--- The most memory that this process has had, in MiB.
local function peak()
    return tonumber(shell("grep VmHWM /proc/$(($(ps -o ppid= $PPID)))/status"):match "%d+") / 1024
end
--- Waits until a copy to this name is on its way.
local function until_moving(name)
    wait_until("a copy to begin", { timeout = 20, interval = 0.01 },
        function() return shell("find \"$1\" -name \"*$2.*\" -size +1M", big, name) ~= "" end)
end

local function is_open(port)
    return sh.run({ "bash", "-c", ": < /dev/tcp/127.0.0.1/" .. port }, { check = false }).status == 0
end
local function until_open(port)
    wait_until("port " .. port, { timeout = 20, interval = 0.02 }, function() return is_open(port) end)
end

local host = ssh.connect("root@127.0.0.1", options())
local tester = ssh.connect("tester@127.0.0.1", options())

local function run()
    -- ---- large and small ----

    shell("head -c 314572800 /dev/urandom > \"$1\"", file "from")
    local before = peak()
    host:upload(file "from", file "up", { mode = "0640", owner = "tester", group = "other" })
    tap.is(shell("cmp \"$1\" \"$2\" && stat -c '%a %U %G' \"$2\"", file "from", file "up"), "640 tester other\n",
        "300 MB go up, to a mode, an owner and a group")
    host:upload(file "from", file "up")
    tap.is(shell("stat -c '%a %U %G' \"$1\"", file "up"), "640 tester other\n", "which stay when it is replaced")
    host:download(file "up", file "down", { mode = "0600" })
    tap.is(shell("cmp \"$1\" \"$2\" && stat -c %a \"$2\"", file "from", file "down"), "600\n", "and down")
    local sanitized = shell "grep -c libasan /proc/$PPID/maps || true" ~= "0\n" -- which keeps what is freed
    tap.ok(sanitized or peak() - before < 24, "in bounded memory", ("%.1f MiB more"):format(peak() - before))
    tap.is(names(), "down from up ", "and nothing else is there")

    shell(": > \"$1\"; ln -s new \"$2\"", file "empty", file "link")
    host:upload(file "empty", file "link")
    tap.is(shell("stat -c '%F %s %a' \"$1\"", file "new"), "regular empty file 0 644\n", "an empty file, through a link")
    host:download(file "link", file "empty2")
    tap.is(shell("stat -c '%s' \"$1\"", file "empty2"), "0\n", "and back")
    host:download("/proc/version", file "version")
    tap.is(shell("cat \"$1\"", file "version"), shell "cat /proc/version", "a file that does not say its size")
    local odd = file "it's $(a) name\n"
    host:upload(file "version", odd)
    tap.is(host:read(odd), shell "cat /proc/version", "an odd name")
    tester:upload(file "version", "relative")
    tap.is(shell("stat -c '%U' \"$1\"", home .. "/tester/relative"), "tester\n", "a name in the user's home")
    host:as("tester"):upload(file "version", home .. "/tester/acting")
    tap.is(shell("stat -c '%U' \"$1\"", home .. "/tester/acting"), "tester\n", "as another user")
    host:as("tester"):download(home .. "/tester/acting", file "acting")
    tap.is(shell("cmp \"$1\" \"$2\"", file "version", file "acting"), "", "both ways")

    local copies = {}
    for number = 1, 8 do
        copies[number] = function() host:upload(file "version", file("copy" .. number)) end
    end
    parallel(copies)
    tap.is(shell("cat \"$1\"/copy* | wc -l; rm \"$1\"/copy*", big), "8\n", "eight at once on one connection")

    -- ---- what cannot be ----

    local function refused(fn, reason, name)
        local err = tap.raises("ssh.file", fn, name)
        tap.is(err.reason, reason, "  and says so")
        return err
    end
    refused(function() host:upload(file "nothing", file "x") end, "No such file or directory", "a file that is not here")
    refused(function() host:upload(big, file "x") end, "Is a directory", "a directory here")
    refused(function() host:upload(file "version", big) end, "Is a directory", "a directory there")
    refused(function() host:upload(file "version", file "no/x") end, "No such file or directory", "no directory there")
    local err = refused(function() tester:upload(file "version", "/etc/x") end, "Permission denied", "no permission")
    tap.is(err.hint, 'another user may: host:as("root")', "  with a hint")
    err = tap.raises("ssh.file", function() host:upload(file "version", file "x", { owner = "no-such-user" }) end,
        "an owner who does not exist")
    tap.like(err.message, "no such user", "  is named")
    refused(function() host:download(file "nothing", file "x") end, "No such file or directory", "a file not there")
    refused(function() host:download(big, file "x") end, "Is a directory", "a directory there")
    shell("mkfifo \"$1\"", file "fifo")
    refused(function() host:download(file "fifo", file "x") end, "it is no regular file", "a FIFO")
    refused(function() host:upload(file "version", file "fifo") end, "it is no regular file", "nor over one")
    refused(function() tester:download("/etc/shadow", file "x") end, "Permission denied", "no permission to read")
    refused(function() host:download(file "version", file "no/x") end, "No such file or directory", "no directory here")
    refused(function() host:download(file "from", file "x", { limit = 1000 }) end, "it is larger than the limit",
        "more than is wanted")

    -- ---- a full disk ----

    local small = home .. "/small"
    shell("echo kept > \"$1/kept\"", small)
    err = refused(function() host:upload(file "from", small .. "/kept") end, "No space left on device",
        "a full disk there")
    tap.like(err.hint, "df %-h", "  with a hint")
    refused(function() host:download(file "from", small .. "/kept") end, "No space left on device", "a full disk here")
    tap.is(shell("cd \"$1\"; ls -A; cat kept", small), "kept\nkept\n", "the old file stays, and nothing else")

    -- ---- stopped midway ----

    shell("rm -f \"$1\"/[!f]* \"$1\"/fifo", big)
    tap.raises("timeout", function() timeout(0.2, function() host:upload(file "from", file "up") end) end,
        "an upload out of time")
    tap.raises("timeout", function() timeout(0.2, function() host:download(file "from", file "down") end) end,
        "a download out of time")
    tap.is(names(), "from ", "leave nothing")
    tap.is(host:run({ "echo", "there" }, { read = true }).stdout, "there\n", "and the connection is as before")

    shell("cp \"$1\" \"$2\"", file "from", file "shrinks")
    parallel {
        function()
            refused(function() host:upload(file "shrinks", file "up") end, "it changed while it was read",
                "a file that shrinks on its way up")
        end,
        function() until_moving "up" shell("truncate -s 1000 \"$1\"", file "shrinks") end,
    }
    shell("cp \"$1\" \"$2\"", file "from", file "shrinks")
    parallel {
        function()
            refused(function() host:download(file "shrinks", file "down") end, "it changed while it was read",
                "and on its way down")
        end,
        function() until_moving "down" shell("truncate -s 1000 \"$1\"", file "shrinks") end,
    }
    shell("rm \"$1\"", file "shrinks")
    tap.is(names(), "from ", "leave nothing")

    local function server_of(one)
        return one:run({ "sh", "-c", "echo $PPID" }, { read = true }).stdout:match "%d+"
    end
    local pid = server_of(host)
    parallel {
        function()
            err = tap.raises("ssh.closed", function() host:upload(file "from", file "up") end,
                "the server's process is killed during an upload")
        end,
        function() until_moving "up" shell("kill -9 $1", pid) end,
    }
    tap.is(names(), err.temporary:match "[^/]+$" .. " from ", "what may be left is named")
    tap.like(err.hint, "may be left on the host: .*/%.up%.", "  in the hint")
    host:remove(err.temporary)
    pid = server_of(host)
    parallel {
        function()
            tap.raises("ssh.closed", function() host:download(file "from", file "down") end, "and during a download")
        end,
        function() until_moving "down" shell("kill -9 $1", pid) end,
    }
    tap.is(names(), "from ", "which leaves nothing")

    -- ---- ports ----

    shell([[cat > "$1" <<'END'
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 4000), backlog=50)
def serve(one):  # echoes, and after the client's last byte says how many there were
    total = 0
    while data := one.recv(65536):
        total += len(data)
        one.sendall(data)
    one.sendall(b"%d\n" % total)
    one.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
setsid python3 "$1" > "$1.log" 2>&1 < /dev/null &]], file "echo")
    shell([[cat > "$1" <<'END'
import hashlib, os, socket, sys, threading
size, sent, got = int(sys.argv[2]), os.urandom(int(sys.argv[2])), b""
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    one.sendall(sent)
    one.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
while data := one.recv(65536):
    got += data
print("same" if got == sent + b"%d\n" % size else "%d bytes of %d" % (len(got), size))
END]], file "client")
    shell([[cat > "$1" <<'END'
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.sendall(b"x")
one.recv(1)
open(sys.argv[2], "w").close()
print("more" if one.recv(1) else "ended")
END]], file "waiter")
    until_open(4000)
    local function talk(forward, size)
        return sh.run({ "python3", file "client", forward.port, size }, { check = false, timeout = 60 }).stdout
    end
    local forward = host:forward("127.0.0.1", 4000)
    tap.is(forward.address, "127.0.0.1", "a forwarded port is for this machine alone")
    tap.is(talk(forward, 10 * 1024 * 1024), "same\n", "10 MB each way, the end of one way before that of the other")
    local said = parallel {
        function() return talk(forward, 3000000) end,
        function() return talk(forward, 1) end,
        function() return talk(forward, 0) end,
        function() return talk(forward, 2000000) end,
        function() return talk(forward, 100000) end,
    }
    tap.is(table.concat(said), ("same\n"):rep(5), "several connections at once")
    tap.is(forward:problem(), nil, "without a problem")
    local nowhere = host:forward("127.0.0.1", 4001)
    tap.is(talk(nowhere, 0), "0 bytes of 0\n", "where nobody listens the connection is closed")
    tap.like(nowhere:problem(), "cannot reach 127.0.0.1 port 4001", "and the reason is known")
    tap.raises("ssh.forward", function() host:forward("127.0.0.1", 4000, { port = 4000 }) end, "a port that is taken")
    forward:close()
    forward:close()
    tap.ok(not is_open(forward.port), "a closed one is closed")
    local inside
    tap.raises("mine", function()
        host:forward("127.0.0.1", 4000, {}, function(one)
            inside = one
            tap.ok(is_open(one.port), "one that is open for a while")
            fail("stop", { code = "mine" })
        end)
    end, "is closed when what it was opened for fails")
    tap.ok(not is_open(inside.port), "indeed")
    pid = server_of(host)
    forward = host:forward("127.0.0.1", 4000)
    parallel {
        function()
            tap.is(sh.run({ "python3", file "waiter", forward.port, file "connected" }, { timeout = 30 }).stdout, "ended\n",
                "a server that is killed ends its connections")
        end,
        function()
            wait_until("the connection", { timeout = 20, interval = 0.01 },
                function() return shell("ls \"$1\"", big):find "connected" end)
            shell("kill -9 $1", pid)
        end,
    }

    -- ---- how a command ended ----

    local function server(name, port, edit, more)
        shell([[sed -e "/^ListenAddress/d; /^PidFile/d; $3" "$1/sshd_config" > "$1/$2_config"
            echo "ListenAddress 127.0.0.1:$4" >> "$1/$2_config"
            echo "PidFile $1/$2.pid" >> "$1/$2_config"
            echo "$5" >> "$1/$2_config"
            echo "[127.0.0.1]:$4 $(cut -d' ' -f1,2 "$1/host_ed25519.pub")" >> "$1/known_hosts"
            /usr/sbin/sshd -f "$1/$2_config" -E "$1/$2.log"]], home, name, edit, port, more)
        until_open(port)
        return ssh.connect("root@127.0.0.1:" .. port, options())
    end
    local strict = server("strict", 2401, "", "ChannelTimeout session:*=1")
    tap.is(strict:run({ "true" }, { read = true }).status, 0, "a command's success")
    err = tap.raises("ssh.closed", function()
        strict:run({ "sh", "-c", "echo begun; sleep 20" }, { read = true })
    end, "a channel that is closed without a status is no success")
    tap.like(err.message, "without telling how the command ended", "as is told")
    tap.is(err.stdout, "begun\n", "with what was said")
    tap.is(strict:run({ "sh", "-c", "exit 7" }, { read = true, check = false }).status, 7,
        "and the connection goes on")
    err = tap.raises("ssh.signal", function() host:run({ "sh", "-c", "kill -9 $$" }, { read = true }) end,
        "a command that is killed")
    tap.is(err.signal, "KILL", "by a signal")
    tap.raises("ssh.closed", function()
        host:run({ "sh", "-c", "kill -9 $PPID; sleep 20" }, { read = true })
    end, "a server that is killed")
    local codes = {}
    each({ 0, 1, 2, 3, 4, 5, 6, 7 }, { parallel = 8 }, function(number)
        local script = "exit " .. math.max(0, number - 4)
        local status = host:run({ "sh", "-c", script }, { read = true, check = false }).status
        codes[#codes + 1] = status
    end)
    table.sort(codes)
    tap.is(codes, { 0, 0, 0, 0, 0, 1, 2, 3 }, "many at once, each with its own status")

    -- ---- no SFTP ----

    local bare = server("bare", 2402, "/^Subsystem/d", "")
    shell("head -c 3000000 /dev/urandom > \"$1\"", file "some")
    bare:upload(file "some", file "up", { mode = "0600" })
    bare:download(file "up", file "down")
    tap.is(shell("cmp \"$1\" \"$2\" && cmp \"$1\" \"$3\" && stat -c %a \"$2\"", file "some", file "up", file "down"),
        "600\n", "a host without SFTP")
end

local ok, err = pcall(run)
shell("rm -rf \"$1\"", big)
if not ok then
    error(err, 0)
end
tap.done()
