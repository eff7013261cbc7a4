-- Named locks: what one run works on, no other touches meanwhile.
--
-- A lock belongs to the enclosing item of an each, or to the run. Its holder is a process; when that is gone, whoever
-- asks next takes the lock over. In a shared store a lock lasts as long as its run's lease; who takes it over after
-- that first sees to it that the holder, should it be alive after all, does nothing more.
local native, import = ...
local lock = {}

local checks, process = import "run/checks", import "base/process"
local gate, current = import "gate/gate", import "journal/current"
local run_record, store = import "journal/runs", import "journal/store"
local task, now = native.task, native.system.now

local POLL_SECONDS = 0.05

-- Which scope of this process holds which name.
local held = {}

--- Begins a scope that holds locks: an item or the run. Called in its task.
function lock.enter(context)
    context.locks = { above = context.locks }
end

local function is_held_here(scope, name)
    while scope do
        if held[name] == scope then
            return true
        end
        scope = scope.above
    end
    return false
end

local function busy(name, row)
    local host, pid = process.parts(row.worked_on_by)
    error(native.error.new {
        code = "locked",
        message = ("'%s' is locked by run %s (%s by %s, process %d on %s) since %s"):format(name, row.run,
            row.playbook or "?", row.operator or "?", pid, host, os.date("%Y-%m-%d %H:%M:%S", row.since)),
        hint = ("wait for it, or see what it does: hostler log %s -f"):format(row.run),
        holder = row.run,
    }, 3)
end

--- Takes the lock from nobody, from an earlier attempt of this run, or from the dead holder given.
local function take(name, dead_holder)
    return store.open().write([[INSERT INTO locks (name, run, holder, since) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET run = excluded.run, holder = excluded.holder, since = excluded.since
        WHERE locks.run = excluded.run OR locks.holder = $5
        RETURNING name]], name, current.run, process.me(), now(), dead_holder or "")[1] ~= nil
end

--- The lock with the run that has it.
local function find(name)
    return store.open().read(([[SELECT locks.run, locks.holder, locks.since, runs.holder AS worked_on_by,
            runs.playbook, runs.operator, %s
        FROM locks LEFT JOIN runs ON runs.id = locks.run WHERE locks.name = $1]]):format(store.leased_sql()), name)[1]
end

--- Whether its run has ended or stopped, and cannot go on as if it had the lock.
local function is_free(row)
    if not row or row.run == current.run or not row.worked_on_by then
        return true
    elseif store.is_held { holder = row.worked_on_by, leased = row.leased } then
        return false
    end
    return row.leased == 1 or run_record.fence(row.run, row.worked_on_by)
end

local function take_or_raise(name)
    local dead_holder
    while not take(name, dead_holder) do
        local row = find(name)
        if not is_free(row) then
            busy(name, row)
        end
        dead_holder = row and row.holder
    end
end

--- Takes it in the journal, where a run is recorded.
local function take_on_record(name)
    run_record.demand()
    if current.run then
        take_or_raise(name)
    end
end

--- Holds a named lock to the end of the enclosing `each` item or run. Another item of the same run that asks for it
--- waits.
---@param name string such as "instance:ada"
---@raise "locked" when another run holds it, naming that run
local function lock_name(name)
    checks.name("lock", name)
    name = checks.without_secrets(name)
    local scope = task.context().locks
    if not scope or gate.mode == "dry-run" or is_held_here(scope, name) then
        return
    end
    while held[name] do
        task.sleep(POLL_SECONDS)
    end
    held[name] = scope
    local ok, err = pcall(take_on_record, name)
    if not ok then
        held[name] = nil
        error(err, 0)
    end
    scope[#scope + 1] = name
end

--- Ends the scope begun last in this task, and gives back its locks. While an undo goes through the steps they stay:
--- it works on what they guard.
function lock.leave(context)
    local ended = context.locks
    context.locks = ended.above
    for _, name in ipairs(ended) do
        held[name] = nil
    end
    for _, name in ipairs(current.run and not current.collecting and ended or {}) do
        store.open().write("DELETE FROM locks WHERE name = $1 AND run = $2", name, current.run)
    end
end

lock.globals = { lock = lock_name }
return lock
