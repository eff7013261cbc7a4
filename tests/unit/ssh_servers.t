#!tests/lib/with-sshd build/lua-test
-- Servers that can do less than OpenSSH's as Debian sets it up: SFTP without its optional requests, one session at a time,
-- no shell.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local function shell(script, ...)
    return sh.run({ "sh", "-c", script, "sh", ... }).stdout
end

shell([[
here=$PWD; cd "$SSHD"; mkdir files
{
    echo "AuthorizedKeysFile $SSHD/authorized_keys
UsePAM no
StrictModes no
HostKey $SSHD/host_ed25519
PidFile $SSHD/less.pid
ListenAddress 127.0.0.1:2401
ListenAddress 127.0.0.1:2402
ListenAddress 127.0.0.1:2403
Subsystem sftp $here/tests/lib/sftp-lacking $SSHD/lacking
Match LocalPort 2402
    ForceCommand internal-sftp
Match LocalPort 2403
    MaxSessions 1"
} > less_config
/usr/sbin/sshd -f "$SSHD/less_config" -E "$SSHD/less_log"
until [ -s less.pid ]; do sleep 0.02; done
]])
local function connect(port, user)
    return ssh.connect((user or "root") .. "@127.0.0.1", { port = port, identity = home .. "/id_ed25519",
        known_hosts = home .. "/known_less", host_key = "accept-new" })
end
local function file(name)
    return home .. "/files/" .. name
end
--- A connection to a server that lacks these; see tests/lib/sftp-lacking.
local function lacking(rules)
    shell("printf %s \"$2\" > \"$1\"", home .. "/lacking", rules)
    return connect(2401)
end
local function look(name)
    return shell("stat -c '%a %U' \"$1\"; cat \"$1\"", file(name))
end
local function names()
    return shell("cd \"$1\" && ls -A | tr '\\n' ' '", home .. "/files")
end
shell("printf new > \"$1\"; head -c 300000 /dev/urandom > \"$2\"", home .. "/from", home .. "/large")

-- ---- SFTP ----

local function run_sftp()
    local whole = lacking ""
    whole:upload(home .. "/from", file "a", { mode = "0640" })
    tap.is(look "a", "640 root\nnew", "a server that lacks nothing gets a file")

    for _, refusal in ipairs { "8 Operation unsupported", "4 Failure", "3 Permission denied" } do
        local host = lacking("fsetstat " .. refusal)
        shell("printf old > \"$1\"; chmod 600 \"$1\"; chown tester \"$1\"", file "a")
        host:upload(home .. "/from", file "a", { mode = "0640" })
        tap.is(look "a", "640 tester\nnew", "without setstat on an open file (" .. refusal .. ")")
        host:upload(home .. "/from", file "a", { mode = "0604", owner = "other" })
        tap.is(look "a", "604 other\nnew", "mode and owner are set by the path")
    end

    local host = lacking "fsetstat 8\nsetstat 8"
    host:upload(home .. "/from", file "b")
    tap.is(look "b", "600 root\nnew", "without any setstat a file comes whole, with the mode that it was made with")
    local err = tap.raises("ssh.file", function() host:upload(home .. "/from", file "b", { mode = "0644" }) end,
        "unless a mode is asked for")
    tap.like(err.message, "cannot do this", "which the server cannot set")
    tap.like(err.hint, "leave the mode out", "and what to do is said")
    tap.is(names(), "a b ", "nothing else is left")

    for _, rules in ipairs { "hide posix-rename@openssh.com", "posix-rename@openssh.com 8",
        "hide posix-rename@openssh.com\nhide fsync@openssh.com\nhide statvfs@openssh.com\nfsync@openssh.com 5" } do
        host = lacking(rules)
        shell("printf old > \"$1\"; chmod 640 \"$1\"; rm -f \"$2\"", file "a", file "c")
        host:upload(home .. "/from", file "c")
        host:upload(home .. "/from", file "a")
        tap.is({ look "a", look "c", names() }, { "640 other\nnew", "644 root\nnew", "a b c " },
            "a server that renames over no file: " .. rules:gsub("\n", ", "))
    end
    -- The old file steps aside, and then the new one may not take its place.
    host = lacking "hide posix-rename@openssh.com"
    shell("printf old > \"$1\"", file "a")
    host = lacking "hide posix-rename@openssh.com\nrename 4 the disk is locked"
    err = tap.raises("ssh.file", function() host:upload(home .. "/from", file "a") end, "one that renames nothing at all")
    tap.like(err.message, "the disk is locked", "says what the server says")
    tap.is({ look "a", names() }, { "640 other\nold", "a b c " }, "and the old file stays")

    host = lacking "realpath 2 No such file"
    host:upload(home .. "/from", file "d")
    tap.is(look "d", "644 root\nnew", "one that cannot resolve paths")
    host = lacking "attributes 0"
    host:upload(home .. "/from", file "d")
    host:download(home .. "/large", home .. "/down")
    tap.is({ look "d", shell("cmp \"$1\" \"$2\"", home .. "/large", home .. "/down") }, { "644 root\nnew", "" },
        "one that tells nothing of files")
    host = lacking "fstat 8"
    host:download(home .. "/large", home .. "/down")
    tap.is(shell("cmp \"$1\" \"$2\"", home .. "/large", home .. "/down"), "", "one that cannot look at an open file")

    host = lacking "hide statvfs@openssh.com"
    err = tap.raises("ssh.file", function() host:upload(home .. "/large", home .. "/small/x") end, "a full disk")
    tap.like(err.message, "the disk may be full", "where the server cannot tell how full it is")
    host = lacking ""
    err = tap.raises("ssh.file", function() host:upload(home .. "/large", home .. "/small/x") end, "a full disk")
    tap.like(err.message, "No space left on device", "where it can")
end
run_sftp()

-- ---- one session at a time ----

local single = connect(2403)
tap.is(#parallel {
    function() return single:run({ "echo", "a" }, { read = true }).stdout end,
    function() return single:run({ "echo", "b" }, { read = true }).stdout end,
}, 2, "two commands take turns")
local begun = now()
local err = tap.raises("timeout", function() single:run({ "sleep", "1000" }, { read = true, timeout = 0.2 }) end,
    "a command that is given up")
tap.like(err.message, "did not end within 0.2 s", "did not end")
err = tap.raises("timeout", function() single:run({ "echo", "b" }, { read = true, timeout = 0.2 }) end,
    "one with a time limit of its own")
tap.like(err.message, "could not begin within 0.2 s.*MaxSessions", "says why it did not even begin")
err = tap.raises("ssh.channel", function() single:run({ "echo", "b" }, { read = true }) end,
    "still has the only session that the server allows")
tap.like(err.message, "no more than 1 at once.*MaxSessions.*given up may still run", "which is said")
tap.like(err.hint, "sshd_config", "with what to do")
tap.ok(now() - begun < 60, "soon")
err = tap.raises("ssh.channel", function() single:upload(home .. "/from", file "e") end, "so does a copy")
tap.like(err.message, "MaxSessions", "for the same reason")
single:close()
tap.is(single:run({ "echo", "b" }, { read = true }).stdout, "b\n", "a new connection is free")
parallel {
    function()
        single:run({ "sh", "-c", "while [ ! -e \"$1\" ]; do sleep 0.05; done", "sh", file "go" }, { read = true })
    end,
    function()
        wait_until("it runs", { timeout = 60, interval = 0.02 },
            function() return shell "pgrep -f 'while .* -e' || true" ~= "" end)
        err = tap.raises("timeout", function() single:run({ "true" }, { read = true, timeout = 0.2 }) end,
            "while another task's command has it")
        tap.like(err.message, "others have", "that is the reason")
        shell("touch \"$1\"", file "go")
    end,
}

-- ---- no shell ----

shell [[
changed=$(sed 's|^\(other:.*:\)[^:]*$|\1/usr/sbin/nologin|' /etc/passwd)
printf '%s\n' "$changed" > /etc/passwd]]
local barred = connect(2401, "other")
for what, call in pairs {
    stat = function() return barred:stat "/etc/passwd" end,
    read = function() return barred:read "/etc/passwd" end,
    list = function() return barred:list "/etc" end,
    tail = function() return barred:tail "/etc/passwd" end,
} do
    err = tap.raises("ssh.shell", call, "host:" .. what .. " where commands are refused")
    tap.like(err.message, "This account is currently not available", "says what the host said")
end
local only_files = connect(2402)
err = tap.raises("ssh.shell", function() only_files:stat "/etc/passwd" end, "host:stat where only SFTP is allowed")
tap.like(err.message, "This service allows sftp connections only", "says so")
only_files:upload(home .. "/from", file "f")
tap.is(look "f", "644 root\nnew", "and files go there")
tap.done()
