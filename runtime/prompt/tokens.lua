-- Lua source as tokens, for what has to look at code without running it. A text that ends in the middle of a string
-- or a comment gives that token too, marked as unfinished.
local _, import = ...
local tokens = {}

local KEYWORDS = import "base/lua_source".KEYWORDS

local NUMBERS = { "^0[xX][%x.]+[pP][+-]?%d+", "^0[xX][%x.]+[ULiI]*", "^[%d.]+[eE][+-]?%d+[ULiI]*", "^[%d.]+[ULiI]*" }
local SYMBOLS = { "...", "..", "==", "~=", "<=", ">=", "::" }

--- The end of a long bracket that begins at `from`, or nil when there is none; the second value says that it is open.
local function long_bracket(source, from)
    local level = source:match("^%[(=*)%[", from)
    if not level then
        return nil
    end
    local _, last = source:find("]" .. level .. "]", from, true)
    return last or #source, last == nil
end

local function quoted(source, from)
    local quote, at = source:sub(from, from), from + 1
    while at <= #source do
        local byte = source:sub(at, at)
        if byte == quote then
            return at, false
        elseif byte == "\n" then
            return at - 1, true
        end
        at = at + (byte == "\\" and 2 or 1)
    end
    return #source, true
end

local function symbol(source, from)
    for _, text in ipairs(SYMBOLS) do
        if source:sub(from, from + #text - 1) == text then
            return from + #text - 1
        end
    end
    return from
end

--- Kind and end of the token at `from`, which is no white space.
local function scan(source, from)
    local first = source:sub(from, from)
    if source:find("^%-%-", from) then
        local last, open = long_bracket(source, from + 2)
        return "comment", last or (source:find("\n", from, true) or #source + 1) - 1, open
    elseif first:find "[%a_\128-\255]" then
        local last = select(2, source:find("^[%w_\128-\255]+", from))
        return KEYWORDS[source:sub(from, last)] and "keyword" or "name", last
    elseif source:find("^%.?%d", from) then
        for _, shape in ipairs(NUMBERS) do
            local last = select(2, source:find(shape, from))
            if last then
                return "number", last
            end
        end
    elseif first == "'" or first == '"' then
        return "string", quoted(source, from)
    end
    local last, open = long_bracket(source, from)
    if last then
        return "string", last, open
    end
    return "symbol", symbol(source, from)
end

--- The tokens of a text, comments included.
---@param source string
---@return { kind: "name"|"keyword"|"string"|"number"|"symbol"|"comment", text: string, from: integer, to: integer,
---  unfinished?: boolean }[]
function tokens.of(source)
    local list, at = {}, 1
    while true do
        at = source:find("%S", at)
        if not at then
            return list
        end
        local kind, last, open = scan(source, at)
        list[#list + 1] = { kind = kind, text = source:sub(at, last), from = at, to = last, unfinished = open or nil }
        at = last + 1
    end
end

local OPENS = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

--- Calls fn(token, index, depth) for each token; depth counts the blocks that are open before it.
---@param list table[] see tokens.of
function tokens.walk(list, fn)
    local depth = 0
    for index, token in ipairs(list) do
        if token.kind == "keyword" and CLOSES[token.text] then
            depth = depth - 1
        end
        fn(token, index, depth)
        if token.kind == "keyword" and OPENS[token.text] then
            depth = depth + 1
        end
    end
end

return tokens
