-- Tasks as playbooks use them: parallel, timeout, shield, retry, sleep.
local native, import = ...
local concurrency = {}

local options_of = import "base/options"
local checks, current, recording = import "run/checks", import "journal/current", import "gate/recording"
local task, usage = native.task, checks.usage

--- Waits. A deadline or a cancellation ends it early with an error.
---@param seconds number
local function sleep(seconds)
    return task.sleep(recording.pause(seconds))
end

--- Runs fn with a deadline; raises "timeout" when it is not done in time, after its operation has been cancelled.
---@param seconds number
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... what fn returns
---@raise "timeout"
local function timeout(seconds, fn, ...)
    return task.join(task.spawn(seconds, fn, ...))
end

--- Runs fn although the task has been cancelled: for cleanup that must wait.
---@param seconds number how long it may take
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... what fn returns
local function shield(seconds, fn, ...)
    return task.join_shielded(task.spawn_shielded(seconds, fn, ...))
end

--- Runs functions at the same time; returns a table of their first results. When one fails the others are
--- cancelled, and its error is raised.
---@param functions function[]
---@return any[]
local function parallel(functions)
    if type(functions) ~= "table" then
        usage "parallel { function() ... end, ... }"
    end
    checks.list("parallel", functions)
    for index, fn in pairs(functions) do
        if type(index) ~= "number" then
            usage(("parallel takes a list of functions without names, such as '%s'"):format(tostring(index)))
        elseif type(fn) ~= "function" then
            usage(("parallel takes a list of functions; number %d is a %s"):format(index, type(fn)))
        end
    end
    local tasks, first_error = {}, nil
    for index, fn in ipairs(functions) do
        tasks[index] = task.spawn(nil, function()
            local results = { xpcall(fn, native.error.complete) }
            if results[1] then
                return results[2]
            end
            if not first_error then
                first_error = results[2]
                local reason = first_error.code == "cancelled" and first_error.message
                    or "cancelled: a task beside it failed"
                -- Going through a run to undo it, the others may still have finished steps to pass.
                for other, sibling in pairs(current.collecting and {} or tasks) do
                    if other ~= index then
                        task.cancel(sibling, reason)
                    end
                end
            end
            error(results[2], 0)
        end)
    end
    local results = {}
    for index, one in ipairs(tasks) do
        local ok, result = pcall(task.join, one)
        task.checkpoint()
        if ok then
            results[index] = result
        end
    end
    if first_error then
        error(first_error, 0)
    end
    return results
end

-- Trying again cannot help: the playbook is wrong, or a person has decided.
local FINAL = {
    lua = true, usage = true, readonly = true, step = true, unknown = true, load = true, syntax = true,
    declined = true, parked = true,
}

--- Calls fn again when it fails. The last error is raised, and at once an error in the playbook itself.
---@param options { times: integer, backoff?: number } backoff: seconds before the second try, doubled before each
---  further one (1)
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... what fn returns
local function retry(options, fn, ...)
    if type(options) ~= "table" or type(fn) ~= "function" then
        usage "retry({ times = 3 }, function() ... end)"
    end
    options_of.check("retry", options, { times = "number", backoff = "number" })
    checks.count("retry", "times", options.times or 0, 1)
    local pause = options.backoff or 1
    checks.seconds("retry", "backoff", pause)
    for attempt = 1, options.times do
        local results = { xpcall(fn, native.error.complete, ...) }
        if results[1] then
            return unpack(results, 2, table.maxn(results))
        end
        task.checkpoint()
        if attempt == options.times or FINAL[results[2].code] then
            error(results[2], 0)
        end
        sleep(pause)
        pause = pause * 2
    end
end

concurrency.globals = { parallel = parallel, retry = retry, shield = shield, sleep = sleep, timeout = timeout }
return concurrency
