-- The units of the schedules, as files: a timer for each, a template whose instances tell hostler that a time has come,
-- and a template whose instances go through a run. A run has a unit of its own because a timer whose service is still
-- at work does not elapse.
local native, import = ...
local units = {}

local files, service, unit_text = import "units/files", import "units/service", import "units/text"
local system = native.system

local PREFIX = "hostler-schedule@"
local TIME_SERVICE, RUN_SERVICE = PREFIX .. ".service", "hostler-scheduled-run@.service"

-- Of a store that cannot be reached, and of a run that finds something locked.
local AGAIN_SECONDS, LOCKED_SECONDS = 30, 5

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

local function time_service(settings)
    return service.text(settings, {
        by = "schedules", description = "hostler: a time of %I has come", unit = { "StartLimitIntervalSec=0" },
        service = {
            "Type=oneshot", service.command "schedules --fire=%I", "TimeoutStartSec=10min", "Restart=on-failure",
            "RestartSec=" .. AGAIN_SECONDS, "RestartPreventExitStatus=2",
        },
    })
end

local function run_service(settings)
    return service.text(settings, {
        by = "schedules", description = "hostler: the scheduled run %i",
        unit = { "StartLimitIntervalSec=0", "CollectMode=inactive-or-failed" },
        service = {
            "Type=exec", service.command "schedules --work=%i", "KillMode=mixed", "TimeoutStopSec=2min",
            "SuccessExitStatus=4", "RestartForceExitStatus=4", "RestartSec=" .. LOCKED_SECONDS,
        },
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
    return unit_text.file("schedules", {
        unit_text.section("Unit", {
            "Description=hostler: the times of " .. unit_text.plain(schedule.name), "X-HostlerSince=" .. since,
        }),
        unit_text.section("Timer", {
            "OnCalendar=" .. schedule.times, "Persistent=" .. (schedule.catch_up and "yes" or "no"), "AccuracySec=1s",
        }),
        unit_text.section("Install", { "WantedBy=timers.target" }),
    })
end

--- The texts that the files are to have, by their names. None for no schedules.
---@param schedules table[] as of declared.load, each with `times` in systemd's words
---@param settings table<string, string> as from surroundings.look
---@return table<string, string>
function units.wanted(schedules, settings)
    local texts = {}
    for _, schedule in ipairs(schedules) do
        local file = units.timer(schedule.name)
        texts[file] = timer(schedule, units.since(files.read(file), schedule.times) or math.floor(system.now()))
    end
    if #schedules > 0 then
        texts[TIME_SERVICE], texts[RUN_SERVICE] = time_service(settings), run_service(settings)
    end
    return texts
end

local function is_of_schedules(file)
    return units.schedule_of(file) ~= nil or file == TIME_SERVICE or file == RUN_SERVICE
end

--- The files there are, by their names.
---@return table<string, string>
function units.present()
    return files.present(is_of_schedules)
end

return units
