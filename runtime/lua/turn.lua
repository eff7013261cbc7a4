-- The terminal's one person: of the tasks that want to ask something, one may at a time; the others wait.
local native = ...
local turn = {
    --- How many tasks wait for their turn.
    waiting = 0,
}

local task = native.task

local POLL_SECONDS = 0.05

local taken = false

local function wait()
    turn.waiting = turn.waiting + 1
    while taken do
        local ok, err = pcall(task.sleep, POLL_SECONDS)
        if not ok then
            turn.waiting = turn.waiting - 1
            error(err, 0)
        end
    end
    turn.waiting = turn.waiting - 1
end

local function give_back(ok, ...)
    taken = false
    if not ok then
        error((...), 0)
    end
    return ...
end

--- Calls fn when nobody else has the terminal.
---@param fn function
---@return any ... what fn returns
function turn.take(fn, ...)
    if taken then
        wait()
    end
    taken = true
    return give_back(pcall(fn, ...))
end

return turn
