-- Builds the world every playbook, prompt and handler sees: strict globals, the prelude, and `require`.
-- Called once with the C host's functions.
local native = ...

local loaded = {}

--- Loads a file of runtime/lua once; each receives the natives and this function.
local function import(name)
    if loaded[name] == nil then
        local file = "runtime/lua/" .. name .. ".lua"
        local source = assert(native.system.embedded(file), "no embedded file " .. file)
        loaded[name] = assert(native.system.load_text(source, "=hostler:" .. file))(native, import)
    end
    return loaded[name]
end

local safe_os = { time = os.time, date = os.date, difftime = os.difftime, clock = os.clock }
local traceback_only = { traceback = debug.traceback }

-- What reaches the outside without the gate, runs bytecode, or yields past the scheduler.
for _, name in ipairs { "io", "os", "package", "ffi", "jit", "debug", "dofile", "loadfile", "load", "loadstring",
    "module", "require", "coroutine", "print", "newproxy", "gcinfo", "getfenv", "setfenv", "collectgarbage" } do
    _G[name] = nil
end
string.dump = nil
_G.os = safe_os
_G.debug = traceback_only

for _, part in ipairs { "failure", "gate", "lock", "concurrency", "step", "talk", "params", "manifest", "library" } do
    local exports = import(part).globals
    for name, value in pairs(exports or {}) do
        _G[name] = value
    end
end

local suggest = import "suggest"

setmetatable(_G, {
    __index = function(_, name)
        local names = {}
        for known in pairs(_G) do
            names[#names + 1] = known
        end
        local near = suggest.nearest(tostring(name), names)
        error(native.error.new {
            code = "lua",
            message = ("there is no global '%s'"):format(tostring(name)),
            hint = near and ("did you mean '%s'?"):format(near) or "declare it with `local`",
        }, 2)
    end,
    __newindex = function(_, name)
        error(native.error.new {
            code = "lua",
            message = ("'%s' would become a global"):format(tostring(name)),
            hint = "declare it with `local`",
        }, 2)
    end,
    __metatable = "strict",
})

return import
