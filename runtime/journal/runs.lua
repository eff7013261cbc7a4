-- The life of a run in the store: begun or queued, claimed by a process, renewed, ended.
local native, import = ...
local runs = {}

local current, earlier_steps = import "journal/current", import "journal/earlier_steps"
local process, sealing, store = import "base/process", import "journal/sealing", import "journal/store"
local events, sources = import "journal/events", import "journal/sources"
local json, system, task = native.json.face, native.system, native.task

local ID_LETTERS, ID_LENGTH = "23456789abcdefghjkmnpqrstuvwxyz", 6

-- What has no run until something is to be recorded begins it with this.
local begin_late
local beginning, begun = false, task.bell()

--- Has fn called to begin a run when something is to be recorded and there is none; without one, none is begun.
---@param fn? fun()
function runs.begin_when_needed(fn)
    begin_late = fn
end

--- Makes sure that there is a run to record in, where there can be one. Of tasks side by side the first begins it.
function runs.demand()
    while beginning do
        task.listen(begun)
    end
    if current.run or not begin_late then
        return
    end
    beginning = true
    local ok, err = pcall(begin_late)
    beginning = false
    task.ring(begun)
    if not ok then
        error(err, 0)
    end
end

--- Letters and digits that people do not mix up.
---@param length integer
---@return string
function runs.random_id(length)
    local letters = {}
    for index = 1, length do
        local at = system.random(#ID_LETTERS) + 1
        letters[index] = ID_LETTERS:sub(at, at)
    end
    return table.concat(letters)
end

-- Ids that no run had a moment ago: they are looked up some at once.
local free_ids, looked_up = {}, nil
local LOOKUP = "SELECT id FROM runs WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8)"
local IDS_A_LOOKUP, FRESH_SECONDS = 8, 5

local function look_up_ids()
    local ids, taken = {}, {}
    for index = 1, IDS_A_LOOKUP do
        ids[index] = runs.random_id(ID_LENGTH)
    end
    looked_up = system.monotonic()
    for _, row in ipairs(store.open().read(LOOKUP, unpack(ids))) do
        taken[row.id] = true
    end
    free_ids = {}
    for _, id in ipairs(ids) do
        free_ids[#free_ids + 1] = not taken[id] and id or nil
    end
end

--- An id that no run has.
local function new_id()
    while #free_ids == 0 or system.monotonic() - looked_up > FRESH_SECONDS do
        look_up_ids()
    end
    return table.remove(free_ids)
end

--- From here on the store refuses what this process writes once the run is another's.
local function guard()
    local mine, handle = "id = $1 AND attempt = $2", store.open()
    if handle.clock then
        local renew = "UPDATE runs SET batch = $3, lease = %s WHERE %s AND batch < $3 RETURNING id"
        local look = ("SELECT id FROM runs WHERE %s AND batch = $3"):format(mine)
        handle.guard(renew:format(store.lease_sql(), mine), look, current.run, current.attempt)
    else
        handle.guard(("SELECT id FROM runs WHERE %s"):format(mine), "", current.run, current.attempt)
    end
end

-- A store that is asked twice for the same row adds it once: the holder and the arguments tell.
local ON_SAME_ID = [[ON CONFLICT (id) DO UPDATE SET id = CASE WHEN runs.holder IS NOT DISTINCT FROM excluded.holder
    AND runs.arguments = excluded.arguments THEN runs.id END]]
local ON_SAME_KEY = "ON CONFLICT (key) DO NOTHING"

--- What adds a row: that of a run which its holder begins, or of one which waits for a worker.
---@return table statement
local function insertion(id, run, holder)
    local _, user = system.user()
    local login = system.env "SUDO_USER" or user
    local arguments = sealing.encode(json.array { unpack(run.arguments) })
    local now, lease = store.now_sql "$12", holder and store.lease_sql() or "NULL"
    return store.statement([[INSERT INTO runs (id, playbook, file, directory, arguments, operator, version, mode,
            status, attempt, holder, key, priority, at_most, queued, started, updated, batch, lease, number)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, $14, $15, CAST($16 AS DOUBLE PRECISION), ]]
        .. table.concat({ now, now, "0", lease }, ", ") .. [[, (SELECT coalesce(max(number), 0) + 1 FROM runs)) ]]
        .. (run.key and ON_SAME_KEY or ON_SAME_ID),
        id, run.playbook, run.file, system.real_path "." or "/", arguments, login, system.version(), run.mode,
        holder and "running" or "queued", holder and 1 or 0, holder, store.now(), run.key, run.priority or 0,
        run.at_most, not holder and (run.not_before or 0) or nil)
end

--- Begins to record a new run.
---@param run { playbook: string, file: string, arguments: string[], mode: string }
---@return string id
---@raise "journal", "key"
function runs.begin(run)
    sealing.prepare()
    local id = new_id()
    store.open().transaction { insertion(id, run, process.me()) }
    current.set(id, 1)
    guard()
    earlier_steps.begin(store.open(), current.run, true)
    return current.run
end

--- What puts a new run into the queue, for a worker to claim, with its sources, as statements for one transaction. They
--- wake those who hear the queue's bell, where a statement can; whoever uses them calls queue.ring_written() afterwards
--- (queue/queue.lua).
---@param run { playbook: string, file: string, arguments: string[], mode: string, key?: string, priority?: integer,
---  not_before?: number, at_most?: integer } key: of two runs with the same one there is only the first; priority:
---  higher ones are begun first (0); not_before: seconds since the epoch; at_most: what the playbook says
---@param keep fun() called to keep the sources of the run; must not wait
---@return table[] statements
---@return string id
---@raise "journal", "key"
function runs.queueing(run, keep)
    sealing.prepare()
    local id = new_id()
    local statements = { insertion(id, run) }
    for _, statement in ipairs(sources.collect(id, keep)) do
        statements[#statements + 1] = statement
    end
    statements[#statements + 1] = store.ringing()
    return statements, id
end

--- Puts a new run into the queue, in one transaction.
---@param run table as for runs.queueing
---@param keep fun() likewise
---@param beside? fun(id: string): table[] more statements (store.statement) for the same transaction, which see the
---  run's row, unless its key was taken; must not wait
---@return string? id nil where a statement beside it took it out again
---@return boolean is_new false: it is the run that has this key
---@raise "journal", "key"
function runs.enqueue(run, keep, beside)
    local statements, id = runs.queueing(run, keep)
    for _, statement in ipairs(beside and beside(id) or {}) do
        statements[#statements + 1] = statement
    end
    statements[#statements + 1] = store.statement("SELECT id FROM runs WHERE id = $1 OR key = $2", id, run.key)
    local first = store.open().transaction(statements)[1]
    return first and first.id, first ~= nil and first.id == id
end

--- The run that was ordered with a key.
---@return string? id
function runs.of_key(key)
    local row = store.open().read("SELECT id FROM runs WHERE key = $1", key)[1]
    return row and row.id
end

--- The last number that was given to what is on record of a run.
local function last_number(id)
    return store.open().read([[SELECT max(number) AS number FROM (SELECT number FROM events WHERE run = $1
        UNION ALL SELECT number FROM effects WHERE run = $1
        UNION ALL SELECT ended_number FROM effects WHERE run = $1
        UNION ALL SELECT position FROM steps WHERE run = $1) AS numbers]], id)[1].number or 0
end

--- The run and its attempt are this process's now.
local function hold(id, number)
    local is_new = number == 1 -- from the queue: nothing of it is on record
    current.set(id, number, is_new and 0 or last_number(id))
    guard()
    earlier_steps.begin(store.open(), id, is_new)
end

--- Takes over a run that no process works on, to go on with it. It is no longer the workers'.
---@param run table a row of runs
---@return boolean false when another process was faster, or when its holder is alive after all
---@raise "journal", "key"
function runs.claim(run)
    sealing.prepare()
    local gone = run.holder and store.has_ended(run.holder) and run.holder or ""
    local rows = store.open().write(([[UPDATE runs
        SET status = 'running', holder = $1, attempt = $4 + 1, batch = 0, lease = %s, cancel = NULL, queued = NULL,
            updated = %s, error = NULL, crashes = 0
        WHERE id = $3 AND ((attempt = $4 AND (status <> 'running' OR holder IS NULL OR holder = $5 OR %s))
            OR (attempt = $4 + 1 AND holder = $1))
        RETURNING attempt]]):format(store.lease_sql(), store.now_sql "$2", store.expired_sql()), process.me(),
        store.now(), run.id, run.attempt, gone)
    if not rows[1] then
        return false
    end
    hold(run.id, rows[1].attempt)
    return true
end

--- Goes on with a run that this process has claimed from the queue.
---@param row { id: string, attempt: integer, crashes: integer } what claims.next returned
function runs.take_up(row)
    hold(row.id, row.attempt)
    current.has_crashed = row.crashes > 0
end

--- Takes a run from a holder whose lease has run out, so that what it held can be given to another.
---@return boolean false when the holder has renewed it
function runs.fence(id, holder)
    return store.open().write(([[UPDATE runs SET attempt = attempt + 1, holder = NULL, lease = NULL
        WHERE id = $1 AND holder = $2 AND %s RETURNING id]]):format(store.expired_sql()), id, holder)[1] ~= nil
end

--- Renews the lease. Returns who has asked for the run to be cancelled, if somebody has.
---@return string?
---@raise "fenced", "journal"
function runs.renew()
    return store.open().write("SELECT cancel FROM runs WHERE id = $1", current.run)[1].cancel
end

--- Asks the process that works on a run, wherever it is, to stop.
---@param by string who asks
function runs.ask_to_cancel(id, by)
    store.open().write("UPDATE runs SET cancel = $1 WHERE id = $2 AND status = 'running'", by, id)
end

--- Whether somebody has asked for the end of the run; false as well where that cannot be known.
---@return boolean
function runs.is_given_up(id)
    local ok, rows = pcall(store.open().read, "SELECT cancel FROM runs WHERE id = $1 AND cancel IS NOT NULL", id)
    return ok and rows[1] ~= nil
end

--- Records how the run ended, and gives back what it held.
---@param status "done"|"failed"|"cancelled"|"parked"|"undone"|"queued"
---@param problem? string what a person reads of the error
---@raise "fenced", "journal"
function runs.finish(status, problem)
    if not current.run then
        return
    end
    local statements = events.take_ends()
    statements[#statements + 1] = store.statement("DELETE FROM locks WHERE run = $1", current.run)
    statements[#statements + 1] = store.statement(([[UPDATE runs SET status = $1, error = $2, holder = NULL,
            lease = NULL, updated = %s, crashes = CASE WHEN $1 = 'queued' THEN crashes ELSE 0 END
        WHERE id = $4 AND attempt = $5]]):format(store.now_sql "$3"), status, current.shown(problem), store.now(),
        current.run, current.attempt)
    store.open().transaction(statements)
    store.open().guard()
    current.set(nil)
end

return runs
