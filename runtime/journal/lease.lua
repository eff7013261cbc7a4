-- Keeping a run: while it goes on, its lease in a shared store is renewed, so that no other process takes it over; when
-- one has, or when somebody asks for its end, or when the store cannot be reached until the lease is over, it is
-- cancelled.
local native, import = ...
local lease = {}

local current, run_record, store = import "journal/current", import "journal/runs", import "journal/store"
local task, monotonic = native.task, native.system.monotonic

local LONGEST_PAUSE_SECONDS = 2 -- a cancellation is seen within this time
local RENEWALS = 4 -- within the time of a lease
local FOR_EVER = 1e8

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
            return "journal", result.message
        end
    end
end

local function hold(is_shared, fn, ...)
    local body = task.spawn(nil, fn, ...)
    if not is_shared then
        return pcall(task.join_shielded, body)
    end
    local function stop(code, message)
        task.cancel(body, message, code)
    end
    store.when_fenced(function() stop("fenced", "this run was taken over by another process") end)
    -- It goes on while a cancelled run cleans up.
    local keeper = task.spawn_shielded(FOR_EVER, function() stop(keep()) end)
    local results = { pcall(task.join_shielded, body) }
    task.cancel(keeper)
    pcall(task.join_shielded, keeper)
    store.when_fenced(nil)
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
