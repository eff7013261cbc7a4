-- Named steps: the unit of work that is recorded, and the only place where writes may happen.
--
-- In a resumed run a step that has finished is passed over with its recorded result. One that was begun and not
-- finished is settled first: what of it still goes on elsewhere comes to its end, and then: did it happen? Its probe
-- says so; without one it is run again if it is idempotent or if nothing of it is in doubt; else a person decides. One
-- that has run, and whose result cannot be recorded, is in doubt.
local native, import = ...
local task, event = native.task, native.event
local current, run_record, step_record = import "journal/current", import "journal/runs", import "journal/steps"
local checks, collecting, concurrency = import "run/checks", import "run/collecting", import "run/concurrency"
local debugging, outlived = import "run/debugging", import "run/outlived"
local options_of, wording = import "base/options", import "base/text"
local questions, sealing, texts = import "run/questions", import "journal/sealing", import "run/texts"
local step = {}

local OPTIONS = { undo = "function", probe = "function", idempotent = "boolean", retry = "table", timeout = "number" }
local MOST_NAMED = 20
local begun, finished = {}, { count = 0 }

local function check_place(context, path)
    if context.step then
        error(native.error.new {
            code = "step",
            message = ("step '%s' is inside step '%s'"):format(path, context.step),
            hint = "end the outer step first, or call the inner work as a plain function",
        }, 3)
    elseif begun[path] then
        error(native.error.new {
            code = "step",
            message = ("two steps of this run are called '%s'"):format(path),
            hint = "give each its own name; inside a loop use each(), whose keys become part of the name",
        }, 3)
    end
    begun[path] = true
end

--- Calls fn in a task of its own in which writes are allowed: with its own deadline, and a stack that a failure leaves.
---@param path string what its effects are recorded under
function step.call(path, scope, seconds, fn, ...)
    local function body(...)
        local context = task.context()
        context.step, context.scope = path, scope
        return fn(...)
    end
    return task.join(task.spawn(seconds, body, ...))
end

--- What the probe found, or nil. It only looks: a write in it is refused.
local function probe(options)
    local result = options.probe and options.probe()
    if result ~= nil and result ~= false then
        return result
    end
end

--- What the probe of a step finds that this process has tried before, when nothing of that try goes on.
local function probe_again(path, options)
    outlived.demand_end(path, current.attempt)
    return probe(options)
end

local function run_body(path, scope, options, fn)
    local tries = 0
    local function once()
        tries = tries + 1
        local found = tries > 1 and probe_again(path, options)
        return found or step.call(path, scope, options.timeout, fn)
    end
    if options.retry then
        local times, backoff = options.retry.times or options.retry[1], options.retry.backoff or options.retry[2]
        return concurrency.globals.retry({ times = times, backoff = backoff }, once)
    end
    return once()
end

--- A run may have any number of steps; only so many are ever named.
local function note_finished(path)
    finished.count = finished.count + 1
    if finished.count <= MOST_NAMED then
        finished[finished.count] = path:match "^[^/]*/(.*)$" or path
    end
end

local function short(result)
    return type(result) == "string" and #result < 100 and result or nil
end

--- What can be recorded of a result is what the playbook gets, now and when the run is resumed.
local function recordable(path, result)
    local shown, problem = pcall(native.json.show, result)
    if shown then
        return true, sealing.plain(result)
    end
    return false, native.error.new {
        code = "step", message = ("the result of step '%s' cannot be recorded"):format(path), cause = problem,
        hint = "return plain values: text, numbers, true and false, tables of these",
    }
end

local function emit_end(context, scope, name, status, started, result)
    local text
    if status == "done" then
        text = short(result)
    elseif status ~= "skipped" then
        text = tostring(result)
    end
    event.emit("step.end", {
        scope = scope, parent = context.scope, name = name, status = status, text = text,
        seconds = native.system.monotonic() - started, passed_over = status == "skipped",
    })
end

-- What people see of a status that is the journal's alone.
local SHOWN_AS = { parked = "cancelled", [step_record.UNRECORDED] = "failed" }

local function begin(context, name, passed_over)
    return event.emit("step.begin", { parent = context.scope, name = name, passed_over = passed_over })
end

--- Runs the body (or takes `settle`'s word for its result), and records how it ended.
---@param work { context: table, path: string, name: string, options: table, fn: function, code?: string, row?: table }
---  row: what earlier attempts left of it
---@param settle fun(): happened: boolean, result: any
---@return boolean ok, any result
local function attempt(work, settle)
    local context, path, options = work.context, work.path, work.options
    local scope = begin(context, work.name)
    local started, settled = native.system.monotonic(), false
    local ok, result = xpcall(function()
        local happened, found = settle()
        settled = true
        step_record.begin(path, work.code, options.undo ~= nil)
        if happened then
            return found
        end
        return run_body(path, scope, options, work.fn)
    end, native.error.complete)
    local status
    if ok then
        ok, result = recordable(path, result)
        status = ok and "done" or step_record.UNRECORDED
    else
        status = result.code == "cancelled" and "cancelled" or result.code == "parked" and "parked" or "failed"
    end
    if not ok then
        result.step = result.step or path
    end
    -- While nobody could say whether it happened, what is recorded of it stays in doubt.
    if settled then
        local recorded, problem = pcall(step_record.finish, path, status, ok and result or nil,
            not ok and result or nil)
        if not recorded then
            problem.cause = not ok and result or problem.cause
            ok, result, status = false, problem, "failed"
        end
    end
    emit_end(context, scope, work.name, SHOWN_AS[status] or status, started, result)
    return ok, result
end

--- Does what a person has decided about a step: see debugging.lua.
---@return boolean ok, any result
local function follow(decision, work)
    if decision.skip then
        return attempt(work, function() return true, decision.value end)
    end
    for name, value in pairs(decision.new or {}) do
        work[name] = value
    end
    return attempt(work, function()
        if work.row then
            outlived.wait(work.path, work.row.attempt)
        end
        local found = probe_again(work.path, work.options)
        return found ~= nil, found
    end)
end

--- Runs a step to its end, and returns or raises its result.
---@param decision? table what a person has decided before it begins
local function perform(work, settle, decision)
    local ok, result
    if decision then
        ok, result = follow(decision, work)
    else
        ok, result = attempt(work, settle)
    end
    while not ok do
        decision = debugging.failed_step(work, result)
        if not decision then
            begun[work.path] = nil -- it may be tried again: retry() around a step
            error(result, 0)
        end
        ok, result = follow(decision, work)
    end
    note_finished(work.path)
    return result
end

--- Whether a step that began and did not finish has happened after all, and with what result.
---@return boolean happened, any result
local function settle(path, options, row)
    if row.writes == 0 then
        return false
    end
    local doubts = {}
    if row.attempt == current.attempt then
        outlived.demand_end(path, row.attempt)
    else
        doubts = outlived.wait(path, row.attempt)
    end
    local found = probe(options)
    if found ~= nil then
        return true, found
    end
    local has_run = row.status == step_record.UNRECORDED
    local in_doubt = has_run or row.status == "running" or row.unclear > 0
    if not in_doubt or (#doubts == 0 and (options.probe or options.idempotent)) then
        return false
    end
    return questions.settle(path, #doubts > 0 and doubts or step_record.doubts(path, row.attempt), has_run)
end

--- A step whose code was edited after it finished: its result may no longer be what the playbook means.
local function confirm_changed(path, row, code)
    if row.code and row.code ~= code and not current.collecting then
        questions.globals.confirm(("Step '%s' was edited after it finished. Go on with its recorded result?")
            :format(path))
    end
end

local function pass_over(context, name, path, row, code)
    confirm_changed(path, row, code)
    local result = row.result and sealing.decode(row.result) or nil
    emit_end(context, begin(context, name, true), name, "skipped", native.system.monotonic())
    note_finished(path)
    return result
end

--- What is recorded of the step; where that cannot be known, it was not begun.
local function find(path)
    local found, row = pcall(function()
        run_record.demand()
        return step_record.find(path)
    end)
    if not found then
        begun[path] = nil
        error(row, 0)
    end
    return row
end

--- Runs fn as a named step. A write may only happen inside one.
---@param name string part of the step's identity in the run; may be anything readable
---@param options? { undo?: function, probe?: function, idempotent?: boolean, retry?: table, timeout?: number }
---  undo: called with the result to take the step back; probe: says whether it happened, returns the result or nil;
---  idempotent: may be run again when it is unclear whether it ended, and so may its undo;
---  retry: { times, backoff seconds }; timeout: seconds
---@param fn fun(): any its result must be JSON-able; secrets in it are kept secret
---@return any the result
local function run_step(name, options, fn)
    if type(options) == "function" then
        options, fn = {}, options
    end
    name = native.secret.is_unknown(name) and tostring(name) or name
    if type(name) ~= "string" or type(fn) ~= "function" then
        checks.usage "step(\"name\", [options,] function() ... end)"
    end
    local context = task.context()
    name = checks.without_secrets(name)
    local path = context.path .. "/" .. name
    checks.name("step", name, path)
    options_of.check(("step '%s'"):format(name), options, OPTIONS)
    check_place(context, path)
    local row = find(path)
    if current.collecting then
        return collecting.meet(path, options, row, function()
            local doubts = outlived.wait(path, row.attempt)
            return probe(options), #doubts > 0
        end)
    end
    local code = current.run and texts.code_of(fn)
    if row and row.status == "done" then
        return pass_over(context, name, path, row, code)
    end
    local work = { context = context, name = name, path = path, options = options, fn = fn, code = code,
        row = row }
    local decision = debugging.before_step(work, row)
    return perform(work, function()
        if row then
            return settle(path, options, row)
        end
        return false
    end, decision)
end

--- The steps that have finished, for the summary of a failed run: their names, or their number; nil when there are
--- none.
---@return string?
function step.finished()
    return finished.count > MOST_NAMED and finished.count .. " steps"
        or finished.count > 0 and wording.one_line(table.concat(finished, ", ")) or nil
end

--- The steps of a run of which a person has to know that they may have happened, a sentence each.
---@param run string
---@return string[]
function step.doubtful(run)
    local sentences = {}
    for index, row in ipairs(step_record.in_doubt(run)) do
        sentences[index] = (row.path:match "^[^/]*/(.*)$" or row.path) .. (row.status == step_record.UNRECORDED
            and ": it has run, and its result is not recorded" or ": it may have happened")
    end
    return sentences
end

--- Forgets which steps this process has passed: the playbook is about to be gone through again.
function step.reset()
    begun, finished = {}, { count = 0 }
end

step.globals = { step = run_step }
return step
