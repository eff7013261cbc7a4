-- Runs that go one after the other: those with the same turn, in the order in which they were recorded.
local native, import = ...
local turn = {}

local store = import "journal/store"

--- The run that this one has to wait for: one with the same turn, recorded before it, that has not ended, or a later
--- one that goes on. One that was stopped by its process's end is waited for no more.
---@param run { id: string, turn?: string }
---@return string? id
function turn.before(run)
    if not run.turn then
        return nil
    end
    for _, row in ipairs(store.open().read("SELECT r.id, r.status, r.holder, " .. store.leased_sql "r.lease" .. [[
            FROM runs r JOIN runs mine ON mine.id = $1
            WHERE r.turn = $2 AND r.id <> $1 AND (r.status = 'running' OR (r.status IN ('queued', 'parked')
                AND (r.number < mine.number OR (r.number = mine.number AND r.id < mine.id))))
            ORDER BY r.number]], run.id, run.turn)) do
        if row.status ~= "running" or store.is_held(row) then
            return row.id
        end
    end
end

--- Refuses to begin before its turn.
---@raise "locked"
function turn.demand(run)
    local id = turn.before(run)
    if id then
        error(native.error.new {
            code = "locked", message = ("run %s has not ended, and '%s' is done by one run after the other"):format(id,
                run.turn),
            hint = ("wait for it, or see what it does: hostler log %s"):format(id), holder = id,
        }, 0)
    end
end

return turn
