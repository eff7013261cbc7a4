-- hostler log: what a run did, from its record, also while it goes on.
local native, import = ...
local log = {}

local recorded, reporting = import "journal/recorded", import "run/reporting"
local commandline, params, store = import "command/commandline", import "run/params", import "journal/store"
local event = native.event

local POLL_SECONDS, PAGE = 0.25, 500
local FIRST_EFFECT_SCOPE = 5e8

local declare = params.globals
local SPECS = {
    commandline.run_argument,
    { kind = "flag", name = "follow", field = "follow", short = "f", default = false,
        help = "go on until the run has ended" },
    { kind = "flag", name = "verbose", field = "verbose", short = "v", default = false,
        help = "show every effect, reads too" },
    declare.flag("json", "print events as JSON, one a line"),
}

--- The next events after a number, in order. An effect is one row and two events.
local function page(run, after)
    return store.open().read([[SELECT * FROM (
            SELECT number, at, type, scope, parent, name, kind, target, text, status, seconds, count FROM events
                WHERE run = $1 AND number > $2
            UNION ALL SELECT number, started, 'effect.begin', number + $3, parent, name, kind, target, summary,
                    NULL, NULL, NULL
                FROM effects WHERE run = $1 AND number > $2
            UNION ALL SELECT ended_number, ended, 'effect.end', number + $3, parent, name, kind, target,
                    CASE WHEN error IS NULL THEN summary ELSE error END,
                    CASE WHEN status = 'unclear' THEN 'cancelled' ELSE status END, ended - started, NULL
                FROM effects WHERE run = $1 AND ended_number > $2) AS lines
        ORDER BY number LIMIT $4]], run, after, FIRST_EFFECT_SCOPE, PAGE)
end

--- Shows all there is after a number; returns the last one shown.
local function show(run, after)
    repeat
        local rows = page(run, after)
        for _, row in ipairs(rows) do
            event.show(row.type, row)
            after = row.number
        end
    until #rows < PAGE
    return after
end

--- Whether more may come by itself: a run of the queue goes on also when its process is gone.
local function has_not_ended(row)
    local status = recorded.status(row)
    return status == "running" or status == "queued" or (status == "stopped" and row.queued ~= nil)
end

--- A run that is followed on a terminal is shown as `hostler run` shows it; else its record is read, with its times.
local function choose_report(values)
    if values.follow and reporting.is_live() then
        reporting.choose(values)
    else
        native.report(values.json and "json" or "plain", values.verbose and 2 or 1)
    end
end

--- The end of a run that was given up since it ended its processes: none of them could record it.
local function show_crash(row)
    if row.status == "failed" and row.crashes > 0 then
        event.show("run.end", { name = row.playbook, target = row.id, kind = row.mode, status = "failed",
            at = row.updated, text = row.error })
    end
end

---@param argv string[]
---@return integer exit status
function log.main(argv)
    return commandline.call("log", SPECS, argv, function(values)
        local row = recorded.find(values.run)
        choose_report(values)
        local last = 0
        if row.status == "queued" then
            native.system.write_error(("hostler: run %s waits for a worker\n"):format(row.id))
        end
        repeat
            -- Asked before the events are read: whatever came before the end is there then.
            local goes_on = values.follow and has_not_ended(recorded.find(row.id))
            last = show(row.id, last)
            if goes_on then
                native.task.sleep(POLL_SECONDS)
            end
        until not goes_on
        show_crash(recorded.find(row.id))
        native.report "none"
    end)
end

return log
