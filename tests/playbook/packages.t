#!tests/lib/with-cloud build/lua-test
-- The packages of a real droplet, from an archive of its own: every verb, and every fault made for real.
local tap = require "tap"
local sh, ssh = require "sh", require "ssh"
local machine, packages, systemd = require "machine", require "packages", require "systemd"
local environment_file = require "environment_file"

local ID = "903"
local SOURCES = "/etc/apt/sources.list"

local function cloud(script, ...)
    return sh.run({ "tests/cloud/" .. script, ... }).stdout
end

local settings = environment_file.values((cloud("cloud", "env"):gsub("export ", "")))
local base, third = settings.HOSTLER_NAMESERVERS:match "^(198%.18%.)(%d+)%.1$"
local scratch = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")

-- ---- the droplet and its archive ----

local function start()
    local last = ("%d.%d"):format(tonumber(third) + 15, 203)
    cloud("droplet", "destroy", ID)
    sh.run({ "sh", "-c", "ssh-add -L > \"$1\"", "sh", scratch .. "/keys" }, {
        env = { SSH_AUTH_SOCK = settings.SSH_AUTH_SOCK },
    })
    cloud("droplet", "start", ID, "packages.meltanodata.com", base .. last, "198.19." .. last, scratch .. "/keys")
    wait_until("the droplet to answer", { timeout = 60, interval = 0.2 }, function()
        return sh.run({ "tests/cloud/droplet", "ready", ID }, { read = true, check = false }).status == 0
    end)
    local host = ssh.connect(base .. last, {
        user = "root", known_hosts = scratch .. "/known_hosts", host_key = "accept-new",
    })
    wait_until("the droplet to be up", { timeout = 60 }, function()
        return host:try({ "systemctl", "is-active", "multi-user.target" }, { read = true })
    end)
    return host
end

local function serve(host, folder)
    host:try { "systemctl", "stop", "archive" }
    host:run { "systemd-run", "--unit=archive", "--property=Type=exec", "python3", "-m", "http.server", "8099", "-d", folder }
    wait_until("the archive to be served", { timeout = 30, interval = 0.2 }, function()
        return host:try({ "curl", "-sf", "http://localhost:8099/" }, { read = true })
    end)
end

local function sources(host, ...)
    host:write(SOURCES, table.concat({ ... }, "\n") .. "\n")
end

local SIGNED = "deb [signed-by=/srv/archive/key.gpg] http://localhost:8099 stable main"
local SECURITY = "deb [signed-by=/srv/archive/key.gpg] http://localhost:8099 stable-security main"

local host = start()
local apt = packages.on(host)
sh.run { "tests/lib/apt-repository", scratch .. "/archive" }
sh.run { "tar", "-C", scratch .. "/archive", "-czf", scratch .. "/archive.tar.gz", "." }
host:upload(scratch .. "/archive.tar.gz", "/root/archive.tar.gz")
host:sh "mkdir /srv/archive && tar -C /srv/archive -xzf /root/archive.tar.gz"
serve(host, "/srv/archive")

local function in_words(changes)
    return packages.describe(changes)
end

local function refused(code, fn, name, words)
    local err = tap.raises(code, fn, name)
    tap.like(tostring(err and err.message), words, "and it says why")
    return err
end

-- ---- the lists ----

local function test_refresh()
    sources(host, SIGNED)
    tap.is(apt:refresh(), true, "lists that are not there are fetched")
    tap.is(apt:refresh(), false, "and are new enough then")
    tap.is(apt:refresh { older_than = 0 }, true, "unless they have to be newer")
    sources(host, SIGNED, SECURITY)
    tap.is(apt:refresh(), true, "they are old when the sources are newer")

    sources(host, "deb http://localhost:8099/unsigned stable main")
    refused("packages.signature", function() apt:refresh() end, "an archive that is not signed", "is not signed")
    sources(host, "deb http://localhost:8099 stable main")
    refused("packages.signature", function() apt:refresh() end, "one whose key is not known", "does not trust")
    sources(host, "deb http://no-such-archive.example.com stable main")
    refused("packages.name", function() apt:refresh() end, "one whose name is not", "no%-such%-archive%.example%.com")
    sources(host, "deb http://ada:hunter2@localhost:1 stable main")
    local err = refused("packages.network", function() apt:refresh() end, "one that nobody serves", "cannot be had")
    tap.ok(not json.encode { err.message, err.stderr, err.stdout }:find "hunter2", "without its password")
    sources(host, "deb http://localhost:8099 nosuch main")
    refused("packages.sources", function() apt:refresh() end, "a suite that is not there", "there is no archive")
    sources(host, "deb what is this")
    refused("packages.sources", function() apt:upgradable() end, "sources that cannot be read", "cannot be read")
    sources(host, SIGNED, SECURITY)
    apt:refresh()
end

-- ---- what is there, and at which version ----

local function test_install()
    tap.is(apt:installed "lamp", nil, "what is not installed")
    local changes = apt:install { "lamp=1.0*", "shade" }
    tap.is(in_words(changes), "install lamp 1.0\ninstall shade 1.0", "two packages, one at a version")
    tap.is(apt:installed("lamp").version, "1.0", "they are there")
    tap.is(apt:install({ "lamp=1.0", "shade" }).changed, false, "a second time nothing changes")
    tap.is(apt:install({ "lamp" }).changed, false, "nor where no version is named")
    refused("packages.unknown", function() apt:install { "no-such" } end, "what no archive has", "no package no%-such")
    local err = refused("packages.version", function() apt:install { "lamp=7*" } end, "a version that is not there",
        "no version 7%* of lamp")
    tap.is(err.versions, { "1.2", "1.1", "1.0" }, "those that are")
    err = refused("packages.unknown", function() apt:install { "light" } end, "a name that others provide", "light")
    table.sort(err.providers)
    tap.is(err.providers, { "bulb", "lamp" }, "which ones")
    refused("packages.unmet", function() apt:install { "orphan" } end, "what depends on nothing there", "nosuch")
    err = refused("packages.removes", function() apt:install { "rival" } end, "what would drive others out", "lamp")
    table.sort(err.packages)
    tap.is(err.packages, { "lamp", "shade" }, "which ones")
    tap.raises("usage", function() apt:install { "lamp-" } end, "a name that would remove")
    tap.raises("usage", function() apt:install { "lam.*" } end, "a pattern")
    tap.raises("usage", function() apt:install { "--force" } end, "an option")
end

local function test_upgrades()
    local found = apt:upgradable()
    tap.is(found, { { name = "lamp", installed = "1.0", candidate = "1.2", security = "1.2", held = false } },
        "what can be upgraded")
    tap.is(#apt:security_updates(), 1, "and what for security")
    tap.is(apt:hold { "lamp", "shade" }, { "lamp", "shade" }, "packages are held")
    tap.is(apt:hold { "lamp" }, {}, "once")
    tap.is(apt:upgradable()[1].held, true, "which is seen")
    local changes = apt:upgrade { only = "security" }
    tap.is({ changes.changed, changes.held }, { false, { "lamp" } }, "a held one stays, and that is said")
    local err = refused("packages.held", function() apt:install { "lamp=1.1" } end, "also where it is named", "lamp$")
    tap.is(err.packages, { "lamp" }, "which one")
    tap.is(apt:unhold { "lamp", "shade", "bulb" }, { "lamp", "shade" }, "they are let go")

    host:write("/etc/lamp.conf", "mine\n")
    changes = apt:upgrade { only = "security" }
    tap.is(changes.packages, { { name = "lamp", action = "upgrade", from = "1.0", to = "1.2", security = true } },
        "a security update")
    tap.is(changes.kept_files, { "/etc/lamp.conf" }, "a configuration file that was changed stays, and that is said")
    tap.is(host:read "/etc/lamp.conf", "mine\n", "as it was")
    tap.is(apt:upgrade({}).changed, false, "then there is nothing to upgrade")
    local back = apt:undo(changes)
    tap.is(in_words(back):match "^[^\n]*", "downgrade lamp 1.2 -> 1.0", "it is put back")
    tap.is(apt:undo(changes).changed, false, "once")
    tap.is(in_words(apt:upgrade { only = { "lamp", "bulb" } }):match "^[^\n]*", "upgrade lamp 1.0 -> 1.2 (security)",
        "some packages only")
end

local function test_security_alone()
    apt:install { "glass=1.0" }
    tap.is(in_words(apt:upgrade { only = "security" }), "upgrade glass 1.0 -> 1.1 (security)",
        "a security update, though there is a newer version")
    tap.is(apt:upgrade({ only = "security" }).changed, false, "which is none")
    tap.is(in_words(apt:upgrade()), "upgrade glass 1.1 -> 1.2", "and comes with all the others")
    apt:remove { "glass" }
end

local function test_remove()
    local err = refused("packages.removes", function() apt:remove { "lamp" } end, "what others depend on", "shade")
    tap.is(err.packages, { "shade" }, "which ones")
    local changes = apt:remove { "lamp", "shade", "bulb" }
    tap.is(#changes.packages, 2, "with them it goes")
    tap.is(apt:remove({ "lamp", "shade" }).changed, false, "once")
    tap.ok(host:stat "/etc/lamp.conf", "its configuration stays")
    tap.is(#apt:undo(changes).packages, 2, "it comes back")
    tap.is(host:read "/etc/lamp.conf", "mine\n", "with that")
    apt:remove({ "lamp", "shade" }, { purge = true })
    tap.is(host:stat "/etc/lamp.conf", nil, "unless that is to go")
    tap.is(apt:remove({ "lamp", "shade" }, { purge = true }).changed, false, "once")
    local both = apt:install { "shade" }
    tap.is(in_words(apt:install { "lamp" }), "keep lamp 1.2, which was there only for others", "what came as well")
    tap.is(apt:install({ "lamp" }).changed, false, "is wanted by itself from then on")
    tap.is(apt:undo(both).packages[2].action, "remove", "what came goes")
    tap.is(apt:installed "lamp", nil, "all of it")
    refused("packages.unmet", function() apt:remove { "libc6" } end, "what all depend on", "depend")
end

-- ---- faults ----

local function test_stale_lists()
    apt:refresh { older_than = 0 }
    host:run { "mv", "/srv/archive/pool/stable/bulb_1.0.deb", "/root" }
    refused("packages.gone", function() apt:install { "bulb=1.0" } end, "what the archive has no more", "no longer has")
    host:sh "mv /srv/archive/dists/stable /root && mv /srv/archive/later /srv/archive/dists/stable"
    tap.is(in_words(apt:install { "bulb" }), "install bulb 1.1", "what it has instead, by lists that are refreshed")
end

local function test_scripts()
    host:write("/run/rude", "")
    local err = refused("packages.script", function() apt:install { "rude" } end, "a script that fails", "rude")
    tap.like(err.stdout .. err.stderr, "rude does not want to", "with what it said")
    refused("packages.script", function() apt:mend() end, "it still does", "rude")
    tap.is(apt:installed("rude").complete, false, "and is not whole")
    host:remove "/run/rude"
    tap.is(apt:mend(), { "rude" }, "once it can it is brought to its end")
    tap.is(apt:mend(), {}, "and that is that")
    host:write("/run/rude", "")
    try(apt.remove, apt, { "rude" })
    try(apt.install, apt, { "rude" })
    tap.is(apt:remove({ "rude" }).changed, true, "one that is not whole can go")
    host:remove "/run/rude"
end

-- dpkg killed in the midst of its work.
local function interrupt()
    host:sh [[rm -f /run/slow; mkfifo /run/slow
        systemd-run --unit=other --setenv=DEBIAN_FRONTEND=noninteractive apt-get -q -y install slow]]
    wait_until("its script to run", { timeout = 60, interval = 0.2 }, function()
        return host:try({ "pgrep", "-f", "slow.postinst" }, { read = true })
    end)
end

local function test_others()
    interrupt()
    local hasty = packages.on(host, { patience = 0.1 })
    local err = refused("packages.locked", function() hasty:install { "glow=1.0" } end, "another apt at work", "apt%-get")
    tap.is(err.holders[1].unit, "other.service", "whose it is")
    local looks = 0
    local patient = packages.on(setmetatable({ sh = function(_, ...) -- lets the other one go on at the second look
        looks = looks + 1
        if looks == 2 then
            host:run { "head", "-n", "1", "/run/slow" }
        end
        return host:sh(...)
    end }, { __index = host }))
    tap.is(in_words(patient:install { "glow=1.0" }):match "^[^\n]*", "install glow 1.0", "is waited for")
    tap.is(apt:installed("slow").complete, true, "and has done its work")
    apt:remove({ "slow" }, { purge = true })
    host:try { "systemctl", "reset-failed", "other" }

    interrupt()
    host:sh "systemctl kill --signal=KILL other; rm /run/slow"
    wait_until("it to be gone", { timeout = 60, interval = 0.2 }, function()
        return not host:try({ "systemctl", "is-active", "other" }, { read = true })
    end)
    tap.is(apt:installed("slow").complete, false, "a dpkg that was killed")
    tap.is(in_words(apt:remove { "glow" }):match "^[^\n]*", "remove glow 1.0", "is brought to its end first")
    tap.is(apt:installed("slow").complete, true, "with all that it had begun")
end

local function test_restarts()
    apt:install { "glow=1.0" }
    local services = systemd.on(host)
    services:daemon_reload()
    services:start "glow"
    tap.is(apt:restarts().services, {}, "nothing has to be started again")
    host:write("/run/reboot-required", "")
    host:write("/run/reboot-required.pkgs", "linux-base\nlinux-base\n")
    local changes = apt:install { "glow=1.1" }
    tap.is(changes.restarts.services, { "glow.service" }, "a service that runs what was replaced")
    tap.is(changes.restarts.reboot, { required = true, packages = { "linux-base" } }, "a host that waits for a restart")
    tap.like(in_words(changes), "glow%.service still runs .*waits for a restart: linux%-base", "in words")
    services:restart "glow"
    tap.is(apt:restarts().services, {}, "until it is restarted")
    host:remove "/run/reboot-required"
end

local function test_full_disk()
    cloud("droplet", "disk", ID, "20M")
    local err = refused("packages.space", function() apt:install { "bulky" } end, "a full disk", "disk of the host is full")
    tap.like(err.hint, "df %-h", "and what to do")
    cloud("droplet", "disk", ID, "2G")
    try(apt.mend, apt)
end

-- ---- what the host is ----

local function test_facts()
    local box = machine.on(host)
    local facts = box:facts { fresh = true }
    tap.is({ facts.distribution.id, facts.distribution.version, facts.distribution.codename, facts.package_manager },
        { "debian", "12", "bookworm", "apt" }, "which distribution")
    tap.is(facts.hostname, "packages.meltanodata.com", "its name")
    tap.is(facts.kernel, host:run({ "uname", "-r" }, { read = true }).stdout:match "%S+", "its kernel")
    tap.is(facts.container, "systemd-nspawn", "what it runs in")
    tap.is(facts.memory.total, box:memory().total, "its memory")
    tap.is({ #facts.disks, facts.disks[1].place, facts.disks[1].size }, { 1, "/", 2 * 2 ^ 30 }, "its disk")
    tap.is({ #facts.addresses, facts.addresses[1].address }, { 2, host.target }, "its addresses")
    local began = systemd.parse_time(host:run({ "systemctl", "show", "--property=UserspaceTimestamp", "--value" }, {
        read = true, env = { TZ = "UTC" },
    }).stdout:match "[^\n]*")
    tap.ok(math.abs(facts.booted - began) < 5, "when it began, and not its kernel", facts.booted .. " " .. began)
    tap.is({ facts.user.name, facts.user.uid, facts.user.shell }, { "root", 0, "/bin/bash" }, "whom one comes as")
    tap.is(facts.reboot, { required = false, packages = {} }, "whether it waits for a restart")
    tap.is(facts.time_zone, "Etc/UTC", "its time zone")
    host:write("/etc/hostname", "other\n")
    host:run { "hostname", "other" }
    local again = ssh.connect(host.target, { user = "root", known_hosts = scratch .. "/known_hosts", host_key = "accept-new" })
    tap.is(machine.on(again):facts().hostname, "packages.meltanodata.com", "it is asked once in a run")
    tap.is(box:facts({ fresh = true }).hostname, "other", "unless it is to be asked again")
    tap.is(machine.on(host:as "meltano"):facts().user.name, "meltano", "or by another user")
end

-- ---- as playbooks use it ----

local PLAYBOOK = [[
local ssh, packages = require "ssh", require "packages"
return playbook { summary = "A lamp", params = { arg("host", "string", "where"), arg("known", "string", "keys") }, run = function(p)
    local host = ssh.connect(p.host, { user = "root", known_hosts = p.known })
    local apt = packages.on(host)
    step("a lamp", { idempotent = true, undo = function(changes) apt:undo(changes) end }, function()
        apt:refresh { older_than = 7200 }
        local changes = apt:install { "lamp=1.1", "shade" }
        apt:hold { "lamp" }
        return changes
    end)
    step("security", { idempotent = true }, function() apt:upgrade { only = "security" } end)
    step("no bulb", { idempotent = true }, function() apt:remove { "bulb" } end)
end }
]]

-- On a host that is still to be made nothing can be asked.
local UNMADE = [[
local ssh, packages = require "ssh", require "packages"
return playbook { summary = "A lamp", params = { arg("host", "string", "where"), arg("known", "string", "keys") }, run = function(p)
    local host = ssh.connect(p.host, { user = "root", known_hosts = p.known })
    local made = step("make it", function() return host:run { "hostname" } end)
    local apt = packages.on(ssh.connect(made.stdout, { user = "root", known_hosts = p.known }))
    step("all", function()
        apt:refresh()
        apt:install { "lamp=1.1*", "shade" }
        apt:upgrade { only = "security" }
        apt:remove({ "bulb" }, { purge = true })
        apt:hold { "lamp" }
    end)
end }
]]

local function test_runs()
    sh.run({ "sh", "-c", "cat >\"$1\"", "sh", scratch .. "/unmade.lua" }, { stdin = UNMADE })
    sh.run({ "sh", "-c", "cat >\"$1\"", "sh", scratch .. "/lamp.lua" }, { stdin = PLAYBOOK })
    local function hostler_with(variables, ...)
        local all = { SSH_AUTH_SOCK = settings.SSH_AUTH_SOCK, XDG_STATE_HOME = scratch .. "/state" }
        for name, value in pairs(variables) do
            all[name] = value
        end
        return sh.try({ env("HOSTLER_BUILD", "build") .. "/hostler", ... }, { env = all })
    end
    local function hostler(...)
        local run, err = hostler_with({}, ...)
        tap.ok(run, "hostler " .. ({ ... })[1], tostring(err))
        return run and run.stdout .. run.stderr or ""
    end
    local function run_of(said)
        return said:match '"event":"run.begin"[^\n]*"target":"(%w+)"'
    end
    local function writes(said)
        local count = 0
        for line in said:gmatch "[^\n]+" do
            local event = try(json.decode, line)
            count = count + (type(event) == "table" and event.event == "effect.begin" and event.kind == "write" and 1 or 0)
        end
        return count
    end
    local plan = hostler("run", scratch .. "/lamp.lua", "--dry-run", host.target, scratch .. "/known_hosts")
    tap.like(plan, "install lamp 1%.1.*install shade 1%.0", "a dry run shows what apt would do")
    tap.is(apt:installed "lamp", nil, "and nothing is done")
    plan = hostler("run", scratch .. "/unmade.lua", "--dry-run", host.target, scratch .. "/known_hosts")
    tap.like(plan, "refresh apt's lists.*install lamp=1%.1%* shade.*upgrade the security updates.*purge bulb.*hold lamp",
        "of a host that is still to be made, what it will be told")
    local first = hostler("run", scratch .. "/lamp.lua", "--json", host.target, scratch .. "/known_hosts")
    tap.is(writes(first), 2, "a run: the packages, and the hold")
    local second = hostler("run", scratch .. "/lamp.lua", "--json", host.target, scratch .. "/known_hosts")
    tap.like(second, "effect%.begin", "the same again")
    tap.is(writes(second), 0, "writes nothing")
    apt:unhold { "lamp" }
    hostler("undo", run_of(first), "--yes")
    tap.is(apt:installed "shade", nil, "and it can be undone")

    local _, killed = hostler_with({ HOSTLER_CRASH = "effect:1" }, "run", scratch .. "/lamp.lua", "--json", host.target,
        scratch .. "/known_hosts")
    tap.is({ killed.code, apt:installed("lamp").version }, { "sh.signal", "1.1" }, "a run that is killed behind its write")
    tap.is(writes(hostler("resume", run_of(killed.stdout), "--json")), 1, "goes on with what is left: the hold")
    tap.is(apt:hold { "lamp" }, {}, "which is there")
    apt:unhold { "lamp" }
end

test_refresh()
test_install()
test_upgrades()
test_security_alone()
test_remove()
test_scripts()
test_others()
test_restarts()
test_full_disk()
test_runs()
test_stale_lists()
test_facts()
cloud("droplet", "destroy", ID)
sh.run { "rm", "-rf", "--", scratch }
tap.done()
