-- The units of the schedules, as files: a timer for each, a template whose instances tell hostler that a time has come,
-- and a template whose instances go through a run. A run has a unit of its own because a timer whose service is still
-- at work does not elapse.
local native, import = ...
local units = {}

local surroundings, unit_text = import "schedule/surroundings", import "schedule/unit_text"
local keys = import "base/keys"
local system = native.system

local PREFIX = "hostler-schedule@"
local TIME_SERVICE, RUN_SERVICE = PREFIX .. ".service", "hostler-scheduled-run@.service"

-- Of a store that cannot be reached, and of a run that finds something locked.
local AGAIN_SECONDS, LOCKED_SECONDS = 30, 5

-- hostler needs the network, its journal and what the person may read. In a user's manager what takes namespaces
-- would not work. ProtectKernelTunables= and ProtectControlGroups= are left out: in a container they uncover another
-- boot's identity than processes outside the unit see, and these would take the unit's for ended.
local HARDENED = { "NoNewPrivileges=yes", "LockPersonality=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native", "UMask=0077" }
local HARDENED_SYSTEM = { "PrivateTmp=yes", "ProtectSystem=full", "ProtectClock=yes", "ProtectHostname=yes",
    "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK" }

local is_system = system.user() == 0

--- Where the units are: the system manager's for root, else those of the user's own.
---@return string
function units.folder()
    if is_system then
        return "/etc/systemd/system"
    end
    local config = system.env "XDG_CONFIG_HOME"
    return (config and config ~= "" and config or (system.env "HOME" or "") .. "/.config") .. "/systemd/user"
end

---@param name string of a schedule
---@return string
function units.timer(name)
    return PREFIX .. unit_text.escape(name) .. ".timer"
end

---@param id string of a run
---@return string
function units.run(id)
    return (RUN_SERVICE:gsub("@", "@" .. id))
end

--- Patterns of all instances that may be at work.
units.INSTANCES = { PREFIX .. "*.service", (RUN_SERVICE:gsub("@", "@*")) }

--- The schedule that a timer's file is of, or nil.
---@return string?
function units.schedule_of(file)
    local instance = file:match("^" .. PREFIX:gsub("%-", "%%-") .. "(.+)%.timer$")
    return instance and unit_text.unescape(instance)
end

local function append(list, more)
    for _, line in ipairs(more) do
        list[#list + 1] = line
    end
    return list
end

local function command(words)
    -- ":" keeps systemd from replacing variables in it.
    return ("ExecStart=:%s schedules %s"):format(unit_text.quoted(system.real_path "/proc/self/exe"), words)
end

local function service(description, limits, settings, how)
    local unit = append({ "Description=" .. description }, limits)
    if is_system then
        append(unit, { "Wants=network-online.target", "After=network-online.target" })
    end
    append(append(how, surroundings.lines(settings)), HARDENED)
    append(how, is_system and HARDENED_SYSTEM or {})
    return unit_text.file { unit_text.section("Unit", unit), unit_text.section("Service", how) }
end

local function time_service(settings)
    return service("hostler: a time of %I has come", { "StartLimitIntervalSec=0" }, settings, {
        "Type=oneshot", command "--fire=%I", "TimeoutStartSec=10min", "Restart=on-failure",
        "RestartSec=" .. AGAIN_SECONDS, "RestartPreventExitStatus=2",
    })
end

local function run_service(settings)
    return service("hostler: the scheduled run %i", { "StartLimitIntervalSec=0", "CollectMode=inactive-or-failed" },
        settings, {
            "Type=exec", command "--work=%i", "KillMode=mixed", "TimeoutStopSec=2min",
            "SuccessExitStatus=4", "RestartForceExitStatus=4", "RestartSec=" .. LOCKED_SECONDS,
        })
end

--- Since when a timer's text stands for these times, or nil. A time before that is not one of the schedule.
---@param text? string
---@param on_calendar? string only if these are its times
---@return integer? seconds since 1970
function units.since(text, on_calendar)
    local same = not on_calendar or (text or ""):find("\nOnCalendar=" .. on_calendar .. "\n", 1, true)
    return same and tonumber((text or ""):match "\nX%-HostlerSince=(%d+)\n") or nil
end

local function timer(schedule, since)
    return unit_text.file {
        unit_text.section("Unit", {
            "Description=hostler: the times of " .. unit_text.plain(schedule.name), "X-HostlerSince=" .. since,
        }),
        unit_text.section("Timer", {
            "OnCalendar=" .. schedule.times, "Persistent=" .. (schedule.catch_up and "yes" or "no"), "AccuracySec=1s",
        }),
        unit_text.section("Install", { "WantedBy=timers.target" }),
    }
end

--- The text of a unit's file as it is now, or nil.
---@return string?
function units.read(file)
    return (system.read_file(units.folder() .. "/" .. file))
end

--- The texts that the files are to have, by their names. None for no schedules.
---@param schedules table[] as of declared.load, each with `times` in systemd's words
---@param settings table<string, string> as from surroundings.look
---@return table<string, string>
function units.wanted(schedules, settings)
    local files = {}
    for _, schedule in ipairs(schedules) do
        local file = units.timer(schedule.name)
        files[file] = timer(schedule, units.since(units.read(file), schedule.times) or math.floor(system.now()))
    end
    if #schedules > 0 then
        files[TIME_SERVICE], files[RUN_SERVICE] = time_service(settings), run_service(settings)
    end
    return files
end

--- The files there are, by their names.
---@return table<string, string>
function units.present()
    local files = {}
    for _, file in ipairs(system.list_files(units.folder()) or {}) do
        if units.schedule_of(file) or file == TIME_SERVICE or file == RUN_SERVICE then
            files[file] = units.read(file) or ""
        end
    end
    return files
end

--- Those files that are not as they were written here.
---@param files table<string, string>
---@return string[]
function units.not_ours(files)
    return keys.sorted(files, function(file) return unit_text.whose(files[file]) ~= "ours" end)
end

local function refuse(verb, path, reason)
    error(native.error.new {
        code = "file", message = ("cannot %s %s: %s"):format(verb, path, reason),
        hint = is_system and "a system whose /etc is read-only keeps no schedules"
            or "it is yours: who owns the folder?",
    }, 0)
end

---@raise "file"
function units.write(file, text)
    local made, reason = native.user_files.make_directory(units.folder())
    if made then
        made, reason = native.user_files.write(units.folder() .. "/" .. file, text)
    end
    return made or refuse("write", units.folder() .. "/" .. file, reason)
end

--- The file in which systemd keeps when a timer elapsed last.
local function stamp(file)
    local data = system.env "XDG_DATA_HOME"
    local folder = is_system and "/var/lib" or data and data ~= "" and data
        or (system.env "HOME" or "") .. "/.local/share"
    return ("%s/systemd/timers/stamp-%s"):format(folder, file)
end

--- Removes a unit's file, and what systemd keeps of it.
---@raise "file"
function units.remove(file)
    local path = units.folder() .. "/" .. file
    local removed, reason = native.user_files.remove(path)
    if not removed and system.kind(path) then
        refuse("remove", path, reason)
    end
    native.user_files.remove(stamp(file))
end

return units
