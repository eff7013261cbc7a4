-- What `hostler check` knows of a value without running the code: its kind, and as much more as the source tells.
--
-- kind        fields
-- "unknown"   nothing is known
-- "nil"       nil; `absent` where the field may be set by code that was not seen
-- "text"      const: the text; literal: it stands in the source; spliced: { shell, sql }, whether a value was put into
--             it
-- "number", "boolean"   const
-- "secret"    a secret, or a text with one in it
-- "function"  node, scope, file: one of the playbook's own
-- "entry"     entry: one of hostler's own, see annotations.lua; self: what it was taken from
-- "object"    class: what hostler's own functions return, see annotations.lua; read_only: a transaction that only reads
-- "list"      item: what is in it; map: by text keys too
-- "table"     fields, array, item (under keys that are not known), open (fields that are not known), meta; one that the
--             playbook made
-- "iterator"  yields: what the variables of a "for" get from it
-- "native"    path, value: Lua's own
local _, import = ...
local values = {}

local annotations = import "check/annotations"

local DEEPEST = 4

values.unknown = { kind = "unknown" }
values.null = { kind = "nil" }
values.absent = { kind = "nil", absent = true }
values.some_text = { kind = "text" }
values.some_number = { kind = "number" }
values.some_boolean = { kind = "boolean" }
values.secret = { kind = "secret" }

function values.text(const)
    return { kind = "text", const = const, literal = true }
end

function values.number(const)
    return { kind = "number", const = const }
end

function values.boolean(const)
    return { kind = "boolean", const = const }
end

function values.entry(entry, self)
    return { kind = "entry", entry = entry, self = self }
end

function values.table()
    return { kind = "table", fields = {}, array = {} }
end

function values.object(class)
    return { kind = "object", class = class }
end

local PLAIN = {
    string = values.some_text, number = values.some_number, integer = values.some_number,
    boolean = values.some_boolean, secret = values.secret, ["nil"] = values.null,
}

local from

local makers = {
    name = function(one)
        local class = annotations.index().classes[one.name]
        return PLAIN[one.name] or class and values.object(class) or values.unknown
    end,
    literal = function(one)
        local text = one.text:match "^\"(.*)\"$"
        return text and { kind = "text", literal = true } or tonumber(one.text) and values.some_number
            or values.some_boolean
    end,
    list = function(one) return { kind = "list", item = from(one.of) } end,
    map = function(one) return { kind = "list", map = true, item = from(one.value) } end,
    table = function(one) return values.object(annotations.class_of(one)) end,
    union = function(one)
        local joined
        for _, member in ipairs(one.of) do
            joined = joined and values.join(joined, from(member)) or from(member)
        end
        return joined
    end,
    ["function"] = function(one)
        return values.entry { name = "function", path = "function", kind = "function", text = "", params = one.params,
            returns = {} }
    end,
}

--- A value of a type that an annotation names.
---@param type? table see annotation_types.lua
function from(type)
    return type and makers[type.kind](type) or values.unknown
end

values.of_type = from

local function join_texts(a, b)
    return {
        kind = "text", const = a.const == b.const and a.const or nil, literal = a.literal and b.literal,
        spliced = a.spliced or b.spliced,
    }
end

local function merge_fields(target, a, b, depth)
    for name, value in pairs(a) do
        target[name] = b[name] and values.join(value, b[name], depth + 1) or value
    end
    for name, value in pairs(b) do
        target[name] = target[name] or value
    end
end

local function join_tables(a, b, depth)
    if depth > DEEPEST then
        return values.unknown
    end
    local joined = values.table()
    merge_fields(joined.fields, a.fields, b.fields, depth)
    merge_fields(joined.array, a.array, b.array, depth)
    joined.item = a.item and b.item and values.join(a.item, b.item, depth + 1) or a.item or b.item
    joined.open = a.open or b.open
    joined.meta = a.meta == b.meta and a.meta or nil
    joined.open = joined.open or a.meta ~= b.meta
    return joined
end

local joiners = {
    text = join_texts,
    number = function() return values.some_number end,
    boolean = function() return values.some_boolean end,
    secret = function() return values.secret end,
    object = function(a, b)
        return a.class == b.class and { kind = "object", class = a.class, read_only = a.read_only and b.read_only }
            or values.unknown
    end,
    list = function(a, b, depth) return { kind = "list", item = values.join(a.item, b.item, depth + 1) } end,
    table = join_tables,
}

--- Nothing, as far as a join goes: nil, and the false that stands for it in `find() or false`.
local function is_nothing(value)
    return value.kind == "nil" or value.kind == "boolean" and value.const == false
end

--- What is known of something that is one of two values.
function values.join(a, b, depth)
    depth = depth or 1
    if a == b or is_nothing(b) then
        return a
    elseif is_nothing(a) then
        return b
    elseif a.kind ~= b.kind or not joiners[a.kind] or depth > DEEPEST then
        return values.unknown
    end
    return joiners[a.kind](a, b, depth)
end

--- Whether a condition on the value holds: true, false, or nil when that is not known.
function values.truth(value)
    if value.kind == "nil" then
        return not value.absent and false or nil
    elseif value.kind == "boolean" then
        return value.const
    elseif value.const ~= nil or value.kind == "function" or value.kind == "table" then
        return true
    end
end

--- What a list, or a table used as one, holds.
function values.item(value)
    if value.kind == "list" then
        return value.item
    elseif value.kind == "object" and value.class.item then
        return from(value.class.item)
    elseif value.kind ~= "table" or value.open then
        return values.unknown
    end
    local joined = value.item
    for _, item in pairs(value.array) do
        joined = joined and values.join(joined, item) or item
    end
    return joined or values.unknown
end

--- The constant under a key, the value of an option: nil when it is not known.
function values.option(options, name)
    local value = options and options.kind == "table" and options.fields[name]
    return value and value.const
end

--- A text made of parts: literal when all are, spliced when some are not. Numbers change nothing about a text's shape.
---@param parts table[] values
---@return table
function values.concat(parts)
    local const, literal, spliced = "", true, nil
    for _, part in ipairs(parts) do
        if part.kind == "secret" then
            return values.secret
        end
        const = const and part.const ~= nil and const .. tostring(part.const) or nil
        literal = literal and (part.literal or part.kind == "number") or false
        if part.spliced or not (part.literal or part.kind == "number" or part.kind == "boolean") then
            local before = spliced or {}
            local own = part.spliced or { shell = true, sql = not part.quoted }
            spliced = { shell = before.shell or own.shell, sql = before.sql or own.sql }
        end
    end
    return { kind = "text", const = const, literal = literal, spliced = spliced }
end

--- The name of what is called, for people: "ssh.Host:run" is `host:run` to them.
---@param entry annotations.Entry
---@return string
function values.shown(entry)
    local class, mark, name = entry.path:match "^[%w_]+%.(%u[%w_]*)([:.])([%w_]+)$"
    return class and class:lower() .. mark .. name or entry.path
end

return values
