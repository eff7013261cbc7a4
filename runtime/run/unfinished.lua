-- A playbook with `once = true` is not begun anew while a run of it with the same parameters stands half-way: what that
-- run has made is known to its record alone, and a second one could not tell it from a finished whole.
local native, import = ...
local unfinished = {}

local recorded, params, store = import "journal/recorded", import "run/params", import "journal/store"
local sealing = import "journal/sealing"
local json = native.json.face

--- The declared parameters as text to compare; nil when the arguments do not fit the playbook as it is today.
local function key_of(book, arguments, specs)
    local ok, values = pcall(params.parse, specs, arguments)
    if not ok then
        return nil
    end
    local given = {}
    for _, spec in ipairs(book.params) do
        given[spec.field] = values[spec.field]
    end
    return json.encode(given)
end

--- The newest run of the playbook with the same parameters that has changed something and did not end.
---@param new { book: table, name: string, arguments: string[] }
---@param specs table[] what the command line may hold
---@return { id: string, status: string, step?: string }?
function unfinished.find(new, specs)
    local wanted = key_of(new.book, new.arguments, specs)
    for _, row in ipairs(store.open().read([[SELECT id, playbook, arguments, status, holder FROM runs
            WHERE playbook = $1 AND status NOT IN ('done', 'undone')
                AND EXISTS (SELECT 1 FROM effects WHERE run = runs.id AND kind = 'write')
            ORDER BY number DESC]], new.name)) do
        local sealed = row.arguments:find "%$sealed"
        if not sealed and key_of(new.book, sealing.decode(row.arguments), specs) == wanted then
            local step = store.open().read([[SELECT path FROM steps WHERE run = $1 AND status <> 'done'
                ORDER BY started DESC LIMIT 1]], row.id)[1]
            return { id = row.id, status = recorded.status(row), step = step and step.path }
        end
    end
end

--- Refuses when there is such a run.
---@raise "unfinished"
function unfinished.check(new, specs)
    local row = new.book.once and unfinished.find(new, specs)
    if not row then
        return
    end
    local running = row.status == "running"
    error(native.error.new {
        code = "unfinished",
        message = running and ("run %s does this very thing at this moment"):format(row.id)
            or ("run %s began this and %s; it has made some of it"):format(row.id,
                row.status == "parked" and "waits for a person" or "stopped half-way"),
        step = row.step,
        hint = running and ("hostler log %s -f follows it"):format(row.id)
            or ("hostler resume %s goes on where it stopped; hostler undo %s takes back what it made"):format(row.id,
                row.id),
    }, 0)
end

return unfinished
