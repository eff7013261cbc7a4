-- Reads the expression that ends at some token, backwards: "acme.host:run" in `x = acme.host:run { "ls"`. What stands
-- before the cursor is seldom whole code, so nothing is compiled.
local code_chain = {}

local OPENING = { [")"] = "(", ["}"] = "{", ["]"] = "[" }

--- The place of the bracket that the one at `index` closes; nil when there is none.
local function opening(list, index)
    local closers, depth = list[index].text, 0
    local opener = OPENING[closers]
    for place = index, 1, -1 do
        local text = list[place].kind == "symbol" and list[place].text
        depth = depth + (text == closers and 1 or text == opener and -1 or 0)
        if depth == 0 then
            return place
        end
    end
end

--- Whether the token can be the end of something that is called or indexed.
local function ends_value(token)
    return token ~= nil and (token.kind == "name" or token.kind == "string" or token.text == ")" or token.text == "]"
        or token.text == "}")
end

--- The key in `[...]`, when it is a string or a number written out.
local function constant(list, from, to)
    local token = list[from + 1]
    if to - from ~= 2 then
        return nil
    end
    return token.kind == "string" and token.text:match "^[\"'](.*)[\"']$" or tonumber(token.text)
end

--- The parts of the expression that ends at a token: { name = "acme" }, { field = "host" }, { method = "run" },
--- { call = true }, { key = 1 } (or key = false where it is not written out).
---@param list table[] see tokens.of
---@param index integer
---@return table[]? parts nil when it begins with something that is no name
---@return integer? first the place of its first token
function code_chain.ending_at(list, index)
    local parts = {}
    while true do
        local token, before = list[index], list[index - 1]
        if not token then
            return nil
        elseif token.kind == "name" and before and (before.text == "." or before.text == ":") then
            table.insert(parts, 1, { [before.text == "." and "field" or "method"] = token.text })
            index = index - 2
        elseif token.kind == "name" then
            table.insert(parts, 1, { name = token.text })
            return parts, index
        elseif token.text == "]" then
            local from = opening(list, index)
            local key = from and constant(list, from, index)
            table.insert(parts, 1, { key = key == nil and false or key })
            index = (from or 1) - 1
        elseif token.kind == "string" or token.text == ")" or token.text == "}" then
            local from = token.kind == "string" and index or opening(list, index)
            if not from or not ends_value(list[from - 1]) then
                return nil
            end
            table.insert(parts, 1, { call = true })
            index = from - 1
        else
            return nil
        end
    end
end

--- The innermost bracket that is open before a token, and how many commas part them.
local function enclosing(list, index)
    local commas, place = 0, index - 1
    while place >= 1 do
        local text = list[place].kind == "symbol" and list[place].text
        if text == "(" or text == "{" then
            return place, commas
        elseif OPENING[text] then
            place = opening(list, place) or 0
        elseif text == "," or text == ";" then
            commas = commas + 1
        end
        place = place - 1
    end
end

--- What a token in a table is: the value of the field named, or true where the name of a field may stand.
local function field_at(list, index)
    local before = list[index - 1].text
    if before == "=" then
        return list[index - 2] and list[index - 2].text
    end
    return before == "{" or before == "," or before == ";"
end

local function call_of(list, bracket, argument, field)
    local parts = ends_value(list[bracket - 1]) and code_chain.ending_at(list, bracket - 1)
    return parts and { parts = parts, argument = argument, field = field } or nil
end

--- The call that the token at `index` is an argument of: what is called, and the number of the argument. In a table
--- that is an argument: the field whose value the token is, or true where the name of a field may stand.
---@param list table[]
---@param index integer one past the end for what is still to be typed
---@return { parts: table[], argument: integer, field?: string|boolean }?
function code_chain.call_around(list, index)
    if ends_value(list[index - 1]) then -- f "text"
        return call_of(list, index, 1)
    end
    local place, commas = enclosing(list, index)
    if not place then
        return nil
    elseif list[place].text == "(" then
        return call_of(list, place, commas + 1)
    elseif ends_value(list[place - 1]) then -- f { ... }
        return call_of(list, place, 1, field_at(list, index))
    end
    local outer, before = enclosing(list, place)
    if outer and list[outer].text == "(" then
        return call_of(list, outer, before + 1, field_at(list, index))
    end
end

return code_chain
