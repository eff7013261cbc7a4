#!tests/lib/with-sshd build/lua-test
-- Files of a host, and what of it a dry run shows.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local options = { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" }
local host = ssh.connect("root@127.0.0.1", options)
local tester = host:as "tester"
local function file(name)
    return home .. "/tester/" .. name
end
local function shell(script, ...)
    return sh.run({ "sh", "-c", script, "sh", ... }).stdout
end

-- ---- writing and reading ----

host:write(file "new", "one\n")
tap.is(host:read(file "new"), "one\n", "a new file")
tap.is(shell("stat -c '%a %U' \"$1\"", file "new"), "644 root\n", "is for everybody to read")
host:write(file "new", secret.wrap "sealed words", { mode = "0640", owner = "tester", group = "other" })
tap.is(shell("stat -c '%a %U %G' \"$1\"; cat \"$1\"", file "new"), "640 tester other\nsealed words",
    "with mode, owner and group")
host:write(file "new", "two\n")
tap.is(shell("stat -c '%a %U %G' \"$1\"", file "new"), "640 tester other\n", "which it keeps when written again")
host:write(file "private", secret.wrap "sealed words")
tap.is(host:stat(file "private").mode, tonumber("600", 8), "a secret's new file is for its owner alone")
tester:write(file "own", "mine")
tap.is(shell("stat -c '%U' \"$1\"", file "own"), "tester\n", "another user's file is theirs")
local bytes = {}
for code = 0, 255 do
    bytes[#bytes + 1] = string.char(code)
end
local binary = table.concat(bytes):rep(8192)
host:write(file "it's $(a) name\n", binary)
tap.ok(host:read(file "it's $(a) name\n") == binary, "2 MB of any bytes, under an odd name")
host:write(file "empty", "")
tap.is(host:read(file "empty"), "", "an empty file")
shell("ln -s new \"$1/link\"", home .. "/tester")
host:write(file "link", "through\n")
tap.is(shell("readlink \"$1/link\"; cat \"$1/new\"", home .. "/tester"), "new\nthrough\n", "a link stays one")
tap.is(shell("ls -A \"$1\" | grep -c '^[.]' || true", home .. "/tester"), "0\n", "nothing is left beside the files")

local err = tap.raises("ssh.file", function() host:read(file "missing") end, "a file that is not there")
tap.is(err.reason, "No such file or directory", "says so")
tap.like(err.message, "cannot read .*/missing: No such file", "in the message")
err = tap.raises("ssh.file", function() tester:write("/etc/hosts.new", "x") end, "a place where one may not write")
tap.is({ err.reason, err.hint }, { "Permission denied", 'another user may: host:as("root")' }, "with a hint")
err = tap.raises("ssh.file", function() host:write(home .. "/tester", "x") end, "a directory")
tap.is(err.reason, "Is a directory", "is not overwritten")
tap.raises("ssh.file", function() host:write(home .. "/nowhere/file", "x") end, "a directory that is not there")
tap.raises("ssh.file", function() host:write(file "new", "x", { owner = "nobody-at-all" }) end,
    "an owner that does not exist")
tap.is(host:read(file "new"), "through\n", "leaves the file as it was")

-- ---- a full disk ----

host:write(home .. "/small/kept", "what was there")
err = tap.raises("ssh.file", function() host:write(home .. "/small/kept", ("x"):rep(1000000)) end, "a full disk")
tap.is(err.reason, "No space left on device", "is told")
tap.like(err.hint, "df %-h", "with a hint")
tap.is(host:read(home .. "/small/kept"), "what was there", "the old file is whole")
tap.is(shell("ls -A \"$1\"", home .. "/small"), "kept\n", "and nothing half-made is left")

-- ---- looking ----

local stat = host:stat(file "new")
tap.is({ stat.kind, stat.size, stat.mode, stat.owner, stat.group, stat.uid },
    { "file", 8, tonumber("640", 8), "tester", "other", 60031 }, "what a file is")
tap.ok(math.abs(stat.mtime - now()) < 60, "and when it was written")
tap.is(host:stat(file "missing"), nil, "no file is nil")
tap.is(host:stat(file "new/below"), nil, "nor is one below a file")
tap.is(host:stat(file "link", { follow = false }).kind, "link", "a link itself")
tap.is(host:stat(home).kind, "directory", "a directory")
tap.raises("ssh.file", function() tester:stat "/root/x/y" end, "where one may not look")
host:mkdir(file "made/deep", { mode = "0750", owner = "tester" })
tap.is(host:stat(file "made/deep").mode, tonumber("750", 8), "a directory is made")
host:write(file "made/b", "bb")
host:write(file "made/a\nb", "a")
local names = {}
for _, entry in ipairs(host:list(file "made")) do
    names[#names + 1] = ("%s %s %d"):format(entry.name, entry.kind, entry.kind == "file" and entry.size or 0)
end
tap.is(names, { "a\nb file 1", "b file 2", "deep directory 0" }, "a directory's entries")
host:write(file "log", "1\n2\n3\n4\n")
tap.is(host:tail(file "log", 2), "3\n4\n", "the end of a file")
host:remove(file "log")
host:remove(file "log")
tap.is(host:stat(file "log"), nil, "a file is removed, also when it is gone")
tap.raises("ssh.file", function() host:remove(file "made") end, "a directory is not")
host:remove(file "made", { recursive = true })
tap.is(host:stat(file "made"), nil, "unless asked for")
tap.raises("usage", function() host:remove("/", { recursive = true }) end, "the root never is")

-- ---- to and fro ----

local from, to = home .. "/from", home .. "/to"
shell("head -c 3000000 /dev/urandom > \"$1\"", from)
host:upload(from, file "up", { mode = "0600" })
tap.is(shell("cmp \"$1\" \"$2\" && stat -c %a \"$2\"", from, file "up"), "600\n", "3 MB go up")
host:download(file "up", to)
tap.is(shell("cmp \"$1\" \"$2\" && stat -c %a \"$2\"", from, to), "644\n", "and down")
tap.raises("ssh.file", function() host:upload(home .. "/nothing", file "up") end, "a file that is not here")
tap.raises("ssh.file", function() host:download(file "up", home .. "/small/down") end, "no room here")
tap.is(shell("ls -A \"$1\"", home .. "/small"), "kept\n", "leaves nothing half-made")

-- ---- a dry run ----

local runner = shell('readlink "/proc/$PPID/exe"'):gsub("lua%-test\n$", "hostler")
host:write(file "settings", "first = 1\nsecond = 2\nthird = 3\n")
host:write(file "passwords", secret.wrap "USER=ada\nPASSWORD=older-words\n")
shell([[mkdir -p "$1/playbooks"; cat > "$1/playbooks/plan.lua" <<'END'
local ssh = require "ssh"
return playbook {
  summary = "Plan",
  run = function()
    local home = env "SSHD"
    local options = { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" }
    local host = ssh.connect("root@127.0.0.1", options)
    local made
    step("change", function()
      host:write(home .. "/tester/settings", "first = 1\nsecond = 22\nthird = 3\n")
      host:write(home .. "/tester/passwords", "USER=ada\nPASSWORD=" .. secret.wrap "newer-words" .. "\n")
      made = host:run { "make-a-host", "--name", "x" }
    end)
    local other = ssh.connect(made.stdout, { user = "root", address = made.address })
    local kernel = other:run({ "uname", "-r" }, { read = true })
    step("more", function()
      other:as("meltano"):write("/etc/motd", "hello\n")
      other:run { "install-kernel", kernel.stdout }
    end)
  end,
}
END]], home)
local plan = sh.run({ "sh", "-c", 'cd "$1" && "$2" run plan --dry-run 2>&1', "sh", home, runner }, { check = false })
tap.is(plan.status, 0, "a dry run over a host that does not exist yet ends well")
tap.like(plan.stdout, "%-second = 2\n[^\n]*%+second = 22", "a write is planned as a diff")
tap.ok(not plan.stdout:find("older-words", 1, true) and not plan.stdout:find("newer-words", 1, true),
    "in which no secret shows", plan.stdout)
tap.like(plan.stdout, "%-PASSWORD=%[hidden, old%]\n[^\n]*%+PASSWORD=%[hidden, new%]", "but its name")
tap.like(plan.stdout, "install%-kernel <", "a command with what is known later")
tap.is(host:read(file "settings"), "first = 1\nsecond = 2\nthird = 3\n", "and nothing is written")
tap.done()
