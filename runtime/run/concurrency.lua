-- Tasks as playbooks use them: parallel, each, timeout, retry, wait_until, sleep.
local native, import = ...
local task, event = native.task, native.event
local current, gate, recording = import "journal/current", import "gate/gate", import "gate/recording"
local debugging, lock, text_of = import "run/debugging", import "run/lock", import "base/text"
local concurrency = {}

local DEFAULT_PARALLEL = 10

local function usage(message, level)
    error(native.error.new { code = "usage", message = message }, (level or 1) + 2)
end

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
    for index, fn in ipairs(functions) do
        if type(fn) ~= "function" then
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
                -- Going through a run to undo it, the others may still have finished steps to pass.
                for other, sibling in pairs(current.collecting and {} or tasks) do
                    if other ~= index then
                        task.cancel(sibling, "cancelled: a task beside it failed")
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

local function check_count(what, name, value, least)
    if value ~= nil and not (type(value) == "number" and value >= least and value % 1 == 0) then
        usage(("%s: %s must be a whole number from %d up, not %s"):format(what, name, least, tostring(value)), 2)
    end
end

local function check_seconds(what, name, value)
    if not (type(value) == "number" and value >= 0 and value < math.huge) then
        usage(("%s: %s must be seconds from 0 up, not %s"):format(what, name, tostring(value)), 2)
    end
end

local function key_of(item, key)
    if type(key) == "function" then
        return tostring(key(item))
    elseif key ~= nil then
        return tostring(item[key])
    elseif type(item) == "table" then
        usage("each over tables needs a key: each(items, { key = \"name\" }, fn)", 2)
    end
    return tostring(item)
end

local function keys_of(items, key)
    local keys, seen = {}, {}
    for index, item in ipairs(items) do
        local name = key_of(item, key)
        if seen[name] then
            usage(("each: two items have the key '%s'"):format(name), 2)
        end
        seen[name], keys[index] = true, name
    end
    return keys
end

local function run_item(group, name, fn, item)
    local context = task.context()
    context.path = group.path .. "/" .. name
    context.scope = event.emit("item.begin", { parent = group.scope, name = name })
    local started = native.system.monotonic()
    lock.enter(context)
    local ok, err = xpcall(function() return fn(item) end, native.error.complete)
    if not ok then
        debugging.failed(err)
    end
    lock.leave(context)
    local status = ok and "done" or err.code == "cancelled" and "cancelled" or "failed"
    event.emit("item.end", {
        scope = context.scope, parent = group.scope, name = name, status = status,
        seconds = native.system.monotonic() - started, text = err and tostring(err),
    })
    task.checkpoint()
    if not ok then
        group.failures[#group.failures + 1] = { key = name, error = err }
    end
end

--- Starts `width` tasks that take items from..to of the group, one after the other.
local function run_batch(group, items, keys, from, to, width, fn)
    local next_index, workers = from, {}
    for slot = 1, math.min(width, to - from + 1) do
        workers[slot] = task.spawn(nil, function()
            while next_index <= to and not (group.limit and #group.failures > group.limit) do
                local index = next_index
                next_index = index + 1
                group.begun = group.begun + 1
                run_item(group, keys[index], fn, items[index])
            end
        end)
    end
    for _, worker in ipairs(workers) do
        task.join(worker)
    end
end

local function raise_failures(group, total)
    local names = {}
    for _, failed in ipairs(group.failures) do
        names[#names + 1] = failed.key
    end
    local skipped = total - group.begun
    error(native.error.new {
        code = "each",
        message = ("%d of %d failed: %s%s"):format(#names, total, table.concat(names, ", "),
            skipped > 0 and ("; %d not begun"):format(skipped) or ""),
        failures = group.failures,
        cause = #names == 1 and group.failures[1].error or nil,
    }, 0)
end

--- Calls fn for every item, several at once. One failing does not stop the others; at the end one error lists which
--- failed and why.
---@param items any[]
---@param options? { parallel?: integer, batch?: integer, max_failures?: integer, key?: string|function, name?: string }
---  parallel: how many at once (10); batch: finish this many before the next are begun; max_failures: begin no more
---  items once more than this many failed; key: field or function that names an item, part of its steps' identity
---@param fn fun(item: any)
---@raise "each" with `failures`, a list of { key, error }
local function each(items, options, fn)
    if type(options) == "function" then
        options, fn = {}, options
    end
    if native.secret.is_unknown(items) then -- a dry run: show once what is done for every item
        items = { items["*"] }
    end
    if type(items) ~= "table" or type(options) ~= "table" or type(fn) ~= "function" then
        usage "each(items, [options,] function(item) ... end)"
    end
    check_count("each", "parallel", options.parallel, 1)
    check_count("each", "batch", options.batch, 1)
    check_count("each", "max_failures", options.max_failures, 0)
    local context = task.context()
    local keys = keys_of(items, options.key)
    local limit = not current.collecting and options.max_failures or nil
    local group = { path = context.path, failures = {}, limit = limit, begun = 0 }
    group.scope = event.emit("group.begin", { parent = context.scope, name = options.name or "each", count = #items })
    local started = native.system.monotonic()
    local width, batch = options.parallel or DEFAULT_PARALLEL, options.batch or math.max(#items, 1)
    for from = 1, #items, batch do
        run_batch(group, items, keys, from, math.min(from + batch - 1, #items), width, fn)
    end
    event.emit("group.end", {
        scope = group.scope, parent = context.scope, seconds = native.system.monotonic() - started,
        status = #group.failures > 0 and "failed" or "done",
    })
    if #group.failures > 0 then
        raise_failures(group, #items)
    end
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
    check_count("retry", "times", options.times or 0, 1)
    local pause = options.backoff or 1
    check_seconds("retry", "backoff", pause)
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

--- Waits until a moment. A dry run says so and goes on.
local function wait_for_moment(what, moment)
    if native.secret.is_unknown(moment) then
        return
    end
    check_seconds("wait_until", "at", moment)
    local context = task.context()
    local seconds = moment - recording.value("now", "", native.system.now, true)
    local text = ("%s, at %s"):format(what, os.date("!%Y-%m-%d %H:%M:%S UTC", moment))
    if seconds <= 0 then
        return
    elseif current.collecting then
        error(native.error.new { code = "unfinished", message = "this is not so yet: " .. text }, 3)
    elseif gate.mode == "dry-run" then
        event.emit("say", { parent = context.scope, text = ("would wait for %s, for %s"):format(text,
            text_of.duration(seconds)) })
        return
    end
    event.emit("wait", { parent = context.scope, text = text, count = 0 })
    sleep(seconds)
    event.emit("wait", { parent = context.scope, text = text, count = 0, status = "done", seconds = seconds })
end

--- Calls condition until it returns something other than nil or false, and returns that. Or, with `at` and without a
--- condition, waits for a moment: one that a step has returned is the same however often the run is stopped and
--- resumed.
---@param what string what is waited for, as the person reads it: "ada.meltanodata.com to resolve"
---@param options { timeout?: number, interval?: number, at?: number } timeout: seconds; interval: seconds between two
---  looks (1), grows by half up to ten times itself; at: the moment, in seconds since 1970
---@param condition? fun(): any errors it raises end the wait
---@return any what the condition returned
---@raise "timeout"
local function wait_until(what, options, condition)
    what = tostring(what) -- it may name something unknown
    if type(options) == "table" and options.at ~= nil and condition == nil then
        return wait_for_moment(what, options.at)
    elseif type(options) ~= "table" or type(condition) ~= "function" then
        usage "wait_until(\"what is waited for\", { timeout = seconds }, function() ... end)"
    end
    check_seconds("wait_until", "timeout", options.timeout)
    check_seconds("wait_until", "interval", options.interval or 1)
    local started = recording.monotonic()
    local context = task.context()
    local interval, looks = options.interval or 1, 0
    local longest = interval * 10
    local function ended(status)
        if looks > 0 then
            event.emit("wait", {
                parent = context.scope, text = what, count = looks, status = status,
                seconds = recording.monotonic() - started,
            })
        end
    end
    while true do
        local result = condition()
        if result or native.secret.is_unknown(result) then
            ended "done"
            return result
        end
        if current.collecting then
            error(native.error.new { code = "unfinished", message = "this is not so (any more): " .. what }, 2)
        end
        local waited = recording.monotonic() - started
        if waited >= options.timeout then
            ended "failed"
            error(native.error.new {
                code = "timeout",
                message = ("gave up after %s waiting for %s"):format(text_of.duration(waited), what),
                step = context.step,
            }, 2)
        end
        looks = looks + 1
        event.emit("wait", { parent = context.scope, text = what, count = looks })
        sleep(math.min(interval, options.timeout - waited))
        interval = math.min(interval * 1.5, longest)
    end
end

concurrency.globals = {
    sleep = sleep, timeout = timeout, shield = shield, parallel = parallel, each = each, retry = retry,
    wait_until = wait_until,
}
return concurrency
