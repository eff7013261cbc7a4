-- A host as a machine: what it is, room on its disks, memory, and whom the kernel has killed for want of it.
local _, _, import = ...
local machine = {}

local facts, options_of = import "machine/facts", import "base/options"
local systemd = require "systemd"

---@class machine.Machine a host as a machine
---@field host ssh.Host
local Machine = {}
Machine.__index = Machine

--- A number of bytes for people: "512 MB", "1.5 GB".
---@param bytes number
---@return string
function machine.megabytes(bytes)
    return bytes >= 2 ^ 30 and ("%.1f GB"):format(bytes / 2 ^ 30) or ("%.0f MB"):format(bytes / 2 ^ 20)
end

-- ---- reading what it prints (pure) ----

-- Of `df -P`: device, size, used, free, percent, place. A device's name may hold blanks; a place is asked for by us.
-- The heading tells in what the sizes are counted.
local function rows_of(text)
    local rows, unit = {}, tonumber(text:match "^[^\n]-(%d+)%-blocks") or 1
    for line in text:gmatch "[^\n]+" do
        local size, used, free, place = line:match "%s(%d+)%s+(%d+)%s+(%d+)%s+[%d-]+%%?%s+(/.*)$"
        if size then
            rows[#rows + 1] = {
                size = tonumber(size) * unit, used = tonumber(used) * unit, free = tonumber(free) * unit, place = place,
            }
        end
    end
    return rows
end

---@class machine.Disk a file system
---@field place string where it is mounted
---@field size integer bytes
---@field free integer bytes
---@field used number the part of what users may fill, 0 to 1
---@field inodes_free? integer nil where the file system counts none
---@field inodes_used? number

---@class machine.Memory in bytes
---@field total integer
---@field available integer
---@field swap_total integer
---@field swap_free integer

---@class machine.Kill a process that the kernel killed for want of memory
---@field at number seconds since 1970
---@field pid integer
---@field program string
---@field uid? integer
---@field line string

--- The file systems that `df -P` and `df -P -i` show, each once.
---@param bytes string
---@param inodes string
---@return machine.Disk[]
function machine.parse_disks(bytes, inodes)
    local disks, by_place = {}, {}
    local function part(row)
        return row.used + row.free > 0 and row.used / (row.used + row.free) or 1
    end
    for _, row in ipairs(rows_of(bytes)) do
        if not by_place[row.place] then
            local disk = { place = row.place, size = row.size, free = row.free, used = part(row) }
            disks[#disks + 1], by_place[row.place] = disk, disk
        end
    end
    for _, row in ipairs(rows_of(inodes)) do
        local disk = by_place[row.place]
        if disk and row.size > 0 then
            disk.inodes_free, disk.inodes_used = row.free, part(row)
        end
    end
    return disks
end

--- The numbers of /proc/meminfo.
---@param text string
---@return machine.Memory
function machine.parse_memory(text)
    local function bytes(name)
        return (tonumber(text:match(name .. ":%s*(%d+) kB")) or 0) * 1024
    end
    return {
        total = bytes "MemTotal", available = bytes "MemAvailable", swap_total = bytes "SwapTotal",
        swap_free = bytes "SwapFree",
    }
end

--- What a host has answered to the question of machine:facts.
---@param text string names and values, each ended by a NUL
---@return machine.Facts
function machine.parse_facts(text)
    local found, said = facts.parse(text)
    found.memory = (said.memory or ""):find "MemTotal:" and machine.parse_memory(said.memory) or nil
    local disks = machine.parse_disks(said.disks or "", said.inodes or "")
    found.disks = disks[1] and disks or nil
    return found
end

-- "2026-11-22T01:44:39,123456+00:00 " of dmesg, "1763775879.123456 host kernel: " of the journal.
local function time_of(line)
    local date, clock = line:match "^(%d+%-%d+%-%d+)T(%d+:%d+:%d+)"
    return date and systemd.parse_time(("%s %s UTC"):format(date, clock)) or tonumber(line:match "^(%d+%.?%d*) ")
end

--- The processes that the kernel's log says it killed for want of memory, oldest first.
---@param text string lines of `dmesg --time-format=iso` under UTC, or of `journalctl --output=short-unix`
---@return machine.Kill[]
function machine.parse_kills(text)
    local kills = {}
    for line in text:gmatch "[^\n]+" do
        local pid, program, rest = line:match "Killed process (%d+) %((.-)%)(.*)$"
        local at = pid and time_of(line)
        if at then
            kills[#kills + 1] = {
                at = at, pid = tonumber(pid), program = program, uid = tonumber(rest:match "UID:(%d+)"),
                line = line:match "(%a[%a ]*: Killed process.*)$" or line,
            }
        end
    end
    return kills
end

-- ---- asking ----

local function ask(self, argv, summary)
    local result = self.host:run(argv, { read = true, env = { LC_ALL = "C", TZ = "UTC" }, summary = summary })
    return result.stdout
end

-- The answers of this run, by the way to the host.
local kept = {}

-- Who is asked: hosts of one name are one where the way there is the same too.
local function way_to(host)
    local options = host.shared.options
    local jump = options.jump
    local parts = { options.user or "", options.port or "", options.address or "", host.user, tostring(host.target) }
    for _, hop in ipairs(type(jump) == "table" and jump.target == nil and jump or { jump }) do
        parts[#parts + 1] = tostring(hop)
    end
    return table.concat(parts, "\n")
end

--- What the host is: its distribution, kernel, size, addresses, whether it waits for a restart, and so on. It is asked
--- once in a run, also by several who connect to it; a run that is resumed asks again, for meanwhile it may have been
--- upgraded or restarted. What it does not tell is nil.
---@param options? { fresh?: boolean } fresh: ask again, after what the run itself has changed
---@return machine.Facts
function Machine:facts(options)
    options = options or {}
    options_of.check("machine:facts", options, { fresh = "boolean" })
    local way = way_to(self.host)
    if options.fresh or not kept[way] then
        local result = self.host:sh(facts.QUESTION, {
            read = true, check = false, timeout = 60, env = { LC_ALL = "C" }, summary = "see what the host is",
        })
        if unknown(result) then
            return result
        end
        kept[way] = machine.parse_facts(result.stdout)
    end
    return kept[way]
end

--- The room on the file systems that hold these places.
---@param places string[]
---@return machine.Disk[]
function Machine:disks(places)
    local bytes, inodes = { "df", "-P", "-B1", "--" }, { "df", "-P", "-i", "--" }
    for _, place in ipairs(places) do
        bytes[#bytes + 1], inodes[#inodes + 1] = place, place
    end
    return machine.parse_disks(ask(self, bytes, "see the room on the disks"), ask(self, inodes, "see the free inodes"))
end

--- Memory and swap.
---@return machine.Memory
function Machine:memory()
    return machine.parse_memory(ask(self, { "cat", "/proc/meminfo" }, "see the memory"))
end

-- A container shares its kernel, whose log tells of other machines' processes as of its own, by numbers that nobody in
-- the container knows: nothing there can be called its own.
local KERNEL_LOG = [[
if systemd-detect-virt --quiet --container 2>/dev/null; then exit 0; fi
pattern='Killed process'
lines=$(journalctl --dmesg --quiet --no-pager --output=short-unix 2>/dev/null | grep -F "$pattern")
if [ -z "$lines" ]; then lines=$(dmesg --time-format=iso 2>/dev/null | grep -F "$pattern"); fi
printf '%s\n' "$lines" | tail -n 50]]

--- The processes of a user that the kernel killed for want of memory, oldest first, at most the last 50 of all users.
--- None on a host that shares its kernel with others: a container.
---@param user string
---@return machine.Kill[]
function Machine:kills(user)
    local result = self.host:sh(KERNEL_LOG, {
        read = true, env = { LC_ALL = "C", TZ = "UTC" }, summary = "look for processes killed for want of memory",
    })
    local uid, kills = tonumber((ask(self, { "id", "-u", "--", user }, "see who " .. user .. " is"))), {}
    for _, kill in ipairs(machine.parse_kills(result.stdout)) do
        kills[#kills + 1] = (kill.uid == nil or kill.uid == uid) and kill or nil
    end
    return kills
end

local PROCESS_STATES = {
    R = "running", S = "sleeping", D = "waiting for the disk", T = "stopped", t = "stopped by a debugger", Z = "dead",
}

--- What a process is doing.
---@param pid integer
---@return string? state "running", "sleeping", "stopped" ...; nil when there is no such process
function Machine:process_state(pid)
    local result = self.host:run({ "cat", ("/proc/%d/status"):format(pid) }, {
        read = true, check = false, summary = ("see what process %d does"):format(pid),
    })
    local letter = result.stdout:match "\nState:%s*(%a)"
    return letter and (PROCESS_STATES[letter] or letter)
end

--- The largest files of a place, its own file system only.
---@param place string
---@param count integer
---@return { path: string, size: integer }[] bytes that it takes on the disk, largest first
function Machine:largest(place, count)
    local result = self.host:sh([[find "$1" -xdev -type f -printf '%b\t%p\0' | sort -zrn | head -zn "$2"]], {
        args = { place, count }, read = true, timeout = 120, summary = "look for the largest files of " .. place,
    })
    local files = {}
    for blocks, path in result.stdout:gmatch "(%d+)\t([^%z]*)%z" do
        files[#files + 1] = { path = path, size = tonumber(blocks) * 512 }
    end
    return files
end

--- What the files of a place take on the disk whose names match.
---@param place string there need be none
---@param pattern string as for `find -name`
---@return integer bytes
function Machine:space_of(place, pattern)
    local result = self.host:sh([[if [ -d "$1" ]; then find "$1" -xdev -type f -name "$2" -printf '%b\n'; fi]], {
        args = { place, pattern }, read = true, timeout = 120,
        summary = ("see what %s takes in %s"):format(pattern, place),
    })
    local bytes = 0
    for blocks in result.stdout:gmatch "%d+" do
        bytes = bytes + tonumber(blocks) * 512
    end
    return bytes
end

-- In place: a full disk has no room for another file, and the program that writes the log goes on in this one. A link
-- that somebody put there is not followed.
local SHORTEN = [[
import os, sys
path, keep = sys.argv[1], int(sys.argv[2])
with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as log:
    size = log.seek(0, os.SEEK_END)
    if size > keep:
        log.seek(size - keep)
        log.readline()
        end = log.read()
        log.seek(0)
        log.write(end)
        log.truncate()
]]

--- Cuts the beginning off a log; whole lines of its end stay. Its owner and mode too.
---@param path string
---@param keep integer at most this many bytes
---@return true
---@effect write
function Machine:shorten(path, keep)
    local result = self.host:run({ "/usr/bin/python3", "-I", "-B", "-c", SHORTEN, path, keep }, {
        summary = ("shorten %s to its last %.0f kB"):format(path, keep / 1024),
    })
    return unknown(result) and result or true
end

--- A host as a machine.
---@param host ssh.Host
---@return machine.Machine
function machine.on(host)
    return setmetatable({ host = host }, Machine)
end

return machine
