-- hostler stubs: definition files for editors with lua-language-server, one for each module and one for the globals.
local native, import = ...
local stubs = {}

local annotations, stub = import "check/annotations", import "check/annotation_stub"
local commandline, params = import "command/commandline", import "run/params"
local system = native.system

local SPECS = { params.globals.arg("directory", "path", "where the files are written; it is made where it is missing") }

-- What a playbook has of Lua's own libraries, in the words of LuaLS's settings.
local SETTINGS = [[
Put this into .luarc.json beside your playbooks:

{
    "runtime.version": "LuaJIT",
    "runtime.builtin": { "io": "disable", "package": "disable", "coroutine": "disable", "ffi": "disable",
        "jit": "disable", "debug": "disable", "jit.profile": "disable", "jit.util": "disable",
        "string.buffer": "disable", "table.clear": "disable", "table.new": "disable" },
    "workspace.library": [ "%s" ]
}
]]

local function write(path, text)
    local ok, reason = native.user_files.write(path, text)
    if not ok then
        error(native.error.new { code = "file", message = ("cannot write %s: %s"):format(path, reason) }, 0)
    end
end

---@param argv string[]
---@return integer exit status
function stubs.main(argv)
    return commandline.call("stubs", SPECS, argv, function(values)
        local index = annotations.index()
        local directory = values.directory:gsub("(.)/+$", "%1")
        local ok, reason = native.user_files.make_directory(directory)
        if not ok then
            error(native.error.new { code = "file", message = ("cannot make %s: %s"):format(directory, reason) }, 0)
        end
        write(directory .. "/hostler_globals.lua", stub.globals(index))
        local count = 0
        for name, module in pairs(index.modules) do
            write(("%s/%s.lua"):format(directory, name), stub.module(index, module))
            count = count + 1
        end
        system.write(("%s/hostler_globals.lua and the files of %d modules are written.\n%s"):format(directory, count,
            SETTINGS:format(system.real_path(directory) or directory)))
    end)
end

return stubs
