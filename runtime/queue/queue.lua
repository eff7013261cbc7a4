-- The bell of the queue: who has put a run into it rings, and who works on it hears, in this process or another one.
local native, import = ...
local queue = {}

local store = import "journal/store"
local task = native.task

local bell, ear, heard = task.bell(), nil, 0

--- Says that there is something to do, once it is written. A ring may be lost, also because the store is away: who
--- hears looks now and then all the same.
function queue.ring()
    task.ring(bell)
    pcall(function() store.open().ring() end)
end

--- The same after a transaction with what runs.queueing() gave: the store may have rung with it.
function queue.ring_written()
    if store.open().ringing then
        task.ring(bell)
    else
        queue.ring()
    end
end

local function listen()
    if task.rings(bell) == heard then
        task.listen(bell)
    end
end

--- Begins to hear. A store that is away is not heard; the next wait tries again.
---@raise "journal"
function queue.hear()
    if ear then
        return
    end
    local ok, result = pcall(function() return store.open().hear(bell) end)
    if ok then
        ear = result
    elseif native.error.complete(result).code ~= "journal.away" then
        error(result, 0)
    end
end

--- Waits until somebody has rung since this was called last, or for so many seconds. One task of a process does.
---@param seconds number
function queue.wait(seconds)
    queue.hear()
    pcall(task.join, task.spawn(seconds, listen))
    heard = task.rings(bell)
    task.checkpoint()
end

return queue
