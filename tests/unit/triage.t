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
        if value == json.null then
            value = nil
        end
        e[name] = value
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
case("no inodes, which free-disk does not give back", { disks = { { place = "/", size = 100, free = 90, used = 0.1,
    inodes_used = 1 } } }, "disk-full")
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
case("Caddy's user is gone", { caddy = { verdict = "not-running", evidence = {}, status = { active = "failed", load = "loaded",
    exit = { kind = "exited", status = 217 } } }, certificate = json.null, outside = OUTSIDE }, "caddy-down")
case("Caddy is masked", { caddy = { verdict = "not-running", evidence = {}, status = { active = "inactive", load = "masked" } },
    certificate = json.null, outside = OUTSIDE }, "caddy-down")
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

-- ---- a service that does not run: to its reason ----

local function ended(words, changes)
    local all = { meltano = { active = "failed", sub = "failed", result = "exit-code", load = "loaded",
        exit = { kind = "exited", status = 1 } }, inside = REFUSED, outside = OUTSIDE, words = words, traceback = json.null }
    for name, value in pairs(changes or {}) do
        all[name] = value
    end
    return all
end

local function start_fails(status)
    return ended({}, { meltano = { active = "failed", sub = "failed", result = "exit-code", load = "loaded",
        commands = { { setting = "ExecStartPre", program = "/x", exit = { kind = "exited", status = status } } } } })
end
case("200/CHDIR", start_fails(200), "start-chdir")
case("216/GROUP", start_fails(216), "start-group")
case("226/NAMESPACE", start_fails(226), "start-namespace")
case("243/CREDENTIALS", start_fails(243), "start-credentials")
case("an exit status that nobody knows", ended({ "the moon" }), "service-failed")
case("masked", { meltano = { active = "inactive", sub = "dead", load = "masked" }, inside = REFUSED }, "service-masked")
case("a bad unit file", { meltano = { active = "failed", load = "bad-setting", load_error = "Unit x has a bad unit file setting." },
    inside = REFUSED }, "service-file-wrong")
for result, cause in pairs { timeout = "start-timeout", resources = "start-resources" } do
    case(result, ended({}, { meltano = { active = "failed", sub = "failed", result = result } }), cause)
end
case("a segmentation fault", ended({}, { meltano = { active = "failed", result = "core-dump", exit = { kind = "dumped",
    status = 11 } } }), "crashed", "restart ada")
case("an illegal instruction", ended({}, { meltano = { active = "failed", result = "core-dump", exit = { kind = "dumped",
    status = 4 } } }), "crashed")
case("what was said before a person stopped it is over", { words = { "OSError: [Errno 24] Too many open files" },
    meltano = { active = "inactive", sub = "dead", result = "success" }, inside = REFUSED }, "service-down", "restart ada")

-- As people have met them and written them down: the last lines of a service, and the cause they have.
local LAST_WORDS = {
    { "gunicorn", "[2020-03-12 12:40:25 +0000] [2371] [ERROR] Connection in use: ('0.0.0.0', 5000)", "port-was-taken", "restart ada" },
    { "gunicorn gives up", "[2020-03-12 12:40:30 +0000] [2371] [ERROR] Can't connect to ('0.0.0.0', 5000)", "port-was-taken",
        "restart ada" },
    { "Werkzeug", "OSError: [Errno 98] Address already in use", "port-was-taken", "restart ada" },
    { "a stale pid file", "RuntimeError: Already running on PID 12 (or pid file 'gunicorn.pid' is stale)", "stale-pid-file" },
    { "markupsafe 2.1", "ImportError: cannot import name 'soft_unicode' from 'markupsafe' (/usr/local/lib/python3.9/site-packages"
        .. "/markupsafe/__init__.py)", "modules-do-not-fit" },
    { "pkg_resources", "pkg_resources.ContextualVersionConflict: (click 8.0.1 (/x), Requirement.parse('click<8.0'), {'meltano'})",
        "modules-do-not-fit" },
    { "no distribution", "pkg_resources.DistributionNotFound: The 'meltano==1.105.0' distribution was not found and is required by "
        .. "the application", "module-missing" },
    { "Ubuntu's Python was upgraded", "ModuleNotFoundError: No module named 'meltano'", "module-missing" },
    { "no encodings", "ModuleNotFoundError: No module named 'encodings'", "python-broken" },
    { "a library is gone", "python: error while loading shared libraries: libpython3.8.so.1.0: cannot open shared object file: No "
        .. "such file or directory", "library-missing" },
    { "libpq is gone", "ImportError: libpq.so.5: cannot open shared object file: No such file or directory", "library-missing" },
    { "glibc", "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /x.so)", "library-missing" },
    { "click in ASCII", "RuntimeError: Click will abort further execution because Python 3 was configured to use ASCII as encoding "
        .. "for the environment.", "locale" },
    { "YAML", '  in "/var/meltano/project/meltano.yml", line 206, column 75', "project-file-broken" },
    { "a tab", "found character '\\t' that cannot start any token", "project-file-broken" },
    { "an empty project", "'NoneType' object has no attribute 'get'", "project-file-empty" },
    { "outside a project", "`meltano ui` must be run inside a Meltano project.", "project-file-missing" },
    { "alembic", "alembic.util.exc.CommandError: Can't locate revision identified by '6828cc5b1a4f'", "database-newer", "upgrade ada" },
    { "PostgreSQL 15", "psycopg2.errors.InsufficientPrivilege: permission denied for schema public", "database-rights" },
    { "a table is gone", 'sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedTable) relation "user" does not exist',
        "database-tables-missing", "restart ada" },
    { "read-only", "psycopg2.errors.ReadOnlySqlTransaction: cannot execute INSERT in a read-only transaction", "database-read-only" },
    { "SQLite", "sqlite3.OperationalError: database is locked", "database-locked" },
    { "the database was away", 'psycopg2.OperationalError: FATAL:  remaining connection slots are reserved for non-replication '
        .. "superuser connections", "database-answers-again", "restart ada" },
    { "it hung up", "psycopg2.OperationalError: SSL SYSCALL error: EOF detected", "database-answers-again", "restart ada" },
    { "descriptors", "OSError: [Errno 24] Too many open files: '/var/meltano/project/meltano.yml'", "too-many-open-files",
        "restart ada" },
    { "threads", "RuntimeError: can't start new thread", "too-many-processes" },
    { "memory", "OSError: [Errno 12] Cannot allocate memory", "out-of-memory", "restart ada" },
    { "a disk that was full", "OSError: [Errno 28] No space left on device", "disk-was-full", "restart ada" },
    { "quota", "OSError: [Errno 122] Disk quota exceeded: '/var/meltano/project/x'", "disk-quota" },
    { "a broken disk", "OSError: [Errno 5] Input/output error", "disk-broken" },
    { "a file of root", "PermissionError: [Errno 13] Permission denied: '/var/meltano/project/.meltano/run/meltano-ui.log'",
        "file-closed" },
    { "chattr +i", "PermissionError: [Errno 1] Operation not permitted: '/var/meltano/project/.meltano/run/x'", "file-immutable" },
    { "a loop", "OSError: [Errno 40] Too many levels of symbolic links: '/var/meltano/project/model'", "link-loop" },
    { "no tmp", "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/']",
        "temporary-directory" },
    { "localhost", "socket.gaierror: [Errno -2] Name or service not known", "name-resolution" },
    { "no secret key", "RuntimeError: The session is unavailable because no secret key was set.", "secret-key-missing" },
    { "Python 2", "SyntaxError: invalid syntax", "program-damaged" },
}
for _, row in ipairs(LAST_WORDS) do
    case(row[1], ended { "Traceback (most recent call last):", row[2], "Need help fixing this problem?" }, row[3], row[4])
end
case("the same, of a page", { inside = FAILS, traceback = { text = "x\nModuleNotFoundError: No module named 'yaml'" } },
    "module-missing")
case("the words nearest to the end count", ended { "OSError: [Errno 28] No space left on device",
    "ModuleNotFoundError: No module named 'x'" }, "module-missing")
case("more than one connection, while it cannot be reached", { database = { reachable = false,
    error = 'FATAL:  too many connections for role "x"' }, inside = FAILS }, "database-has-no-room-for-connections")
case("being started", { database = { reachable = false, error = "FATAL:  the database system is starting up" }, inside = FAILS },
    "database-starting")
case("settings that lead elsewhere", { database = { reachable = false, error = "timeout expired" }, inside = FAILS,
    environment = { { name = "postgres", mode = "600", owner = "meltano", private = true, values = { PG_PORT = "1" } } },
    cluster = { name = "c", connection = { port = 25060, password = TOLD } } }, "database-settings", "configure-meltano ada")
case("settings that it has not read", { loaded = false, inside = FAILS }, "settings-not-loaded", "restart ada")
case("a lock", { database = { reachable = true, blocking = { { pid = 7, user = "x", waiting = 2 } } },
    inside = { serves = false, error = "timeout" } }, "database-locked")
case("a lock that hinders nobody", { database = { reachable = true, blocking = { { pid = 7, user = "x", waiting = 1 } } } }, "healthy")

-- ---- around it ----

local function around(changes)
    local seen = { user = true, localhost = true, loopback = true, mounts = {}, holders = {}, places = {}, first_line = "#!/p",
        listeners = {}, own_network = false, clock = 1800000000 }
    for name, value in pairs(changes) do
        seen[name] = value
    end
    return seen
end
local RUNS = { active = "active", sub = "running", result = "success", load = "loaded" }
local function with(changes, more)
    local all = { surroundings = around(changes), inside = REFUSED, outside = OUTSIDE, meltano = RUNS }
    for name, value in pairs(more or {}) do
        all[name] = value
    end
    return all
end
local FOREIGN = { listeners = { { address = "*", port = 5000, pid = 9, program = "node" } },
    holders = { [9] = { pid = 9, user = "root", unit = "x.service" } } }
case("another program has the port", with(FOREIGN), "port-taken")
case("though it answers", with(FOREIGN, { inside = { serves = true, status = 200 } }), "port-taken")
case("another port", with { listeners = { { address = "*", port = 8000, pid = 9 } },
    holders = { [9] = { pid = 9, user = "meltano", unit = "meltano.service" } } }, "other-port")
case("a network of its own", with { own_network = true }, "own-network")
case("no user", with { user = false }, "user-missing")
case("no loopback", with { loopback = false }, "loopback-down")
case("no localhost", with { localhost = false }, "localhost-unknown")
case("emergency mode", with { system = "maintenance" }, "host-in-emergency")
case("no descriptors left", with { open_files = 1023, open_files_limit = 1024 }, "too-many-open-files", "restart ada")
case("read-only", with { mounts = { { place = "/", type = "ext4", source = "/dev/vda1", read_only = true } } }, "read-only")
case("read-only, and /tmp alone is not needed to serve", with({ mounts = { { place = "/tmp", type = "tmpfs", source = "x",
    read_only = true } } }, { inside = { serves = true, status = 302 }, outside = { serves = true, says = "answers 200" } }), "healthy",
    nil, { "read-only" })
case("a folder that is closed", with { places = { ["/var/meltano/project"] = { place = "/var/meltano/project", state = "closed",
    at = "/var/meltano", kind = "directory", may = "", owner = "root:root", mode = "700" } } }, "file-closed")
case("files of root in it are told as such", with({ places = { ["/var/meltano/project/.meltano/run"] = {
    place = "/var/meltano/project/.meltano/run", state = "there", at = "/var/meltano/project/.meltano/run", kind = "directory",
    may = "", owner = "root:root", mode = "700" } } }, { owners = { { path = "/var/meltano/project/.meltano/run", owner = "root" } } }),
    "wrong-owner", "upgrade ada --mend")
local PROGRAM = { place = "/var/meltano/.venv/bin/meltano", state = "there", at = "/var/meltano/.venv/bin/meltano", kind = "file",
    may = "rx", owner = "meltano:meltano", mode = "755" }
case("a Python that was replaced", with { places = { [PROGRAM.place] = PROGRAM }, interpreter = "/p", interpreter_says = "Python 3.12.3",
    made_for = "3.8.10" }, "python-replaced")
case("a Python that does not start", with { places = { [PROGRAM.place] = PROGRAM }, interpreter = "/p",
    interpreter_says = "/p: error while loading shared libraries" }, "python-broken")
case("a wrong clock", { surroundings = around { clock = 1800000000 - 3600 } }, "healthy", nil, { "clock-wrong" })
case("disabled", { meltano = { active = "active", sub = "running", result = "success", load = "loaded", enabled = "disabled" } },
    "healthy", nil, { "unit-disabled" })
case("killed, where the kernel's log is not the host's own", with({ container = "lxc" }, { meltano = DEAD }), "service-down",
    "restart ada")
case("a full volume that free-disk does not reach", with({ mounts = { { place = "/", type = "ext4", source = "a" },
    { place = "/mnt", type = "ext4", source = "b" } } }, { disks = { { place = "/mnt", size = 9, free = 0, used = 1 } } }), "disk-full")

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
