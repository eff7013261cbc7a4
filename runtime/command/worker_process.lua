-- A world of a process that a worker keeps for runs (worker_process.c): it says that it is ready, waits until the
-- worker asks it to look into the queue, claims a run, goes through it and says how it went. The end of the connection
-- means that the worker stops or is gone: then the run goes back to the queue. Both sides speak JSON, a line each
-- (queue/pool.lua).
local native, import = ...
local worker_process = {}

local commandline, texts, play = import "command/commandline", import "run/texts", import "command/play"
local run_record, current, sealing = import "journal/runs", import "journal/current", import "journal/sealing"
local claims, queue, resume = import "queue/claims", import "queue/queue", import "run/resume"
local sockets, task, json = native.local_socket, native.task, native.json.face

local CONNECTION = 3
local EXIT_NEXT, EXIT_LAST = 0, 1 -- for worker_process.c: whether another world may follow
local CANCELLED = 1
-- Exit statuses after which the process is as it was: done, waits for an answer, waits for a lock. After another one
-- who knows, and one that has lost its run must not meet it again.
local IN_ORDER = { [0] = true, [3] = true, [4] = true }

local function answer(socket, values)
    sockets.send(socket, json.encode(values))
end

--- Waits for a line; nil at the end of the connection.
local function receive(socket)
    while true do
        local line = sockets.receive(socket)
        if line ~= nil then
            return line or nil
        end
        sockets.ready(socket)
    end
end

--- Claims the run whose turn it is, and tells the worker what was found.
---@return table? row
local function look(socket)
    local ok, row, due = pcall(function()
        local claimed = claims.next()
        return claimed, not claimed and claims.due_in() or nil
    end)
    if not ok then
        row = native.error.complete(row)
        answer(socket, { code = row.code, message = row.message, hint = row.hint })
        return nil
    end
    answer(socket, row and { run = row.id, attempt = row.attempt, playbook = row.playbook } or { due = due })
    return row
end

--- Waits until there is a run for this process; nil when there will be none.
---@return table? row
local function wait_for_run(socket)
    pcall(sealing.prepare) -- so that the store is open when there is one; what is wrong with it is told then
    answer(socket, { ready = true })
    local row
    while not row and receive(socket) do
        row = look(socket)
    end
    return row
end

--- Stops this process, as Ctrl-C would, when the connection ends.
local function stop_with(socket)
    while receive(socket) do end
    task.interrupt "the worker stops"
end

local function perform(row)
    local run = resume.prepare(row, { anywhere = true, requeue = true })
    run.options = setmetatable({ silent = true, requeue = true }, { __index = run.options })
    texts.keep()
    return play.run(run)
end

--- Goes on with the run.
---@return integer exit status
local function go_through(row, socket)
    run_record.take_up(row)
    if row.cancel then
        run_record.finish("cancelled", "cancelled by " .. row.cancel)
        return CANCELLED
    end
    local watcher = task.spawn(nil, stop_with, socket) -- from here on the run can be given back
    local ok, result = pcall(perform, row)
    task.cancel(watcher)
    pcall(task.join_shielded, watcher)
    if not ok then
        error(result, 0)
    end
    return result
end

--- Goes through one run of the queue. Returns an exit status for worker_process.c.
---@return integer
function worker_process.main()
    local socket = sockets.adopt(CONNECTION)
    local waited, row = pcall(wait_for_run, socket)
    if not waited or not row then -- it was told to stop, or its worker is gone
        return EXIT_LAST
    end
    local status = commandline.guard(go_through, row, socket)
    if row.at_most or status ~= 0 then -- others may begin what waited for this one's end, or this one again
        queue.ring()
    end
    answer(socket, { ended = status })
    sockets.close(socket)
    return IN_ORDER[status] and not current.run and not task.interrupted() and EXIT_NEXT or EXIT_LAST
end

return worker_process
