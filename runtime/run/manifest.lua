-- A playbook is its own manifest: the table given to playbook{} is checked before anything runs.
local native, import = ...
local manifest = {}

local params, suggest, texts = import "run/params", import "base/suggest", import "base/text"

local FIELDS = {
    summary = "string", handbook = "string", description = "string", params = "table", effects = "string",
    once = "boolean", at_most = "number", run = "function",
}

--- Options of `hostler run` itself: no parameter of a playbook may be called like one.
manifest.run_options = {
    { kind = "flag", name = "dry-run", field = "dry_run", short = "n", default = false,
        help = "show what would be done, without doing it" },
    { kind = "flag", name = "yes", field = "yes", short = "y", default = false, help = "answer yes to questions" },
    { kind = "flag", name = "json", field = "json", default = false, help = "print events as JSON, one a line" },
    { kind = "flag", name = "verbose", field = "verbose", short = "v", default = false, help = "show every effect" },
    { kind = "flag", name = "debug", field = "debug", default = false, help = "open a prompt where it fails" },
    { kind = "flag", name = "queue", field = "queue", default = false,
        help = "leave it to a `hostler worker`" },
    { kind = "opt", name = "key", field = "key", type = "name",
        help = "with --queue: with the same key once more it makes no second run" },
    { kind = "opt", name = "priority", field = "priority", type = "int",
        help = "with --queue: runs of a higher one are begun before others (0)" },
    { kind = "opt", name = "at", field = "at", type = "string",
        help = "with --queue: not before this time, such as 18:30 or 2026-03-01 06:00" },
    { kind = "opt", name = "in", field = "in", type = "duration",
        help = "with --queue: not before so much time has passed, such as 30m" },
    { kind = "flag", name = "undo-on-failure", field = "undo_on_failure", default = false,
        help = "take back what was done when the run fails" },
    { kind = "opt", name = "record", field = "record", type = "string",
        help = "keep every effect and its answer in this file" },
    { kind = "opt", name = "replay", field = "replay", type = "string",
        help = "answer every effect from this file, without any network" },
    { kind = "flag", name = "help", field = "help", short = "h", default = false, help = "explain the playbook" },
}

local PlaybookMeta = {}

--- The line of the source that a field stands on, or that of the playbook{} call.
local function line_of(file, field)
    local number, call = 0, nil
    local pattern = field and "^%s*" .. field:gsub("%W", "%%%0") .. "%s*="
    for line in texts.lines(native.system.read_file(file) or "") do
        number = number + 1
        if pattern and line:match(pattern) then
            return number
        end
        call = call or (line:match "^[^-]*playbook%s*[({]" and number)
    end
    return call or 1
end

local function wrong(file, field, message, hint)
    error(native.error.new {
        code = "manifest", message = message, hint = hint, file = file, line = line_of(file, field),
    }, 0)
end

local function check_fields(fields, file)
    local names = {}
    for name in pairs(FIELDS) do
        names[#names + 1] = name
    end
    for name, value in pairs(fields) do
        if not FIELDS[name] then
            local near = suggest.nearest(tostring(name), names)
            wrong(file, tostring(name), ("a playbook has no field '%s'"):format(tostring(name)),
                near and ("did you mean '%s'?"):format(near))
        elseif type(value) ~= FIELDS[name] then
            wrong(file, name, ("the field '%s' must be a %s, not a %s"):format(name, FIELDS[name], type(value)))
        end
    end
    for _, name in ipairs { "summary", "run" } do
        if fields[name] == nil then
            wrong(file, nil, ("the playbook lacks '%s'"):format(name))
        end
    end
    if fields.effects and fields.effects ~= "read" and fields.effects ~= "write" then
        wrong(file, "effects", "the field 'effects' is \"read\" or \"write\"")
    end
    local most = fields.at_most
    if most and not (most >= 1 and most < 1e6 and most % 1 == 0) then
        wrong(file, "at_most", "the field 'at_most' is a whole number from 1 up")
    end
end

local function check_params(specs, file)
    local taken, list_seen = {}, nil
    for _, option in ipairs(manifest.run_options) do
        taken[option.name] = "an option of `hostler run`"
    end
    for index, spec in ipairs(specs) do
        if not params.is(spec) then
            wrong(file, "params", ("parameter %d is not made by arg, list, opt or flag"):format(index))
        elseif taken[spec.name] then
            wrong(file, "params", ("the parameter '%s' has the name of %s"):format(spec.name, taken[spec.name]))
        elseif list_seen and (spec.kind == "arg" or spec.kind == "list") then
            wrong(file, "params", ("'%s' comes after the list '%s', which takes every argument left"):format(spec.name,
                list_seen))
        end
        taken[spec.name] = "another parameter"
        list_seen = list_seen or (spec.kind == "list" and spec.name)
    end
end

---@class Playbook
---@field summary string one line, for `hostler list`
---@field handbook? string the page of the handbook that it does
---@field description? string more, for `hostler show`
---@field params? Parameter[]
---@field effects? "read"|"write" "read": what writes is refused ("write")
---@field once? boolean a run that did not end has to be resumed or undone before the same is begun anew
---@field at_most? integer how many of its runs the workers of the queue go through at once
---@field run fun(p: table): any does it; p has the parameters by name, dashes written as underscores

--- Declares a playbook; the file returns it.
---@param fields Playbook
---@return Playbook
---@raise "manifest" for a field that is wrong
local function playbook(fields)
    local file = native.task.context().loading or "?"
    if type(fields) ~= "table" then
        wrong(file, nil, "playbook takes a table: playbook { summary = ..., run = function(p) ... end }")
    end
    check_fields(fields, file)
    fields.params = fields.params or {}
    check_params(fields.params, file)
    return setmetatable(fields, PlaybookMeta)
end

--- What the command line of a playbook may hold: its parameters and the options of every run.
---@return table[] specs for params.parse
function manifest.specs(book)
    local specs = {}
    for _, spec in ipairs(book.params) do
        specs[#specs + 1] = spec
    end
    for _, spec in ipairs(manifest.run_options) do
        specs[#specs + 1] = spec
    end
    return specs
end

--- True for what playbook{} returned.
function manifest.is(value)
    return getmetatable(value) == PlaybookMeta
end

manifest.globals = { playbook = playbook }
return manifest
