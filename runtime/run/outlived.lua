-- What earlier attempts at a step began elsewhere, and may still go on there: nothing is begun beside it.
local native, import = ...
local outlived = {}

local current, modules, outliving = import "journal/current", import "run/modules", import "gate/outliving"
local failure, saying, step_record = import "run/failure", import "run/saying", import "journal/steps"
local event, task, monotonic = native.event, native.task, native.system.monotonic
local try = failure.globals.try

local PATIENCE_SECONDS = 10 -- one look waits so long for the end

local function look(row, patience)
    modules.globals.require(row.reach.module)
    return outliving.look(row.reach, row.number, patience)
end

local function where(row)
    return ("`%s` on %s"):format(row.summary, row.target)
end

--- Waits until one of them has ended.
---@return string? doubt why nobody can know whether it has
local function wait_for_end(row)
    local scope, started, looks, waited_for = task.context().scope, monotonic(), 0, nil
    local status, detail = try(look, row, 0)
    while status == "running" do
        waited_for = waited_for or ("%s, which an earlier attempt began and which still runs (%s)"):format(where(row),
            detail)
        looks = looks + 1
        event.emit("wait", { parent = scope, text = waited_for, count = looks })
        if looks == 1 and current.collecting then -- no report goes on yet
            native.system.write_error(("hostler: waiting for %s\n"):format(waited_for))
        end
        status, detail = try(look, row, PATIENCE_SECONDS)
    end
    if waited_for then
        event.emit("wait", { parent = scope, text = waited_for, count = looks, status = status and "done" or "failed",
            seconds = monotonic() - started })
    end
    if status ~= "ended" then
        saying.globals.warn("nobody can tell whether %s still runs: %s", where(row), tostring(detail))
        return where(row) .. " may still run"
    end
end

--- Waits until all of them have ended.
---@param path string the step's
---@param attempt? integer of the run; without it, any
---@return string[] doubts what may still run, in words
function outlived.wait(path, attempt)
    local doubts = {}
    for _, row in ipairs(step_record.reaching(path, attempt)) do
        doubts[#doubts + 1] = wait_for_end(row)
    end
    return doubts
end

--- Raises while one of those that this attempt began may still run: a step that is tried again within a run waits as
--- its playbook says.
---@param path string the step's
---@param attempt integer
---@raise "running"
function outlived.demand_end(path, attempt)
    for _, row in ipairs(step_record.reaching(path, attempt)) do
        local status, detail = try(look, row, 0)
        if status ~= "ended" then
            error(native.error.new {
                code = "running", target = row.target,
                message = status == "running"
                    and ("%s, begun by the try before, still runs (%s)"):format(where(row), detail)
                    or ("nobody can tell whether %s, begun by the try before, still runs"):format(where(row)),
                cause = status == nil and detail or nil,
                hint = status == "unknown" and detail or "a resumed run waits for its end",
            }, 0)
        end
    end
end

return outlived
