-- What is on record of the times of schedules: each has one run, or a reason why there is none, whoever asks, how
-- often, and on how many machines at once.
local _, import = ...
local times = {}

local run_record, store = import "journal/runs", import "journal/store"
local queue, texts, utc = import "queue/queue", import "run/texts", import "base/utc"

-- How many runs of the schedule that have not ended there may be besides the new one, and what is said of one that
-- is too many.
local MOST = { skip = 0, wait = 1, both = 1e9 }
local SKIPPED = {
    skip = "the run before had not ended", wait = "one waits already for the run before to end",
}

--- The turn of a schedule whose runs wait for each other.
local function turn_of(name)
    return "schedule:" .. name
end

--- The runs of the schedule that are recorded as running and whose process is gone, between commas.
local function stopped_runs(name)
    local ids = {}
    for _, row in ipairs(store.open().read("SELECT r.id, r.holder, " .. store.leased_sql() .. [[
            FROM schedule_times t JOIN runs r ON r.id = t.run
            WHERE t.schedule = $1 AND r.status = 'running']], name)) do
        ids[#ids + 1] = not store.is_held(row) and row.id or nil
    end
    return "," .. table.concat(ids, ",") .. ","
end

--- What takes the schedule's turn until the end of the transaction: who takes it next sees what was written in it.
local function take_turn(name)
    return store.statement("INSERT INTO schedules (name, fired) VALUES ($1, " .. store.now_sql "$2"
        .. ") ON CONFLICT (name) DO UPDATE SET fired = excluded.fired", name, store.now())
end

--- What gives the time to a run, unless it is another's, or too many runs of the schedule have not ended. One that was
--- stopped by its process's end is no obstacle.
local function give(name, at, id, overlap, stopped)
    return store.statement([[INSERT INTO schedule_times (schedule, at, run, skipped)
        SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CASE WHEN runs <= $4 THEN CAST($3 AS TEXT) END,
            CASE WHEN runs > $4 THEN CAST($6 AS TEXT) END
        FROM (SELECT count(*) AS runs
            FROM schedule_times t JOIN runs r ON r.id = t.run
            WHERE t.schedule = $1 AND r.status IN ('queued', 'running', 'parked') AND r.id <> $3
                AND $5 NOT LIKE '%,' || r.id || ',%') AS found
        WHERE EXISTS (SELECT 1 FROM runs WHERE id = $3)
        ON CONFLICT (schedule, at) DO NOTHING]], name, at, id, MOST[overlap], stopped, SKIPPED[overlap])
end

---@class schedule.Time what is on record of a time
---@field at integer seconds since 1970
---@field run? string the id of its run
---@field skipped? string why it has none
---@field status? string of the run

--- What is on record of a time.
---@return schedule.Time?
function times.find(name, at)
    return store.open().read([[SELECT t.at, t.run, t.skipped, r.status FROM schedule_times t
        LEFT JOIN runs r ON r.id = t.run WHERE t.schedule = $1 AND t.at = $2]], name, at)[1]
end

--- The last time of a schedule that came.
---@return { at: integer, run?: string, skipped?: string, status?: string, holder?: string, leased: integer }?
function times.last(name)
    return store.open().read("SELECT t.at, t.run, t.skipped, r.status, r.holder, " .. store.leased_sql() .. [[
        FROM schedule_times t LEFT JOIN runs r ON r.id = t.run WHERE t.schedule = $1 ORDER BY t.at DESC LIMIT 1]],
        name)[1]
end

--- The runs of a schedule that are in the queue.
---@return string[] ids
function times.queued(name)
    local ids = {}
    for index, row in ipairs(store.open().read([[SELECT r.id FROM schedule_times t JOIN runs r ON r.id = t.run
            WHERE t.schedule = $1 AND r.status = 'queued' ORDER BY r.number]], name)) do
        ids[index] = row.id
    end
    return ids
end

--- The runs of all schedules that are in the queue.
---@return { id: string, schedule: string }[]
function times.all_queued()
    return store.open().read [[SELECT r.id, t.schedule FROM schedule_times t JOIN runs r ON r.id = t.run
        WHERE r.status = 'queued' ORDER BY r.number]]
end

--- Records that a time is left out, unless it has its run already.
---@param reason string
function times.skip(name, at, reason)
    store.open().write([[INSERT INTO schedule_times (schedule, at, skipped) VALUES ($1, $2, $3)
        ON CONFLICT (schedule, at) DO NOTHING]], name, at, reason)
end

--- Puts the run of a time into the queue, all in one transaction: it is there with its time, or neither is.
---@param name string of the schedule
---@param at integer the time, seconds since 1970
---@param overlap "skip"|"wait"|"both"
---@param run table as for runs.enqueue
---@return boolean is_new false when the time had a run, or a reason to have none, before
function times.enqueue(name, at, overlap, run)
    local stopped = stopped_runs(name)
    run.key = ("schedule:%s:%s"):format(name, utc.text(at))
    local _, is_new = run_record.enqueue(run, texts.keep, function(id)
        return {
            take_turn(name),
            store.statement("UPDATE runs SET turn = $1 WHERE id = $2", overlap == "wait" and turn_of(name) or nil, id),
            give(name, at, id, overlap, stopped),
            store.statement([[DELETE FROM runs WHERE id = $1
                AND NOT EXISTS (SELECT 1 FROM schedule_times WHERE run = $1)]], id),
        }
    end)
    queue.ring_written()
    return is_new
end

return times
