-- What the commands share: their options, their help, their errors, and RUN.
local native, import = ...
local commandline = {}

local failure, params = import "run/failure", import "run/params"
local system = native.system

commandline.run_argument = params.globals.arg("run", "string", "the run: its id, the beginning of it, or `last`")

local function add_usage(lines, name, specs)
    lines[#lines + 1] = ("usage: hostler %s %s"):format(name, params.usage(specs))
    for _, line in ipairs(params.explain(specs)) do
        lines[#lines + 1] = line
    end
    return lines
end

local function print_page(lines, to_error)
    system.write_page(table.concat(lines, "\n") .. "\n", to_error)
end

--- Whether a command is asked what it takes: `hostler NAME --help` and `hostler help NAME` call it so, wherever the
--- word stood, after its name and summary have been printed.
---@param argv string[]
---@return boolean
function commandline.asks_for_help(argv)
    return argv[1] == "--help"
end

--- Prints what a command takes, each argument and option with its explanation.
---@param name string
---@param specs table[] what params' arg, opt and flag return
---@param forms? { name: string, specs: table[] }[] other ways to call it
---@return integer exit status
function commandline.explain(name, specs, forms)
    local lines = add_usage({}, name, specs)
    for _, form in ipairs(forms or {}) do
        lines[#lines + 1] = ""
        add_usage(lines, form.name, form.specs)
    end
    print_page(lines)
    return 0
end

--- Reads the arguments, calls fn with their values, and reports what it raises.
---@param name string the command
---@param specs table[] what params' arg, opt and flag return
---@param fn fun(values: table): integer? exit status, 0 when it returns none
---@param forms? { name: string, specs: table[] }[] other ways to call it, for its help
---@return integer exit status
function commandline.call(name, specs, argv, fn, forms)
    if commandline.asks_for_help(argv) then
        return commandline.explain(name, specs, forms)
    end
    local parsed, values = pcall(params.parse, specs, argv)
    if not parsed then
        local lines = { "hostler: " .. tostring(values) }
        lines[#lines + 1] = values.hint
        print_page(add_usage(lines, name, specs), true)
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
