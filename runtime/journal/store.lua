-- The store that runs are recorded in: a file, or the database that several controllers share ($HOSTLER_STORE). Opened
-- when it is first needed. What differs between the two for those who write SQL is here: the clock, and leases.
--
-- In a store that several machines share, a run carries a lease: until when it is taken to be alive, by the store's
-- clock. Every write renews it, and so does lease.lua while there is nothing to write.
local native, import = ...
local store = {}

local process, schema = import "base/process", import "journal/schema"
local shared, sqlite, state = import "journal/postgres/shared", import "journal/sqlite", import "base/state"
local system = native.system

local DEFAULT_LEASE_SECONDS = 30

local opened
-- For how many seconds a shared store that cannot be reached at first is waited for.
local awaited
-- Called when the store says that the run is another process's now.
local on_fenced = function() end
-- Called while a call waits.
local on_waiting = function() end

--- Has fn called when the store says that the run is another process's now; without one, nobody.
---@param fn? fun()
function store.when_fenced(fn)
    on_fenced = fn or function() end
end

--- Has fn called while a call waits for others who have the journal's file locked, and when it goes on; without one,
--- nobody. A shared store is asked: waiting().
---@param fn? fun(seconds: number, why?: string)
function store.when_waiting(fn)
    on_waiting = fn or function() end
end

--- Has a shared store waited for that cannot be reached when it is first needed: by what nobody sits before.
--- Others are told at once.
---@param seconds number
function store.await(seconds)
    awaited = seconds
end

--- How long a run is taken to be alive after its last write, in seconds.
---@return number
function store.lease_seconds()
    local seconds = tonumber(system.env "HOSTLER_LEASE" or DEFAULT_LEASE_SECONDS)
    if not seconds or seconds < 1 or seconds > 86400 then
        error(native.error.new { code = "usage", message = "HOSTLER_LEASE is a number of seconds from 1 to 86400" }, 0)
    end
    return seconds
end

local function open()
    local uri = system.env "HOSTLER_STORE"
    if uri and uri ~= "" then
        return shared.open(uri, store.lease_seconds(), function() on_fenced() end, awaited)
    end
    local path = state.directory() .. "/journal.db"
    return sqlite.open(path, store.lease_seconds(), function(...) on_waiting(...) end), path
end

--- Opens it, once. Everything that can be wrong with it is found here, before anything is done.
---@return table handle see journal.h; `name` is its path or address
---@raise "journal"
function store.open()
    if not opened then
        local handle, name = open()
        schema.migrate(handle, name)
        handle.name = name
        opened = handle
    end
    return opened
end

--- Whether other machines use the same store.
---@return boolean
function store.is_shared()
    return store.open().clock ~= nil
end

--- A statement for a store's transaction().
---@param sql string
---@param ... any its parameters
---@return table
function store.statement(sql, ...)
    return { sql, n = select("#", ...), ... }
end

--- What rings as ring() does when its transaction is committed; nil where no statement can.
---@return table? statement
function store.ringing()
    local sql = store.open().ringing
    return sql and store.statement(sql)
end

--- SQL for the present time. In a shared store it is the store's own: the machines' clocks may differ, and jump.
---@param parameter string such as "$1", which is store.now()
---@return string
function store.now_sql(parameter)
    return store.open().clock and ("coalesce(%s, %s)"):format(parameter, opened.clock) or parameter
end

---@return number?
function store.now()
    return not store.open().clock and system.now() or nil
end

--- SQL: until when a run is leased that is written to now.
function store.lease_sql()
    return store.open().clock and ("%s + %g"):format(opened.clock, store.lease_seconds()) or "NULL"
end

--- SQL: whether the lease of a row of runs has run out. Without a lease it has not: who holds the run is then asked.
function store.expired_sql()
    return store.open().clock and "lease < " .. opened.clock or "1 = 0"
end

--- SQL for a column `leased`: 1 while the lease lasts.
---@param column? string ("lease")
function store.leased_sql(column)
    return store.open().clock and ("CASE WHEN %s >= %s THEN 1 ELSE 0 END AS leased"):format(column or "lease",
            opened.clock)
        or "1 AS leased"
end

--- Whether a process is known to have ended: in a shared store it may be another machine's.
function store.has_ended(holder)
    if store.open().clock then
        return process.has_ended(holder)
    end
    return not process.alive(holder)
end

--- Whether a process still works on the run. One of this machine can be seen; of another's, the lease tells.
---@param row { holder?: string, leased: integer } a row of runs, with store.leased_sql()
---@return boolean
function store.is_held(row)
    return row.holder ~= nil and row.leased == 1 and not store.has_ended(row.holder)
end

return store
