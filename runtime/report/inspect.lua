-- Values as people read them: tables with their depth, width and cycles in hand, rows as a table, secrets masked.
-- Tables are read without their metamethods, so that looking at a value changes nothing.
local native, import = ...
local inspect = {}

local failure, rows, wording = import "run/failure", import "report/rows", import "base/text"
local KEYWORDS = import "base/lua_source".KEYWORDS
local scrub, is_secret, is_unknown = native.secret.scrub, native.secret.is, native.secret.is_unknown

local DEPTH, DUMP_DEPTH = 3, 6
local MOST_ITEMS = 50
local MOST_ROWS = 200
local LONGEST_INNER, LONGEST_TEXT = 200, 16 * 1024
local WIDEST_CELL = 40
local INDENT = 2

local COLOURS = { string = 32, number = 36, boolean = 33, ["nil"] = 33, userdata = 35, other = 2 }
local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local visible = native.system.visible

local function width_of(text)
    return (select(2, visible(text)))
end

--- What may be shown of the text, and its columns.
local function paint(state, kind, text)
    local shown, columns = visible(text)
    return state.colour and ("\27[%dm%s\27[0m"):format(COLOURS[kind], shown) or shown, columns
end

local function escape(byte)
    return ESCAPES[byte] or ("\\%03d"):format(byte:byte())
end

--- The beginning of a text that is too long; nil for one that is not.
local function cut(text, longest)
    return #text > longest and wording.beginning(text, longest) or nil
end

local function quoted(text, longest)
    text = scrub(text)
    local short = cut(text, longest)
    local shown = (short or text):gsub('[%c"\\]', escape)
    return ('"%s"%s'):format(shown, short and (" ... (%d bytes)"):format(#text) or "")
end

local function place_of(fn)
    local source, line = native.system.place_of(fn)
    if source:sub(1, 2) == "=[" then
        return "function in C"
    end
    return ("function %s:%d"):format(source:match "([^/@=]+)$" or source, line)
end

local function key_text(state, key)
    if type(key) == "string" and key:find "^[%a_][%w_]*$" and not KEYWORDS[key] then
        return key, #key
    end
    local text, width = inspect.scalar(state, key, LONGEST_INNER)
    return "[" .. text .. "]", width + 2
end

--- What an object says of itself, or nil.
local function own_words(value)
    local meta = getmetatable(value)
    if type(meta) == "table" and rawget(meta, "__tostring") then
        local ok, words = pcall(tostring, value)
        return ok and type(words) == "string" and scrub(words) or nil
    end
end

--- A value that is no table, or a table that only its own words are shown of.
function inspect.scalar(state, value, longest)
    local kind = type(value)
    if kind == "string" then
        return paint(state, kind, quoted(value, longest))
    elseif kind == "number" then
        return paint(state, kind, wording.shown(value))
    elseif kind == "boolean" or kind == "nil" then
        return paint(state, kind, tostring(value))
    elseif value == json.null then
        return paint(state, "nil", "json.null")
    elseif native.error.is(value) then
        return paint(state, "other", ("<%s: %s>"):format(scrub(tostring(value.code)), quoted(tostring(value.message),
            LONGEST_INNER)))
    elseif kind == "table" then
        return paint(state, "other", ("<%s>"):format(own_words(value) or "table"))
    elseif kind == "function" then
        return paint(state, "other", ("<%s>"):format(place_of(value)))
    end
    local words = is_secret(value) or is_unknown(value) or own_words(value) ~= nil
    return paint(state, "userdata", words and scrub(tostring(value)) or ("<%s>"):format(kind))
end

local ORDER = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
    local first, second = ORDER[type(a)] or 4, ORDER[type(b)] or 4
    if first ~= second then
        return first < second
    elseif first <= 2 then
        return a < b
    end
    return tostring(a) < tostring(b)
end

--- The keys past the list part, in an order that does not change.
local function other_keys(value, length)
    local keys = {}
    for key in next, value do
        if not (type(key) == "number" and key >= 1 and key <= length and key % 1 == 0) then
            keys[#keys + 1] = key
        end
    end
    table.sort(keys, before)
    return keys
end

local render

--- The parts of a table, each with its columns, or without where it takes several lines.
local function parts_of(state, value, depth, indent)
    local parts, length = {}, 0
    while rawget(value, length + 1) ~= nil do
        length = length + 1
    end
    local keys = other_keys(value, length)
    for index = 1, math.min(length, MOST_ITEMS) do
        parts[index] = { render(state, rawget(value, index), depth + 1, indent + INDENT) }
    end
    for index = 1, math.min(#keys, math.max(MOST_ITEMS - length, 1)) do
        local label, label_width = key_text(state, keys[index])
        local text, width = render(state, rawget(value, keys[index]), depth + 1, indent + INDENT, label_width + 3)
        parts[#parts + 1] = { label .. " = " .. text, width and width + label_width + 3 }
    end
    if length + #keys > #parts then
        local text, width = paint(state, "other", ("... %d more"):format(length + #keys - #parts))
        parts[#parts + 1] = { text, width }
    end
    return parts
end

local function join(state, parts, indent, label_width)
    local total, texts = 4, {}
    for index, part in ipairs(parts) do
        total = total and part[2] and total + part[2] + 2
        texts[index] = part[1]
    end
    if #parts == 0 then
        return "{}", 2
    elseif total and total + indent + label_width <= state.width then
        return "{ " .. table.concat(texts, ", ") .. " }", total - 2
    end
    local margin = "\n" .. (" "):rep(indent + INDENT)
    return "{" .. margin .. table.concat(texts, "," .. margin) .. ",\n" .. (" "):rep(indent) .. "}"
end

--- The text of a value, and its columns when it is on one line.
function render(state, value, depth, indent, label_width)
    if type(value) ~= "table" or value == json.null or native.error.is(value) then
        return inspect.scalar(state, value, depth == 0 and LONGEST_TEXT or LONGEST_INNER)
    elseif state.above[value] then
        return paint(state, "other", "<cycle>")
    end
    local words = own_words(value)
    if words and depth > 0 then
        return paint(state, "other", ("<%s>"):format(words))
    elseif depth >= state.depth and next(value) ~= nil then
        return paint(state, "other", "{...}")
    end
    state.above[value] = true
    local text, width = join(state, parts_of(state, value, depth, indent), indent, label_width or 0)
    state.above[value] = nil
    return words and paint(state, "other", ("<%s> "):format(words)) .. text or text, not words and width or nil
end

-- ---- rows ----

local FIRST = { "id", "name", "unit", "title", "key", "type", "status", "state", "active" }

local function is_cell(value)
    return type(value) ~= "table" and type(value) ~= "function" or value == json.null
end

--- The fields that at least one row has a value in that fits into a cell; nil when these are no rows.
local function fields_of(list)
    local seen, names = {}, {}
    for index = 1, #list do
        local row = list[index]
        if type(row) ~= "table" or row == json.null or own_words(row) or next(row) == nil then
            return nil
        end
        for name, value in next, row do
            if type(name) ~= "string" then
                return nil
            elseif is_cell(value) and not seen[name] then
                seen[name], names[#names + 1] = true, name
            end
        end
    end
    return names
end

--- The columns in the order of the query, else those first by which people know things.
local function in_order(list, names)
    local rank = {}
    local columns = rawget(list, "columns")
    for position, name in ipairs(type(columns) == "table" and columns or FIRST) do
        rank[name] = rank[name] or position
    end
    table.sort(names, function(a, b)
        local first, second = rank[a] or math.huge, rank[b] or math.huge
        return first < second or first == second and a < b
    end)
    return names
end

local function cell_text(value)
    local text = visible((scrub(wording.shown(value)):gsub("%c", escape)))
    local short = cut(text, WIDEST_CELL)
    return short and short .. "..." or text
end

--- As many of the columns as the width has room for, and the names of the others.
local function fitting(list, names, width)
    local columns, left_out, used = {}, {}, 0
    for _, name in ipairs(names) do
        local widest = #name
        for index = 1, math.min(#list, MOST_ROWS) do
            local value = list[index][name]
            widest = math.max(widest, value ~= nil and width_of(cell_text(value)) or 1)
        end
        if #columns == 0 or used + widest + 2 <= width + 2 then
            columns[#columns + 1] = { field = name, title = name, as = cell_text }
            used = used + widest + 2
        else
            left_out[#left_out + 1] = name
        end
    end
    return columns, left_out
end

--- A list of rows laid out in columns, or nil when the value is none.
---@param value any
---@param width integer
---@return string?
function inspect.table(value, width)
    if type(value) ~= "table" or type(rawget(value, 1)) ~= "table" or own_words(value) then
        return nil
    end
    local names = fields_of(value)
    if not names or #names == 0 then
        return nil
    end
    local columns, left_out = fitting(value, in_order(value, names), width)
    local shown = { unpack(value, 1, math.min(#value, MOST_ROWS)) }
    local lines = rows.lay_out(shown, columns)
    local note = ("%d row%s"):format(#value, #value == 1 and "" or "s")
    if #value > #shown then
        note = note .. (", the first %d are shown"):format(#shown)
    end
    if #left_out > 0 then
        note = note .. ("; more fields: %s"):format(table.concat(left_out, " "))
    end
    for _, line in ipairs(wording.wrap("(" .. note .. ")", width)) do
        lines[#lines + 1] = line
    end
    return table.concat(lines, "\n")
end

-- ---- the face ----

--- A value as text.
---@param options? { depth?: integer, width?: integer, colour?: boolean } tables within tables (3); columns to keep to
---  (the terminal's)
---@return string
function inspect.text(value, options)
    options = options or {}
    local state = {
        depth = options.depth or DEPTH, width = options.width or native.system.width(), colour = options.colour,
        above = {},
    }
    return (render(state, value, 0, 0))
end

--- The values that an evaluation gave, for the person who typed it: rows as a table, a text of several lines as it is.
---@param values table `n` values
---@param options? table as of inspect.text
---@return string? nil when there is none
function inspect.values(values, options)
    local texts = {}
    for index = 1, values.n do
        local value = values[index]
        if native.error.is(value) then
            texts[index] = inspect.visible(failure.describe(value, true))
        elseif type(value) == "string" and value:find "\n." and #value <= LONGEST_TEXT then
            texts[index] = ("[[\n%s]]"):format(inspect.visible(value))
        else
            texts[index] = inspect.table(value, options and options.width or native.system.width())
                or inspect.text(value, options)
        end
    end
    return texts[1] and table.concat(texts, "\n")
end

--- A text with its lines, and without what would do something to a terminal.
---@param text string
---@return string
function inspect.visible(text)
    return (scrub(text):gsub("\r\n", "\n"):gsub("%z", "\\0"):gsub("[^\n]+", function(line) return (visible(line)) end))
end

--- Shows values in full: tables to a depth of six. What is secret stays so.
---@param ... any
local function dump(...)
    for index = 1, select("#", ...) do
        local value = (select(index, ...))
        native.event.emit("say", {
            parent = native.task.context().scope, text = inspect.text(value, { depth = DUMP_DEPTH }),
        })
    end
end

inspect.globals = { dump = dump }
return inspect
