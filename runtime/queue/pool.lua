-- Processes that go through the runs of the queue, so many at once, and are kept from one run to the next
-- (command/worker_process.lua). Each holds its run itself, in a shared store renews its lease, and stops when the
-- connection to it ends. One that has ended is replaced by another. There is one more of them than there may be runs at
-- once: while one makes its next world, another has one ready.
local native, import = ...
local pool = {}

local claims, queue, recorded = import "queue/claims", import "queue/queue", import "journal/recorded"
local sockets, system, task, json = native.local_socket, native.system, native.task, native.json.face

local POLL_SECONDS = 2 -- a ring may be lost, and a worker of another machine may die
local RESTART_SECONDS = 1
local FOR_EVER = 1e8

local ENDS = { [0] = "done", [2] = "failed", [3] = "waits for an answer", [4] = "waits for a lock" }
local GONE = "no longer this worker's; it is gone on with when its lease is over"

--- How a run ended whose process does not tell: it has failed, or was stopped by this worker's end, or cancelled by
--- somebody, or was cut off from the store.
local function recorded_end(id)
    local found, row = pcall(recorded.find, id)
    local status = found and recorded.status(row)
    return status == "queued" and "stopped, and back in the queue"
        or (not found or status == "running" or status == "stopped") and GONE or status
end

--- The same where the process has ended amid the run.
local function end_of_process(job, signal)
    local known, status = pcall(claims.give_back, job.run, job.attempt, signal)
    status = known and status
    if signal == 0 and not status then
        return recorded_end(job.run)
    end
    return ("its process %s; %s"):format(signal ~= 0 and "was ended by signal " .. signal or "ended by itself",
        status == "failed" and "too often, so it has failed" or status and "it is gone on with"
        or "it is gone on with when its lease is over")
end

-- ---- whose turn it is ----

--- Has one process look that waits for something to do, or the next that has done something.
local function wake_one(self)
    local bell = table.remove(self.idle)
    if bell then
        task.ring(bell)
    else
        self.pending = true
    end
end

local function wait_for_turn(self)
    if not self.pending then
        local bell = task.bell()
        table.insert(self.idle, bell)
        task.listen(bell)
    end
    self.pending = false
end

--- Has a process look when somebody rings, when something becomes due, and now and then.
local function dispatch(self)
    while true do
        local pause = POLL_SECONDS
        if self.due then
            pause = math.min(math.max(self.due - system.monotonic(), 0), POLL_SECONDS)
        end
        queue.wait(pause)
        self.due = nil
        wake_one(self)
    end
end

-- ---- how many at once ----

--- Waits until one run less is gone through than may be.
local function take_place(self)
    if self.places > 0 then
        self.places = self.places - 1
        return
    end
    local bell = task.bell()
    table.insert(self.next_in, bell)
    task.listen(bell)
end

--- Gives the place to who has waited longest.
local function give_place(self)
    local bell = table.remove(self.next_in, 1)
    if bell then
        task.ring(bell)
    else
        self.places = self.places + 1
    end
end

-- ---- one process ----

--- What the process says next; nil when it has ended.
local function receive(socket)
    while true do
        local line = sockets.receive(socket)
        if line ~= nil then
            return line and json.decode(line) or nil
        end
        sockets.ready(socket)
    end
end

--- The queue cannot be looked into. While the store cannot be reached this waits, unless the queue is gone through
--- once.
local function bear(self, problem)
    local err = native.error.new(problem)
    if self.once or err.code ~= "journal.away" then
        error(err, 0)
    elseif not self.silent then
        self.silent = true
        system.write_error(("hostler: %s; trying again\n"):format(tostring(err)))
    end
end

local function tell(self, job, how)
    self.say(("run %s (%s): %s"):format(job.run, (system.visible(job.playbook)), how))
end

--- Has a process look for a run and go through it, and says how that went.
---@return table? found what it has found; nil when it has ended
local function look(self, process)
    sockets.send(process.socket, "look")
    local found = receive(process.socket)
    process.answered = process.answered or found ~= nil
    if not found or not found.run then
        return found
    end
    self.silent, process.job = false, found
    tell(self, found, "begins")
    wake_one(self)
    local result = receive(process.socket)
    if not result then
        return nil
    end
    process.job = nil
    tell(self, found, ENDS[result.ended] or recorded_end(found.run))
    return found
end

--- Has a process look for runs, one after the other, each when it has said that it is ready and there is a place.
---@param process { socket: userdata, answered?: boolean, job?: table, has_place?: boolean } job: the run that it is at
---@return boolean over true: there is nothing left to do; false: the process has ended, and its place is still its own
local function employ(self, process)
    local is_ready
    while true do
        is_ready = is_ready or receive(process.socket)
        if not is_ready then
            return false
        end
        take_place(self)
        process.has_place = true
        local found = look(self, process)
        if not found then
            return false
        end
        process.has_place = false
        give_place(self)
        is_ready = not found.run
        if found.code then
            bear(self, found)
        elseif not found.run and self.once then
            return true
        elseif found.due then
            local due = system.monotonic() + found.due
            self.due = math.min(due, self.due or due)
        end
        if not found.run then
            wait_for_turn(self)
        end
    end
end

--- A process that ends before it has done anything is not started again and again at once.
local function mind_failure(self, status)
    if self.once then
        error(native.error.new {
            code = "internal", message = ("a process for runs cannot be started (status %s)"):format(tostring(status)),
        }, 0)
    end
    task.sleep(RESTART_SECONDS)
end

--- Has all end: before the first of them has ended, so that its place is nobody's any more.
local function stop(self, problem)
    if not self.problem then
        self.problem = problem
        for _, slot in ipairs(self.slots) do
            task.cancel(slot, "the worker stops")
        end
    end
end

--- Starts a process and gives it runs until it ends.
---@return boolean over as from employ
local function keep_process(self)
    local socket, connection = sockets.pair()
    local process = { socket = socket }
    local running = task.spawn_shielded(FOR_EVER, native.child.run, { system.real_path "/proc/self/exe", "worker",
        "--process" }, connection)
    local ok, over = pcall(employ, self, process)
    sockets.close(socket)
    if not ok then
        stop(self, over)
        task.cancel(running) -- it has a minute
    end
    local finished, status, signal = pcall(task.join_shielded, running)
    local job = process.job
    if job then
        tell(self, job, finished and end_of_process(job, signal) or recorded_end(job.run))
    end
    if process.has_place then
        give_place(self)
    end
    if not ok then
        error(over, 0)
    elseif not over and not process.answered then
        mind_failure(self, status)
    end
    return over
end

local function work(self)
    repeat until keep_process(self)
end

--- Works on the runs of the queue, so many at once, until the task that calls this is cancelled: then no more are
--- begun, those under way go back to the queue, and this raises when their processes have ended.
---@param options { jobs: integer, once?: boolean, say: fun(line: string) } once: return when there is nothing to do
---@raise "cancelled", "journal", "key"
function pool.work(options)
    local self = { once = options.once, say = options.say, idle = {}, pending = false, silent = false,
        places = options.jobs, next_in = {}, slots = {} }
    queue.hear()
    local dispatcher = task.spawn(nil, dispatch, self)
    for slot = 1, options.jobs + 1 do
        self.slots[slot] = task.spawn(nil, work, self)
    end
    for _, slot in ipairs(self.slots) do
        local ok, problem = pcall(task.join_shielded, slot)
        if not ok then
            stop(self, problem)
        end
    end
    task.cancel(dispatcher)
    pcall(task.join_shielded, dispatcher)
    if self.problem then
        error(self.problem, 0)
    end
end

return pool
