#!tests/lib/with-cloud build/lua-test
-- The services of two real droplets, one with Caddy 2 and one with Caddy 1: every verb, and every fault made for real.
local tap = require "tap"
local sh, ssh = require "sh", require "ssh"
local caddy, meltano, systemd = require "caddy", require "meltano", require "systemd"
local environment_file = require "environment_file"

local function cloud(script, ...)
    return sh.run({ "tests/cloud/" .. script, ... }).stdout
end

local settings = environment_file.values((cloud("cloud", "env"):gsub("export ", "")))
local base, third = settings.HOSTLER_NAMESERVERS:match "^(198%.18%.)(%d+)%.1$"
local CA_ROOT = "/usr/local/share/ca-certificates/hostler-cloud.crt"
local scratch = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")

-- ---- the droplets ----

local function destroy(number)
    cloud("droplet", "destroy", tostring(900 + number))
end

local function start(number, name, variant)
    local id, last = tostring(900 + number), ("%d.%d"):format(tonumber(third) + 15, 200 + number)
    local address = base .. last
    cloud("dns", "set", name, address)
    destroy(number)
    cloud("droplet", "start", id, name, address, "198.19." .. last, scratch .. "/keys", variant)
    wait_until(name .. " to answer", { timeout = 30, interval = 0.2 }, function()
        return sh.run({ "tests/cloud/droplet", "ready", id }, { read = true, check = false }).status == 0
    end)
    local host = ssh.connect(address, {
        user = "root", known_hosts = scratch .. "/known_hosts", host_key = "accept-new",
    })
    wait_until("the droplet to be up", { timeout = 30 }, function()
        return host:try({ "systemctl", "is-active", "multi-user.target" }, { read = true })
    end)
    return { host = host, name = name, address = address }
end

-- ---- systemd ----

local function test_systemd(host)
    local services = systemd.on(host)
    tap.is(services:status("nosuch").load, "not-found", "a unit that is not there")
    tap.is(services:failed(), {}, "nothing has failed")
    local function service(name, line)
        host:write("/etc/systemd/system/" .. name .. ".service", "[Service]\nExecStart=" .. line .. "\n")
        services:daemon_reload()
        services:start(name)
        return try(services.wait_active, services, name, { timeout = 5, settle = 1 })
    end
    local _, err = service("dies", "/bin/sh -c 'sleep 0.3; echo last words; exit 3'")
    tap.is(err and err.code, "systemd.unit", "a service that dies after its start is not taken for one that runs")
    tap.like(err and err.log or "", "last words", "its last words are told")
    tap.is(err and err.status.exit, { kind = "exited", status = 3 }, "and its exit status")
    tap.is(services:failed()[1].unit, "dies.service", "it is among the failed units")
    services:reset_failed "dies"
    tap.is(services:failed(), {}, "until that is forgotten")
    tap.is((service("stays", "/bin/sleep 60")).sub, "running", "one that runs")
    services:stop "stays"
    tap.ok(not services:is_active "stays", "stopped again")

    -- Six starts in ten seconds are one too many for systemd, whatever the reason was that they failed for.
    host:write("/etc/systemd/system/stubborn.service", "[Service]\nType=oneshot\nExecStart=test -e /run/mended\n")
    services:daemon_reload()
    for _ = 1, 6 do
        host:try { "systemctl", "restart", "stubborn" }
    end
    host:write("/run/mended", "")
    tap.ok(try(function() services:restart "stubborn" return true end), "what systemd has given up is started once mended")
end

-- ---- Meltano ----

local function test_meltano(droplet)
    local app, host = meltano.on(droplet.host), droplet.host
    local password = secret.wrap "it's a $ecret \\ \"quoted\""
    try(cloud, "database", "drop", "services", "services") -- what a test that died has left
    sh.run({ "tests/cloud/database", "create", "services", "services" }, { stdin = password })
    cloud("database", "trust", "services", "services", droplet.address)
    local postgres = {
        PG_USERNAME = "services", PG_PASSWORD = password, PG_ADDRESS = settings.HOSTLER_NAMESERVERS, PG_PORT = 25060,
        PG_DATABASE = "services",
    }
    tap.is(app:set_environment("postgres", postgres), true, "the database's settings are written")
    tap.is(app:set_environment("postgres", postgres), false, "a second time nothing changes")
    tap.ok(app:environment_files()[1].private, "they are the service user's alone")
    tap.ok(app:environment("postgres").PG_PASSWORD == password, "and read back, whatever the password holds")
    app:restart()
    tap.is(app:wait_until_it_serves().status, 302, "Meltano serves with them")
    tap.is(app:database().reachable, true, "the database answers")
    tap.is(app:add_user("ada", secret.random(20)), "added", "a user is added")
    tap.is(app:add_user("ada", secret.random(20)), "exists", "and is there the second time")
    host:run { "touch", "/var/meltano/project/rooted" }
    tap.raises("meltano.owner", function() app:upgrade() end, "no upgrade over files of root")
    app:mend_owners()
    app:upgrade()
    tap.is(app:wrong_owners(), {}, "an upgrade leaves no file to anyone else")
    host:run { "chown", "root:root", "/var/meltano/project/.meltano/run" }
    host:run { "chmod", "0700", "/var/meltano/project/.meltano/run" }
    local _, err = try(app.wait_until_it_serves, app, { timeout = 2 })
    tap.is(err and err.code, "meltano.serves", "a 500 is no service")
    tap.like(app:last_traceback().exception, "PermissionError", "the log says why")
    app:mend_owners()
    tap.ok(app:probe().serves, "and it serves again")
    postgres.PG_PASSWORD = secret.wrap "a wrong one"
    app:set_environment("postgres", postgres)
    _, err = try(app.restart, app)
    tap.like(err and err.log or "", "password authentication failed", "a start that fails tells why")
end

-- ---- Caddy ----

local function test_caddy(droplet, version, acme)
    local web, host = caddy.on(droplet.host), droplet.host
    local label = "Caddy " .. version .. ": "
    local function becomes(verdict, name)
        local found = wait_until(name, { timeout = 40, interval = 0.5 }, function()
            local current = web:diagnose { nameservers = { settings.HOSTLER_NAMESERVERS } }
            return current.verdict == verdict and current
        end)
        tap.ok(found, label .. name)
        return found
    end
    tap.is(web:version(), version, label .. "the version is asked for")
    local untouched = host:read(caddy.CADDYFILE)
    web:set_hostname(droplet.name, { port = 443 })
    web:restart()
    becomes("self-signed", "self-signed at first")

    web:set_hostname(droplet.name)
    -- The stand-in of Caddy 1 takes a certificate that it made itself for one from an authority.
    host:run { "rm", "-rf", "/var/lib/caddy/.caddy" }
    cloud("acme", "limit", "on", "--retry-after", "3600")
    tap.is(web:set_tls("acme", acme), true, label .. "the tls line changes")
    tap.is(web:set_tls("acme", acme), false, label .. "once")
    try(web.restart, web)
    local limited = becomes("rate-limited", "a rate limit is found")
    tap.ok(math.abs(limited.retry_after - now() - 3600) < 120, label .. "with the time when it ends")
    cloud("acme", "limit", "off")

    cloud("dns", "set", droplet.name, base .. third .. ".77")
    try(web.restart, web)
    becomes("dns", "a wrong address is found")
    cloud("dns", "set", droplet.name, droplet.address)
    web:restart()
    local good = becomes("ok", "a certificate at last")
    tap.ok(not good.certificate.self_signed, label .. "from the authority")

    local valid = host:read(caddy.CADDYFILE)
    local broken = valid:gsub("}\n$", "\tnonsense here\n}\n")
    host:write(caddy.CADDYFILE, broken)
    tap.raises("caddy.invalid", function() web:reload() end, label .. "a wrong Caddyfile is not loaded")
    tap.raises("caddy.invalid", function() web:set_tls "self-signed" end, label .. "nor changed")
    tap.is(host:read(caddy.CADDYFILE), broken, label .. "but put back")
    becomes("bad-caddyfile", "and found")
    host:write(caddy.CADDYFILE, valid)
    web:set_tls "self-signed"
    if not acme.ca then
        tap.is(host:read(caddy.CADDYFILE), untouched, label .. "there and back gives the same file")
    end
    web:reload()
    host:run { "systemctl", "stop", "caddy" }
    becomes("not-running", "stopped")
end

sh.run({ "sh", "-c", "ssh-add -L > \"$1\"", "sh", scratch .. "/keys" }, {
    env = { SSH_AUTH_SOCK = settings.SSH_AUTH_SOCK },
})
local ada, old = start(1, "services2.meltanodata.com"), start(2, "services1.meltanodata.com", "caddy1")
test_systemd(ada.host)
test_meltano(ada)
test_caddy(ada, 2, { email = "admin@meltano.com", ca = settings.HOSTLER_ACME_DIRECTORY, ca_root = CA_ROOT })
test_caddy(old, 1, { email = "admin@meltano.com" })
destroy(1)
destroy(2)
sh.run { "tests/cloud/database", "drop", "services", "services" }
sh.run { "rm", "-rf", "--", scratch }
tap.done()
