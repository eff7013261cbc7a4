-- What `hostler check` knows of Lua's own functions: what they return, and what they call.
local _, import = ...
local natives = {}

local members, values = import "check/members", import "check/values"

local function first(arguments)
    return arguments[1] or values.unknown
end

local function iterator(...)
    return { { kind = "iterator", yields = { ... } } }
end

function natives.ipairs(_, arguments)
    return iterator(values.some_number, values.item(first(arguments)))
end

function natives.pairs(_, arguments)
    local subject = first(arguments)
    local joined = subject.kind == "table" and not subject.open and values.item(subject) or subject.item
    for _, value in pairs(subject.kind == "table" and subject.fields or {}) do
        joined = joined and values.join(joined, value) or value
    end
    return iterator(values.unknown, joined or values.unknown)
end

natives["string.gmatch"] = function()
    return iterator(values.some_text, values.some_text, values.some_text)
end

function natives.setmetatable(_, arguments)
    local subject, meta = arguments[1], arguments[2]
    if subject and subject.kind == "table" then
        subject.meta, subject.open = meta, subject.open or not meta or meta.kind ~= "table"
    end
    return { subject }
end

function natives.rawset(machine, arguments)
    if arguments[3] then
        members.write(machine, arguments[1], arguments[2], arguments[3], false)
    end
    return { arguments[1] }
end

natives["table.insert"] = function(machine, arguments)
    local value = arguments[3] or arguments[2]
    if value and arguments[1].kind == "table" then
        members.write(machine, arguments[1], values.some_number, value, false)
    end
    return {}
end

natives["table.remove"] = function(_, arguments)
    return { values.item(first(arguments)) }
end

natives["table.sort"] = function(machine, arguments, node)
    local item = values.item(first(arguments))
    if arguments[2] then
        machine:call(arguments[2], { item, item }, node)
    end
    return {}
end

natives["table.concat"] = function(_, arguments)
    local subject = first(arguments)
    if subject.kind ~= "table" or subject.open or subject.item then
        return { values.some_text }
    end
    local parts = {}
    for _, part in ipairs(subject.array) do
        parts[#parts + 1] = arguments[2]
        parts[#parts + 1] = part
    end
    table.remove(parts, 1)
    return { values.concat(parts) }
end

function natives.unpack(_, arguments)
    local subject = first(arguments)
    local from = arguments[2] and arguments[2].const or 1
    if subject.kind ~= "table" or subject.item or type(from) ~= "number" then
        return { values.item(subject), more = true }
    end
    return { unpack(subject.array, from) }
end

-- ---- calls of calls ----

function natives.pcall(machine, arguments, node)
    local results = arguments[1] and machine:call(arguments[1], { unpack(arguments, 2) }, node) or {}
    machine.never_returns = false
    return { values.some_boolean, results[1] and values.unknown or nil, more = true }
end

function natives.xpcall(machine, arguments, node)
    return natives.pcall(machine, { arguments[1], unpack(arguments, 3) }, node)
end

function natives.error(machine)
    machine.never_returns = true
    return {}
end

function natives.assert(_, arguments)
    return arguments
end

-- ---- texts ----

function natives.tostring(_, arguments)
    local value = first(arguments)
    return { value.kind == "text" and value or value.kind == "number" and values.text() or values.some_text }
end

local NUMERIC = "^[diufgGeExXoc]$"

--- The literal parts of a format and the values between them, in order.
natives["string.format"] = function(_, arguments)
    local pattern = first(arguments)
    if not pattern.const then
        return { values.some_text }
    end
    local parts, position, used = {}, 1, 1
    for from, letter, after in pattern.const:gmatch "()%%[-+ #0]*%d*%.?%d*([%a%%])()" do
        parts[#parts + 1] = values.text(pattern.const:sub(position, from - 1))
        position = after
        if letter == "%" then
            parts[#parts + 1] = values.text "%"
        else
            used = used + 1
            parts[#parts + 1] = letter:find(NUMERIC) and values.some_number or arguments[used] or values.unknown
        end
    end
    parts[#parts + 1] = values.text(pattern.const:sub(position))
    return { values.concat(parts) }
end

natives["string.gsub"] = function(machine, arguments, node)
    local subject, with = first(arguments), arguments[3] or values.unknown
    if with.kind == "function" then
        machine:call(with, { values.some_text, values.some_text, values.some_text }, node)
    elseif subject.literal and (with.kind == "text" or with.kind == "unknown") then
        return { values.concat { { kind = "text", literal = true }, with }, values.some_number }
    end
    return { { kind = "text", spliced = subject.spliced }, values.some_number }
end

--- A text like the one given: as literal, as spliced.
local function alike(_, arguments)
    local subject = first(arguments)
    return { { kind = "text", literal = subject.literal, spliced = subject.spliced } }
end

for _, name in ipairs { "rep", "lower", "upper", "sub", "reverse" } do
    natives["string." .. name] = alike
end

natives["string.match"] = function() return { values.some_text, values.some_text, more = true } end
natives["type"] = function() return { values.some_text } end
natives["os.date"] = function(_, arguments)
    local format = first(arguments).const
    return { type(format) == "string" and not format:find "^!?%*t" and values.some_text or values.unknown }
end
natives["os.time"] = function() return { values.some_number } end
natives["tonumber"] = natives["os.time"]

return natives
