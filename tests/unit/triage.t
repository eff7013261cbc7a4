#!build/lua-test
-- The verdict on an instance from what was seen of it, and what of that a report shows.
local tap = require "tap"
local checks, page, verdict = require "triage_checks", require "triage_page", require "triage_verdict"

local TOLD = secret.wrap "what-the-api-tells"

local function trusted(value, kind)
    return { { type = kind or "ip_addr", value = value } }
end

-- An instance on which nothing is wrong, with what a case changes.
local function evidence(changes)
    local e = {
        tenant = "ada", name = "ada.meltanodata.com", url = "https://ada.meltanodata.com/", at = 1800000000, unseen = {},
        droplet = { status = "active", public_address = "198.18.0.9", private_address = "198.19.0.9" },
        record = "198.18.0.9", addresses = { "198.18.0.9" }, outside = { serves = true, status = 200, says = "answers 200" },
        certificate = { issuer = "CN=R3", not_after = 1800000001, verified = true },
        cluster = { name = "meltano-ada", status = "online", connection = { user = "doadmin", password = TOLD } },
        trusted = trusted "198.18.0.9",
        environment = { { name = "postgres", mode = "600", owner = "meltano", private = true, settings = {},
            values = { PG_PASSWORD = secret.wrap "another" } } },
        dotenv = { problems = {}, names = {}, owner = "meltano", mode = 420 },
        inside = { serves = true, status = 302, seconds = 0.1 }, database = { reachable = true, seconds = 0.1 },
        caddy = { verdict = "ok", mode = "acme", evidence = {}, status = { active = "active", sub = "running" } },
        owners = {}, meltano = { active = "active", sub = "running", result = "success", since = 1799990000 },
        failed = {}, journal = "", disks = { { place = "/", size = 100, free = 90, used = 0.1 } },
        memory = { total = 2 ^ 31, available = 2 ^ 30, swap_total = 0 }, kills = {}, process = "sleeping",
    }
    for name, value in pairs(changes or {}) do
        e[name] = value ~= json.null and value or nil
    end
    return e
end

local function case(name, changes, cause, mend, others)
    local found, also = verdict.of(evidence(changes))
    tap.is(found.cause, cause, name)
    tap.is(found.mend, mend and "hostler run " .. mend, name .. ": what mends it")
    local causes = {}
    for index, finding in ipairs(also) do
        causes[index] = finding.cause
    end
    tap.is(causes, others or {}, name .. ": what else")
end

local FAILS = { serves = false, status = 500, seconds = 0.1 }
local REFUSED = { serves = false, error = "refused", message = "nothing listens", seconds = 0 }
local OUTSIDE = { serves = false, status = 500, says = "answers 500" }
local DEAD = { active = "failed", sub = "failed", result = "signal", exit = { kind = "killed", status = 9 }, since = 100 }

case("healthy", {}, "healthy")
case("nothing known", { inside = json.null, outside = OUTSIDE }, "unknown")
case("only odd", { environment = { { name = "postgres", mode = "644", owner = "meltano" } } }, "healthy", nil,
    { "settings-open" })
case("powered off", { droplet = { status = "off" }, ssh_error = { code = "ssh.unreachable", message = "no" },
    outside = OUTSIDE }, "droplet-off", nil, { "dns" })
case("another host key", { ssh_error = { code = "ssh.host_key_changed", message = "changed" } }, "host-key-changed",
    "trust-host ada")
case("a host key that is not known", { ssh_error = { code = "ssh.host_key_unknown", message = "unknown" } },
    "host-key-unknown")
case("a full disk outweighs what follows", { disks = { { place = "/", size = 100, free = 0, used = 1 } }, inside = FAILS,
    outside = OUTSIDE }, "disk-full", "free-disk ada")
case("of two disks the fuller", { disks = { { place = "/", size = 100, free = 8, used = 0.92 }, { place = "/var", size = 9,
    free = 0, used = 1 } }, inside = FAILS }, "disk-full", "free-disk ada")
case("no inodes", { disks = { { place = "/", size = 100, free = 90, used = 0.1, inodes_used = 1 } } }, "disk-full",
    "free-disk ada")
case("a disk that is nearly full is odd", { disks = { { place = "/", size = 100, free = 8, used = 0.92 } } }, "healthy", nil,
    { "disk-full" })
case("killed by the kernel", { meltano = DEAD, kills = { { at = 99, line = "Killed process" } }, inside = REFUSED,
    outside = OUTSIDE }, "out-of-memory", "restart ada")
case("killed by systemd", { meltano = { active = "failed", sub = "failed", result = "oom-kill" }, inside = REFUSED },
    "out-of-memory", "restart ada")
case("killed by a person", { meltano = DEAD, kills = { { at = 7, line = "Killed process" } }, inside = REFUSED },
    "service-down", "restart ada")
case("MemoryError", { traceback = { exception = "MemoryError", text = "" }, inside = FAILS }, "out-of-memory", "restart ada")
case("an old MemoryError", { traceback = { exception = "MemoryError", text = "" } }, "healthy")
case("files of root", { owners = { { path = "/p/x", owner = "root" } }, inside = FAILS }, "wrong-owner", "upgrade ada --mend")
case("files of root, but it serves", { owners = { { path = "/p/x", owner = "root" } } }, "healthy", nil, { "wrong-owner" })
case("no settings", { environment = {}, meltano = { active = "inactive", sub = "dead" }, inside = REFUSED },
    "settings-missing", "configure-meltano ada")
case("half of the settings", { database = { reachable = false, error = "PG_PORT is not set", seconds = 0 } },
    "settings-missing", "configure-meltano ada")
case("password", { database = { reachable = false, error = 'FATAL:  password authentication failed for user "x"' },
    inside = FAILS }, "database-password", "configure-meltano ada")
case("a password that the database alone does not know", { inside = FAILS,
    database = { reachable = false, error = 'FATAL:  password authentication failed for user "x"' },
    environment = { { name = "postgres", mode = "600", owner = "meltano", private = true, settings = {},
        values = { PG_PASSWORD = TOLD } } } }, "database-password")
case("not trusted", { database = { reachable = false, error = "timeout expired" },
    trusted = trusted "198.18.0.10",
    inside = FAILS }, "database-untrusted", "configure-meltano ada")
case("trusted by the private address", { database = { reachable = false, error = "timeout expired" },
    trusted = trusted "198.19.0.9" }, "database-down")
case("trusted as a droplet", { database = { reachable = false, error = "timeout expired" },
    droplet = { id = 7, status = "active", public_address = "198.18.0.9" }, trusted = trusted("7", "droplet") },
    "database-down")
case("trusted by a network", { database = { reachable = false, error = "timeout expired" },
    trusted = trusted "198.18.0.0/16" }, "database-down")
case("not trusted as another droplet", { database = { reachable = false, error = "timeout expired" },
    droplet = { id = 7, status = "active", public_address = "198.18.0.9" }, trusted = trusted("8", "droplet") },
    "database-untrusted", "configure-meltano ada")
case("no cluster", { database = { reachable = false, error = "timeout expired" }, cluster = json.null,
    trusted = json.null }, "database-missing")
case("down", { meltano = { active = "inactive", sub = "dead" }, inside = REFUSED, outside = OUTSIDE }, "service-down",
    "restart ada")
case("being started", { meltano = { active = "activating", sub = "start-pre" }, inside = REFUSED }, "service-starting")
case("hanging", { inside = { serves = false, error = "timeout", message = "no answer", seconds = 10 }, outside = OUTSIDE },
    "hanging", "restart ada")
case("failing", { inside = FAILS, outside = OUTSIDE }, "application")
case("a broken .env", { dotenv = { problems = { { line = 3, what = "x" } }, names = {}, owner = "meltano", mode = 420 } },
    "flags-broken", "repair-env ada")
case("secrets in .env", { dotenv = { problems = {}, names = { "A_TOKEN" }, owner = "meltano", mode = 420 } }, "healthy",
    nil, { "flags-with-secrets" })
case("Caddy down", { caddy = { verdict = "not-running", evidence = {}, status = { active = "inactive", sub = "dead" } },
    certificate = json.null, outside = OUTSIDE }, "caddy-down", "caddy-tls ada")
case("Caddy down, and Meltano too", { caddy = { verdict = "bad-caddyfile", evidence = {}, status = { active = "failed",
    sub = "failed" } }, meltano = { active = "inactive", sub = "dead" }, inside = REFUSED }, "service-down", "restart ada",
    { "caddy-down" })
case("expired", { certificate = { issuer = "x", not_after = 1800000000 }, outside = OUTSIDE }, "certificate-expired",
    "caddy-tls ada")
case("expired, of a file", { certificate = { issuer = "x", not_after = 1800000000 }, caddy = { verdict = "expired",
    mode = "files", evidence = {}, status = { active = "active" } } }, "certificate-expired", "caddy-tls ada --acme")
case("a Caddyfile with a mistake", { caddy = { verdict = "bad-caddyfile", evidence = {}, status = { active = "failed",
    sub = "failed" } } }, "caddy-down")
case("self-signed, and not on port 443", { caddy = { verdict = "unknown", mode = "self-signed", evidence = {},
    status = { active = "active" } }, certificate = json.null }, "caddy-unknown", "caddy-tls ada")
case("closed ports", { caddy = { verdict = "port-closed", evidence = {}, status = { active = "active" } },
    certificate = json.null }, "caddy-port-closed")
case("rate limit", { caddy = { verdict = "rate-limited", evidence = { "429" }, status = { active = "active" } },
    certificate = json.null, outside = OUTSIDE }, "caddy-rate-limited", "caddy-tls ada")
case("self-signed as it is set", { certificate = { issuer = "x", not_after = 1900000000, verified = false } }, "healthy", nil,
    { "certificate-untrusted" })
case("another address", { addresses = { "198.18.0.1" } }, "dns")
case("no address", { addresses = {} }, "dns")
case("closed", { outside = { serves = false, says = "no route" } }, "outside")

local hide = checks.hide
tap.is(hide "at postgresql://u:p4ss@h/d", "at postgresql://u:[hidden]@h/d", "a password in a URL")
tap.is(hide "DB_PASSWORD='x y', a=b", "DB_PASSWORD='[hidden] y', a=b", "a variable that is a secret")
tap.is(hide '{"api_token": "abc", "port": 5}', '{"api_token": "[hidden]", "port": 5}', "one in JSON")
tap.is(hide "GET /login HTTP/1.1 500 -", "GET /login HTTP/1.1 500 -", "other text stays")

local known = secret.wrap "s<ecret&1"
local e = evidence { journal = "12:00:00 x: <b>bold</b> s<ecret&1 \1 \255" }
local html = page.of(e, verdict.of(e))
tap.like(html, "^<!doctype html>", "a page")
tap.like(html, "&lt;b&gt;bold&lt;/b&gt;", "with text as text")
tap.ok(not html:find("ecret&amp;1", 1, true) and not html:find("ecret&1", 1, true), "without a secret that escaping alters")
tap.ok(known ~= nil and not html:find "\1", "nor control characters")
tap.done()
