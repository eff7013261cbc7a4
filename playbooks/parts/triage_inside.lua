-- The faults inside an instance: its room, its memory, whose its files are, its settings and flags. Pure: each rule
-- takes what was seen (triage_verdict.of says what that is) and returns a triage.Finding, or nothing.
local machine = require "machine"
local meltano = require "meltano"
local surroundings = require "surroundings"
local triage_unit = require "triage_unit"
local triage_inside = {}

local FULL, NEARLY_FULL = 0.98, 0.9 -- parts of a disk
local SAME_MOMENT = 5               -- seconds between a kernel's kill and the end of the service
local SIGKILL = 9

local megabytes = machine.megabytes

local function serves_inside(e)
    return e.inside ~= nil and e.inside.serves
end

-- ---- the machine ----

-- How full a disk is, by its bytes or its inodes.
local function fullness(disk)
    return math.max(disk.used, disk.inodes_used or 0)
end

local FREED = { meltano.LOGS, "/var/log/journal", "/var/cache/apt" }

-- Whether what the playbook removes lies on this disk, and is what it lacks: bytes, not inodes.
local function is_freed(e, disk)
    if (disk.inodes_used or 0) > disk.used then
        return false
    end
    for _, place in ipairs(e.surroundings and FREED or {}) do
        local mount = surroundings.mount_of(e.surroundings.mounts, place)
        if mount and mount.place == disk.place then
            return true
        end
    end
    return e.surroundings == nil
end

local function room_by_hand(e, disk)
    local inodes = (disk.inodes_used or 0) > disk.used
    return ("on %s: `du -x %s%s | sort -n | tail` shows what takes it: delete what is not needed; "
        .. "then: hostler run restart %s"):format(e.name, inodes and "--inodes " or "", disk.place, e.tenant)
end

--- A disk without room, or nearly so.
---@return triage.Finding?
function triage_inside.is_full(e)
    local fullest
    for _, disk in ipairs(e.disks or {}) do
        fullest = (not fullest or fullness(disk) > fullness(fullest)) and disk or fullest
    end
    if fullest and fullness(fullest) >= NEARLY_FULL then
        local is_full, place = fullness(fullest) >= FULL, fullest.place
        local freed = is_freed(e, fullest)
        return {
            cause = "disk-full", breaks = is_full, mend = freed and { "free-disk" } or nil,
            by_hand = not freed and room_by_hand(e, fullest) or nil,
            says = ("the disk of %s is %s"):format(place, is_full and "full" or "nearly full"),
            proof = { (fullest.inodes_used or 0) > fullest.used
                and ("%s: %.0f%% of the inodes are used"):format(place, fullest.inodes_used * 100)
                or ("%s: %.0f%% used, %s of %s free"):format(place, fullest.used * 100, megabytes(fullest.free),
                    megabytes(fullest.size)) },
        }
    end
end

-- The kernel's kill of this service: it died of SIGKILL, and at that moment the kernel says why.
local function kill_of_service(e)
    local status = e.meltano
    if not status or status.active == "active" and status.result == "success" then
        return nil
    end
    local killed = status.exit and status.exit.kind ~= "exited" and status.exit.status == SIGKILL
    for index = #(e.kills or {}), 1, -1 do
        local kill = e.kills[index]
        if killed and status.since and math.abs(kill.at - status.since) <= SAME_MOMENT then
            return kill.line
        end
    end
    return status.result == "oom-kill" and "systemd says that its process was killed for want of memory" or nil
end

--- Meltano was killed for want of memory, or says that it has none.
---@return triage.Finding?
function triage_inside.is_out_of_memory(e)
    local kill = kill_of_service(e)
    local exception = e.traceback and e.traceback.exception or ""
    local refused = not serves_inside(e) and e.inside and e.inside.status and exception:find "^MemoryError"
    if not kill and not refused then
        return nil
    end
    local proof = { kill or ("the last error in meltano-ui.log is " .. exception), triage_unit.line(e) }
    if e.memory then
        proof[#proof + 1] = ("memory: %s of %s available now, swap %s"):format(megabytes(e.memory.available),
            megabytes(e.memory.total), e.memory.swap_total > 0 and megabytes(e.memory.swap_total) or "none")
    end
    local limit = e.meltano and e.meltano.memory_max
    if limit then
        proof[#proof + 1] = ("systemd lets meltano.service have %s (MemoryMax)"):format(megabytes(limit))
    end
    return {
        cause = "out-of-memory", says = "Meltano ran out of memory", breaks = true, proof = proof, mend = { "restart" },
        by_hand = limit and "if it happens again, raise the MemoryMax of meltano.service"
            or "if it happens again, give the droplet a larger size in DigitalOcean",
    }
end

-- ---- its files ----

--- Files of the project that are not the service user's.
---@return triage.Finding?
function triage_inside.has_wrong_owners(e)
    local files = e.owners or {}
    if #files == 0 or #files == 1 and files[1].path == meltano.FLAGS then
        return nil
    end
    local proof = {}
    for index = 1, math.min(#files, 5) do
        proof[index] = ("%s belongs to %s"):format(files[index].path, files[index].owner)
    end
    if #files > 5 then
        proof[6] = ("and %d more"):format(#files - 5)
    end
    return {
        cause = "wrong-owner",
        says = "files of the project do not belong to meltano: something was run as another user",
        breaks = not serves_inside(e), proof = proof, mend = { "upgrade", "--mend" },
    }
end

--- No settings of the database, or not all of them.
---@return triage.Finding?
function triage_inside.lacks_settings(e)
    local error_text = e.database and e.database.error or ""
    local missing = error_text:match "^[%w_]+ is not set$"
    local present = false
    for _, file in ipairs(e.environment or {}) do
        present = present or file.name == "postgres"
    end
    if e.environment and (not present or missing) then
        return {
            cause = "settings-missing", says = "the settings of the database are not there", breaks = true,
            proof = { present and ("%s/postgres: %s"):format(meltano.ENVIRONMENT, missing)
                or ("there is no %s/postgres"):format(meltano.ENVIRONMENT) },
            mend = { "configure-meltano" },
        }
    end
end

--- Settings that others may read.
---@return triage.Finding?
function triage_inside.has_open_settings(e)
    local proof = {}
    for _, file in ipairs(e.environment or {}) do
        if not file.private then
            proof[#proof + 1] = ("%s/%s: mode %s, owner %s; it has to be 0600 and meltano's"):format(
                meltano.ENVIRONMENT, file.name, file.mode, file.owner)
        end
    end
    if #proof > 0 then
        return {
            cause = "settings-open", breaks = false,
            says = "others than meltano may read its secrets, or meltano may not",
            proof = proof, mend = { "configure-meltano" },
        }
    end
end

--- A .env that cannot be read, or that holds secrets.
---@return triage.Finding?
function triage_inside.has_broken_flags(e)
    local found = e.dotenv
    if not found or found.missing then
        return nil
    end
    local proof = {}
    for index = 1, math.min(#found.problems, 5) do
        proof[#proof + 1] = ("%s, line %d: %s"):format(meltano.FLAGS, found.problems[index].line,
            found.problems[index].what)
    end
    local unreadable = found.owner ~= meltano.USER and found.mode and found.mode % 8 < 4
    if unreadable then
        proof[#proof + 1] = ("%s belongs to %s, and meltano may not read it"):format(meltano.FLAGS, found.owner)
    end
    local breaks = #proof > 0
    if #found.names > 0 then
        proof[#proof + 1] = ("settings that do not belong into it: %s"):format(table.concat(found.names, ", "))
    end
    if #proof > 0 then
        return {
            cause = breaks and "flags-broken" or "flags-with-secrets", breaks = breaks, proof = proof,
            says = breaks and ".env cannot be read as it is, so feature flags do not count"
                or ".env holds secrets, which every user of the host may read", mend = { "repair-env" },
        }
    end
end

return triage_inside
