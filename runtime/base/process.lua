-- Who runs something: a process, named so that a later one with the same number is not taken for it.
local native = ...
local process = {}

local system = native.system

local function first_line(path)
    return ((system.read_file(path) or ""):match "^[^\n]*")
end

--- When a process started, in clock ticks since the boot; nil when there is none of this number. proc(5), field 22 of
--- stat.
local function start_of(pid)
    local text = system.read_file(("/proc/%s/stat"):format(pid))
    -- The name of the program, in parentheses, may hold anything, also parentheses.
    local rest = text and text:match "^.*%) (.*)$"
    if not rest or rest:match "^[ZX]" then
        return nil
    end
    local field = 2
    for word in rest:gmatch "%S+" do
        field = field + 1
        if field == 22 then
            return word
        end
    end
end

local function boot()
    return first_line "/proc/sys/kernel/random/boot_id"
end

local function host()
    return first_line "/proc/sys/kernel/hostname"
end

local own

--- This process: "HOST BOOT PID START".
---@return string
function process.me()
    if not own then
        local pid = (system.read_file "/proc/self/stat" or ""):match "^%d+"
        own = ("%s %s %s %s"):format(host(), boot(), pid, start_of(pid))
    end
    return own
end

--- The host and the number of what process.me() returned.
---@return string host, integer pid
function process.parts(holder)
    local name, pid = holder:match "^(%S+) %S+ (%d+) %S+$"
    return name or "?", tonumber(pid) or 0
end

--- Whether that process still runs. One on another host counts as running: it cannot be asked.
---@param holder? string
---@return boolean
function process.alive(holder)
    local name, booted, pid, start = (holder or ""):match "^(%S+) (%S+) (%d+) (%S+)$"
    if not name then
        return false
    end
    return name ~= host() or (booted == boot() and start_of(pid) == start)
end

--- Whether that process is known to have ended: it was one of this machine, since its last boot. Machines may share a
--- name, so of one with another boot nothing is known.
---@param holder string
---@return boolean
function process.has_ended(holder)
    local name, booted, pid, start = holder:match "^(%S+) (%S+) (%d+) (%S+)$"
    return name == host() and booted == boot() and start_of(pid) ~= start
end

return process
