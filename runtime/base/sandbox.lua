-- What people's code can reach: globals without a way to the outside, an error for a name that there is not, and how
-- their texts are compiled.
local native, import = ...
local sandbox = {
    --- What people's code finds by name; filled by sandbox.close.
    globals = {},
    --- Lua's own debug library, which people's code does not have.
    debug = debug,
    --- The function, with its names looked up in an environment.
    enclose = setfenv,
}

local own_modules, suggest = import "base/own_modules", import "base/suggest"
local setfenv = setfenv
local globals = sandbox.globals

local LONGEST_DATE_FORMAT = 1000
local date = os.date

-- What is longer takes seconds, in which nothing else goes on.
local function bounded_date(format, ...)
    if type(format) == "string" and #format > LONGEST_DATE_FORMAT then
        error(native.error.new { code = "usage",
            message = ("os.date takes a format of up to %d bytes, not %d"):format(LONGEST_DATE_FORMAT, #format) }, 2)
    end
    return date(format, ...)
end

--- Takes away what reaches the outside without the gate, runs bytecode, or yields past the scheduler.
function sandbox.restrict()
    local safe_os = { time = os.time, date = bounded_date, difftime = os.difftime, clock = os.clock }
    local traceback_only = { traceback = debug.traceback }
    for _, name in ipairs { "io", "os", "package", "ffi", "jit", "debug", "dofile", "loadfile", "load", "loadstring",
        "module", "require", "coroutine", "print", "newproxy", "gcinfo", "getfenv", "setfenv", "collectgarbage" } do
        _G[name] = nil
    end
    string.dump = nil
    _G.os = safe_os
    _G.debug = traceback_only
end

-- What people type who come from plain Lua.
local INSTEAD = {
    print = "say(...) shows a line, dump(...) a table",
    load = "a playbook is loaded from its file", io = "require \"file\" reads and writes files of this machine",
    coroutine = "parallel { function() ... end, ... } runs things side by side",
}

--- Raises that there is no such name, and what was perhaps meant.
---@param others? string[] names besides the globals that it may have been
function sandbox.missing(name, others)
    local names = { unpack(others or {}) }
    for known in pairs(_G) do
        names[#names + 1] = known
    end
    local instead = INSTEAD[name]
        or own_modules.file(tostring(name)) and ("`local %s = require \"%s\"` loads that module"):format(name, name)
    local near = not instead and suggest.nearest(tostring(name), names)
    error(native.error.new {
        code = "lua",
        message = ("there is no global '%s'"):format(tostring(name)),
        hint = instead or near and ("did you mean '%s'?"):format(near) or "declare it with `local`",
    }, 3)
end

local function missing(_, name)
    sandbox.missing(name)
end

local function refuse(_, name)
    local known = rawget(_G, name) ~= nil
    error(native.error.new {
        code = "lua",
        message = (known and "'%s' is hostler's own name" or "'%s' would become a global"):format(tostring(name)),
        hint = known and "give yours another name, and declare it with `local`" or "declare it with `local`",
    }, 2)
end

local function copy_into(target, source)
    for key, value in pairs(source) do
        target[key] = value
    end
    return target
end

-- The table that people's code takes for its globals stays empty: every assignment meets __newindex.
local face = setmetatable({}, { __index = globals, __newindex = refuse, __metatable = "strict" })

--- Gives people's code the globals there are now, its own copies of the libraries among them: what a playbook does to
--- these changes nothing for hostler's own code. From here on nobody makes a global.
function sandbox.close()
    copy_into(globals, _G)
    for _, name in ipairs { "string", "table", "math", "bit", "os", "debug" } do
        globals[name] = copy_into({}, globals[name])
    end
    globals._G = face
    setmetatable(globals, { __index = missing })
    setmetatable(_G, { __index = missing, __newindex = refuse, __metatable = "strict" })
    getmetatable("").__metatable = "string"
end

--- Compiles people's code: playbooks, their modules, prompts.
---@param source string
---@param name string the chunk's name: "@" and the file
---@param environment? table where its names are looked up; without one, among the globals
---@return function? chunk, string? message
function sandbox.compile(source, name, environment)
    local chunk, message = native.system.load_text(source, name)
    return chunk and setfenv(chunk, environment or face), message
end

return sandbox
