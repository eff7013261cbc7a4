-- The types of LuaLS annotations: `{ port?: integer, jump?: string|ssh.Host }[]` as a tree, and as text again.
--
-- A type is a table with a `kind`: "name" (name), "literal" (text), "list" (of), "map" (key, value), "union" (of:
-- list), "table" (fields: list of { name, type, optional }, rest: the map of its other keys), "function" (params,
-- returns: lists of the same shape).
local types = {}

local parse_union

--- A reader of one annotation: its text, and how far it has got.
local function new_reader(text)
    return { text = text, at = 1 }
end

--- Moves past white space and the pattern, and returns its capture; nil, without moving, when it does not follow.
local function take(reader, pattern)
    local found, after = reader.text:match("^%s*(" .. pattern .. ")()", reader.at)
    if found then
        reader.at = after
    end
    return found
end

local function wrong(reader, wanted)
    error({ message = ("%s expected at '%s'"):format(wanted, reader.text:sub(reader.at, reader.at + 20)) }, 0)
end

local function expect(reader, pattern, wanted)
    return take(reader, pattern) or wrong(reader, wanted)
end

--- "name?: type" of a table or a function; a function's parameter may lack its type.
local function parse_field(reader, type_needed)
    local name = take(reader, "%.%.%.") or take(reader, "[%a_][%w_]*") or wrong(reader, "a name")
    local optional = take(reader, "%?") ~= nil
    if take(reader, ":") then
        return { name = name, optional = optional, type = parse_union(reader) }
    elseif type_needed then
        wrong(reader, "':'")
    end
    return { name = name, optional = optional, type = { kind = "name", name = "any" } }
end

local function parse_table(reader)
    local fields, rest = {}, nil
    while not take(reader, "}") do
        if take(reader, "%[") then
            local key = parse_union(reader)
            expect(reader, "%]", "']'")
            expect(reader, ":", "':'")
            rest = { kind = "map", key = key, value = parse_union(reader) }
        else
            fields[#fields + 1] = parse_field(reader, true)
        end
        if not take(reader, ",") then
            expect(reader, "}", "'}'")
            break
        end
    end
    return not fields[1] and rest or { kind = "table", fields = fields, rest = rest }
end

local function parse_function(reader)
    local parsed = { kind = "function", params = {}, returns = {} }
    expect(reader, "%(", "'('")
    while not take(reader, "%)") do
        parsed.params[#parsed.params + 1] = parse_field(reader)
        if not take(reader, ",") then
            expect(reader, "%)", "')'")
            break
        end
    end
    if take(reader, ":") then
        repeat
            parsed.returns[#parsed.returns + 1] = take(reader, "%.%.%.") and { kind = "name", name = "..." }
                or parse_union(reader)
        until not take(reader, ",")
    end
    return parsed
end

local function parse_primary(reader)
    local literal = take(reader, "\"[^\"]*\"") or take(reader, "%-?%d+")
    if literal then
        return { kind = "literal", text = literal }
    elseif take(reader, "{") then
        return parse_table(reader)
    elseif take(reader, "%(") then
        local inner = parse_union(reader)
        expect(reader, "%)", "')'")
        return inner
    end
    local name = expect(reader, "[%a_][%w_.]*", "a type")
    if name == "fun" then
        return parse_function(reader)
    elseif name == "true" or name == "false" then
        return { kind = "literal", text = name }
    elseif name == "table" and take(reader, "<") then
        local key = parse_union(reader)
        expect(reader, ",", "','")
        local map = { kind = "map", key = key, value = parse_union(reader) }
        expect(reader, ">", "'>'")
        return map
    end
    return { kind = "name", name = name }
end

local NIL = { kind = "name", name = "nil" }

--- A mark of a type stands directly behind it: white space ends the type, and what follows is text.
local function parse_suffixed(reader)
    local parsed = parse_primary(reader)
    while true do
        local mark = reader.text:match("^%[%]", reader.at) or reader.text:match("^%?", reader.at)
        if not mark then
            return parsed
        end
        reader.at = reader.at + #mark
        parsed = mark == "[]" and { kind = "list", of = parsed } or { kind = "union", of = { parsed, NIL } }
    end
end

function parse_union(reader)
    local first = parse_suffixed(reader)
    local members = { first }
    while reader.text:find("^|", reader.at) do
        reader.at = reader.at + 1
        members[#members + 1] = parse_suffixed(reader)
    end
    return #members > 1 and { kind = "union", of = members } or first
end

--- Reads the type that a text begins with.
---@param text string
---@return table? type nil when it begins with none
---@return string rest what follows; when there is no type, what is wrong
function types.parse(text)
    local reader = new_reader(text)
    local ok, parsed = pcall(parse_union, reader)
    if not ok and not (type(parsed) == "table" and parsed.message) then
        error(parsed, 0)
    elseif not ok then
        return nil, parsed.message
    end
    return parsed, (text:sub(reader.at):gsub("^%s+", ""))
end

local shown

local function shown_fields(fields)
    local parts = {}
    for index, field in ipairs(fields) do
        parts[index] = ("%s%s: %s"):format(field.name, field.optional and "?" or "", shown(field.type))
    end
    return parts
end

local function shown_all(list, separator, needs_brackets)
    local parts = {}
    for index, one in ipairs(list) do
        parts[index] = (needs_brackets and one.kind == "function" and "(%s)" or "%s"):format(shown(one))
    end
    return table.concat(parts, separator)
end

local writers = {
    name = function(one) return one.name end,
    literal = function(one) return one.text end,
    list = function(one)
        local simple = one.of.kind ~= "union" and one.of.kind ~= "function"
        return (simple and "%s[]" or "(%s)[]"):format(shown(one.of))
    end,
    map = function(one) return ("table<%s, %s>"):format(shown(one.key), shown(one.value)) end,
    table = function(one)
        local parts = shown_fields(one.fields)
        parts[#parts + 1] = one.rest and ("[%s]: %s"):format(shown(one.rest.key), shown(one.rest.value)) or nil
        return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
    end,
    union = function(one)
        local simple = #one.of == 2 and one.of[2] == NIL and one.of[1].kind ~= "function" and one.of[1].kind ~= "union"
        return simple and shown(one.of[1]) .. "?" or shown_all(one.of, "|", true)
    end,
    ["function"] = function(one)
        return ("fun(%s)%s"):format(table.concat(shown_fields(one.params), ", "),
            #one.returns > 0 and ": " .. shown_all(one.returns, ", ", true) or "")
    end,
}

--- A type as annotations write it, on one line.
---@param one table
---@return string
function shown(one)
    return writers[one.kind](one)
end

types.shown = shown

--- The type or nil.
---@param one table
---@return table
function types.optional(one)
    return { kind = "union", of = { one, NIL } }
end

--- Whether nil is among the values of a type.
---@param one table
---@return boolean
function types.is_optional(one)
    for _, member in ipairs(one.kind == "union" and one.of or {}) do
        if member.name == "nil" or types.is_optional(member) then
            return true
        end
    end
    return false
end

--- The type without nil: what a value has once it is there.
---@param one table
---@return table
function types.present(one)
    while one.kind == "union" do
        local members = {}
        for _, member in ipairs(one.of) do
            if member.name ~= "nil" then
                members[#members + 1] = member
            end
        end
        if #members ~= 1 then
            return { kind = "union", of = members }
        end
        one = members[1]
    end
    return one
end

return types
