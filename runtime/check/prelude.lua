-- What `hostler check` knows of the functions of the prelude that call others: when, how often, and with what.
local _, import = ...
local prelude = {}

local annotations, values = import "check/annotations", import "check/values"
local PassedSteps = import "check/passed_steps"

-- ---- steps ----

--- Whether something in the name may differ from one turn of the loop to the next.
local function varies(machine, node, loop)
    if node.tag == "Id" then
        local cell = machine:find_cell(node[1])
        return cell ~= nil and cell.loop == loop
    elseif node.tag == "Call" or node.tag == "Function" then
        return true
    end
    for _, child in ipairs(node) do
        if type(child) == "table" and varies(machine, child, loop) then
            return true
        end
    end
    return false
end

--- A step that was passed already, or will be in the next turn of a loop.
local function note_step(machine, name, node)
    local context = machine.context
    local shown = name.const and ("the step '%s'"):format(name.const) or "the step"
    if context.deciding then
        machine:find(node, "webhook", shown .. " stands in a webhook")
        return
    elseif context.step then
        machine:find(node, "step-inside", shown .. " stands inside a step")
        return
    end
    local name_node = node.tag == "Call" and node[2]
    if context.loop and (name.const or name_node and not varies(machine, name_node, context.loop)) then
        machine:find(node, "loop-key", ("%s has the same name in every turn of the loop on line %d"):format(shown,
            context.loop.line))
    end
    if not name.const then
        return
    end
    local first = context.passed.seen[name.const]
    context.passed.seen[name.const] = first or node
    if first and first ~= node then
        machine:find(node, "step-name", ("%s is there twice on one path: first on line %d"):format(shown, first.line))
    elseif first and not context.loop then
        machine:find_call(machine.calls[#machine.calls], "step-name", shown .. " is passed a second time by this call")
    end
end

local function call_option(machine, options, name, arguments, changes, node)
    local fn = options and options.kind == "table" and options.fields[name]
    if fn and fn.kind == "function" then
        machine:within(changes, function() return machine:call(fn, arguments, node) end)
    end
end

function prelude.step(machine, arguments, node)
    local name, options, body = arguments[1] or values.unknown, arguments[2], arguments[3]
    if options and options.kind == "function" then
        options, body = nil, options
    end
    note_step(machine, name, node)
    local results = machine:within({ step = true, loop = false }, function()
        return body and machine:call(body, {}, node) or {}
    end)
    local undoing = { step = true, passed = PassedSteps.new() }
    call_option(machine, options, "undo", { results[1] or values.absent }, undoing, node)
    call_option(machine, options, "probe", {}, { step = true, probe = true }, node)
    return { results[1] or values.absent }
end

-- ---- several at once ----

--- The steps passed in an item: two `each` over the same things share them.
local function passed_in_item(machine, items, key)
    if items.kind ~= "list" and items.kind ~= "table" then
        return PassedSteps.new()
    end
    local name = tostring(key and key.const or "")
    local by_key = machine.passed_by_item[items] or {}
    machine.passed_by_item[items] = by_key
    by_key[name] = by_key[name] or PassedSteps.new()
    return by_key[name]
end

function prelude.each(machine, arguments, node)
    local items, options, fn = arguments[1] or values.unknown, arguments[2], arguments[3]
    if options and options.kind == "function" then
        options, fn = nil, options
    end
    local item, key = values.item(items), options and options.kind == "table" and options.fields.key or nil
    local known = not options or options.kind == "table" and not options.open
    if known and not key and (item.kind == "table" or item.kind == "object") then
        machine:find(node, "each-key", "each over tables without a key")
    end
    if fn then
        machine:within({ passed = passed_in_item(machine, items, key), loop = false }, function()
            return machine:call(fn, { item }, node)
        end)
    end
    return {}
end

function prelude.parallel(machine, arguments, node)
    local functions, results = arguments[1] or values.unknown, values.table()
    if functions.kind ~= "table" then
        return { values.unknown }
    end
    for index, fn in ipairs(functions.array) do
        results.array[index] = machine:call(fn, {}, node)[1] or values.absent
    end
    if functions.item then
        results.item = machine:call(functions.item, {}, node)[1]
    end
    return { results }
end

-- ---- again, and in time ----

local function second_called(machine, arguments, node)
    return arguments[2] and machine:call(arguments[2], { unpack(arguments, 3) }, node) or {}
end

prelude.retry, prelude.timeout, prelude.shield = second_called, second_called, second_called

function prelude.wait_until(machine, arguments, node)
    return arguments[3] and { machine:call(arguments[3], {}, node)[1] } or {}
end

prelude["try"] = function(machine, arguments, node)
    local results = arguments[1] and machine:call(arguments[1], { unpack(arguments, 2) }, node) or {}
    local err = values.object(annotations.index().classes.Error)
    machine.never_returns = false
    return { results[1] or values.absent, results[2] and values.unknown or err, more = results.more }
end

function prelude.fail(machine)
    machine.never_returns = true
    return {}
end

-- ---- the file itself ----

function prelude.playbook(machine, arguments)
    machine.playbook = arguments[1]
    return {}
end

function prelude.webhook(machine, arguments)
    machine.webhook = arguments[1]
    return {}
end

function prelude.require(machine, arguments, node)
    local name = arguments[1] and arguments[1].const
    return { type(name) == "string" and machine:require_module(name, node) or values.unknown }
end

--- A transaction whose function gets a session that only reads, where it was asked for.
prelude["postgres.Session:transaction"] = function(machine, arguments, node, subject)
    local fn, options = arguments[1], arguments[2]
    local session = values.object(annotations.index().classes["postgres.Session"])
    session.read_only = subject and subject.read_only or values.option(options, "read_only")
    return fn and machine:call(fn, { session }, node) or {}
end

return prelude
