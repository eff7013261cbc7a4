-- Builds the world every playbook, prompt and handler sees: strict globals, the prelude, and `require`.
-- Called once with the C host's functions.
local native = ...

local loaded = {}
local setfenv = setfenv

local import

local function load_file(name)
    local chunk = native.system.load_embedded("runtime/" .. name .. ".lua")
    if chunk then
        return chunk(native, import)
    end
    chunk = native.system.load_embedded("modules/" .. name .. ".lua")
    if not chunk then
        error("no file of hostler is called " .. name, 0)
    end
    return chunk(native.module_natives(name), import "gate/gate", import)
end

--- Loads one of hostler's own files once.
local function load(_, name)
    if loaded[name] == nil then
        loaded[name] = load_file(name)
    end
    return loaded[name]
end

--- A table that stands for the file's until it is first used: for what few commands need and takes time to load.
local function later(name)
    return setmetatable({}, { __index = function(_, key) return load(nil, name)[key] end })
end

--- import "run/step" is what runtime/run/step.lua returns, import "ssh/config" what modules/ssh/config.lua does. A file
--- of the runtime receives the C host's functions and `import`; one of a module the functions of its C half, the gate
--- and `import`.
import = setmetatable({ later = later }, { __call = load })

local safe_os = { time = os.time, date = os.date, difftime = os.difftime, clock = os.clock }
native.debug = debug
local traceback_only = { traceback = debug.traceback }

-- What reaches the outside without the gate, runs bytecode, or yields past the scheduler.
for _, name in ipairs { "io", "os", "package", "ffi", "jit", "debug", "dofile", "loadfile", "load", "loadstring",
    "module", "require", "coroutine", "print", "newproxy", "gcinfo", "getfenv", "setfenv", "collectgarbage" } do
    _G[name] = nil
end
string.dump = nil
_G.os = safe_os
_G.debug = traceback_only

for _, part in ipairs { "run/failure", "gate/gate", "journal/lock", "run/concurrency", "run/step", "run/talk",
    "report/rows", "run/params", "run/manifest", "run/library", "report/inspect", "debug/breakpoint" } do
    local exports = import(part).globals
    for name, value in pairs(exports or {}) do
        _G[name] = value
    end
end

import "base/hidden"

local suggest = import "base/suggest"

-- What people type who come from plain Lua.
local INSTEAD = {
    print = "say(...) shows a line, dump(...) a table",
    load = "a playbook is loaded from its file", io = "require \"file\" reads and writes files of this machine",
    coroutine = "parallel { function() ... end, ... } runs things side by side",
}

--- Raises that there is no such name, and what was perhaps meant.
---@param others? string[] names besides the globals that it may have been
function native.missing(name, others)
    local names = { unpack(others or {}) }
    for known in pairs(_G) do
        names[#names + 1] = known
    end
    local near = not INSTEAD[name] and suggest.nearest(tostring(name), names)
    error(native.error.new {
        code = "lua",
        message = ("there is no global '%s'"):format(tostring(name)),
        hint = INSTEAD[name] or near and ("did you mean '%s'?"):format(near) or "declare it with `local`",
    }, 3)
end

local function missing(_, name)
    native.missing(name)
end

local function refuse(_, name)
    local known = rawget(_G, name) ~= nil
    error(native.error.new {
        code = "lua",
        message = (known and "'%s' is hostler's own name" or "'%s' would become a global"):format(tostring(name)),
        hint = known and "give yours another name, and declare it with `local`" or "declare it with `local`",
    }, 2)
end

--- A copy, so that what a playbook does to it changes nothing for hostler's own code.
local function copy(source)
    local target = {}
    for key, value in pairs(source) do
        target[key] = value
    end
    return target
end

local globals = copy(_G)
native.globals = globals
for _, name in ipairs { "string", "table", "math", "bit", "os", "debug" } do
    globals[name] = copy(globals[name])
end
-- The table that people's code takes for its globals stays empty: every assignment meets __newindex.
local face = setmetatable({}, { __index = globals, __newindex = refuse, __metatable = "strict" })
globals._G = face
setmetatable(globals, { __index = missing })
setmetatable(_G, { __index = missing, __newindex = refuse, __metatable = "strict" })
getmetatable("").__metatable = "string"

--- Compiles people's code: playbooks, their modules, prompts.
---@param source string
---@param name string the chunk's name: "@" and the file
---@param environment? table where its names are looked up; without one, among the globals
---@return function? chunk, string? message
function native.compile(source, name, environment)
    local chunk, message = native.system.load_text(source, name)
    return chunk and setfenv(chunk, environment or face), message
end

--- The function, with its names looked up in `environment`.
native.enclose = setfenv

return import
