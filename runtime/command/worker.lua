-- hostler worker: goes through the runs that `hostler run --queue` left in the journal, with any number of others.
local native, import = ...
local worker = {}

local commandline, params = import "command/commandline", import "run/params"
local pool, sealing = import "queue/pool", import "journal/sealing"
local system, task = native.system, native.task

local declare = params.globals
local SPECS = {
    declare.opt("jobs", "int", "how many runs at once", 1),
    declare.flag("once", "end when the queue is empty"),
}

local function say(line)
    system.write(line .. "\n")
end

---@param argv string[]
---@return integer exit status
function worker.main(argv)
    return commandline.call("worker", SPECS, argv, function(values)
        sealing.prepare()
        local ok, err = pcall(pool.work, { jobs = values.jobs, once = values.once, say = say })
        if not ok and not task.interrupted() then -- one that is told to stop has not failed
            error(err, 0)
        end
    end)
end

return worker
