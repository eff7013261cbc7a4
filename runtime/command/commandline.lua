-- What the commands share: their options, their errors, and RUN.
local native, import = ...
local commandline = {}

local failure, params = import "run/failure", import "run/params"
local system = native.system

commandline.run_argument = params.globals.arg("run", "string", "the run: its id, the beginning of it, or `last`")

--- Reads the arguments, calls fn with their values, and reports what it raises.
---@param name string the command
---@param specs table[] what params' arg, opt and flag return
---@param fn fun(values: table): integer? exit status, 0 when it returns none
---@return integer exit status
function commandline.call(name, specs, argv, fn)
    local parsed, values = pcall(params.parse, specs, argv)
    if not parsed then
        local lines = { "hostler: " .. tostring(values) }
        lines[#lines + 1] = values.hint
        lines[#lines + 1] = ("usage: hostler %s %s"):format(name, params.usage(specs))
        for _, line in ipairs(params.explain(specs)) do
            lines[#lines + 1] = line
        end
        system.write_page(table.concat(lines, "\n") .. "\n", true)
        return 2
    end
    return commandline.guard(fn, values)
end

--- Calls fn, and reports what it raises.
---@param fn fun(...): integer? exit status, 0 when it returns none
---@return integer exit status
function commandline.guard(fn, ...)
    local ok, result = xpcall(fn, native.error.complete, ...)
    if ok then
        return result or 0
    end
    system.write_page(failure.describe(result, result.code == "lua" or result.code == "internal") .. "\n", true)
    return failure.exit_status_before(result)
end

return commandline
