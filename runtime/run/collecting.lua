-- The pass over a playbook that an undo begins with: finished steps leave their undo functions here, and the pass ends
-- when the last of them has been met.
local native, import = ...
local collecting = {}

local sealing = import "journal/sealing"
local json, task = native.json.face, native.task

---@class collecting.Step
---@field path string
---@field undo? function
---@field result any
---@field position number
---@field undone? "running"|"failed" how far an earlier undo of it came
---@field probe? fun(): any what its probe finds
---@field idempotent? boolean

---@class collecting.Found
---@field steps collecting.Step[] finished, and not taken back yet
---@field doubtful string[] of which it is not known whether they happened
---@field remaining integer how many are still to be met

---@type collecting.Found
local found
local pass

--- Begins to collect.
---@param remaining integer how many steps are to be met
---@param body? table the task that goes through the playbook: it is cancelled when they have been met
---@return collecting.Found found filled in while the pass goes on
function collecting.begin(remaining, body)
    found, pass = { steps = {}, doubtful = {}, remaining = remaining }, body
    return found
end

local function met()
    found.remaining = found.remaining - 1
    if found.remaining == 0 then
        task.cancel(pass, "every finished step has been met")
        task.checkpoint()
    end
end

local function raise_again(path, row)
    local recorded = row and row.error and json.decode(row.error)
    error(native.error.new(recorded or {
        code = "unfinished", message = ("step '%s' was not finished"):format(path),
    }), 0)
end

local function note(path, options, row, result, probe)
    if row.undone ~= "done" then
        table.insert(found.steps, {
            path = path, undo = options.undo, result = result, position = row.position or math.huge,
            undone = row.undone, idempotent = options.idempotent,
            probe = options.probe and function() return (probe()) end,
        })
        met()
    end
    return result
end

--- What a step does meanwhile: nothing, but it leaves its undo function.
---@param row? table what is recorded of it
---@param probe fun(): any, boolean what its probe finds, and whether something of it may still go on
---@return any its recorded result
function collecting.meet(path, options, row, probe)
    if not row or (row.status ~= "done" and row.writes == 0) then
        raise_again(path, row)
    elseif row.status == "done" then
        return note(path, options, row, row.result and sealing.decode(row.result) or nil, probe)
    end
    local result, may_go_on = probe()
    if result ~= nil then
        note(path, options, row, result, probe)
    elseif not options.probe or may_go_on then
        table.insert(found.doubtful, path)
        met()
    else
        met()
    end
    raise_again(path, row)
end

return collecting
