-- Times of a calendar, as systemd reckons them: `systemd-analyze calendar` is asked, so that a time is what its timers
-- take it to be. (What its texts mean: systemd.time(7), CALENDAR EVENTS.)
--
-- The time that a timer's elapse stands for is the last one of its calendar up to then. Who asks must not matter, so
-- it is reckoned from a moment well before it. When clocks are set back an hour comes twice, and systemd takes a time
-- in it once, at its first coming, unless it begins to reckon in between: then at its second. And a time that is left
-- out when clocks are set forward does not come at all.
local _, import = ...
local calendar = {}

local program, utc = import "units/program", import "base/utc"
local refuse = import "base/misuse".refuse

-- Clocks are set back by less.
local TWICE_SECONDS = 3 * 3600
-- How far back is looked first, how much farther each time, and how far at the most.
local FIRST_SECONDS, FARTHER, FARTHEST_SECONDS = 2 * TWICE_SECONDS, 8, 60 * 366 * 86400
local SOME = 64

--- The times that come after a moment, at most so many, in order.
local function times_after(text, moment, count)
    local output = program.answer { "systemd-analyze", "calendar", ("--base-time=@%d"):format(moment),
        "--iterations=" .. count, "--", text }
    local times = {}
    for value in output:gmatch "\n *[NI][etxr]+[^\n:]*: ([^\n]*)" do
        local seconds = utc.seconds(value)
        times[#times + 1] = seconds and seconds > moment and seconds or nil
    end
    return times
end

--- The last of the times after `from` and up to `moment`.
local function last_between(text, from, moment)
    local last, count = nil, SOME
    repeat
        local times, goes_on = times_after(text, last or from, count), false
        for _, time in ipairs(times) do
            goes_on = time <= moment
            last = goes_on and time or last
        end
        count = count * 4
    until not goes_on
    return last
end

--- The text in systemd's own words, with its time zone: "*-*-* 03:30:00 Europe/Berlin".
---@param text string
---@return string
---@raise "usage" when it says no times, or leaves open which zone's
function calendar.normal(text)
    local ok, output, said = pcall(program.ask, { "systemd-analyze", "calendar", "--", text })
    if not ok and output.code == "sh.spawn" then
        refuse("without systemd there are no schedules: its program systemd-analyze cannot be run",
            "on Debian it is in the package systemd")
    elseif not ok then
        error(output, 0)
    end
    local normal = output and output:match "Normalized form: ([^\n]*)"
    if not normal then
        refuse(("'%s' is no calendar text: %s"):format(text, said), "systemd.time(7) explains them, and "
            .. "`systemd-analyze calendar \"Mon..Fri 03:30 UTC\"` shows what one means")
    elseif not normal:find " %a[%w/_+-]*$" then
        refuse(("'%s' does not say whose clocks it means"):format(text),
            ("controllers may live in different time zones: '%s UTC', '%s Europe/Berlin'"):format(text, text))
    end
    return normal
end

--- The first time after a moment, nil when none comes.
---@param text string
---@param moment number seconds since 1970
---@return integer? seconds
function calendar.next(text, moment)
    return times_after(text, math.floor(moment), 1)[1]
end

--- The time that a moment stands for: the last one up to it.
---@param text string
---@param moment number seconds since 1970
---@return integer? seconds nil when there was none in sixty years
function calendar.latest(text, moment)
    local back = FIRST_SECONDS
    repeat
        local from = math.max(1, math.floor(moment) - back)
        local last = last_between(text, from, moment)
        if last and last > from + TWICE_SECONDS then
            return last
        end
        back = back * FARTHER
    until back > FARTHEST_SECONDS
    return nil
end

return calendar
