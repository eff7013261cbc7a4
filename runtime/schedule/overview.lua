-- How the schedules stand: what the file says, what systemd has, what is on record.
local native, import = ...
local overview = {}

local calendar, declared, times = import "schedule/calendar", import "schedule/declared", import "schedule/times"
local installation, units = import "schedule/installation", import "schedule/units"
local manager, surroundings = import "units/manager", import "units/surroundings"
local recorded, utc = import "journal/recorded", import "base/utc"
local text = import "base/text"
local system = native.system

--- What became of its last time, in words.
---@return { at: string, run?: string, status: string, skipped?: string }?
local function last_of(name)
    local row = times.last(name)
    if not row then
        return nil
    end
    return { at = utc.text(row.at), run = row.run, skipped = row.skipped,
        status = row.skipped and "skipped" or recorded.status(row) }
end

--- What a person has to look at, or nil.
local function note_of(name, state, has_manager)
    if state == "outdated" then
        return "schedules.lua or the settings have changed since: hostler schedules --install"
    elseif state == "edited" then
        return "a unit was edited by hand: systemctl cat " .. units.timer(name)
    elseif state ~= "installed" or not has_manager then
        return nil
    end
    local service = units.timer(name):gsub("%.timer$", ".service")
    if not manager.timer(units.timer(name)).active then
        return "its timer is stopped: hostler schedules --install starts it"
    elseif manager.state(service) == "failed" then
        return "the last time could not be begun: journalctl -u " .. text.shell_word(service)
    end
end

--- When its timer elapses next; for one that is not installed, when it would.
local function next_of(schedule, state, has_manager)
    local timer = state ~= "not installed" and has_manager and manager.timer(units.timer(schedule.name))
    local seconds
    if timer then
        seconds = timer.active and timer.next
    end
    if not timer or timer.active and not seconds then -- a timer that has just elapsed has none yet
        seconds = calendar.next(schedule.times, system.now())
    end
    return seconds and utc.text(seconds) or nil
end

local function row_of(schedule, wanted, present, has_manager)
    local state = installation.state(schedule.name, wanted, present)
    return {
        name = schedule.name, playbook = schedule.playbook, arguments = json.array(schedule.arguments),
        on_calendar = schedule.times, catch_up = schedule.catch_up, overlap = schedule.overlap, state = state,
        last = last_of(schedule.name), next = next_of(schedule, state, has_manager),
        note = note_of(schedule.name, state, has_manager),
    }
end

--- Checked schedules, each with `times` in systemd's words.
---@return table[] schedules, string? path
---@raise as declared.check
function overview.checked()
    local list, path = declared.load()
    for _, schedule in ipairs(list) do
        schedule.times = declared.check(schedule)
    end
    return list, path
end

--- Timers of schedules that the file no longer names.
local function leftovers(wanted, present)
    local rows = {}
    for file in pairs(present) do
        local name = units.schedule_of(file)
        if name and not wanted[file] then
            rows[#rows + 1] = { name = name, state = "gone", last = last_of(name),
                note = "schedules.lua names it no more: hostler schedules --install takes it away" }
        end
    end
    table.sort(rows, function(a, b) return a.name < b.name end)
    return rows
end

---@class schedule.Row
---@field name string
---@field state "installed"|"not installed"|"outdated"|"edited"|"gone"
---@field playbook? string none of one that is gone, as of what follows
---@field arguments? string[]
---@field on_calendar? string in systemd's words
---@field catch_up? boolean
---@field overlap? string
---@field last? { at: string, run?: string, status: string, skipped?: string } its last time, in UTC
---@field next? string its next time, in UTC
---@field note? string what a person has to look at

--- All schedules, by name, and then what is left of those that are gone.
---@return schedule.Row[] rows, string? path of the file
function overview.rows()
    local list, path = overview.checked()
    local wanted, present = units.wanted(list, (surroundings.look())), units.present()
    local has_manager = not manager.problem()
    local rows = {}
    for index, schedule in ipairs(list) do
        rows[index] = row_of(schedule, wanted, present, has_manager)
    end
    for _, row in ipairs(leftovers(wanted, present)) do
        rows[#rows + 1] = row
    end
    return rows, path
end

return overview
