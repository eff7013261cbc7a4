-- What the commands over recorded runs share: their options, their errors, and RUN.
local native, import = ...
local commandline = {}

local failure, journal, params = import "run/failure", import "journal/journal", import "run/params"
local system = native.system

local COLUMNS = "id, playbook, file, directory, arguments, operator, version, mode, status, attempt, holder, "
    .. "started, updated, error, queued, "

local function columns()
    return COLUMNS .. journal.leased_sql()
end

commandline.run_argument = params.globals.arg("run", "string", "the run: its id, the beginning of it, or `last`")

--- The run as people see it: one that is recorded as running but whose process is gone has stopped.
---@return "queued"|"running"|"stopped"|"done"|"failed"|"cancelled"|"parked"|"undone"
function commandline.status(run)
    return run.status == "running" and not journal.is_held(run) and "stopped" or run.status
end

local function usage(message, hint)
    error(native.error.new { code = "usage", message = message, hint = hint }, 0)
end

--- The run meant by an id, a beginning of one that no other id has, or "last".
---@return table run a row of runs
---@raise "usage"
function commandline.find(text)
    if text == "last" then
        return journal.store().read("SELECT " .. columns() .. " FROM runs ORDER BY number DESC, id LIMIT 1")[1]
            or usage("there is no run yet")
    end
    local rows = journal.store().read("SELECT " .. columns() .. [[ FROM runs
        WHERE substr(id, 1, $2) = $1 ORDER BY number DESC LIMIT 20]], text, #text)
    if #rows == 1 or (rows[1] and text == rows[1].id) then
        return rows[1]
    elseif #rows == 0 then
        usage(("there is no run '%s'"):format(text), "`hostler runs` lists them")
    end
    local ids = {}
    for index, row in ipairs(rows) do
        ids[index] = row.id
    end
    return usage(("'%s' may be any of %d runs: %s"):format(text, #rows, table.concat(ids, ", ")), "give more of the id")
end

--- Reads the arguments, calls fn with their values, and reports what it raises.
---@param name string the command
---@param specs table[] what params' arg, opt and flag return
---@param fn fun(values: table): integer? exit status, 0 when it returns none
---@return integer exit status
function commandline.call(name, specs, argv, fn)
    local parsed, values = pcall(params.parse, specs, argv)
    if not parsed then
        local lines = { "hostler: " .. tostring(values), values.hint,
            ("usage: hostler %s %s"):format(name, params.usage(specs)) }
        for _, line in ipairs(params.explain(specs)) do
            lines[#lines + 1] = line
        end
        system.write_error(table.concat(lines, "\n") .. "\n")
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
    system.write_error(failure.describe(result, result.code == "lua" or result.code == "internal") .. "\n")
    return failure.exit_status_before(result)
end

return commandline
