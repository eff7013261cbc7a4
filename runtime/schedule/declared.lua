-- Which playbook runs at which times: the file schedules.lua among the playbooks. It is found and shadowed as they are,
-- and checked as a whole before anything is done with it.
local native, import = ...
local declared = {}

local calendar = import.later "schedule/calendar"
local folders, library, manifest = import "run/folders", import "run/library", import "run/manifest"
local params, texts = import "run/params", import "run/texts"
local keys, suggest = import "base/keys", import "base/suggest"
local system, task = native.system, native.task

local FILE = "schedules.lua"
local LONGEST_NAME = 60
local FIELDS = { playbook = "string", arguments = "table", on_calendar = "string", catch_up = "boolean",
    overlap = "string" }
local OVERLAPS = { skip = true, wait = true, both = true }
-- Options of `hostler run` for which somebody has to be there, or which leave no run.
local NOT_ALONE = { "dry_run", "debug", "queue", "record", "replay", "help" }

local Schedules = {}

local function wrong(message, hint)
    error(native.error.new {
        code = "manifest", message = message, hint = hint, file = task.context().loading, line = 1,
    }, 0)
end

local function check_name(name)
    if type(name) ~= "string" then
        wrong(("a schedule is given by its name: schedules { [\"nightly check\"] = { ... } }, not by %s"):format(
            tostring(name)))
    elseif name == "" or #name > LONGEST_NAME or name:find "%c" or not system.is_utf8(name) then
        wrong(("the name of a schedule is text of 1 to %d bytes without control characters, not '%s'"):format(
            LONGEST_NAME, (name:gsub("%c", "?"))))
    end
end

local function check_field(label, field, value)
    if not FIELDS[field] then
        local near = suggest.nearest(tostring(field), keys.sorted(FIELDS))
        wrong(("%s has a field '%s', which no schedule has"):format(label, tostring(field)),
            near and ("did you mean '%s'?"):format(near) or "there are " .. table.concat(keys.sorted(FIELDS), ", "))
    elseif type(value) ~= FIELDS[field] then
        wrong(("%s: '%s' must be a %s, not a %s"):format(label, field, FIELDS[field], type(value)))
    end
end

local function check_arguments(label, arguments)
    local count = 0
    for _ in pairs(arguments) do
        count = count + 1
    end
    for index = 1, count do
        if type(arguments[index]) ~= "string" then
            wrong(("%s: 'arguments' is a list of texts, as they are typed: { \"ada\", \"--yes\" }"):format(label))
        end
    end
end

local function check_fields(label, fields)
    if type(fields) ~= "table" then
        wrong(("%s is a table of its fields, not a %s"):format(label, type(fields)))
    end
    for field, value in pairs(fields) do
        check_field(label, field, value)
    end
    for _, field in ipairs { "playbook", "on_calendar" } do
        if fields[field] == nil then
            wrong(("%s lacks '%s'"):format(label, field))
        end
    end
    check_arguments(label, fields.arguments or {})
    if not OVERLAPS[fields.overlap or "skip"] then
        wrong(("%s: 'overlap' is \"skip\", \"wait\" or \"both\", not '%s'"):format(label, fields.overlap))
    end
end

---@class Schedule
---@field playbook string which one runs
---@field on_calendar string when, as systemd writes it in systemd.time(7), with the time zone whose clocks it means
---@field arguments? string[] what would follow its name on the command line
---@field catch_up? boolean whether a time at which this machine was off is caught up, once, when it is on again (false)
---@field overlap? "skip"|"wait"|"both" a time comes while the run of the one before has not ended, and is left out, or
---  its run waits, one at the most, or both go on side by side ("skip")

--- Declares when playbooks run by themselves; the file schedules.lua returns it.
---@param fields table<string, Schedule> by their names
---@return table
---@raise "manifest" for a field that is wrong
local function schedules(fields)
    if type(fields) ~= "table" then
        wrong "schedules takes a table: schedules { [\"nightly check\"] = { playbook = ..., on_calendar = ... } }"
    end
    for name, schedule in pairs(fields) do
        check_name(name)
        check_fields(("the schedule '%s'"):format(name), schedule)
    end
    return setmetatable({ fields = fields }, Schedules)
end

--- The list of what the file declares, by name, with the defaults.
local function list_of(value)
    local list = {}
    for index, name in ipairs(keys.sorted(value.fields)) do
        local given = value.fields[name]
        list[index] = {
            name = name, playbook = given.playbook, on_calendar = given.on_calendar, arguments = given.arguments or {},
            catch_up = given.catch_up or false, overlap = given.overlap or "skip",
        }
    end
    return list
end

local function load(path)
    local context = task.context()
    context.loading = path
    local ok, value = xpcall(texts.load, native.error.complete, path)
    if ok then
        ok, value = xpcall(value, native.error.complete)
    end
    if ok and getmetatable(value) ~= Schedules then
        ok, value = pcall(wrong, "the file does not return schedules",
            "end it with: return schedules { [\"nightly check\"] = { playbook = ..., on_calendar = ... } }")
    end
    context.loading = nil
    if not ok then
        error(value, 0)
    end
    return list_of(value)
end

--- The schedules there are, by name.
---@return { name: string, playbook: string, on_calendar: string, arguments: string[], catch_up: boolean,
---  overlap: string }[] list
---@return string? path of the file; nil where there is none
---@raise "syntax", "manifest", "load"
function declared.load()
    local path = folders.find(FILE)
    if not path then
        return {}, nil
    end
    return load(path), path
end

--- One of them.
---@param name string
---@raise "usage" with the nearest name
function declared.find(name)
    local list, path = declared.load()
    local names = {}
    for index, schedule in ipairs(list) do
        if schedule.name == name then
            return schedule
        end
        names[index] = schedule.name
    end
    local near = suggest.nearest(name, names)
    error(native.error.new {
        code = "usage", message = ("there is no schedule '%s' in %s"):format(name, path or "any " .. FILE),
        hint = near and ("did you mean '%s'?"):format(near) or "`hostler schedules` lists them",
    }, 0)
end

--- The playbook of a schedule, loaded, with its arguments read.
---@return { book: table, name: string, path: string, arguments: string[], values: table }
---@raise what loading it raises; "usage" when the arguments do not fit it
function declared.playbook(schedule)
    local path = library.find(schedule.playbook)
    local book, name = library.load(path)
    local values = params.parse(manifest.specs(book), schedule.arguments)
    for _, field in ipairs(NOT_ALONE) do
        if values[field] then
            error(native.error.new {
                code = "usage", message = ("--%s is not for a run that begins by itself"):format(field:gsub("_", "-")),
            }, 0)
        end
    end
    return { book = book, name = name, path = path, arguments = schedule.arguments, values = values }
end

--- Raises unless its times can be reckoned and its playbook can be run so. Returns the times in systemd's words.
---@return string on_calendar
---@raise "usage", "manifest" ... with the schedule's name
function declared.check(schedule)
    local ok, result = xpcall(function()
        declared.playbook(schedule)
        return calendar.normal(schedule.on_calendar)
    end, native.error.complete)
    if ok then
        return result
    end
    result.message = ("the schedule '%s': %s"):format(schedule.name, result.message)
    error(result, 0)
end

declared.globals = { schedules = schedules }
return declared
