-- The store of runs that several controllers share: PostgreSQL, with the functions that journal/journal.h lists.
local native = ...
local shared = {}

local postgres, task, system = native.journal.postgres, native.task, native.system

local LONGEST_CALL_SECONDS = 10
local MIGRATION_LOCK = "7306369415128018543" -- any number that other programs do not use
local RING = "SELECT pg_notify('hostler_queue', '')"
local CLOCK = "CAST(extract(epoch FROM now()) AS double precision)"

-- A server that has answered so will answer otherwise soon: it starts, stops or recovers; too many are connected.
local PASSING = { ["57P01"] = true, ["57P02"] = true, ["57P03"] = true, ["53300"] = true }
local LONGEST_PAUSE_SECONDS = 1

--- Connects, and waits for a server that will soon let us in; where the caller does, also for one that cannot be
--- reached: a person who has mistyped the address wants to know that, and a worker may start before its server. One
--- that refuses, a password say, is not waited for.
---@param patience number for how many seconds a server is waited for that says it will let us in
---@param awaited? number the same for one that cannot be reached
local function connect(handle, patience, awaited)
    local began, pause, longest = system.monotonic(), 0.1, awaited
    local said = false
    while true do
        local ok, err = pcall(postgres.connect, handle)
        if ok then
            return
        end
        if PASSING[err.sqlstate] then -- from here on it may be out of reach as well: it stops, and starts again
            longest = math.max(patience, awaited or 0)
        end
        local passes = err.code == "journal.away" and (PASSING[err.sqlstate] or not err.sqlstate)
        if not passes or system.monotonic() - began >= (longest or 0) then
            error(err, 0)
        elseif not said then
            said = true
            system.write_error(("hostler: %s; waiting for it, for %g seconds at the most\n"):format(
                err.message:match "^[^\n]*", longest))
        end
        task.sleep(pause)
        pause = math.min(pause * 2, LONGEST_PAUSE_SECONDS)
    end
end

local function version(store)
    local known, rows = pcall(store.read, "SELECT version FROM journal_version")
    if known then
        return rows[1].version
    elseif rows.code == "journal.away" then
        error(rows, 0)
    end
    local present = store.read "SELECT count(*) AS tables FROM pg_class WHERE oid = to_regclass('journal_version')"
    return present[1].tables > 0 and store.read("SELECT version FROM journal_version")[1].version or 0
end

--- One statement, so that it is one transaction.
local function migration(sql, number)
    return ([[DO $hostler$ BEGIN
        PERFORM pg_advisory_xact_lock(%s);
        CREATE TABLE IF NOT EXISTS journal_version (version BIGINT NOT NULL);
        IF NOT EXISTS (SELECT 1 FROM journal_version WHERE version >= %d) THEN
            %s;
            DELETE FROM journal_version;
            INSERT INTO journal_version VALUES (%d);
        END IF;
    END $hostler$]]):format(MIGRATION_LOCK, number, sql, number)
end

--- Connects to the database.
---@param uri string
---@param lease number how long a run is taken to be alive, in seconds: what it writes waits for the server until then,
---  what others ask not so long
---@param on_fenced function called when the guard refused a write
---@param awaited? number for how many seconds a server is waited for that cannot be reached; one that is about to let
---  us in is waited for in any case, for as long as a lease
---@return table store, string name as people may see it
---@raise "journal", "journal.away", "usage"
function shared.open(uri, lease, on_fenced, awaited)
    if not uri:match "^postgres%w*://" then
        error(native.error.new {
            code = "usage", message = "HOSTLER_STORE is not the address of a store",
            hint = "postgresql://USER@HOST/DBNAME; without it the journal is a file",
        }, 0)
    end
    local handle = postgres.open(uri, math.min(LONGEST_CALL_SECONDS, lease / 2), lease)
    connect(handle, lease, awaited)

    --- Calls a function that may find the run fenced.
    local function call(fn, ...)
        local ok, result = pcall(fn, handle, ...)
        if ok then
            return result
        elseif result.code == "fenced" then
            on_fenced()
        end
        error(result, 0)
    end

    local store = { clock = CLOCK, ringing = RING }
    function store.write(...) return call(postgres.write, ...) end
    function store.transaction(...) return call(postgres.transaction, ...) end
    function store.read(...) return call(postgres.read, ...) end
    function store.later(...)
        if postgres.later(handle, ...) then
            call(postgres.drain)
        end
    end
    function store.guard(...) postgres.guard(handle, ...) end
    function store.waiting() return postgres.waiting(handle) end
    function store.ring() call(postgres.read, RING) end
    function store.hear(bell) return postgres.hear(handle, bell) end
    function store.version() return version(store) end
    function store.migrate(sql, number) store.read(migration(sql, number)) end
    function store.close() postgres.close(handle) end
    return store, postgres.name(handle)
end

return shared
