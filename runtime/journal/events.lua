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
    local at, number, scope_number, parent = now(), current.next_number(), current.in_attempt(scope),
        current.in_attempt(fields.parent)
    local name, target, text = shown(fields.name), shown(fields.target), shown(fields.text)
    local function write()
        store.open().later([[INSERT INTO events (run, number, at, type, scope, parent, name, kind, target, text, status,
                seconds, count)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)]], current.run, number, at, kind,
            scope_number, parent, name, fields.kind, target, text, fields.status, fields.seconds, fields.count)
    end
    if kind == "run.end" then
        table.insert(ends, write)
    else
        write()
    end
end

--- Has the run's end written with the next transaction. For runs.finish, which records how it ended.
function events.write_end()
    for _, write in ipairs(ends) do
        write()
    end
    ends = {}
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
