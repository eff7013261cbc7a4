-- hostler cancel: stops a run that goes on, or gives up one that waits or has stopped.
local native, import = ...
local cancel = {}

local recorded = import "journal/recorded"
local commandline, run_record, store = import "command/commandline", import "journal/runs", import "journal/store"
local process, resume = import "base/process", import "run/resume"
local refuse = import "base/misuse".refuse
local system = native.system

local SIGTERM = 15
local PATIENCE_SECONDS, POLL_SECONDS = 30, 0.05

--- Tells the process that works on it: by a signal, or, as it may be on another machine, through the store, where it
--- looks when it renews its lease. A worker's, which a signal has give the run back, looks there as well.
local function tell(row, pid)
    if store.is_shared() or row.queued then
        local _, user = system.user()
        run_record.ask_to_cancel(row.id, user)
    end
    if store.is_shared() then
        return
    end
    local sent, reason = system.signal(pid, SIGTERM)
    if not sent then
        refuse(("process %d cannot be told to stop: %s"):format(pid, reason), "cancel it as the user who started it")
    end
end

--- The process cleans up and records the end itself; this waits for it.
local function stop(row)
    local host, pid = process.parts(row.holder)
    tell(row, pid)
    local deadline = system.monotonic() + PATIENCE_SECONDS
    repeat
        native.task.sleep(POLL_SECONDS)
        if recorded.status(recorded.find(row.id)) ~= "running" then
            return
        end
    until system.monotonic() > deadline
    refuse(("process %d on %s was told to stop %d seconds ago, and still cleans up"):format(pid, host,
        PATIENCE_SECONDS), ("hostler log %s -f"):format(row.id))
end

--- Takes a run out of the queue.
---@return boolean false when a worker was faster
local function take_out(row)
    local ok, err = pcall(resume.claim, row)
    if not ok and not (err.code == "locked" and recorded.status(recorded.find(row.id)) == "running") then
        error(err, 0)
    end
    return ok
end

---@param argv string[]
---@return integer exit status
function cancel.main(argv)
    return commandline.call("cancel", { commandline.run_argument }, argv, function(values)
        local row = recorded.find(values.run)
        local status = recorded.status(row)
        if status == "done" or status == "undone" or status == "cancelled" then
            refuse(("run %s is %s"):format(row.id, status))
        elseif status == "running" or (status == "queued" and not take_out(row)) then
            stop(recorded.find(row.id))
        else
            if status ~= "queued" then
                resume.claim(row)
            end
            store.open().later("DELETE FROM answers WHERE run = $1 AND answered IS NULL", row.id)
            run_record.finish("cancelled", "given up with `hostler cancel`")
        end
        system.write(("run %s is cancelled\n"):format(row.id))
    end)
end

return cancel
