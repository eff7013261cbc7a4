-- Where the sockets of live runs are: STATE/attach/RUN.PID.START, so that one whose process is gone can be told.
local native, import = ...
local attach_address = {}

local process, state = import "base/process", import "base/state"
local system = native.system

local NAME = "^(%w+)%.(%d+)%.(%d+)$"

---@return string
function attach_address.directory()
    return state.directory() .. "/attach"
end

--- The name of this process's socket for a run.
---@param run string
---@return string
function attach_address.own(run)
    local pid, start = process.me():match "(%d+) (%d+)$"
    return ("%s.%s.%s"):format(run, pid, start)
end

--- The sockets there are, dead ones included.
---@return { name: string, run: string, alive: boolean }[]
function attach_address.list()
    local found = {}
    for _, name in ipairs(system.list_files(attach_address.directory()) or {}) do
        local run, pid, start = name:match(NAME)
        if run then
            local holder = process.me():gsub("%d+ %d+$", pid .. " " .. start)
            found[#found + 1] = { name = name, run = run, alive = process.alive(holder) }
        end
    end
    return found
end

--- Removes what processes left that were killed.
function attach_address.sweep()
    for _, socket in ipairs(attach_address.list()) do
        if not socket.alive then
            native.local_socket.remove(attach_address.directory(), socket.name)
        end
    end
end

return attach_address
