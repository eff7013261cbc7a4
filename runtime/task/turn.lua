-- The terminal's one person: of the tasks that want to ask something, one may at a time; the others wait.
local native = ...
local turn = {
    --- How many tasks wait for their turn.
    waiting = 0,
}

local task = native.task

local taken, given_back = false, task.bell()

local function wait()
    turn.waiting = turn.waiting + 1
    local ok, err = pcall(function()
        while taken do
            task.listen(given_back)
        end
    end)
    turn.waiting = turn.waiting - 1
    if not ok then
        error(err, 0)
    end
end

local function give_back(ok, ...)
    taken = false
    task.ring(given_back)
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
