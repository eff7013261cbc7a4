-- Takes back what the finished steps of a run did, newest first.
--
-- What an undo function needs is in the variables around it, so the playbook is gone through again: finished steps
-- give their recorded results and leave their undo functions here, nothing is written, and it ends when the last
-- finished step has been passed. Only then the first thing is taken back. An undo that was interrupted is settled as a
-- step is: the step's probe says whether it is still so; without one the undo is called again if the step is idempotent
-- or nothing of the undo is in doubt; else a person decides.
local native, import = ...
local undo = {}

local answers, lease = import "run/answers", import "journal/lease"
local failure, gate, current = import "run/failure", import "gate/gate", import "journal/current"
local run_record, step_record, store = import "journal/runs", import "journal/steps", import "journal/store"
local lock = import "run/lock"
local collecting, outlived, questions = import "run/collecting", import "run/outlived", import "run/questions"
local reporting = import "run/reporting"
local step, typed_step = import "run/step", import "run/typed_step"
local event, system, task = native.event, native.system, native.task

--- Whether a finished step of this run could be taken back.
---@param run string
function undo.is_possible(run)
    return store.open().read([[SELECT count(*) AS steps FROM steps
        WHERE run = $1 AND undoable = 1 AND status = 'done' AND undone IS NULL]], run)[1].steps > 0
end

--- Whether an undo of this run has begun.
---@param run string
function undo.has_begun(run)
    local rows = store.open().read("SELECT path FROM steps WHERE run = $1 AND undone IS NOT NULL LIMIT 1", run)
    return rows[1] ~= nil
end

--- Steps that may have changed something and are not taken back. What was typed at a prompt is in no playbook.
local function count_remaining()
    return store.open().read([[SELECT count(*) AS steps FROM steps
        WHERE run = $1 AND (undone IS NULL OR undone <> 'done') AND (code IS NULL OR code <> $2)
            AND (status = 'done' OR EXISTS (SELECT number FROM effects
                WHERE effects.run = steps.run AND step = steps.path AND effects.attempt = steps.attempt
                    AND kind = 'write'))]], current.run, typed_step.CODE)[1].steps
end

--- What was typed at prompts of the run and has written something.
local function typed(run)
    local paths = {}
    for index, row in ipairs(store.open().read([[SELECT path FROM steps WHERE run = $1 AND code = $2
            ORDER BY started]], run, typed_step.CODE)) do
        paths[index] = row.path
    end
    return paths
end

--- Goes through the playbook.
---@return collecting.Found found
---@return table? err what ended it early, if something did
local function collect(run)
    local remaining = count_remaining()
    if remaining == 0 then
        return collecting.begin(0), nil
    end
    gate.set_mode "read-only"
    step_record.collect(true)
    step.reset()
    answers.reset()
    local pass = task.spawn(nil, function()
        local context = task.context()
        context.path, context.scope = run.name, nil
        lock.enter(context)
        run.book.run(run.values)
    end)
    local found = collecting.begin(remaining, pass)
    local ok, err = pcall(task.join, pass)
    gate.set_mode "normal"
    step_record.collect(false)
    task.checkpoint()
    return found, not ok and found.remaining > 0 and native.error.complete(err) or nil
end

--- Refuses to begin when a step that could be taken back was not met: what was built on it would go first.
local function check_complete(run, found, cause)
    local known, missing = {}, {}
    for _, entry in ipairs(found.steps) do
        known[entry.path] = true
    end
    for _, row in ipairs(store.open().read([[SELECT path FROM steps
            WHERE run = $1 AND undoable = 1 AND status = 'done' AND (undone IS NULL OR undone <> 'done')]], run.id)) do
        if not known[row.path] then
            missing[#missing + 1] = row.path
        end
    end
    if #missing > 0 and not run.options.partial then
        error(native.error.new {
            code = "undo", message = "the playbook no longer comes to these steps: " .. table.concat(missing, ", "),
            cause = cause, hint = "mend what keeps it from them; or take back what can be: --partial",
        }, 0)
    end
    return missing
end

--- Whether an earlier undo, which did not end, has taken the step back after all.
local function has_happened(entry, path)
    local may_go_on = outlived.wait(path)
    local last = entry.undone and step_record.last_attempt(path) or 0
    local writes, unclear = step_record.writes(path, last)
    local in_doubt = #may_go_on > 0 or writes > 0 and (entry.undone == "running" or unclear > 0)
    if not in_doubt then
        return false
    elseif entry.probe and entry.probe() == nil then
        return true
    elseif #may_go_on == 0 and (entry.probe or entry.idempotent) then
        return false
    end
    return questions.settle_undo(entry.path, #may_go_on > 0 and may_go_on or step_record.doubts(path, last))
end

local function mark(record, entry, how)
    record("UPDATE steps SET undone = $3 WHERE run = $1 AND path = $2", current.run, entry.path, how)
end

local function call_undo(entry, path, scope)
    if has_happened(entry, path) then
        return
    end
    mark(store.open().later, entry, "running")
    local ok, err = xpcall(step.call, native.error.complete, path, scope, nil, entry.undo, entry.result)
    if not ok then
        mark(store.open().later, entry, "failed")
        error(err, 0)
    end
end

local function take_back(entry, parent)
    local path = "undo " .. entry.path
    local scope = event.emit("step.begin", { parent = parent, name = path })
    local started = system.monotonic()
    local ok, err = xpcall(call_undo, native.error.complete, entry, path, scope)
    if ok then
        mark(store.open().write, entry, "done")
    end
    event.emit("step.end", {
        scope = scope, parent = parent, name = path, status = ok and "done" or "failed",
        seconds = system.monotonic() - started, text = not ok and tostring(err) or nil,
    })
    if not ok then
        err.step = err.step or path
        error(err, 0)
    end
end

--- Splits what was met into what can be taken back, newest first, and what has no undo function.
local function plan(found)
    local entries, left = {}, {}
    table.sort(found.steps, function(a, b) return a.position > b.position end)
    for _, entry in ipairs(found.steps) do
        if entry.undo then
            entries[#entries + 1] = entry
        else
            left[#left + 1] = entry.path
        end
    end
    return entries, left
end

local function list(label, paths)
    if #paths > 0 then
        system.write_error(("%s: %s\n"):format(label, table.concat(paths, ", ")))
    end
end

local function agree(run, entries)
    local paths = {}
    for index, entry in ipairs(entries) do
        paths[index] = entry.path
    end
    list("to take back, in this order", paths)
    if #entries > 0 and not run.options.yes and system.isatty(0) and system.isatty(2) then
        system.write_error "Take these back? [y/N] "
        if not (system.read_line() or ""):lower():match "^y" then
            error(native.error.new { code = "declined", message = "nothing was taken back" }, 0)
        end
    end
end

local function take_all_back(run)
    local found, cause = collect(run)
    local missing = check_complete(run, found, cause)
    local entries, left = plan(found)
    agree(run, entries)
    reporting.choose(run.options)
    local context = task.context()
    context.path = run.name
    context.scope = event.emit("run.begin", {
        name = run.name, text = "hostler undo " .. run.id, kind = "normal", target = run.id,
    })
    local started = system.monotonic()
    local ok, err = xpcall(function()
        for _, entry in ipairs(entries) do
            take_back(entry, context.scope)
        end
    end, native.error.complete)
    event.emit("run.end", {
        scope = context.scope, name = run.name, status = ok and "done" or "failed", kind = "normal", target = run.id,
        seconds = system.monotonic() - started, count = gate.changes, text = not ok and tostring(err) or nil,
    })
    native.report "none"
    if not ok then
        error(err, 0)
    end
    list("left as they are (they have no undo)", left)
    list("not met, and left as they are", missing)
    list("done by hand, and left as it is", typed(run.id))
    list("interrupted, and perhaps done: look for yourself", found.doubtful)
end

--- Takes back what a run did that this process has claimed, and records and reports how that went.
---@param run table as for execution.run
---@return boolean
function undo.perform(run)
    local ok, err = lease.hold(take_all_back, run)
    err = not ok and native.error.complete(err) or nil
    local status = ok and "undone" or (err.code == "cancelled" or err.code == "parked") and err.code or "failed"
    local recorded, problem = pcall(run_record.finish, status, not ok and failure.describe(err) or nil)
    if not recorded then
        ok, err = false, native.error.complete(problem)
    end
    if ok then
        return true
    end
    local next_command = err.code == "parked" and ("hostler answer %s VALUE"):format(run.id)
        or ("hostler undo %s        go on taking it back"):format(run.id)
    system.write_error(("\n%s\n  next      %s\n"):format(failure.describe(err), next_command))
    return false, err
end

return undo
