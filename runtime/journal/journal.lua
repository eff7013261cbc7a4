-- What is recorded of a run, so that it can be followed, resumed and undone.
--
-- The promise is an order on disk: a step's intent and each write's intent before the write leaves the process, a
-- step's result before the step counts as done. So the first write of a step takes the step's own intent along, and a
-- step costs one flush more than it has writes. Reads change nothing and are made again by a resumed run: they, and
-- how a write ended, and the events for `hostler log`, go to disk with the next flush or a moment later.
--
-- `attempt` counts the processes that worked on a run. Every claim raises it, and names the attempt it expects: of two
-- that would resume a run at once, one finds no row. It is also the fence: every write of a run matches the attempt it
-- was made by, so a process that was taken for dead writes nothing more.
--
-- In a store that several machines share, a run carries a lease besides: until when it is taken to be alive, by the
-- store's clock. Every write renews it, and so does lease.lua while there is nothing to write.
local native, import = ...
local journal = {
    --- The run that is being recorded; nil when nothing is: in a dry run, in tests of modules.
    run = nil,
    --- While the finished steps of a run are gone through again to undo them (journal.collect): nothing new is begun.
    collecting = false,
    --- Called when the store says that the run is another process's now.
    on_fenced = function() end,
}

local earlier_steps, process = import "journal/earlier_steps", import "base/process"
local schema, sealing = import "journal/schema", import "journal/sealing"
local event, json, scrub, system = native.event, native.json.face, native.secret.scrub, native.system
local now = system.now

local ID_LETTERS, ID_LENGTH = "23456789abcdefghjkmnpqrstuvwxyz", 6
local SCOPES_AN_ATTEMPT = 1e9
local DEFAULT_LEASE_SECONDS = 30

local store, attempt
local last_number = 0

local function next_number()
    last_number = last_number + 1
    return last_number
end

--- Text for the journal: shown as a person would see it, never a secret.
local function shown(value)
    return value ~= nil and scrub(tostring(value)) or nil
end

--- The number of a scope among those of all attempts: each process counts from 1.
local function in_attempt(scope)
    return scope and scope + attempt * SCOPES_AN_ATTEMPT
end

--- How long a run is taken to be alive after its last write, in seconds.
---@return number
function journal.lease_seconds()
    local seconds = tonumber(system.env "HOSTLER_LEASE" or DEFAULT_LEASE_SECONDS)
    if not seconds or seconds < 1 or seconds > 86400 then
        error(native.error.new { code = "usage", message = "HOSTLER_LEASE is a number of seconds from 1 to 86400" }, 0)
    end
    return seconds
end

local function open_file()
    local path = import "base/state".directory() .. "/journal.db"
    return native.journal.sqlite(path), path
end

--- Opens the journal, once: the file, or the database of $HOSTLER_STORE. Everything that can be wrong with it is found
--- here, before anything is done.
---@return table store see journal.h; `name` is its path or address
---@raise "journal"
function journal.store()
    if not store then
        local uri = system.env "HOSTLER_STORE"
        local opened, name
        if uri and uri ~= "" then
            local function on_fenced() journal.on_fenced() end
            opened, name = import "journal/postgres/shared".open(uri, journal.lease_seconds(), on_fenced)
        else
            opened, name = open_file()
        end
        schema.migrate(opened, name)
        opened.name = name
        store = opened
    end
    return store
end

--- Whether other machines use the same journal.
---@return boolean
function journal.is_shared()
    return journal.store().clock ~= nil
end

--- Refuses where there is no queue.
---@raise "usage"
function journal.require_queue()
    if not journal.is_shared() then
        error(native.error.new {
            code = "usage", message = "there is no queue in a journal that is a file",
            hint = "name a store that several controllers share: HOSTLER_STORE=postgresql://USER@HOST/DBNAME",
        }, 0)
    end
end

--- SQL for the present time. In a shared store it is the store's own: the machines' clocks may differ, and jump.
---@param parameter string such as "$1", which is journal.now()
---@return string
function journal.now_sql(parameter)
    return journal.store().clock and ("coalesce(%s, %s)"):format(parameter, store.clock) or parameter
end

---@return number?
function journal.now()
    return not journal.store().clock and now() or nil
end

--- SQL: until when a run is leased that is written to now.
local function lease_sql()
    return store.clock and ("%s + %g"):format(store.clock, journal.lease_seconds()) or "NULL"
end

--- SQL: whether the lease of a row of runs has run out. Without a lease it has not: who holds the run is then asked.
local function expired_sql()
    return store.clock and "lease < " .. store.clock or "1 = 0"
end

--- SQL for a column `leased`: 1 while the lease lasts.
function journal.leased_sql()
    return journal.store().clock and ("CASE WHEN lease >= %s THEN 1 ELSE 0 END AS leased"):format(store.clock)
        or "1 AS leased"
end

--- Whether a process is known to have ended: in a shared store it may be another machine's.
local function has_ended(holder)
    if store.clock then
        return process.has_ended(holder)
    end
    return not process.alive(holder)
end

--- Whether a process still works on the run. One of this machine can be seen; of another's, the lease tells.
---@param row { holder?: string, leased: integer } a row of runs, with journal.leased_sql()
---@return boolean
function journal.is_held(row)
    return row.holder ~= nil and row.leased == 1 and not has_ended(row.holder)
end

-- ---- runs ----

--- Set by what has no run until something is to be recorded: begins one.
---@type fun()?
journal.begin_late = nil

local beginning, begun = false, native.task.bell()

--- Makes sure that there is a run to record in, where there can be one. Of tasks side by side the first begins it.
function journal.demand()
    while beginning do
        native.task.listen(begun)
    end
    if journal.run or not journal.begin_late then
        return
    end
    beginning = true
    local ok, err = pcall(journal.begin_late)
    beginning = false
    native.task.ring(begun)
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
    return store.read("SELECT id FROM runs WHERE id = $1", id)[1] and new_id() or id
end

--- From here on the store refuses what this process writes once the run is another's.
local function guard()
    local mine = "id = $1 AND attempt = $2"
    if store.clock then
        store.guard(("UPDATE runs SET batch = $3, lease = %s WHERE %s AND batch < $3 RETURNING id"):format(lease_sql(),
            mine), ("SELECT id FROM runs WHERE %s AND batch = $3"):format(mine), journal.run, attempt)
    else
        store.guard(("SELECT id FROM runs WHERE %s"):format(mine), "", journal.run, attempt)
    end
end

--- Adds a row. A store that is asked twice for the same one adds it once: the holder and the arguments tell.
---@param record function store.write or store.later
local function insert(record, run, status, holder)
    local _, user = system.user()
    local login = system.env "SUDO_USER" or user
    local arguments = sealing.encode(json.array { unpack(run.arguments) })
    local queued, lease = holder and "NULL" or store.clock, holder and lease_sql() or "NULL"
    local id = new_id()
    record([[INSERT INTO runs (id, playbook, file, directory, arguments, operator, version, mode, status, attempt,
            holder, started, updated, queued, batch, lease, number)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, ]]
        .. table.concat({ journal.now_sql "$12", journal.now_sql "$12", queued, "0", lease }, ", ") .. [[,
            (SELECT coalesce(max(number), 0) + 1 FROM runs))
        ON CONFLICT (id) DO UPDATE SET id = CASE WHEN runs.holder IS NOT DISTINCT FROM excluded.holder
            AND runs.arguments = excluded.arguments THEN runs.id END]],
        id, run.playbook, run.file, system.real_path "." or "/", arguments, login, system.version(), run.mode, status,
        holder and 1 or 0, holder, journal.now())
    return id
end

--- Begins to record a new run.
---@param run { playbook: string, file: string, arguments: string[], mode: string }
---@return string id
---@raise "journal", "key"
function journal.begin(run)
    sealing.prepare()
    journal.run, attempt = insert(store.write, run, "running", process.me()), 1
    guard()
    earlier_steps.begin(store, journal.run, true)
    return journal.run
end

--- Puts a new run into the queue, for a worker to claim.
---@param run table as for journal.begin
---@param keep function called to keep the sources of the run: they go with it
---@return string id
function journal.enqueue(run, keep)
    sealing.prepare()
    local id = insert(store.later, run, "queued")
    journal.run = id
    keep()
    journal.run = nil
    store.write(("UPDATE runs SET updated = %s WHERE id = $2"):format(journal.now_sql "$1"), journal.now(), id)
    return id
end

--- The run and its attempt are this process's now.
local function hold(id, number)
    journal.run, attempt = id, number
    last_number = store.read([[SELECT max(number) AS number FROM (SELECT number FROM events WHERE run = $1
        UNION ALL SELECT number FROM effects WHERE run = $1
        UNION ALL SELECT ended_number FROM effects WHERE run = $1
        UNION ALL SELECT position FROM steps WHERE run = $1) AS numbers]], id)[1].number or 0
    guard()
    earlier_steps.begin(store, id)
end

--- Takes over a run that no process works on, to go on with it. It is no longer the workers'.
---@param run table a row of runs
---@return boolean false when another process was faster, or when its holder is alive after all
---@raise "journal", "key"
function journal.claim(run)
    sealing.prepare()
    local gone = run.holder and has_ended(run.holder) and run.holder or ""
    local rows = journal.store().write(([[UPDATE runs
        SET status = 'running', holder = $1, attempt = $4 + 1, batch = 0, lease = %s, cancel = NULL, queued = NULL,
            updated = %s, error = NULL
        WHERE id = $3 AND ((attempt = $4 AND (status <> 'running' OR holder IS NULL OR holder = $5 OR %s))
            OR (attempt = $4 + 1 AND holder = $1))
        RETURNING attempt]]):format(lease_sql(), journal.now_sql "$2", expired_sql()), process.me(), journal.now(),
        run.id, run.attempt, gone)
    if not rows[1] then
        return false
    end
    hold(run.id, rows[1].attempt)
    return true
end

--- Claims the run that has waited longest in the queue, or whose worker has lost its lease. For journal.adopt.
---@return { id: string, attempt: integer, playbook: string }?
function journal.claim_next()
    return journal.store().write(([[UPDATE runs
        SET status = 'running', holder = $1, attempt = attempt + 1, batch = 0, lease = %s, updated = %s, error = NULL
        WHERE id = (SELECT id FROM runs
            WHERE queued <= %s AND (status = 'queued' OR (status = 'running' AND (holder IS NULL OR %s)))
            ORDER BY queued LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, attempt, playbook]]):format(lease_sql(), store.clock, store.clock, expired_sql()),
        process.me())[1]
end

--- Makes a run this process's that another one has claimed for it.
---@return boolean false when it has been taken over meanwhile
---@raise "journal", "key"
function journal.adopt(id, number)
    sealing.prepare()
    local rows = journal.store().write(([[UPDATE runs SET holder = $1, lease = %s
        WHERE id = $2 AND attempt = $3 RETURNING id]]):format(lease_sql()), process.me(), id, number)
    if rows[1] then
        hold(id, number)
    end
    return rows[1] ~= nil
end

--- Takes a run from a holder whose lease has run out, so that what it held can be given to another.
---@return boolean false when the holder has renewed it
function journal.fence(id, holder)
    return journal.store().write(([[UPDATE runs SET attempt = attempt + 1, holder = NULL, lease = NULL
        WHERE id = $1 AND holder = $2 AND %s RETURNING id]]):format(expired_sql()), id, holder)[1] ~= nil
end

--- Has a run of the queue wait there for so many seconds when it goes back to it.
function journal.postpone(seconds)
    store.later(("UPDATE runs SET queued = %s + $1 WHERE id = $2"):format(store.clock), seconds, journal.run)
end

--- Renews the lease. Returns who has asked for the run to be cancelled, if somebody has.
---@return string?
---@raise "fenced", "journal"
function journal.renew()
    return store.write("SELECT cancel FROM runs WHERE id = $1", journal.run)[1].cancel
end

--- Asks the process that works on a run, wherever it is, to stop.
---@param by string who asks
function journal.ask_to_cancel(id, by)
    journal.store().write("UPDATE runs SET cancel = $1 WHERE id = $2 AND status = 'running'", by, id)
end

--- Records how the run ended, and gives back what it held.
---@param status "done"|"failed"|"cancelled"|"parked"|"undone"|"queued"
---@param problem? string what a person reads of the error
---@raise "fenced", "journal"
function journal.finish(status, problem)
    if not journal.run then
        return
    end
    store.later("DELETE FROM locks WHERE run = $1", journal.run)
    store.write(([[UPDATE runs SET status = $1, error = $2, holder = NULL, lease = NULL, updated = %s
        WHERE id = $4 AND attempt = $5]]):format(journal.now_sql "$3"), status, shown(problem), journal.now(),
        journal.run, attempt)
    store.guard()
    journal.run = nil
end

-- ---- steps ----

--- Begins or ends to go through the run's steps again, from the first.
---@param on boolean
function journal.collect(on)
    journal.collecting = on
    if on then
        earlier_steps.begin(store, journal.run)
    end
end

--- What earlier attempts left of a step; nil when it was not begun before. `writes` and `unclear` count the write
--- effects of the last attempt at it: all of them, and those of which it is not known whether they happened.
---@param path string
---@return { status: string, attempt: integer, code?: string, result?: string, error?: string, undone?: string,
---  position?: integer, writes?: integer, unclear?: integer }?
function journal.find_step(path)
    local row = journal.run and earlier_steps.find(path) or nil
    if row and row.status ~= "done" then
        local effects = store.read([[SELECT count(*) AS writes,
                sum(CASE WHEN status IS NULL OR status = 'unclear' THEN 1 ELSE 0 END) AS unclear
            FROM effects WHERE run = $1 AND step = $2 AND attempt = $3 AND kind = 'write']], journal.run, path,
            row.attempt)[1]
        row.writes, row.unclear = effects.writes, effects.unclear or 0
    end
    return row
end

--- What is recorded of the steps of this run, in the order in which they began.
---@return { step: string, status: string, result?: any, error?: string }[]
function journal.steps()
    local steps = { columns = { "step", "status", "result", "error" } }
    for index, row in ipairs(journal.run and store.read([[SELECT path, status, result, error FROM steps
            WHERE run = $1 ORDER BY started]], journal.run) or {}) do
        steps[index] = {
            step = row.path:match "^[^/]*/(.*)$" or row.path, status = row.status,
            result = row.result and sealing.decode(row.result), error = row.error and json.decode(row.error).message,
        }
    end
    return steps
end

--- The writes of an attempt at a step of which it is not known whether they happened, in words.
---@param of_attempt? integer this one
---@return string[]
function journal.doubts(path, of_attempt)
    local summaries = {}
    if not journal.run then
        return summaries
    end
    for index, row in ipairs(store.read([[SELECT summary FROM effects WHERE run = $1 AND step = $2 AND attempt = $3
            AND kind = 'write' AND (status IS NULL OR status = 'unclear') ORDER BY number]], journal.run, path,
            of_attempt or attempt)) do
        summaries[index] = row.summary
    end
    return summaries
end

--- A step's intent: it reaches the disk with its first write.
---@param code string the hash of the step's function
function journal.begin_step(path, code, undoable)
    if not journal.run then
        return
    end
    store.later([[INSERT INTO steps (run, path, status, attempt, code, undoable, started)
        VALUES ($1, $2, 'running', $3, $4, $5, $6)
        ON CONFLICT (run, path) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
            code = excluded.code, undoable = excluded.undoable, started = excluded.started, ended = NULL, result = NULL,
            error = NULL]],
        journal.run, path, attempt, code, undoable, now())
end

--- A step's end, on disk when this returns.
---@param result? any what it returned
---@param err? table
function journal.end_step(path, status, result, err)
    if not journal.run then
        return
    end
    local problem = err and json.encode { code = shown(err.code), message = shown(err) } or nil
    local kept = result ~= nil and sealing.encode(result) or nil
    if status ~= "done" then
        earlier_steps.note_failure(path)
    end
    store.write([[UPDATE steps SET status = $1, result = $2, error = $3, ended = $4, position = $5
        WHERE run = $6 AND path = $7]], status, kept, problem, now(), next_number(), journal.run, path)
end

-- ---- effects ----

--- An effect's intent: on disk when this returns, if it is a write.
---@return integer? number
function journal.begin_effect(effect, context)
    if not journal.run or journal.collecting then
        return nil
    end
    local number = next_number()
    local record = effect.kind == "write" and store.write or store.later
    record([[INSERT INTO effects (run, number, attempt, parent, step, name, kind, target, summary, started)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)]], journal.run, number, attempt, in_attempt(context.scope),
        context.step or nil, effect.name, effect.kind, shown(effect.target), shown(effect.summary), now())
    return number
end

--- @param status "done"|"failed"|"unclear"
---@param seconds number how long it took: the clock may have jumped meanwhile
function journal.end_effect(number, status, err, seconds)
    if not number or not journal.run then
        return
    end
    store.later([[UPDATE effects SET status = $1, error = $2, ended = started + $3, ended_number = $4
        WHERE run = $5 AND number = $6]],
        status, shown(err), seconds, next_number(), journal.run, number)
end

-- ---- events ----

local KEPT = {
    ["run.begin"] = true, ["run.end"] = true, ["group.begin"] = true, ["group.end"] = true, ["item.begin"] = true,
    ["item.end"] = true, ["step.begin"] = true, ["step.end"] = true, say = true, warn = true, wait = true,
}

local function keep_event(kind, scope, fields)
    -- Steps passed over were recorded when they ran, effects have rows of their own, and of a wait the first look
    -- tells enough.
    if not KEPT[kind] or fields.passed_over or (kind == "wait" and fields.count > 1) then
        return
    end
    store.later([[INSERT INTO events (run, number, at, type, scope, parent, name, kind, target, text, status,
            seconds, count)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)]], journal.run, next_number(), now(), kind,
        in_attempt(scope), in_attempt(fields.parent), shown(fields.name), fields.kind, shown(fields.target),
        shown(fields.text), fields.status, fields.seconds, fields.count)
end

-- Events are kept where they are made, so that no part of the prelude has to think of the journal.
local emit = event.emit
function event.emit(kind, fields)
    local scope = emit(kind, fields)
    if journal.run and not journal.collecting then
        keep_event(kind, scope, fields)
    end
    return scope
end

--- Notes a line for `hostler log` that nobody has to be shown now.
---@param parent? number the scope it belongs to
---@param text string
function journal.note(parent, text)
    if journal.run and not journal.collecting then
        keep_event("say", nil, { parent = parent, text = text })
    end
end

return journal
