-- Calls of what the playbook did not make itself: hostler's functions by their annotations, and Lua's own.
local _, import = ...
local calls = {}

local natives, prelude = import "check/natives", import "check/prelude"
local rules, types, values = import "check/rules", import "check/annotation_types", import "check/values"

--- What a function that is given to another is called with, as far as the annotation tells.
local function callback_arguments(param)
    local type, given = param and param.type and types.present(param.type), {}
    for index, one in ipairs(type and type.kind == "function" and type.params or {}) do
        given[index] = values.of_type(one.type)
    end
    given.more = true
    return given
end

--- Functions among the arguments are called there and then.
local function call_back(machine, entry, arguments, node)
    for index, value in ipairs(arguments) do
        if value.kind == "function" then
            machine:call(value, callback_arguments(entry.params and entry.params[index]), node)
        end
    end
end

-- What these return may stand in an SQL statement.
local QUOTING = { ["postgres.ident"] = true, ["postgres.literal"] = true, ["postgres.Session:ident"] = true,
    ["postgres.Session:literal"] = true }

local function results_of(entry)
    local results = {}
    for index, one in ipairs(entry.returns or {}) do
        results[index] = values.of_type(one.type)
    end
    if QUOTING[entry.path] then
        results[1] = { kind = "text", quoted = true }
    end
    return results
end

local function call_entry(machine, callee, arguments, node, direct)
    local entry = callee.entry
    local is_method = entry.kind == "method" or direct and node.tag == "Invoke"
    local call = { entry = entry, node = node, direct = direct, subject = is_method and arguments[1] or nil,
        arguments = { unpack(arguments, is_method and 2 or 1) } }
    rules.check(machine, call, arguments)
    local known = prelude[entry.path]
    if known then
        return known(machine, call.arguments, node, call.subject)
    end
    call_back(machine, entry, call.arguments, node)
    return results_of(entry)
end

local function call_native(machine, callee, arguments, node)
    local known = natives[callee.path]
    if known then
        return known(machine, arguments, node)
    end
    call_back(machine, {}, arguments, node)
    return { callee.path:find "^math%." and values.some_number or values.unknown, more = true }
end

--- Calls a value of the kind "entry", "native" or "object".
---@param direct? boolean the node is this very call
---@return table[] results
function calls.call(machine, callee, arguments, node, direct)
    if callee.kind == "native" then
        return call_native(machine, callee, arguments, node)
    elseif callee.kind == "object" then
        return callee.class.call and call_entry(machine, values.entry(callee.class.call), arguments, node, direct)
            or { values.unknown, more = true }
    end
    return call_entry(machine, callee, arguments, node, direct)
end

return calls
