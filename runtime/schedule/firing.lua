-- A time of a schedule has come: a timer has elapsed, on this machine as perhaps on others. Which time that is says the
-- timer's calendar, not the clock: it may have elapsed late, or be asked about by hand. Then its run goes into the
-- queue, unless the time has one; and as there may be no worker, a unit of systemd goes through it here.
local native, import = ...
local firing = {}

local calendar, declared, times = import "schedule/calendar", import "schedule/declared", import "schedule/times"
local units = import "schedule/units"
local files, manager = import "units/files", import "units/manager"
local execution, manifest = import "run/execution", import "run/manifest"
local unfinished = import "run/unfinished"
local store, texts, utc = import "journal/store", import "base/text", import "base/utc"
local refuse = import "base/misuse".refuse
local system = native.system

-- A timer elapses within a second (its AccuracySec) where the machine is not busy.
local LATE_SECONDS = 60
-- Clocks of machines that set them by the same time differ by less.
local AHEAD_SECONDS = 60

--- The time that the timer's last elapse stands for.
---@return integer at, integer elapsed seconds since 1970
local function time_of(timer, unit)
    if not timer.last then
        refuse(("the timer %s has not elapsed yet"):format(unit),
            "it calls this when a time has come; `hostler run` runs a playbook now")
    end
    local latest
    for _, text in ipairs(timer.calendars) do
        local at = calendar.latest(text, timer.last)
        latest = at and (not latest or at > latest) and at or latest
    end
    return latest or refuse(("no time of the timer %s had come when it elapsed, at %s"):format(unit,
        utc.text(timer.last)), "systemctl cat " .. unit), timer.last
end

--- A machine whose clock is ahead would use up times of the others, and of its own.
local function check_clock(at)
    local clock = store.open().clock
    local present = clock and store.open().read(("SELECT %s AS present"):format(clock))[1].present
    if present and at > present + AHEAD_SECONDS then
        refuse(("%s has not come by the clock of the store, which says %s"):format(utc.text(at), utc.text(present)),
            "this machine's clock is ahead: timedatectl")
    end
end

--- Why the time is none of the schedule, or is to be left out.
---@return string? reason, boolean? is_none
local function objection(schedule, unit, at, elapsed)
    local since = units.since(files.read(unit))
    if since and at <= since then
        return "it was before the schedule was installed", true
    elseif not schedule.catch_up and elapsed - at > LATE_SECONDS then
        return ("missed by %s, and catch_up is off"):format(texts.duration(elapsed - at))
    end
end

--- Puts the time's run into the queue.
---@return boolean is_new
local function enqueue(schedule, at)
    local new = declared.playbook(schedule)
    unfinished.check(new, manifest.specs(new.book))
    return times.enqueue(schedule.name, at, schedule.overlap, {
        playbook = new.name, file = new.path, arguments = new.arguments, mode = execution.mode(new.book, new.values),
    })
end

--- Puts the run into the queue; a playbook of which a run stands half-way leaves the time out.
local function begin(schedule, at)
    local ok, err = xpcall(enqueue, native.error.complete, schedule, at)
    if not ok and err.code == "unfinished" then
        times.skip(schedule.name, at, err.message)
    elseif not ok then
        error(err, 0)
    end
    return ok and err
end

--- What became of a time, for the log.
local function tell(name, at, words, ...)
    system.write(("%s, %s: %s\n"):format(name, utc.text(at), words:format(...)))
end

local function tell_record(name, at, is_new)
    local row = times.find(name, at)
    if row.skipped then
        tell(name, at, "no run: %s", row.skipped)
    else
        tell(name, at, is_new and "run %s is queued" or "it has its run, %s", row.run)
    end
end

--- Sees to it that the time of a schedule which has come has its run.
---@param name string of the schedule
---@raise "usage", "manifest" ... when there is no such time or the schedule is wrong, "journal", "systemd"
function firing.fire(name)
    local schedule, unit = declared.find(name), units.timer(name)
    manager.demand()
    local at, elapsed = time_of(manager.timer(unit), unit)
    local reason, is_none = objection(schedule, unit, at, elapsed)
    if is_none then
        return tell(name, at, "no run: %s", reason)
    end
    check_clock(at)
    local is_new = false
    if reason then
        times.skip(name, at, reason)
    elseif not times.find(name, at) then
        is_new = begin(schedule, at)
    end
    tell_record(name, at, is_new)
    -- Also those that an earlier call, or another machine, has left there.
    for _, id in ipairs(times.queued(name)) do
        manager.start(units.run(id))
    end
end

return firing
