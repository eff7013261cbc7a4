-- Runs as they are recorded: the one that people mean, and how it stands.
local native, import = ...
local recorded = {}

local store = import "journal/store"

local COLUMNS = "id, playbook, file, directory, arguments, operator, version, mode, status, attempt, holder, "
    .. "started, updated, error, crashes, queued, turn, "

local function columns()
    return COLUMNS .. store.leased_sql()
end

--- The run as people see it: one that is recorded as running but whose process is gone has stopped.
---@return "queued"|"running"|"stopped"|"done"|"failed"|"cancelled"|"parked"|"undone"
function recorded.status(run)
    return run.status == "running" and not store.is_held(run) and "stopped" or run.status
end

local function usage(message, hint)
    error(native.error.new { code = "usage", message = message, hint = hint }, 0)
end

--- The run meant by an id, a beginning of one that no other id has, or "last".
---@return table run a row of runs
---@raise "usage"
function recorded.find(text)
    if text == "last" then
        return store.open().read("SELECT " .. columns() .. " FROM runs ORDER BY number DESC, id LIMIT 1")[1]
            or usage("there is no run yet")
    end
    local rows = store.open().read("SELECT " .. columns() .. [[ FROM runs
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

return recorded
