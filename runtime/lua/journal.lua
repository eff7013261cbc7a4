-- What is recorded of a run, so that it can be followed, resumed and undone.
--
-- The promise is an order on disk: a step's intent and each write's intent before the write leaves the process, a
-- step's result before the step counts as done. So the first write of a step takes the step's own intent along, and a
-- step costs one flush more than it has writes. Reads change nothing and are made again by a resumed run: they, and
-- how a write ended, and the events for `hostler log`, go to disk with the next flush or a moment later.
--
-- `attempt` counts the processes that worked on a run. Every claim raises it, and names the attempt it expects: of two
-- that would resume a run at once, one finds no row.
local native, import = ...
local journal = {
    --- The run that is being recorded; nil when nothing is: in a dry run, in tests of modules.
    run = nil,
    --- While the finished steps of a run are gone through again to undo them: nothing new is begun.
    collecting = false,
}

local process, schema, sealing = import "process", import "journal_schema", import "sealing"
local event, json, scrub, now = native.event, native.json.face, native.secret.scrub, native.system.now

local ID_LETTERS, ID_LENGTH = "23456789abcdefghjkmnpqrstuvwxyz", 6
local SCOPES_AN_ATTEMPT = 1e9

local store, attempt
local last_number = 0
local noted_seal

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

--- Opens the journal, once. Everything that can be wrong with it is found here, before anything is done.
---@return table store see runtime/journal.h
---@raise "journal"
function journal.store()
    if not store then
        local path = import "state".directory() .. "/journal.db"
        local opened = native.journal.sqlite(path)
        schema.migrate(opened, path)
        store = opened
    end
    return store
end

-- ---- runs ----

local function new_id()
    local letters = {}
    for index = 1, ID_LENGTH do
        local at = native.system.random(#ID_LETTERS) + 1
        letters[index] = ID_LETTERS:sub(at, at)
    end
    return table.concat(letters)
end

--- Begins to record a new run.
---@param run { playbook: string, file: string, arguments: string[], mode: string }
---@return string id
function journal.begin(run)
    local _, user = native.system.user()
    local login = native.system.env "SUDO_USER" or user
    local arguments = sealing.encode(json.array { unpack(run.arguments) })
    local rows
    repeat
        journal.run = new_id()
        rows = journal.store().write([[INSERT INTO runs (id, playbook, file, directory, arguments, operator, version,
                mode, status, attempt, holder, seal, started, updated)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', 1, $9, $10, $11, $11)
            ON CONFLICT (id) DO NOTHING RETURNING id]],
            journal.run, run.playbook, run.file, native.system.real_path "." or "/", arguments, login,
            native.system.version(), run.mode, process.me(), sealing.fingerprint, now())
    until rows[1]
    attempt = 1
    return journal.run
end

--- Takes over a run that no process works on, to go on with it.
---@param run table a row of runs
---@return boolean false when another process was faster
function journal.claim(run)
    local rows = journal.store().write([[UPDATE runs
        SET status = 'running', holder = $1, attempt = attempt + 1, updated = $2, error = NULL
        WHERE id = $3 AND attempt = $4 RETURNING attempt]], process.me(), now(), run.id, run.attempt)
    if not rows[1] then
        return false
    end
    journal.run, attempt = run.id, rows[1].attempt
    last_number = store.read([[SELECT max(number) AS number FROM (SELECT number FROM events WHERE run = $1
        UNION ALL SELECT number FROM effects WHERE run = $1
        UNION ALL SELECT ended_number FROM effects WHERE run = $1) AS numbers]], run.id)[1].number or 0
    return true
end

--- Records how the run ended, and gives back what it held.
---@param status "done"|"failed"|"cancelled"|"parked"|"undone"
---@param problem? string what a person reads of the error
function journal.finish(status, problem)
    if not journal.run then
        return
    end
    store.later("DELETE FROM locks WHERE run = $1", journal.run)
    store.write([[UPDATE runs SET status = $1, error = $2, holder = NULL, seal = coalesce($3, seal), updated = $4
        WHERE id = $5 AND attempt = $6]], status, shown(problem), sealing.fingerprint, now(), journal.run, attempt)
    journal.run = nil
end

-- ---- sources ----

--- Keeps the text of the playbook or of a module it requires: a resumed run uses that, whatever became of the file.
---@param name string "playbook", or the module's name
function journal.keep_source(name, path, text)
    if not journal.run then
        return
    end
    local hash = native.system.hash(text)
    store.later("INSERT INTO source_texts (hash, content) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", hash, text)
    store.later([[INSERT INTO sources (run, name, path, hash) VALUES ($1, $2, $3, $4)
        ON CONFLICT (run, name) DO UPDATE SET path = excluded.path, hash = excluded.hash]],
        journal.run, name, path, hash)
end

--- The kept texts of a run: { [name] = { path, content } }.
function journal.sources(run)
    local sources = {}
    for _, row in ipairs(journal.store().read([[SELECT s.name, s.path, t.content FROM sources s
            JOIN source_texts t ON t.hash = s.hash WHERE s.run = $1]], run)) do
        sources[row.name] = { path = row.path, text = row.content }
    end
    return sources
end

-- ---- steps ----

--- What earlier attempts left of a step; nil when it was not begun before. `writes` and `unclear` count the write
--- effects of the last attempt at it: all of them, and those of which it is not known whether they happened.
---@param path string
---@return { status: string, attempt: integer, code?: string, result?: string, error?: string, undone?: string,
---  position?: integer, writes?: integer, unclear?: integer }?
function journal.find_step(path)
    if not journal.run or (attempt == 1 and not journal.collecting) then
        return nil
    end
    local row = store.read([[SELECT status, attempt, code, result, error, undone, position FROM steps
        WHERE run = $1 AND path = $2]], journal.run, path)[1]
    if row and row.status ~= "done" then
        local effects = store.read([[SELECT count(*) AS writes,
                sum(CASE WHEN status IS NULL OR status = 'unclear' THEN 1 ELSE 0 END) AS unclear
            FROM effects WHERE run = $1 AND step = $2 AND attempt = $3 AND kind = 'write']], journal.run, path,
            row.attempt)[1]
        row.writes, row.unclear = effects.writes, effects.unclear or 0
    end
    return row
end

--- The writes of an attempt at a step of which it is not known whether they happened, in words.
---@return string[]
function journal.doubts(path, of_attempt)
    local summaries = {}
    for index, row in ipairs(store.read([[SELECT summary FROM effects WHERE run = $1 AND step = $2 AND attempt = $3
            AND kind = 'write' AND (status IS NULL OR status = 'unclear') ORDER BY number]], journal.run, path,
            of_attempt)) do
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
    if sealing.fingerprint ~= noted_seal then
        noted_seal = sealing.fingerprint
        store.later("UPDATE runs SET seal = $1 WHERE id = $2", noted_seal, journal.run)
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
function journal.end_effect(number, status, err)
    if not number or not journal.run then
        return
    end
    store.later([[UPDATE effects SET status = $1, error = $2, ended = $3, ended_number = $4
        WHERE run = $5 AND number = $6]],
        status, shown(err), now(), next_number(), journal.run, number)
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
