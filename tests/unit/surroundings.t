#!build/lua-test
-- What a host answers when it is asked what surrounds a service.
local tap = require "tap"
local surroundings = require "surroundings"

local function answer(facts)
    local parts = {}
    for index, fact in ipairs(facts) do
        parts[index] = fact[1] .. "\0" .. fact[2] .. "\0"
    end
    return surroundings.parse(table.concat(parts))
end

local MOUNTS = [[
25 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard
30 25 0:25 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1000k
31 25 8:0 / /var/my\040data ro,relatime shared:9 master:2 - ext4 /dev/sda rw
32 25 8:16 / /var/log rw,relatime - ext4 /dev/sdb ro,errors=remount-ro
]]

local seen = answer {
    { "container", "none" }, { "clock", "1800000000" }, { "system", "running" }, { "loopback", "0x9" },
    { "localhost", "127.0.0.1 STREAM localhost" }, { "user", "uid=999(meltano)" }, { "mounts", MOUNTS },
    { "sockets", 'LISTEN 0 5 127.0.0.1:5000 0.0.0.0:* users:(("python3",pid=213,fd=3))\n'
        .. 'LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=7,fd=4),("systemd",pid=1,fd=9))\nLISTEN 0 4096 *:443 *:*' },
    { "holder", "213 meltano 0::/system.slice/meltano.service /usr/bin/python3 /var/meltano/.venv/bin/meltano" },
    { "holder", "7 root 1:name=systemd:/user.slice/user-0.slice/session-3.scope sshd hunter2" },
    { "open_files", "12" }, { "open_files_limit", "1024" }, { "first_line", "#!/usr/bin/python3" },
    { "interpreter", "/usr/bin/python3" }, { "interpreter_says", "Python 3.11.2" }, { "made_for", "3.9.5" },
    { "place", "/a/b\tclosed\t/a\tdirectory\tr\troot:root 700\t" },
    { "place", "/l\tdangling\t/l\tother\t\t\t/gone\tand\nmore" },
}
tap.is(seen.container, nil, "a machine with a kernel of its own")
tap.is({ seen.clock, seen.system, seen.user, seen.localhost, seen.loopback }, { 1800000000, "running", true, true, true },
    "how the host is")
tap.is(#seen.listeners, 3, "who listens")
tap.is(seen.listeners[1], { address = "127.0.0.1", port = 5000, pid = 213, program = "python3" }, "at an address")
tap.is(seen.listeners[2].address, "[::]", "or at all of IPv6")
tap.is(seen.listeners[3], { address = "*", port = 443 }, "or nobody knows who")
tap.is(seen.holders[213], { pid = 213, user = "meltano", unit = "meltano.service",
    command = "/usr/bin/python3 /var/meltano/.venv/bin/meltano" }, "whose that is, and what it runs")
tap.is(seen.holders[7], { pid = 7, user = "root", unit = "session-3.scope", command = "sshd" },
    "of an argument that is no path nothing is kept: it may be a secret")
tap.is(seen.places["/a/b"], { place = "/a/b", state = "closed", at = "/a", kind = "directory", may = "r",
    owner = "root:root", mode = "700" }, "how far the user gets")
tap.is(seen.places["/l"].target, "/gone\tand\nmore", "a link's target may hold anything")
tap.is({ seen.open_files, seen.open_files_limit, seen.made_for }, { 12, 1024, "3.9.5" }, "what else there is")
tap.is(seen.own_network, false, "the host's network")

local function at(path)
    return surroundings.mount_of(seen.mounts, path)
end
tap.is(at("/var/lib").place, "/", "what lies on the root")
tap.is(at("/tmp/x").type, "tmpfs", "and what does not")
tap.is(at("/tmpfoo").place, "/", "a name that only begins alike")
tap.is({ at("/var/my data/x").place, at("/var/my data/x").read_only }, { "/var/my data", true }, "mounted read-only")
tap.is(at("/var/log").read_only, true, "a file system that has become read-only")
tap.is(at("/").read_only, false, "one that has not, whatever it would do on errors")
tap.is(#surroundings.mounts_below(seen.mounts, "/var"), 2, "what is mounted below a place")

local shared = answer { { "container", "systemd-nspawn" }, { "loopback", "0x8" }, { "sockets", "" } }
tap.is(shared.container, "systemd-nspawn", "a host that shares its kernel")
tap.is({ shared.user, shared.localhost, shared.loopback }, { false, false, false }, "nothing of what there has to be")
tap.is(shared.listeners, {}, "nobody listens")
tap.is(answer({}).listeners, nil, "a host that cannot say who listens")
tap.is(answer({}).loopback, true, "or whether it speaks to itself")
tap.is(surroundings.parse "cut sho\0rt", surroundings.parse "", "an answer that was cut short")
tap.done()
