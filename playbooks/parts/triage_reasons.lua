-- What the last words of a service that did not start, or of a page that failed, mean, and what to do about it. Read it
-- like a page of the handbook: whatever a line of the log looks like, what that is, what mends it. Pure.
--
-- The more particular stands before the more general. A pattern's capture stands for %s in what is said. `mend` is a
-- playbook: a restart only where the reason may be gone by then. `by_hand` is what a person does, on the host where it
-- does not say otherwise; {name} and {tenant} are the instance's. `database = true`: only while the database can be
-- reached with the instance's own settings, for what it refused before is then over.
local triage_reasons = {}

---@class triage_reasons.Reason
---@field cause string
---@field like string[] Lua patterns of a line
---@field says string
---@field mend? string[]
---@field by_hand? string
---@field database? boolean

local PIP = "sudo -u meltano /var/meltano/.venv/bin/pip"
local AGAIN = "; then: hostler run restart {tenant}"
local OVERRIDE = "`systemctl edit meltano`"

---@type triage_reasons.Reason[]
local REASONS = {
    -- Its project.
    {
        cause = "project-file-broken",
        like = { "in \"(/[^\"]+%.ya?ml)\", line %d+, column %d+", "yaml%.%a+%.%a+Error",
            "mapping values are not allowed here",
            "could not find expected ':'", "while parsing a block", "while scanning ",
            "found character .+ that cannot start" },
        says = "meltano.yml is no YAML as it is",
        by_hand = "mend /var/meltano/project/meltano.yml at the line that is named: an indent, a tab, a colon, or "
            .. "what a merge has left (<<<<<<<); `git -C /var/meltano/project diff` may show it" .. AGAIN,
    },
    {
        cause = "project-file-empty",
        like = { "'NoneType' object has no attribute 'get'", "EmptyMeltanoFileException",
            "meltano%.yml file is empty" },
        says = "meltano.yml is empty",
        by_hand = "bring /var/meltano/project/meltano.yml back, from git or a snapshot of the droplet" .. AGAIN,
    },
    {
        cause = "project-file-missing",
        like = { "must be run inside a Meltano project", "No such file or directory: '[^']*/meltano%.yml'" },
        says = "the project has no meltano.yml",
        by_hand = "bring /var/meltano/project/meltano.yml back, from git or a snapshot of the droplet" .. AGAIN,
    },
    {
        cause = "file-encoding",
        like = { "UnicodeDecodeError: '[%w-]+' codec can't decode byte .*",
            "codec can't decode byte 0x%x+ in position" },
        says = "a file that Meltano reads is not UTF-8",
        by_hand = "`cd /var/meltano/project; file -i .env *.yml` tells which: save it as UTF-8" .. AGAIN,
    },

    -- Its virtualenv.
    {
        cause = "python-broken",
        like = { "No module named 'encodings'", "Fatal Python error: (.*)", "bad magic number", "bad marshal data" },
        says = "Python itself does not start in the virtualenv",
        by_hand = "make the virtualenv /var/meltano/.venv anew with the Python that the host has" .. AGAIN,
    },
    {
        cause = "locale",
        like = { "Python 3 was configured to use ASCII", "Click will abort further execution" },
        says = "the service has no UTF-8 locale, which Meltano needs",
        by_hand = OVERRIDE .. ", with [Service] Environment=LC_ALL=C.UTF-8" .. AGAIN,
    },
    {
        cause = "library-missing",
        like = { "error while loading shared libraries: ([^:%s]+)",
            "ImportError: ([^:%s]+): cannot open shared object file",
            "undefined symbol: ([%w_]+)", "version .(GLIBC[%w_.]+)' not found", "wrong ELF class" },
        says = "a library that the virtualenv was built with is gone from the host, or is another one: %s",
        by_hand = "install the package that has it (`apt-file search`), or make the virtualenv's packages anew: " .. PIP
            .. " install --force-reinstall --no-cache-dir meltano" .. AGAIN,
    },
    {
        cause = "module-missing",
        like = { "ModuleNotFoundError: No module named '?([%w_.]+)", "ImportError: No module named '?([%w_.]+)",
            "DistributionNotFound: The '([^']+)' distribution was not found", "No module named '([%w_.]+)'" },
        says = "the virtualenv lacks the Python module %s",
        by_hand = "install what is missing: " .. PIP .. " install --force-reinstall meltano; after an upgrade of the "
            .. "host's Python make /var/meltano/.venv anew first" .. AGAIN,
    },
    {
        cause = "modules-do-not-fit",
        like = { [[ImportError: (cannot import name .-) %(]], [[ImportError: (cannot import name .*)]],
            "VersionConflict: (.*)",
            "(is not compatible with the installed version)",
            "AttributeError: (module '[^']+' has no attribute '[^']+')" },
        says = "Python packages of the virtualenv do not fit each other: %s",
        by_hand = PIP .. " check names them; install the versions that Meltano was released with" .. AGAIN,
    },
    {
        cause = "program-damaged",
        like = { "^(%a*SyntaxError: .*)", "IndentationError: (.*)", "TabError: (.*)",
            "source code (string cannot contain null bytes)" },
        says = "a Python file does not compile: it is damaged, or was written for another Python",
        by_hand = "the lines above name the file; " .. PIP .. " install --force-reinstall meltano" .. AGAIN,
    },
    {
        cause = "stale-pid-file",
        like = { "Already running on PID (%d+)", "pid file '[^']+' is stale" },
        says = "gunicorn takes another process for its own, because of a pid file that was left",
        by_hand = "see that no Meltano runs (`pgrep -u meltano -a`), remove "
            .. "/var/meltano/project/.meltano/run/gunicorn.pid" .. AGAIN,
    },
    {
        cause = "secret-key-missing",
        like = { "no secret key was set", "The CSRF session token is missing", "SECRET_KEY. must be set" },
        says = "the UI has no secret key for its sessions",
        by_hand = "set MELTANO_UI_SECRET_KEY in /etc/meltano/environment.d (meltano ui setup makes one)" .. AGAIN,
    },

    -- Its database, first as it refuses to be spoken to.
    {
        cause = "database-answers-again", database = true, mend = { "restart" },
        like = { "FATAL:  ", "connection to server .* failed: ", "no pg_hba%.conf entry", "timeout expired",
            "could not translate host name",
            "Connection refused", "could not connect to server", "No route to host",
            "Network is unreachable", "server closed the connection", "SSL SYSCALL error",
            "terminating connection due to",
            "connection already closed", "SSL connection has been closed",
            "Can't reconnect until invalid transaction" },
        says = "the database did not let Meltano in, and does now",
    },
    {
        cause = "database-address",
        like = { "could not translate host name \"([^\"]+)\" to address" },
        says = "the host finds no address for the name of the database, %s",
        by_hand = "`resolvectl query NAME` on the host: is its DNS right (/etc/resolv.conf)? Else look whether the "
            .. "cluster still has that name",
    },
    {
        cause = "no-route",
        like = { "(No route to host)", "(Network is unreachable)" },
        says = "the host has no way to the database: %s",
        by_hand = "`ip route` has to show a default route and no blackhole, `iptables -S OUTPUT` nothing that rejects",
    },
    {
        cause = "database-has-no-room-for-connections",
        like = { "remaining connection slots are reserved", "too many connections for", "too many clients already",
            "no more connections allowed", "QueuePool limit of size" },
        says = "the database takes no more connections",
        by_hand = "see who holds them (in DigitalOcean: the cluster's Logs & Queries; or pg_stat_activity), and end "
            .. "what is idle; a larger cluster allows more",
    },
    {
        cause = "database-starting",
        like = { "the database system is (starting up)", "the database system is (shutting down)",
            "the database system is in (recovery mode)", "the database system is not yet accepting" },
        says = "the database is just being restarted (%s): look again in a minute",
        by_hand = "if that lasts, look at the cluster in DigitalOcean",
    },
    {
        cause = "database-role",
        like = { "role \"([^\"]+)\" is not permitted to log in", "role \"([^\"]+)\" does not exist" },
        says = "the database does not let the user %s log in",
        by_hand = "look at the users in DigitalOcean's page of the cluster; then: "
            .. "hostler run configure-meltano {tenant}",
    },
    {
        cause = "database-name",
        like = { "database \"([^\"]+)\" does not exist", "database \"([^\"]+)\" is not currently accepting" },
        says = "the cluster has no database %s",
        by_hand = "look at the databases in DigitalOcean's page of the cluster; restore it from a backup",
    },
    {
        cause = "database-tls",
        like = { "server does not support SSL", "certificate verify failed", "SSL error: (.*)", "sslv3 alert",
            "unsupported protocol" },
        says = "Meltano and the database do not agree on TLS",
        by_hand = "is PG_ADDRESS the cluster's own name, and does the host know its authority? `openssl s_client "
            .. "-starttls postgres -connect HOST:PORT` says more",
    },

    -- Its database, as it refuses to do what it is told.
    {
        cause = "database-read-only",
        like = { "cannot execute [%u ]+ in a read%-only transaction", "ReadOnlySqlTransaction" },
        says = "the database lets itself be read only",
        by_hand = "DigitalOcean does this to a cluster whose disk is nearly full: free space or give it a larger "
            .. "disk, on its page; else its role or database has default_transaction_read_only",
    },
    {
        cause = "database-full",
        like = { "could not extend file", "psycopg2%.errors%.DiskFull", "could not write to file \"pg_" },
        says = "the disk of the database is full",
        by_hand = "give the cluster a larger disk in DigitalOcean, or delete what is not needed",
    },
    {
        cause = "database-rights",
        like = { "permission denied for (%a+ [%w_.]+)", "must be owner of (%a+ [%w_.]+)", "InsufficientPrivilege" },
        says = "the instance's database user lacks rights: %s",
        by_hand = "as doadmin, give it what it lacks (since PostgreSQL 15 the schema public is closed: GRANT ALL ON "
            .. "SCHEMA public TO user)" .. AGAIN,
    },
    {
        cause = "database-newer",
        like = { "Can't locate revision identified by '?([%w_]+)", "No such revision or branch '?([%w_]+)" },
        says = "the database was upgraded by a newer Meltano than is installed (revision %s)",
        mend = { "upgrade" },
    },
    {
        cause = "database-tables-missing", database = true, mend = { "restart" }, -- a start makes them
        like = { "relation \"([^\"]+)\" does not exist", "no such table: ([%w_.]+)" },
        says = "the database has no table %s, which a start of Meltano makes",
    },
    {
        cause = "database-columns", mend = { "restart" },
        like = { "column \"?([%w_.]+)\"? does not exist", "column \"([^\"]+)\" of relation .+ does not exist" },
        says = "a table of the database is not as this Meltano knows it: it lacks the column %s",
        by_hand = "a start upgrades the database; if it goes on, the tables were changed by somebody: restore them",
    },
    {
        cause = "database-locked",
        like = { "canceling statement due to lock timeout", "canceling statement due to statement timeout",
            "deadlock detected",
            "database is locked", "could not obtain lock" },
        says = "something else keeps a lock on the database that Meltano needs",
        by_hand = "in pg_stat_activity, see which session holds it (pg_blocking_pids), and end that",
    },

    -- Its place on the network.
    {
        cause = "port-was-taken", mend = { "restart" }, -- who has it now is asked before these lines are read
        like = { "Address already in use", "Connection in use: ", "Can't connect to %(.-, %d+%)", "Errno 98" },
        says = "when Meltano started another program had its port, which is free now",
    },
    {
        cause = "address-missing",
        like = { "Cannot assign requested address", "Invalid address: ", "Errno 99" },
        says = "the host has not the address that Meltano is to listen at",
        by_hand = "`ip address show lo` has to show 127.0.0.1 and UP: ip link set lo up; then look at "
            .. "MELTANO_UI_BIND_HOST, if it is set" .. AGAIN,
    },
    {
        cause = "address-family",
        like = { "Address family not supported by protocol", "Errno 97" },
        says = "the service may not use that kind of socket",
        by_hand = "`systemctl cat meltano`: take RestrictAddressFamilies= out or add AF_INET and AF_INET6" .. AGAIN,
    },
    {
        cause = "name-resolution",
        like = { "gaierror: %[Errno [%d-]+%] (.*)", "%[Errno %-[235]%] (.*)", "Temporary failure in name resolution" },
        says = "the host does not find an address for a name that Meltano asks for",
        by_hand = "`getent hosts localhost` and `resolvectl status` (or /etc/resolv.conf) show what lacks" .. AGAIN,
    },

    -- What the machine grants it.
    {
        cause = "too-many-open-files", mend = { "restart" },
        like = { "Too many open files", "Errno 24%]" },
        says = "Meltano has no file descriptors left",
        by_hand = "if it happens again: " .. OVERRIDE .. ", with [Service] LimitNOFILE=65536",
    },
    {
        cause = "too-many-processes",
        like = { "can't start new thread", "fork: Resource temporarily unavailable", "Errno 11%] Resource temporarily",
            "fork: retry: " },
        says = "the service may not start another process or thread",
        by_hand = "`systemctl show meltano -p TasksMax -p LimitNPROC` and `ps -u meltano -L` say how many there may "
            .. "be and are: end what runs away, or raise it with " .. OVERRIDE .. AGAIN,
    },
    {
        cause = "out-of-memory", mend = { "restart" },
        like = { "^MemoryError", "Cannot allocate memory", "std::bad_alloc", "Errno 12%]" },
        says = "Meltano got no memory",
        by_hand = "if it happens again, give the droplet a larger size in DigitalOcean",
    },
    {
        cause = "disk-was-full", mend = { "restart" }, -- a disk that is full is told before
        like = { "No space left on device", "Errno 28%]" },
        says = "a disk was full, and is not any more",
    },
    {
        cause = "disk-quota",
        like = { "Disk quota exceeded", "Errno 122%]" },
        says = "the user meltano has used up its disk quota",
        by_hand = "`quota -u meltano` says of what: delete, or raise it" .. AGAIN,
    },
    {
        cause = "read-only",
        like = { "Read%-only file system: '([^']+)'", "Read%-only file system" },
        says = "the service sees a file system that is read-only: %s",
        by_hand = "`systemctl cat meltano`: ProtectSystem=, ProtectHome= and ReadOnlyPaths= do that; add what it "
            .. "writes to ReadWritePaths=" .. AGAIN,
    },
    {
        cause = "disk-broken",
        like = { "Input/output error", "Errno 5%]", "Structure needs cleaning", "Stale file handle", "Bad message" },
        says = "a disk gives errors",
        by_hand = "take a snapshot of the droplet, look at `journalctl -k -p err` and at DigitalOcean's status page; "
            .. "then check the file system (fsck) from the recovery console",
    },

    -- Files.
    {
        cause = "file-immutable",
        like = { "Operation not permitted: '([^']+)'", "Errno 1%] Operation not permitted" },
        says = "%s may not be changed, not even by its owner",
        by_hand = "`lsattr` shows its attributes: chattr -i -a takes them away" .. AGAIN,
    },
    {
        cause = "file-closed",
        like = { "Permission denied: '([^']+)'", "([^%s:]+): Permission denied" },
        says = "the user meltano may not use %s",
        by_hand = "`namei -l` on that path shows where the way ends: chown or chmod that" .. AGAIN,
    },
    {
        cause = "file-of-another-kind",
        like = { "Is a directory: '([^']+)'", "Not a directory: '([^']+)'" },
        says = "%s is not the kind of file that Meltano expects",
        by_hand = "look at it with `ls -ld`, and move it away" .. AGAIN,
    },
    {
        cause = "link-loop",
        like = { "Too many levels of symbolic links: '([^']+)'" },
        says = "%s is a link that leads back to itself",
        by_hand = "`namei -l` on that path shows the links: remove the one that loops" .. AGAIN,
    },
    {
        cause = "temporary-directory",
        like = { "No usable temporary directory found in" },
        says = "Meltano finds no directory for temporary files",
        by_hand = "`ls -ld /tmp` has to show drwxrwxrwt and root: chmod 1777 /tmp" .. AGAIN,
    },
    {
        cause = "file-missing",
        like = { "No such file or directory: '([^']+)'" },
        says = "there is no %s",
        by_hand = "bring it back, from git or a snapshot of the droplet; a directory: install -d -o meltano -g meltano"
            .. AGAIN,
    },
}

--- A reason by its cause.
---@param cause string
---@return triage_reasons.Reason
function triage_reasons.named(cause)
    for _, reason in ipairs(REASONS) do
        if reason.cause == cause then
            return reason
        end
    end
end

local FURTHEST = 60 -- lines from the end: what ended it is among its last words

local function matching(line, database_answers)
    for _, reason in ipairs(REASONS) do
        if not reason.database or database_answers then
            for _, pattern in ipairs(reason.like) do
                local first, _, capture = line:find(pattern)
                if first then
                    return reason, capture or ""
                end
            end
        end
    end
end

--- What some last words mean: those nearest to the end that say anything.
---@param lines string[]
---@param database_answers boolean whether the database can be reached with the instance's settings now
---@return triage_reasons.Reason? reason with its says filled in
---@return string? line the one that says it
function triage_reasons.of(lines, database_answers)
    for index = #lines, math.max(1, #lines - FURTHEST + 1), -1 do
        local reason, capture = matching(lines[index], database_answers)
        if reason then
            return {
                cause = reason.cause, mend = reason.mend, by_hand = reason.by_hand,
                says = (reason.says:gsub("[ :(]*%%s%)?", function(hole)
                    return capture ~= "" and hole:gsub("%%s", function() return capture end) or ""
                end)),
            }, lines[index]
        end
    end
end

return triage_reasons
