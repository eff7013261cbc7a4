-- Where a debugger takes part in a run. Those who debug join; what they have no function for they are not asked.
local debugging = {}

---@class debugging.Listener
---@field failed_step? fun(work: table, err: table): table? what to do about a step that has failed, and is recorded so:
---  nil lets the error go on; { retry = true, new? }, new as edited.step returns it; { skip = true, value }
---@field failed? fun(err: table) an item of an each, or the playbook, has failed
---@field pause? fun(work: table) a step is about to begin; returns when it may
---@field before_step? fun(work: table, row?: table): table? the same as failed_step, or nil to let it begin: a step
---  that is not done is about to; row is what is recorded of an earlier attempt at it
---@field breakpoints? boolean `breakpoint()` stops in every mode, and also where the input is a pipe

---@type debugging.Listener[]
local listeners = {}

--- Takes part from now on.
---@param listener debugging.Listener
---@return fun() leave ends it
function debugging.join(listener)
    listeners[#listeners + 1] = listener
    return function()
        for index, other in ipairs(listeners) do
            if other == listener then
                table.remove(listeners, index)
                return
            end
        end
    end
end

--- Asks each in turn until one has an answer.
local function ask(name, ...)
    for _, listener in ipairs(listeners) do
        local answer = listener[name] and listener[name](...)
        if answer then
            return answer
        end
    end
end

--- A step has failed, and that is recorded.
---@return table? decision see debugging.Listener
function debugging.failed_step(work, err)
    return ask("failed_step", work, err)
end

--- An item of an each, or the playbook, has failed.
function debugging.failed(err)
    ask("failed", err)
end

--- A step is about to begin.
---@param work table
---@param row? table what is recorded of an earlier attempt at it
---@return table? decision see debugging.Listener
function debugging.before_step(work, row)
    ask("pause", work)
    return ask("before_step", work, row)
end

--- Whether somebody wants `breakpoint()` to stop wherever the run goes on.
---@return boolean
function debugging.wants_breakpoints()
    for _, listener in ipairs(listeners) do
        if listener.breakpoints then
            return true
        end
    end
    return false
end

return debugging
