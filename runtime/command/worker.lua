-- hostler worker: goes through the runs that `hostler run --queue` left in the journal, with any number of others.
local native, import = ...
local worker = {}

local commandline, params = import "command/commandline", import "run/params"
local pool, sealing, store = import "queue/pool", import "journal/sealing", import "journal/store"
local system, task = native.system, native.task

local AWAIT_SECONDS = 300 -- the store may start with the machine

local declare = params.globals
local SPECS = {
    declare.opt("jobs", "int", "how many runs at once", 1),
    declare.flag("once", "end when the queue is empty"),
}

local function say(line)
    system.write(line .. "\n")
end

local function work(values)
    if not values.once then
        store.await(AWAIT_SECONDS)
    end
    sealing.prepare()
    pool.work { jobs = values.jobs, once = values.once, say = say }
end

---@param argv string[]
---@return integer exit status
function worker.main(argv)
    return commandline.call("worker", SPECS, argv, function(values)
        local ok, err = pcall(work, values)
        if not ok and not task.interrupted() then -- one that is told to stop has not failed
            error(err, 0)
        end
    end)
end

return worker
