-- hostler runs: the recorded runs, newest first; and forgetting old ones.
local native, import = ...
local runs = {}

local commandline, journal, params, text = import "commandline", import "journal", import "params", import "text"
local sealing = import "sealing"
local system, json = native.system, native.json.face

local declare = params.globals
local SPECS = {
    declare.opt("status", { "queued", "running", "stopped", "done", "failed", "cancelled", "parked", "undone" },
        "only these"),
    declare.opt("playbook", "string", "only runs of this playbook"),
    declare.opt("since", "duration", "only runs begun within this time, such as 12h or 7d"),
    declare.opt("limit", "int", "how many", 50),
    declare.flag("json", "print a JSON array"),
    declare.opt("prune", "duration", "forget runs that ended longer ago than this, such as 90d"),
}

local function select_runs(values)
    local rows = journal.store().read("SELECT " .. journal.leased_sql() .. [[, id, playbook, arguments, operator, mode,
            status, attempt, holder, started, updated, error,
            (SELECT count(*) FROM steps WHERE run = runs.id AND status = 'done') AS steps
        FROM runs WHERE ($1 = '' OR playbook = $1) AND started >= $2 ORDER BY started DESC, id]], values.playbook or "",
        values.since and system.now() - values.since or 0)
    local chosen = {}
    for _, row in ipairs(rows) do
        row.status = commandline.status(row)
        if (not values.status or row.status == values.status) and #chosen < values.limit then
            chosen[#chosen + 1] = row
        end
    end
    return chosen
end

--- The arguments as one line; those that hold a secret need the key, and a list must not.
local function arguments_of(row)
    return row.arguments:find "%$sealed" and { "[secret]" } or sealing.decode(row.arguments)
end

local function as_json(rows)
    local list = {}
    for index, row in ipairs(rows) do
        list[index] = {
            id = row.id, playbook = row.playbook, arguments = json.array(arguments_of(row)), operator = row.operator,
            mode = row.mode, status = row.status, attempts = row.attempt, steps = row.steps,
            started = os.date("!%Y-%m-%dT%H:%M:%SZ", row.started),
            updated = os.date("!%Y-%m-%dT%H:%M:%SZ", row.updated),
            error = row.error and row.error:match "^[^\n]*",
        }
    end
    system.write(json.encode(json.array(list), true) .. "\n")
end

local function as_table(rows)
    for _, row in ipairs(rows) do
        local took = row.status == "running" and system.now() - row.started or row.updated - row.started
        system.write(("%s  %-9s  %s  %11s  %-8s  %s %s\n"):format(row.id, row.status,
            os.date("%Y-%m-%d %H:%M", row.started), text.duration(math.max(took, 0)), row.operator, row.playbook,
            table.concat(arguments_of(row), " ")))
    end
    if #rows == 0 then
        system.write "no runs\n"
    end
end

--- Forgets ended runs, and texts that no run uses any more. One that waits for an answer or can be gone on with after a
--- kill stays, however old.
local function prune(seconds)
    local gone = journal.store().write([[DELETE FROM runs WHERE updated < $1
        AND status IN ('done', 'failed', 'cancelled', 'undone') RETURNING id]], system.now() - seconds)
    journal.store().write "DELETE FROM source_texts WHERE hash NOT IN (SELECT hash FROM sources)"
    system.write(("%d run%s forgotten\n"):format(#gone, #gone == 1 and "" or "s"))
end

---@param argv string[]
---@return integer exit status
function runs.main(argv)
    return commandline.call("runs", SPECS, argv, function(values)
        if values.prune then
            prune(values.prune)
            return
        end
        local rows = select_runs(values)
        if values.json then
            as_json(rows)
        else
            as_table(rows)
        end
    end)
end

return runs
