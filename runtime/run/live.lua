-- The run that this process goes through, and how a person ends it before its time.
local native = ...
local live = {
    --- What is run, as execution.run takes it; nil before it begins.
    run = nil,
    --- The error that the run ends with, when a person has aborted it.
    aborted = nil,
    --- "kept" or "latest": the run is to begin again with these texts when its end is recorded.
    again = nil,
}

local task = native.task

-- The task that goes through the playbook.
local body

--- A run begins.
---@param run table as for execution.run
function live.begin(run)
    live.run, live.aborted, live.again = run, nil, nil
end

--- Goes through the playbook in a task of its own.
---@raise what the playbook raises
function live.go()
    body = task.spawn(nil, live.run.book.run, live.run.values)
    return task.join(body)
end

--- Cancels the run, which cleans up.
---@param reason string
function live.cancel(reason)
    task.cancel(body, reason)
end

--- Ends the run with this error, whatever is around the place that asks for it.
---@param err table
---@param again? "kept"|"latest" it is to begin again, with these texts
function live.abort(err, again)
    live.aborted, live.again = err, again
    live.cancel "cancelled: the run was aborted"
end

return live
