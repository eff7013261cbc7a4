-- hostler worker: goes through the runs that `hostler run --queue` left in a shared store, with any number of others.
--
-- A run gets a process of its own (`hostler worker --take ID ATTEMPT`), as modules, answers and the working directory
-- are a process's. That process holds the run and renews its lease. Its standard input is a pipe that the worker holds:
-- when it ends, the worker stops or is gone, and the run goes back to the queue.
local native, import = ...
local worker = {}

local recorded = import "journal/recorded"
local commandline, texts = import "command/commandline", import "run/texts"
local run_record, store = import "journal/runs", import "journal/store"
local play = import "command/play"
local params, resume, sealing = import "run/params", import "run/resume", import "journal/sealing"
local system, task = native.system, native.task

local POLL_SECONDS = 0.5
local EXIT_FENCED = 1

local declare = params.globals
local SPECS = {
    declare.opt("jobs", "int", "how many runs at once", 1),
    declare.flag("once", "end when the queue is empty"),
}

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

--- Lets a process of its own go through a run, and says how it went, also when this worker is told to stop.
local function perform(claimed)
    local name = ("run %s (%s)"):format(claimed.id, (system.visible(claimed.playbook)))
    system.write(("%s: begins\n"):format(name))
    local finished, status, signal = pcall(native.child.run, { system.real_path "/proc/self/exe", "worker", "--take",
        claimed.id, tostring(claimed.attempt) })
    local how
    if finished and signal ~= 0 then
        how = ("its process was ended by signal %d; it is taken over when its lease is over"):format(signal)
    else
        how = finished and ENDS[status] or recorded_end(claimed.id)
    end
    system.write(("%s: %s\n"):format(name, how))
    task.checkpoint()
end

--- The next run of the queue. While the store cannot be reached this waits, unless the queue is gone through once.
local silent = false
local function claim(once)
    local ok, result = pcall(run_record.claim_next)
    if ok then
        silent = false
        return result
    elseif once or result.code ~= "journal.away" then
        error(result, 0)
    elseif not silent then
        silent = true
        system.write_error(("hostler: %s; trying again\n"):format(tostring(result)))
    end
end

local function work(once)
    while true do
        local claimed = claim(once)
        if claimed then
            perform(claimed)
        elseif once then
            return
        else
            task.sleep(POLL_SECONDS)
        end
    end
end

--- Stops this process, as Ctrl-C would, when its standard input ends.
local function stop_with_input()
    while system.read_line() do end
    task.interrupt "the worker stops"
end

--- Goes on with a run that the worker above has claimed.
local function take(id, attempt)
    if not run_record.adopt(id, tonumber(attempt)) then
        system.write_error(("hostler: run %s was taken over by another worker\n"):format(id))
        return EXIT_FENCED
    end
    local row = recorded.find(id)
    local wanted = run_record.renew()
    if wanted then
        run_record.finish("cancelled", "cancelled by " .. wanted)
        return 1
    end
    local run = resume.prepare(row, { anywhere = true })
    run.options = setmetatable({ silent = true, requeue = true }, { __index = run.options })
    texts.keep()
    local watcher = task.spawn(nil, stop_with_input)
    local status = play.run(run)
    task.cancel(watcher)
    pcall(task.join_shielded, watcher)
    return status
end

--- Works on so many runs at once. A worker that is told to stop has not failed.
local function work_in_slots(count, once)
    local slots, err = {}, nil
    for slot = 1, count do
        slots[slot] = task.spawn(nil, work, once)
    end
    for _, slot in ipairs(slots) do
        local ok, problem = pcall(task.join_shielded, slot)
        if not ok and not err then
            err = problem
            for _, other in ipairs(slots) do
                task.cancel(other, "the worker stops")
            end
        end
    end
    if err and not task.interrupted() then
        error(err, 0)
    end
end

---@param argv string[]
---@return integer exit status
function worker.main(argv)
    if argv[1] == "--take" then
        return commandline.call("worker", {}, {}, function() return take(argv[2], argv[3]) end)
    end
    return commandline.call("worker", SPECS, argv, function(values)
        store.require_queue()
        sealing.prepare()
        work_in_slots(values.jobs, values.once)
    end)
end

return worker
