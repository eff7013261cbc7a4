-- Environment files as systemd reads them (EnvironmentFile=), edited without touching any other byte.
-- What is written here reads the same to systemd and to a POSIX shell. Pure: it reaches no host.
local _, gate, import = ...
local environment_file = {}

local keys = import "base/keys"

-- The reader follows systemd's own (src/basic/env-file.c), state by state: each state maps a character to the next
-- state. `add` is the text that goes on the value.
local BLANK, NEWLINE = "[ \t]", "[\r\n]"

local states = {}

function states.before_name(c, item, at)
    if c:find "[#;]" then
        return "comment"
    elseif c:find "%s" then
        return "before_name"
    end
    item.first, item.name = at, c
    return "name"
end

function states.name(c, item)
    if c:find(NEWLINE) then
        return "dropped"
    elseif c == "=" then
        item.name = item.name:gsub("%s+$", "")
        return "before_value"
    end
    item.name = item.name .. c
    return "name"
end

function states.before_value(c, item)
    if c:find(NEWLINE) then
        return "ended"
    elseif c == "'" or c == "\"" then
        item.quoted = true
        return c == "'" and "single_quoted" or "double_quoted"
    elseif c == "\\" then
        return "escaped"
    elseif c:find(BLANK) then
        return "before_value"
    end
    return "value", c
end

function states.value(c)
    if c:find(NEWLINE) then
        return "bare_ended"
    elseif c == "\\" then
        return "escaped"
    end
    return "value", c
end

function states.escaped(c, item)
    if c:find(NEWLINE) then
        return "value"
    end
    item.kept = #item.value + 1
    return "value", c
end

function states.single_quoted(c)
    if c == "'" then
        return "before_value"
    end
    return "single_quoted", c
end

function states.double_quoted(c)
    if c == "\"" then
        return "before_value"
    elseif c == "\\" then
        return "double_quoted_escaped"
    end
    return "double_quoted", c
end

function states.double_quoted_escaped(c)
    if c:find "[\"\\`$]" then
        return "double_quoted", c
    end
    return "double_quoted", c ~= "\n" and "\\" .. c or ""
end

function states.comment(c)
    if c == "\\" then
        return "comment_escaped"
    end
    return c:find(NEWLINE) and "dropped" or "comment"
end

function states.comment_escaped()
    return "comment"
end

-- Unquoted text loses its trailing blanks, but not one that was escaped.
local function strip(item)
    local kept = item.value:sub(1, item.kept or 0)
    item.value = kept .. item.value:sub(#kept + 1):gsub("%s+$", "")
end

--- The assignments of an environment file, in order.
---@param text string
---@return { name: string, value: string, quoted: boolean, first: integer, last: integer }[] first and last: the bytes
---  of the text that it takes, without the end of its line
function environment_file.parse(text)
    local found = {}
    local item, state = { value = "" }, "before_name"
    local function finish(last)
        if state == "value" or state == "bare_ended" or state == "escaped" then
            strip(item)
        end
        found[#found + 1] = {
            name = item.name, value = item.value, quoted = item.quoted or false, first = item.first, last = last,
        }
    end
    for at = 1, #text do
        local c = text:sub(at, at)
        local next_state, add = states[state](c, item, at)
        state = next_state
        item.value = add and item.value .. add or item.value
        if state == "ended" or state == "bare_ended" then
            finish(at - 1)
        end
        if state == "ended" or state == "bare_ended" or state == "dropped" then
            item, state = { value = "" }, "before_name"
        end
    end
    if item.name and state ~= "name" then
        finish(#text)
    end
    return found
end

--- The variables that systemd would set from the text; of several assignments to one name the last counts.
---@param text string
---@return table<string, string>
function environment_file.values(text)
    local values = {}
    for _, item in ipairs(environment_file.parse(text)) do
        values[item.name] = item.value
    end
    return values
end

local function is_utf8(text)
    local at = 1
    while at <= #text do
        local _, last = text:find("^[%z\1-\127]+", at)
        if not last then
            _, last = text:find("^[\194-\223][\128-\191]", at)
        end
        if not last then
            _, last = text:find("^[\224-\239][\128-\191][\128-\191]", at)
        end
        if not last then
            _, last = text:find("^[\240-\244][\128-\191][\128-\191][\128-\191]", at)
        end
        if not last then
            return false
        end
        at = last + 1
    end
    return true
end

--- A value as it is written after `NAME=`.
---@param value string
---@return string
---@raise "usage" for control characters other than tab and newline, and for what is not UTF-8: systemd ignores these
function environment_file.quote(value)
    if value:find "[%z\1-\8\11-\31\127]" or not is_utf8(value) then
        fail("a value in an environment file has to be text: UTF-8 without control characters", { code = "usage" })
    end
    if value:find "^[%w_.,:/@%%+-]+$" then
        return value
    end
    -- Single quotes keep everything but themselves, and a backslash, which systemd before 240 took as an escape in
    -- them. Parts in double quotes hold these two: so written, systemd, a shell and Python's shlex read the same.
    return "'" .. value:gsub("['\\]", { ["'"] = "'\"'\"'", ["\\"] = "'\"\\\\\"'" }) .. "'"
end

--- `NAME=value` as it is written.
---@param name string
---@param value string|number|boolean|userdata a secret makes the text a secret
---@return string|userdata
---@raise "usage"
function environment_file.assignment(name, value)
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
        fail(("'%s' cannot name an environment variable"):format(tostring(name)), { code = "usage" })
    end
    if type(value) == "number" or type(value) == "boolean" then
        value = tostring(value)
    end
    return name .. "=" .. gate.derive(value, environment_file.quote)
end

local function line_end(text)
    return text:match "\r?\n" or "\n"
end

--- The text with one variable set. Only its assignment changes: the one that counts, and when there is none a new last
--- line. An assignment that has the value already stays as it is written.
---@param text string
---@param name string
---@param value string|number|boolean|secret a secret makes the text a secret
---@return string|secret
function environment_file.set(text, name, value)
    local current
    for _, item in ipairs(environment_file.parse(text)) do
        if item.name == name then
            current = item
        end
    end
    local wanted = environment_file.assignment(name, value)
    if not current then
        local separator = (text == "" or text:find "\n$") and "" or line_end(text)
        return text .. separator .. wanted .. line_end(text)
    elseif current.value == tostring(value) and not secret.is(value) then
        return text
    end
    return text:sub(1, current.first - 1) .. wanted .. text:sub(current.last + 1)
end

--- The text without the assignments to these names, whole lines of them.
---@param text string
---@param names string[]
---@return string
function environment_file.remove(text, names)
    local gone = {}
    for _, name in ipairs(names) do
        gone[name] = true
    end
    local kept, from = {}, 1
    for _, item in ipairs(environment_file.parse(text)) do
        if gone[item.name] then
            local indent = text:sub(1, item.first - 1):match "[ \t]*$"
            kept[#kept + 1] = text:sub(from, item.first - 1 - #indent)
            local _, newline = text:find("^\r?\n", item.last + 1)
            from = (newline or item.last) + 1
        end
    end
    kept[#kept + 1] = text:sub(from)
    return table.concat(kept)
end

--- A whole file of these variables, sorted by name.
---@param values table<string, string|number|boolean|secret>
---@return string|secret a secret where a value is one
function environment_file.format(values)
    local text = ""
    for _, name in ipairs(keys.sorted(values)) do
        text = text .. environment_file.assignment(name, values[name]) .. "\n"
    end
    return text
end

return environment_file
