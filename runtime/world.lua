-- Builds the world every playbook, prompt and handler sees: strict globals, the prelude, and `require`.
-- Called once with the C host's functions.
local native = ...

local loaded = {}

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

-- The files that are being loaded, each by the one before it.
local chain = {}

--- Loads one of hostler's own files once.
local function load(_, name)
    if loaded[name] == nil then
        if chain[name] then
            error(("the files %s import each other"):format(table.concat(chain, ", ")), 0)
        end
        chain[#chain + 1], chain[name] = name, true
        loaded[name] = load_file(name)
        chain[#chain], chain[name] = nil, nil
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

local sandbox = import "base/sandbox"
sandbox.restrict()
_G.xpcall = import "base/handled".xpcall

-- The prelude: each of these files adds its `globals` to the world.
for _, part in ipairs { "run/failure", "gate/gate", "run/lock", "run/concurrency", "run/each", "run/waiting",
    "run/step", "run/saying", "run/questions", "run/values", "report/rows", "run/params", "run/manifest",
    "run/modules", "schedule/declared", "report/inspect", "inbox/webhook", "debug/breakpoint" } do
    for name, value in pairs(import(part).globals) do
        _G[name] = value
    end
end
import "base/hidden"
import "journal/events"
sandbox.close()

return import
