-- hostler runs: the recorded runs, newest first; and forgetting old ones.
local native, import = ...
local runs = {}

local recorded = import "journal/recorded"
local commandline, params, store = import "command/commandline", import "run/params", import "journal/store"
local selection, tables, text = import "command/selection", import "report/rows", import "base/text"
local sealing = import "journal/sealing"
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

local PAGE = 200
local DURATION = 4 -- the column

--- The next runs after one, newest first.
local function page(values, after)
    return store.open().read("SELECT " .. store.leased_sql() .. [[, id, number, playbook, arguments, operator,
            mode, status, attempt, holder, started, updated, error, key, priority, queued,
            (SELECT count(*) FROM steps WHERE run = runs.id AND status = 'done') AS steps
        FROM runs WHERE (number < $1 OR (number = $1 AND id > $2)) AND ($3 = '' OR playbook = $3)
            AND ($4 < 0 OR started >= ]] .. store.now_sql "$5" .. [[ - $4)
        ORDER BY number DESC, id LIMIT $6]],
        after.number, after.id, values.playbook or "", values.since or -1, store.now(), PAGE)
end

--- The arguments as one line; those that hold a secret need the key, and a list must not.
local function arguments_of(row)
    return row.arguments:find "%$sealed" and { "[secret]" } or sealing.decode(row.arguments)
end

local function utc(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

--- When a run of the queue may begin, where that is not at once.
local function not_before(row)
    return row.stands == "queued" and row.queued > system.now() and row.queued or nil
end

local function as_json(rows)
    local list = {}
    for index, row in ipairs(rows) do
        local later = not_before(row)
        list[index] = {
            id = row.id, playbook = row.playbook, arguments = json.array(arguments_of(row)), operator = row.operator,
            mode = row.mode, status = row.stands, attempts = row.attempt, steps = row.steps,
            started = utc(row.started), updated = utc(row.updated), key = row.key,
            priority = row.queued and row.priority, not_before = later and utc(later),
            error = row.error and row.error:match "^[^\n]*",
        }
    end
    system.write_data(json.encode(json.array(list), true) .. "\n")
end

--- How the run stands; of one in the queue its priority, too.
local function standing(row)
    return row.stands == "queued" and row.priority ~= 0 and ("queued, priority %d"):format(row.priority) or row.stands
end

--- How long it took or has taken, or in how long it may begin.
local function duration(row)
    local later = not_before(row)
    if later then
        return "in " .. text.duration(later - system.now())
    elseif row.stands == "queued" then
        return ""
    end
    local took = row.stands == "running" and system.now() - row.started or row.updated - row.started
    return text.duration(math.max(took, 0))
end

local function as_table(rows)
    local cells = {}
    for index, row in ipairs(rows) do
        local words = { row.playbook }
        for _, word in ipairs(arguments_of(row)) do
            words[#words + 1] = text.shell_word(word)
        end
        cells[index] = { row.id, standing(row), os.date("%Y-%m-%d %H:%M", row.started), duration(row),
            row.operator or "?", text.one_line(table.concat(words, " ")) }
    end
    for _, line in ipairs(tables.align(cells, { right = { [DURATION] = true } })) do
        system.write_page(line .. "\n")
    end
    if #rows == 0 then
        system.write "no runs\n"
    end
end

--- Forgets ended runs, and texts that no run uses any more. One that waits for an answer or can be gone on with after a
--- kill stays, however old.
local function prune(seconds)
    local gone = store.open().write("DELETE FROM runs WHERE updated < " .. store.now_sql "$1" .. [[ - $2
        AND status IN ('done', 'failed', 'cancelled', 'undone') RETURNING id]], store.now(), seconds)
    store.open().write("DELETE FROM schedule_times WHERE run IS NULL AND at < " .. store.now_sql "$1" .. " - $2",
        store.now(), seconds)
    store.open().write "DELETE FROM source_texts WHERE hash NOT IN (SELECT hash FROM sources)"
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
        local rows = selection.choose(function(after) return page(values, after) end, PAGE, recorded.status, values)
        if values.json then
            as_json(rows)
        else
            as_table(rows)
        end
    end)
end

return runs
