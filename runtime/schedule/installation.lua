-- The schedules as systemd has them: written, enabled, taken away.
local _, import = ...
local installation = {}

local units = import "schedule/units"
local files, manager, surroundings = import "units/files", import "units/manager", import "units/surroundings"
local unit_installation, keys = import "units/installation", import "base/keys"

local function timers_of(list)
    local timers = {}
    for _, file in ipairs(list) do
        timers[#timers + 1] = units.schedule_of(file) and file or nil
    end
    return timers
end

local function retire(gone)
    manager.disable(timers_of(gone))
end

local function apply(wanted, verb, force)
    return unit_installation.apply(wanted, units.present(), { verb = verb, force = force, retire = retire })
end

local function is_idle(unit)
    return not manager.timer(unit).active
end

--- Writes and enables the units of these schedules, and takes those of others away.
---@param schedules table[] as of declared.load, each with `times` in systemd's words
---@param force? boolean also those that were edited by hand
---@return { changed: string[], gone: string[], missing: string[] } result files; missing: secrets that are set here and
---  that no file gives to the units
---@raise "edited", "file", "systemd"
function installation.install(schedules, force)
    local settings, missing = surroundings.look()
    local wanted = units.wanted(schedules, settings)
    local result = apply(wanted, "overwritten", force)
    local changed, begin = unit_installation.only(result.changed, wanted), {}
    for _, file in ipairs(timers_of(keys.sorted(wanted))) do
        begin[#begin + 1] = (changed[file] or is_idle(file)) and file or nil
    end
    manager.enable(begin)
    manager.restart(begin)
    result.missing = missing
    return result
end

--- Takes all of them away, and what systemd keeps of them. Runs that go on do so.
---@return { changed: string[], gone: string[] } result
---@raise "edited", "file", "systemd"
function installation.remove(force)
    local result = apply({}, "removed", force)
    manager.forget(units.INSTANCES)
    return result
end

--- How a schedule's units stand, against what it says.
---@param name string
---@param wanted table<string, string> as from units.wanted
---@param present table<string, string> as from units.present
---@return "edited"|"outdated"|"not installed"|"installed"
function installation.state(name, wanted, present)
    local mine = units.timer(name)
    if not present[mine] then
        return "not installed"
    end
    local list = keys.sorted(wanted, function(file) return file == mine or not units.schedule_of(file) end)
    local these = unit_installation.only(list, present)
    if #files.not_ours(these) > 0 then
        return "edited"
    end
    return #unit_installation.compare(unit_installation.only(list, wanted), these) > 0 and "outdated" or "installed"
end

return installation
