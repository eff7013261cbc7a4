-- The events of the run that `hostler log` shows later: kept as they are made, so that no part of the prelude has to
-- think of the journal.
local native, import = ...
local events = {}

local current, store = import "journal/current", import "journal/store"
local event, now, shown = native.event, native.system.now, current.shown

local KEPT = {
    ["run.begin"] = true, ["run.end"] = true, ["group.begin"] = true, ["group.end"] = true, ["item.begin"] = true,
    ["item.end"] = true, ["step.begin"] = true, ["step.end"] = true, say = true, warn = true, wait = true,
}

-- That the run has ended goes on record with how, in one transaction: a process that is killed between them would leave
-- two ends, its own and that of the one that goes on.
local ends = {}

local function keep_event(kind, scope, fields)
    -- Steps passed over were recorded when they ran, effects have rows of their own, and of a wait the first look and
    -- the end tell enough.
    if not KEPT[kind] or fields.passed_over or (kind == "wait" and fields.count > 1 and not fields.status) then
        return
    end
    local statement = store.statement([[INSERT INTO events (run, number, at, type, scope, parent, name, kind, target,
            text, status, seconds, count)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)]], current.run,
        current.next_number(), now(), kind, current.in_attempt(scope), current.in_attempt(fields.parent),
        shown(fields.name), fields.kind, shown(fields.target), shown(fields.text), fields.status, fields.seconds,
        fields.count)
    if kind == "run.end" then
        table.insert(ends, statement)
    else
        store.open().later(unpack(statement, 1, statement.n + 1))
    end
end

--- The statements that record the run's end, for the transaction that records how it ended (runs.finish).
---@return table[]
function events.take_ends()
    local statements = ends
    ends = {}
    return statements
end

event.subscribe(function(kind, scope, fields)
    if current.run and not current.collecting then
        keep_event(kind, scope, fields)
    end
end)

--- Notes a line for `hostler log` that nobody has to be shown now.
---@param parent? number the scope it belongs to
---@param text string
function events.note(parent, text)
    if current.run and not current.collecting then
        keep_event("say", nil, { parent = parent, text = text })
    end
end

return events
