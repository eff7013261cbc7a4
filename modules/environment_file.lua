-- Environment files as systemd reads them (EnvironmentFile=), and .env files, edited without touching any other byte.
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
        item.first = at
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

function states.before_value(c, item, at)
    if c:find(NEWLINE) then
        return "ended"
    elseif c == "'" or c == "\"" then
        item.quoted, item.quote, item.quoted_at = true, c, at
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

-- A project's .env, which python-dotenv reads: outside of quotes a backslash is a backslash, and continues nothing.
local dotenv = setmetatable({}, { __index = states })

function dotenv.before_value(c, item, at)
    if c == "\\" then
        return "value", c
    end
    return states.before_value(c, item, at)
end

function dotenv.value(c)
    return c:find(NEWLINE) and "bare_ended" or "value", not c:find(NEWLINE) and c or nil
end

function dotenv.comment(c)
    return c:find(NEWLINE) and "dropped" or "comment"
end

local DIALECTS = { systemd = states, dotenv = dotenv }

local ENDS = { ended = true, bare_ended = true, dropped = true }
local IN_QUOTES = { single_quoted = true, double_quoted = true, double_quoted_escaped = true }

-- The assignments, as environment_file.parse returns them; then the lines that go on with the one before, as
-- { at = where the line begins, item }; then the state at the end, and the item that it belongs to.
local function read(text, dialect)
    local reader, found, continued = DIALECTS[dialect or "systemd"], {}, {}
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
        local next_state, add = reader[state](c, item, at)
        state = next_state
        item.value = add and item.value .. add or item.value
        if state == "ended" or state == "bare_ended" then
            finish(at - 1)
        end
        if ENDS[state] then
            item, state = { value = "" }, "before_name"
        elseif c == "\n" and state ~= "before_name" then
            continued[#continued + 1] = { at = at + 1, item = item }
        end
    end
    if item.name and state ~= "name" then
        finish(#text)
    end
    return found, continued, state, item
end

--- The assignments of an environment file, in order.
---@param text string
---@param dialect? "systemd"|"dotenv" who reads it; systemd when left out
---@return { name: string, value: string, quoted: boolean, first: integer, last: integer }[] first and last: the bytes
---  of the text that it takes, without the end of its line
function environment_file.parse(text, dialect)
    return (read(text, dialect))
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

-- ---- changing it ----

-- The number of the line in which the byte at `at` is.
local function line_of(text, at)
    return select(2, text:sub(1, at - 1):gsub("\n", "")) + 1
end

local function refuse(text, at, what)
    fail(("line %d: %s"):format(line_of(text, at), what), {
        code = "environment_file.unsafe", hint = "mend that line by hand; nothing was changed",
    })
end

--- Refuses a text in which these variables cannot be set or removed without changing others: one whose last value does
--- not end, so that what is written behind it becomes part of it, and one where the assignment stands within the value
--- of another.
---@param text string
---@param names string[]
---@param dialect? "systemd"|"dotenv"
---@raise "environment_file.unsafe" with the line
function environment_file.check(text, names, dialect)
    local _, continued, state, item = read(text, dialect)
    if IN_QUOTES[state] then
        refuse(text, item.quoted_at, ("the quote %s that opens in %s is never closed"):format(item.quote, item.name))
    elseif state:find "escaped$" or (text:find "\n$" and state ~= "before_name") then
        refuse(text, #text, "it ends in a backslash, which makes the next line part of it")
    end
    for _, line in ipairs(continued) do
        local assigned = text:match("^[^\n]*", line.at):gsub("^%s*export%s+", ""):match "^%s*([%w_]+)%s*="
        for _, name in ipairs(names) do
            if name == assigned then
                refuse(text, line.at, ("%s= stands within %s, which begins in line %d"):format(name,
                    line.item.name and "the value of " .. line.item.name or "a remark",
                    line_of(text, line.item.first)))
            end
        end
    end
end

local function line_end(text)
    return text:match "\r?\n" or "\n"
end

--- The text with one variable set. Only its assignment changes: the one that counts, and when there is none a new last
--- line. An assignment that has the value already stays as it is written.
---@param text string
---@param name string
---@param value string|number|boolean|secret a secret makes the text a secret
---@param dialect? "systemd"|"dotenv"
---@return string|secret
---@raise "usage", "environment_file.unsafe"
function environment_file.set(text, name, value, dialect)
    environment_file.check(text, { name }, dialect)
    local current
    for _, item in ipairs(environment_file.parse(text, dialect)) do
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
---@param dialect? "systemd"|"dotenv"
---@return string
---@raise "environment_file.unsafe"
function environment_file.remove(text, names, dialect)
    environment_file.check(text, names, dialect)
    local gone = {}
    for _, name in ipairs(names) do
        gone[name] = true
    end
    local kept, from = {}, 1
    for _, item in ipairs(environment_file.parse(text, dialect)) do
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
