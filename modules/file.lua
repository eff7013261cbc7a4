-- Files of this machine: reading, looking, writing them whole.
local native, gate, import = ...
local file = {}

local diff, options_of = import "base/unified_diff", import "base/options"

local LARGEST_DIFFED = 256 * 1024
local WRITE_OPTIONS = { mode = "number" }

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local function check_path(what, path)
    if type(path) ~= "string" or path == "" or path:find "%z" then
        misuse(what .. " takes a path")
    end
    return (path:gsub("^~/", function() return env("HOME", "") .. "/" end))
end

local function refuse(doing, path, reason)
    fail(("cannot %s %s: %s"):format(doing, path, reason), {
        code = "file", target = "localhost", path = path, reason = reason,
    })
end

local function perform(kind, name, path, summary, run, details)
    local effect = { kind = kind, name = name, target = "localhost", summary = summary, result = path }
    for key, value in pairs(details or {}) do
        effect[key] = value
    end
    return gate.perform(effect, run)
end

--- Only what is no ordinary file may keep us waiting: the others can be read in functions that may not wait.
local function read(path)
    local text, reason
    if native.is_stream(path) then
        text, reason = native.read_stream(path)
    else
        text, reason = native.read(path)
    end
    return text or refuse("read", path, reason)
end

local function write(path, shown, text, mode)
    local reason
    if native.is_stream(path) then
        reason = select(2, native.write_stream(path, text))
    else
        reason = native.write(path, text, mode)
    end
    return not reason or refuse("write", shown, reason)
end

--- The content of a file. A FIFO, a pipe such as /dev/stdin, or a terminal is read to its end, and waited for.
---@param path string "~/" is the home directory
---@return string
---@raise "file" with path and reason
function file.read(path)
    path = check_path("file.read", path)
    return perform("read", "file.read", path, "read " .. path, function() return read(path) end)
end

--- What a file is, links followed.
---@param path string "~/" is the home directory
---@return { kind: "file"|"directory"|"other", size: integer, mode: integer, modified: number }? stat nil when there is
---  none; mode: the permission bits; modified: seconds since 1970
---@raise "file" with path and reason
function file.stat(path)
    path = check_path("file.stat", path)
    return perform("read", "file.stat", path, "look at " .. path, function()
        local stat, reason = native.stat(path)
        return stat or (reason and refuse("look at", path, reason)) or nil
    end)
end

local function planned_diff(path, text)
    return function()
        local stat = try(file.stat, path)
        if stat and stat.kind ~= "file" then
            return nil
        end
        local old = try(file.read, path) or ""
        if secret.is(text) or unknown(text) or #old > LARGEST_DIFFED or #text > LARGEST_DIFFED then
            return nil
        end
        return diff.unified(old, text, path)
    end
end

--- Writes a file whole: others see the old one or the new one, never a part, and when it fails the old one stays. A
--- file that exists keeps its mode and owner. A FIFO that somebody reads, a pipe such as /dev/stdout, or a terminal
--- stays one, and gets the text.
---@param path string "~/" is the home directory
---@param text string
---@param options? { mode?: integer } mode: of a new file (0644)
---@return true
---@raise "file" with path and reason
---@effect write
function file.write(path, text, options)
    path, options = check_path("file.write", path), options or {}
    if type(text) ~= "string" and not unknown(text) then
        misuse(("file.write takes text, not a %s"):format(type(text)))
    end
    options_of.check("file.write", options, WRITE_OPTIONS)
    local size = unknown(text) and "" or (" (%d bytes)"):format(#text)
    return perform("write", "file.write", path, "write " .. path .. size, function()
        return write(path, path, text, options.mode or 420) -- 0644
    end, { detail = planned_diff(path, text), inputs = { text } })
end

--- Copies a file, whole or not at all; the copy gets its mode.
---@param from string "~/" is the home directory
---@param to string
---@return true
---@raise "file" with path and reason
---@effect write
function file.copy(from, to)
    from, to = check_path("file.copy", from), check_path("file.copy", to)
    return perform("write", "file.copy", to, ("copy %s to %s"):format(from, to), function()
        return write(to, to, read(from), native.stat(from).mode)
    end)
end

--- Writes a file that the person named on the command line, by a parameter of the type `output`: whole, without the
--- secrets that the process has seen. Allowed in every mode and outside of steps, for it is what they asked for.
---@param path string as the parameter has it
---@param text string
---@return true
---@raise "output" for any other file; "file" with path and reason
function file.write_output(path, text)
    local real = check_path("file.write_output", path)
    return gate.perform({
        kind = "output", name = "file.write_output", target = path,
        summary = ("write %s (%d bytes)"):format(path, #text),
    }, function()
        return write(real, path, gate.scrub(text), 384) -- 0600: who may read it is for them to say
    end)
end

--- Keeps a copy of a file beside it, named by the time when the file changed last. Where that was done before, the copy
--- is there already; one that says something else is never written over.
---@param path string "~/" is the home directory
---@return string copy its path
---@raise "file" with path and reason
---@effect write
function file.keep(path)
    local stat = file.stat(path)
    if stat and stat.kind == "other" then
        refuse("keep", path, "it is no ordinary file")
    end
    local text = file.read(path)
    local dated = ("%s.%s"):format(path, os.date("!%Y-%m-%dT%H:%M:%SZ", stat.modified))
    local copy, number = dated, 1
    while file.stat(copy) do
        if file.read(copy) == text then
            return copy
        end
        number = number + 1
        copy = ("%s.%d"):format(dated, number)
    end
    file.copy(path, copy)
    return copy
end

return file
