-- The schedules as systemd has them: written, enabled, taken away. What was edited by hand is neither overwritten nor
-- removed unless that is asked for.
local native, import = ...
local installation = {}

local manager, surroundings, units = import "schedule/manager", import "schedule/surroundings", import "schedule/units"
local keys = import "base/keys"

local function refuse_edited(files, verb)
    local paths = {}
    for index, file in ipairs(files) do
        paths[index] = units.folder() .. "/" .. file
    end
    error(native.error.new {
        code = "edited", message = ("edited by hand since it was written, and so not %s: %s"):format(verb,
            table.concat(paths, ", ")),
        hint = "what was changed there goes into a drop-in, which is left alone: systemctl edit UNIT; "
            .. "or --force gives it up",
    }, 0)
end

--- The files that differ from those that are wanted, and those that are no longer.
local function compare(wanted, present)
    local changed = keys.sorted(wanted, function(file) return wanted[file] ~= present[file] end)
    local gone = keys.sorted(present, function(file) return not wanted[file] end)
    return changed, gone
end

local function only(files, set)
    local found = {}
    for _, file in ipairs(files) do
        found[file] = set[file]
    end
    return found
end

local function timers_of(files)
    local timers = {}
    for _, file in ipairs(files) do
        timers[#timers + 1] = units.schedule_of(file) and file or nil
    end
    return timers
end

--- Makes systemd's files what is wanted.
---@param force? boolean also those that were edited by hand
---@return { changed: string[], gone: string[] } files
local function apply(wanted, verb, force)
    local present = units.present()
    local changed, gone = compare(wanted, present)
    local touched = only(changed, present)
    for file, text in pairs(only(gone, present)) do
        touched[file] = text
    end
    local edited = units.not_ours(touched)
    if #edited > 0 and not force then
        refuse_edited(edited, verb)
    end
    manager.disable(timers_of(gone))
    for _, file in ipairs(gone) do
        units.remove(file)
    end
    for _, file in ipairs(changed) do
        units.write(file, wanted[file])
    end
    if #changed + #gone > 0 then
        manager.reload()
    end
    return { changed = changed, gone = gone }
end

local function is_idle(unit)
    return not manager.timer(unit).active
end

--- Writes and enables the units of these schedules, and takes those of others away.
---@param schedules table[] as of declared.load, each with `times` in systemd's words
---@return { changed: string[], gone: string[], missing: string[] } result files; missing: secrets that are set here and
---  that no file gives to the units
---@raise "edited", "file", "schedule"
function installation.install(schedules, force)
    local settings, missing = surroundings.look()
    local wanted = units.wanted(schedules, settings)
    local result = apply(wanted, "overwritten", force)
    local begin = {}
    for _, file in ipairs(timers_of(keys.sorted(wanted))) do
        begin[#begin + 1] = (only(result.changed, wanted)[file] or is_idle(file)) and file or nil
    end
    manager.enable(begin)
    result.missing = missing
    return result
end

--- Takes all of them away, and what systemd keeps of them. Runs that go on do so.
---@return string[] gone files
---@raise "edited", "file", "schedule"
function installation.remove(force)
    local result = apply({}, "removed", force)
    manager.forget(units.INSTANCES)
    return result.gone
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
    local files = keys.sorted(wanted, function(file) return file == mine or not units.schedule_of(file) end)
    if #units.not_ours(only(files, present)) > 0 then
        return "edited"
    end
    return #compare(only(files, wanted), only(files, present)) > 0 and "outdated" or "installed"
end

return installation
