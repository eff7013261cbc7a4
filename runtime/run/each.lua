-- Going through items: several at once, each with steps, locks, connections and a failure of its own.
local native, import = ...
local iteration = {}

local options_of = import "base/options"
local checks, current = import "run/checks", import "journal/current"
local debugging, lock = import "run/debugging", import "run/lock"
local connections = import "gate/connections"
local event, task, usage = native.event, native.task, checks.usage

local DEFAULT_PARALLEL = 10
local OPTIONS = {
    parallel = "number", batch = "number", max_failures = "number", key = "string or function", name = "string",
}

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

-- A list may carry names besides its items, as the rows of a query do; names alone would be passed over in silence.
local function check_list(items)
    local count = checks.list("each", items)
    local name = next(items)
    if count == 0 and name ~= nil and not items.columns then
        usage(("each takes a list, and this table has only names, such as '%s'"):format(tostring(name)), 2)
    end
end

local function keys_of(items, key)
    local keys, seen = {}, {}
    for index, item in ipairs(items) do
        task.checkpoint()
        local name = checks.without_secrets(key_of(item, key))
        checks.name("each", name)
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
    connections.enter()
    local ok, err = xpcall(function() return fn(item) end, native.error.complete)
    if not ok then
        debugging.failed(err)
    end
    connections.leave()
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
--- failed and why. A host that an item alone used is closed when the item has ended.
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
    options_of.check("each", options, OPTIONS)
    checks.count("each", "parallel", options.parallel, 1)
    checks.count("each", "batch", options.batch, 1)
    checks.count("each", "max_failures", options.max_failures, 0)
    check_list(items)
    local context = task.context()
    local keys = keys_of(items, options.key)
    local limit = not current.collecting and options.max_failures or nil
    local group = { path = context.path, failures = {}, limit = limit, begun = 0 }
    group.scope = event.emit("group.begin", { parent = context.scope, name = options.name or "each", count = #items })
    local started = native.system.monotonic()
    local width, batch = options.parallel or DEFAULT_PARALLEL, options.batch or math.max(#items, 1)
    -- In a task of its own, which has ended only when all of its items have: also when it is cancelled.
    local whole, err = xpcall(task.join, native.error.complete, task.spawn(nil, function()
        for from = 1, #items, batch do
            run_batch(group, items, keys, from, math.min(from + batch - 1, #items), width, fn)
        end
    end))
    event.emit("group.end", {
        scope = group.scope, parent = context.scope, seconds = native.system.monotonic() - started,
        status = not whole and "cancelled" or #group.failures > 0 and "failed" or "done",
        text = err and tostring(err),
    })
    if not whole then
        error(err, 0)
    elseif #group.failures > 0 then
        raise_failures(group, #items)
    end
end

iteration.globals = { each = each }
return iteration
