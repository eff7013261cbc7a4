-- Named steps: the unit of work that is recorded, and the only place where writes may happen.
local native, import = ...
local task, event, journal = native.task, native.event, native.journal
local step = {}

local OPTIONS = { undo = "function", probe = "function", idempotent = "boolean", retry = "table", timeout = "number" }
local begun, finished = {}, {}

local function check_options(name, options)
    for key, value in pairs(options) do
        if not OPTIONS[key] then
            error(native.error.new {
                code = "usage",
                message = ("step '%s' has an unknown option '%s'"):format(name, tostring(key)),
                hint = "a step takes undo, probe, idempotent, retry and timeout",
            }, 3)
        elseif type(value) ~= OPTIONS[key] then
            error(native.error.new {
                code = "usage",
                message = ("step '%s': option %s must be a %s"):format(name, key, OPTIONS[key]),
            }, 3)
        end
    end
end

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

--- The body runs as a task of its own: it has its own deadline, and a failed one keeps its stack for debugging.
local function run_body(path, scope, options, fn)
    local function body()
        local context = task.context()
        context.step, context.scope = path, scope
        return fn()
    end
    local function once()
        return task.join(task.spawn(options.timeout, body))
    end
    if options.retry then
        local times, backoff = options.retry.times or options.retry[1], options.retry.backoff or options.retry[2]
        return import "concurrency".globals.retry({ times = times, backoff = backoff }, once)
    end
    return once()
end

local function short(result)
    return type(result) == "string" and #result < 100 and result or nil
end

--- Runs fn as a named step. A write may only happen inside one.
---@param name string part of the step's identity in the run; may be anything readable
---@param options? { undo?: function, probe?: function, idempotent?: boolean, retry?: table, timeout?: number }
---  undo: called with the result to take the step back; probe: says whether it happened, returns the result or nil;
---  idempotent: may be run again when it is unclear whether it ended; retry: { times, backoff seconds };
---  timeout: seconds
---@param fn fun(): any its result must be JSON-able; secrets in it are kept secret
---@return any the result
local function run_step(name, options, fn)
    if type(options) == "function" then
        options, fn = {}, options
    end
    name = native.secret.is_unknown(name) and tostring(name) or name
    if type(name) ~= "string" or name == "" or type(fn) ~= "function" then
        error(native.error.new { code = "usage", message = "step(\"name\", [options,] function() ... end)" }, 2)
    end
    check_options(name, options)
    local context = task.context()
    local path = context.path .. "/" .. name
    check_place(context, path)
    journal.step_begin(path)
    local scope = event.emit("step.begin", { parent = context.scope, name = name })
    local started = native.system.monotonic()
    local ok, result = xpcall(function() return run_body(path, scope, options, fn) end, native.error.complete)
    local status = ok and "done" or result.code == "cancelled" and "cancelled" or "failed"
    if ok then
        local shown, problem = pcall(native.json.show, result)
        if not shown then
            ok, status = false, "failed"
            result = native.error.new {
                code = "step", message = ("the result of step '%s' cannot be recorded"):format(path), cause = problem,
                hint = "return plain values: text, numbers, true and false, tables of these",
            }
        end
    end
    journal.step_end(path, status, ok and native.json.show(result) or nil)
    event.emit("step.end", {
        scope = scope, parent = context.scope, name = name, status = status,
        seconds = native.system.monotonic() - started,
        text = ok and short(result) or not ok and tostring(result) or nil,
    })
    if not ok then
        begun[path] = nil -- it may be tried again: retry() around a step
        result.step = result.step or path
        error(result, 0)
    end
    finished[#finished + 1] = path:match "^[^/]*/(.*)$" or path
    return result
end

--- Names of the steps that have finished, oldest first, for the summary of a failed run.
---@return string[]
function step.finished()
    return finished
end

step.globals = { step = run_step }
return step
