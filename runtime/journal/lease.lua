-- Keeping a run: while it goes on, its lease in a shared store is renewed, so that no other process takes it over; when
-- one has, or when somebody asks for its end, it is cancelled. A store that is away is waited for, which the report
-- says, until the lease is over by this machine's own clock: then the run is cancelled, since it may be another's.
local native, import = ...
local lease = {}

local current, run_record, store = import "journal/current", import "journal/runs", import "journal/store"
local event, task, monotonic = native.event, native.task, native.system.monotonic

local LONGEST_PAUSE_SECONDS = 2 -- a cancellation is seen within this time
local RENEWALS = 4 -- within the time of a lease
local FOR_EVER = 1e8
local NOTABLE_SECONDS = 1 -- a call of the store that takes longer is told of

local function no_run()
    return nil
end

--- Renews until the store says no, or until it was silent for as long as the lease lasts.
---@return string code, string message why the run has to end
local function keep()
    local seconds = store.lease_seconds()
    local pause = math.min(LONGEST_PAUSE_SECONDS, seconds / RENEWALS)
    local renewed = monotonic()
    while true do
        task.sleep(pause)
        local asked = monotonic()
        local ok, result = pcall(current.run and run_record.renew or no_run)
        if ok then
            renewed = asked
            if result then
                return "cancelled", "cancelled by " .. result
            end
        elseif result.code == "fenced" then
            return "fenced", result.message
        elseif monotonic() - renewed > seconds - pause then
            return result.code, result.message
        end
    end
end

--- What says in the report that the run waits for its store, and that it does no more.
---@return fun(waiting: number, why?: string) seconds that a call has waited so far
local function teller()
    local scope, seconds, since = task.context().scope, store.lease_seconds(), nil
    return function(waiting, why)
        if not since and waiting > NOTABLE_SECONDS then
            since = monotonic() - waiting
            event.emit("warn", { parent = scope, text = ("waiting for the journal %s, for %g seconds at the most: %s")
                :format(store.open().name, seconds, why) })
        elseif since and waiting < NOTABLE_SECONDS then
            event.emit("say", { parent = scope, text = ("the journal answers again, after %.0f seconds"):format(
                monotonic() - since) })
            since = nil
        end
    end
end

--- Looks now and then how long the store has been silent.
local function watch(tell)
    while true do
        task.sleep(NOTABLE_SECONDS)
        if current.run then
            tell(store.open().waiting())
        end
    end
end

--- Calls fn beside what keeps its lease in a shared store.
local function hold_lease(tell, fn, ...)
    local body = task.spawn(nil, fn, ...)
    local function stop(code, message)
        task.cancel(body, message, code)
    end
    store.when_fenced(function() stop("fenced", "this run was taken over by another process") end)
    -- They go on while a cancelled run cleans up.
    local keeper = task.spawn_shielded(FOR_EVER, function() stop(keep()) end)
    local watcher = task.spawn_shielded(FOR_EVER, watch, tell)
    local results = { pcall(task.join_shielded, body) }
    for _, beside in ipairs { keeper, watcher } do
        task.cancel(beside)
        pcall(task.join_shielded, beside)
    end
    store.when_fenced(nil)
    return unpack(results, 1, table.maxn(results))
end

local function hold(is_shared, fn, ...)
    local tell = teller()
    if is_shared then
        return hold_lease(tell, fn, ...)
    end
    store.when_waiting(tell)
    local results = { pcall(task.join_shielded, task.spawn(nil, fn, ...)) }
    store.when_waiting(nil)
    return unpack(results, 1, table.maxn(results))
end

--- Calls fn in a task of its own, and keeps the run meanwhile.
---@return boolean ok, any ... as from pcall
function lease.hold(fn, ...)
    return hold(current.run and store.is_shared(), fn, ...)
end

--- The same where fn begins the run, if there is to be one.
---@return boolean ok, any ... as from pcall
function lease.hold_later(fn, ...)
    return hold((native.system.env "HOSTLER_STORE" or "") ~= "", fn, ...)
end

return lease
