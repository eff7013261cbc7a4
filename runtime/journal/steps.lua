-- The steps of the run, as they are recorded: the intent before, the result after.
local native, import = ...
local steps = {
    --- The status of a step that has run to its end, and whose result the journal cannot hold.
    UNRECORDED = "unrecorded",
}

local current, earlier_steps = import "journal/current", import "journal/earlier_steps"
local sealing, store = import "journal/sealing", import "journal/store"
local json, now = native.json.face, native.system.now

--- Begins or ends to go through the run's steps again, from the first.
---@param on boolean
function steps.collect(on)
    current.collect(on)
    if on then
        earlier_steps.begin(store.open(), current.run)
    end
end

--- How many writes an attempt at a step has recorded: all of them, and those of which it is not known whether they
--- happened.
---@return integer writes, integer unclear
function steps.writes(path, attempt)
    local effects = store.open().read([[SELECT count(*) AS writes,
            sum(CASE WHEN status IS NULL OR status = 'unclear' THEN 1 ELSE 0 END) AS unclear
        FROM effects WHERE run = $1 AND step = $2 AND attempt = $3 AND kind = 'write']], current.run, path, attempt)[1]
    return effects.writes, effects.unclear or 0
end

--- The last attempt that has written in a step's name; 0 when none has.
---@return integer
function steps.last_attempt(path)
    return store.open().read([[SELECT max(attempt) AS attempt FROM effects
        WHERE run = $1 AND step = $2 AND kind = 'write']], current.run, path)[1].attempt or 0
end

--- What earlier attempts left of a step; nil when it was not begun before. `writes` and `unclear` count the write
--- effects of the last attempt at it: all of them, and those of which it is not known whether they happened.
---@param path string
---@return { status: string, attempt: integer, code?: string, result?: string, error?: string, undone?: string,
---  position?: integer, writes?: integer, unclear?: integer }?
function steps.find(path)
    local row = current.run and earlier_steps.find(path) or nil
    if row and row.status ~= "done" then
        row.writes, row.unclear = steps.writes(path, row.attempt)
    end
    return row
end

--- What is recorded of the steps of this run, in the order in which they began.
---@return { step: string, status: string, result?: any, error?: string }[]
function steps.list()
    local list = { columns = { "step", "status", "result", "error" } }
    for index, row in ipairs(current.run and store.open().read([[SELECT path, status, result, error FROM steps
            WHERE run = $1 ORDER BY started]], current.run) or {}) do
        list[index] = {
            step = row.path:match "^[^/]*/(.*)$" or row.path, status = row.status,
            result = row.result and sealing.decode(row.result), error = row.error and json.decode(row.error).message,
        }
    end
    return list
end

--- The writes of an attempt at a step of which it is not known whether they happened, in words.
---@param of_attempt? integer this one
---@return string[]
function steps.doubts(path, of_attempt)
    local summaries = {}
    if not current.run then
        return summaries
    end
    for index, row in ipairs(store.open().read([[SELECT summary FROM effects
            WHERE run = $1 AND step = $2 AND attempt = $3 AND kind = 'write'
                AND (status IS NULL OR status = 'unclear') ORDER BY number]], current.run, path,
            of_attempt or current.attempt)) do
        summaries[index] = row.summary
    end
    return summaries
end

--- The writes of a step of which it is not known whether they happened, and which may still go on elsewhere.
---@param of_attempt? integer those of this one
---@return { number: integer, target: string, summary: string, reach: table }[]
function steps.reaching(path, of_attempt)
    local rows = current.run and store.open().read([[SELECT number, target, summary, reach FROM effects
        WHERE run = $1 AND step = $2 AND (attempt = $3 OR $3 IS NULL) AND kind = 'write' AND reach IS NOT NULL
            AND (status IS NULL OR status = 'unclear') ORDER BY number]], current.run, path, of_attempt) or {}
    for _, row in ipairs(rows) do
        row.reach = json.decode(row.reach)
    end
    return rows
end

--- The steps of a run that have written and did not end, and of which it is not known whether they happened.
---@param run string
---@return { path: string, status: string }[]
function steps.in_doubt(run)
    return store.open().read([[SELECT path, status FROM steps
        WHERE run = $1 AND status <> 'done' AND EXISTS (SELECT 1 FROM effects
            WHERE effects.run = steps.run AND step = steps.path AND effects.attempt = steps.attempt AND kind = 'write'
                AND (steps.status IN ('running', $2) OR effects.status IS NULL OR effects.status = 'unclear'))
        ORDER BY started, path]], run, steps.UNRECORDED)
end

--- A step's intent: it reaches the disk with its first write.
---@param code string the hash of the step's function
function steps.begin(path, code, undoable)
    if not current.run then
        return
    end
    store.open().later([[INSERT INTO steps (run, path, status, attempt, code, undoable, started)
        VALUES ($1, $2, 'running', $3, $4, $5, $6)
        ON CONFLICT (run, path) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
            code = excluded.code, undoable = excluded.undoable, started = excluded.started, ended = NULL, result = NULL,
            error = NULL]],
        current.run, path, current.attempt, code, undoable, now())
end

--- A step that has finished shows that the run gets on: what ends its processes is counted anew.
local function forget_crashes()
    if current.has_crashed then
        store.open().later("UPDATE runs SET crashes = 0 WHERE id = $1", current.run)
        current.has_crashed = false
    end
end

--- A step's end, on disk when this returns.
---@param result? any what it returned
---@param err? table
function steps.finish(path, status, result, err)
    if not current.run then
        return
    end
    local problem = err and json.encode { code = current.shown(err.code), message = current.shown(err) } or nil
    local kept = result ~= nil and sealing.encode(result) or nil
    if status ~= "done" then
        earlier_steps.note_failure(path)
    else
        forget_crashes()
    end
    store.open().write([[UPDATE steps SET status = $1, result = $2, error = $3, ended = $4, position = $5
        WHERE run = $6 AND path = $7]], status, kept, problem, now(), current.next_number(), current.run, path)
end

return steps
