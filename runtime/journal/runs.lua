-- The life of a run in the store: begun or queued, claimed by a process, renewed, ended.
local native, import = ...
local runs = {}

local current, earlier_steps = import "journal/current", import "journal/earlier_steps"
local process, sealing, store = import "base/process", import "journal/sealing", import "journal/store"
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

--- An id that no run has.
local function new_id()
    local letters = {}
    for index = 1, ID_LENGTH do
        local at = system.random(#ID_LETTERS) + 1
        letters[index] = ID_LETTERS:sub(at, at)
    end
    local id = table.concat(letters)
    return store.open().read("SELECT id FROM runs WHERE id = $1", id)[1] and new_id() or id
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

--- Adds a row. A store that is asked twice for the same one adds it once: the holder and the arguments tell.
---@param record function store.write or store.later
local function insert(record, run, status, holder)
    local _, user = system.user()
    local login = system.env "SUDO_USER" or user
    local arguments = sealing.encode(json.array { unpack(run.arguments) })
    local queued, lease = holder and "NULL" or store.now_sql "$12", holder and store.lease_sql() or "NULL"
    local id = new_id()
    record([[INSERT INTO runs (id, playbook, file, directory, arguments, operator, version, mode, status, attempt,
            holder, started, updated, queued, batch, lease, number)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, ]]
        .. table.concat({ store.now_sql "$12", store.now_sql "$12", queued, "0", lease }, ", ") .. [[,
            (SELECT coalesce(max(number), 0) + 1 FROM runs))
        ON CONFLICT (id) DO UPDATE SET id = CASE WHEN runs.holder IS NOT DISTINCT FROM excluded.holder
            AND runs.arguments = excluded.arguments THEN runs.id END]],
        id, run.playbook, run.file, system.real_path "." or "/", arguments, login, system.version(), run.mode, status,
        holder and 1 or 0, holder, store.now())
    return id
end

--- Begins to record a new run.
---@param run { playbook: string, file: string, arguments: string[], mode: string }
---@return string id
---@raise "journal", "key"
function runs.begin(run)
    sealing.prepare()
    current.set(insert(store.open().write, run, "running", process.me()), 1)
    guard()
    earlier_steps.begin(store.open(), current.run, true)
    return current.run
end

--- Puts a new run into the queue, for a worker to claim.
---@param run table as for runs.begin
---@param keep fun(id: string) called to keep the sources of the run: they, and all that it writes later, go with it
---@return string id
function runs.enqueue(run, keep)
    sealing.prepare()
    local id = insert(store.open().later, run, "queued")
    current.set(id)
    keep(id)
    current.set(nil)
    store.open().write(("UPDATE runs SET updated = %s WHERE id = $2"):format(store.now_sql "$1"), store.now(), id)
    return id
end

--- The run and its attempt are this process's now.
local function hold(id, number)
    local last = store.open().read([[SELECT max(number) AS number FROM (SELECT number FROM events WHERE run = $1
        UNION ALL SELECT number FROM effects WHERE run = $1
        UNION ALL SELECT ended_number FROM effects WHERE run = $1
        UNION ALL SELECT position FROM steps WHERE run = $1) AS numbers]], id)[1].number or 0
    current.set(id, number, last)
    guard()
    earlier_steps.begin(store.open(), id)
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
            updated = %s, error = NULL
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

--- Claims the run that has waited longest in the queue, or whose worker has lost its lease. For runs.adopt.
---@return { id: string, attempt: integer, playbook: string }?
function runs.claim_next()
    return store.open().write(([[UPDATE runs
        SET status = 'running', holder = $1, attempt = attempt + 1, batch = 0, lease = %s, updated = %s, error = NULL
        WHERE id = (SELECT id FROM runs
            WHERE queued <= %s AND (status = 'queued' OR (status = 'running' AND (holder IS NULL OR %s)))
            ORDER BY queued LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, attempt, playbook]]):format(store.lease_sql(), store.open().clock, store.open().clock,
        store.expired_sql()), process.me())[1]
end

--- Has the run that is being enqueued wait for the end of those before it with the same turn. To call in `keep` of
--- runs.enqueue.
---@param name string
function runs.set_turn(name)
    store.open().later("UPDATE runs SET turn = $1 WHERE id = $2", name, current.run)
end

--- Makes a run this process's that another one has claimed for it.
---@return boolean false when it has been taken over meanwhile
---@raise "journal", "key"
function runs.adopt(id, number)
    sealing.prepare()
    local rows = store.open().write(([[UPDATE runs SET holder = $1, lease = %s
        WHERE id = $2 AND attempt = $3 RETURNING id]]):format(store.lease_sql()), process.me(), id, number)
    if rows[1] then
        hold(id, number)
    end
    return rows[1] ~= nil
end

--- Takes a run from a holder whose lease has run out, so that what it held can be given to another.
---@return boolean false when the holder has renewed it
function runs.fence(id, holder)
    return store.open().write(([[UPDATE runs SET attempt = attempt + 1, holder = NULL, lease = NULL
        WHERE id = $1 AND holder = $2 AND %s RETURNING id]]):format(store.expired_sql()), id, holder)[1] ~= nil
end

--- Has a run of the queue wait there for so many seconds when it goes back to it.
function runs.postpone(seconds)
    local handle = store.open()
    handle.later(("UPDATE runs SET queued = %s + $1 WHERE id = $2"):format(store.now_sql "$3"), seconds, current.run,
        store.now())
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

--- Records how the run ended, and gives back what it held.
---@param status "done"|"failed"|"cancelled"|"parked"|"undone"|"queued"
---@param problem? string what a person reads of the error
---@raise "fenced", "journal"
function runs.finish(status, problem)
    if not current.run then
        return
    end
    store.open().later("DELETE FROM locks WHERE run = $1", current.run)
    store.open().write(([[UPDATE runs SET status = $1, error = $2, holder = NULL, lease = NULL, updated = %s
        WHERE id = $4 AND attempt = $5]]):format(store.now_sql "$3"), status, current.shown(problem), store.now(),
        current.run, current.attempt)
    store.open().guard()
    current.set(nil)
end

return runs
