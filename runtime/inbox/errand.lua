-- What a delivery leads to: a playbook with arguments, found, checked and ready to be put into the queue with the texts
-- that it is made of.
local native, import = ...
local errand = {}

local loading, manifest, params = import "inbox/loading", import "run/manifest", import "run/params"
local execution, library, unfinished = import "run/execution", import "run/library", import "run/unfinished"
local run_record, sources_kept = import "journal/runs", import "journal/sources"
local queue, store = import "queue/queue", import "journal/store"
local keys, refuse = import "base/keys", import "base/misuse".refuse

---@class inbox.Errand
---@field playbook string
---@field arguments string[]
---@field file string
---@field mode string
---@field files { name: string, path: string, text: string }[]

-- Playbooks by their paths: they are loaded once, until they or what they require change.
local loaded = {}

--- The playbook of a name. One that was edited and cannot be loaded now is taken as it was.
local function load(name)
    local path = library.find(name)
    local before = loaded[path]
    if before and loading.is_current(before) then
        return before
    end
    local ok, fresh = pcall(loading.load, path, "playbook")
    if ok and not manifest.is(fresh.value) then
        ok, fresh = false, native.error.new { code = "manifest", message = ("%s is no playbook"):format(path) }
    end
    if not ok and not before then
        local err = native.error.complete(fresh)
        refuse(("the playbook '%s' cannot be loaded: %s"):format(name, tostring(err)), err.hint)
    end
    loaded[path] = ok and fresh or before
    return loaded[path]
end

local function word(name, value)
    if type(value) == "number" then
        return (value % 1 == 0 and "%.0f" or "%.14g"):format(value)
    elseif type(value) ~= "string" then
        refuse(("%s is a %s, and no text"):format(name, value == json.null and "null" or type(value)))
    end
    return value
end

local function spec_of(book, name)
    for _, spec in ipairs(book.params) do
        if spec.field == name or spec.name == name then
            return spec
        end
    end
end

--- An option as it stands on a command line; false for a flag that is not given.
local function option(book, playbook, name, value)
    local spec = spec_of(book, name)
    if not spec or spec.kind == "arg" or spec.kind == "list" then
        refuse(("the playbook '%s' has no option '%s'"):format(playbook, tostring(name)))
    elseif spec.kind == "flag" then
        return value and "--" .. spec.name or nil
    end
    return ("--%s=%s"):format(spec.name, word(name, value))
end

--- The command line of values: options, and behind a "--" the list, so that no value is taken for an option.
local function command_line(book, playbook, values)
    local words, positional = {}, {}
    for index = 1, table.maxn(values) do
        local name = book.params[index] and book.params[index].name or "argument " .. index
        if values[index] == nil then
            refuse(("%s is missing"):format(name))
        end
        positional[index] = word(name, values[index])
    end
    for _, name in ipairs(keys.sorted(values, function(key) return type(key) == "string" end)) do
        words[#words + 1] = option(book, playbook, name, values[name])
    end
    if #positional > 0 then
        words[#words + 1] = "--"
    end
    for _, text in ipairs(positional) do
        words[#words + 1] = text
    end
    return words
end

local function checked(found, playbook, arguments)
    local book = found.value
    params.parse(book.params, arguments)
    local new = { book = book, name = playbook, arguments = arguments }
    unfinished.check(new, manifest.specs(book))
    return {
        playbook = playbook, arguments = arguments, file = found.path, mode = execution.mode(book, {}),
        files = found.files,
    }
end

--- What a webhook's `run` returned, made ready.
---@param playbook any its name
---@param values any its arguments
---@return inbox.Errand
---@raise "usage", "unfinished": the delivery cannot be used; "journal"
function errand.of_values(playbook, values)
    if type(playbook) ~= "string" then
        refuse(("the webhook's run returned a %s for the playbook's name"):format(type(playbook)),
            "return \"setup\", { ... }")
    elseif type(values) ~= "table" then
        refuse(("the webhook's run returned a %s for the arguments"):format(type(values)), "return \"setup\", { ... }")
    end
    local found = load(playbook)
    return checked(found, playbook, command_line(found.value, playbook, values))
end

--- The words of a command line, made ready.
---@param playbook string
---@param arguments string[]
---@return inbox.Errand
---@raise "usage", "unfinished", "journal"
function errand.of_words(playbook, arguments)
    return checked(load(playbook), playbook, arguments)
end

--- Puts it into the queue.
---@param ready inbox.Errand
---@param beside fun(run: string): table[] more statements for the same transaction, which see the run's row
---@return table? row the first that the last of them gives
---@raise "journal", "key"
function errand.enqueue(ready, beside)
    local statements, run = run_record.queueing(ready, function()
        for _, file in ipairs(ready.files) do
            sources_kept.keep(file.name, file.path, file.text)
        end
    end)
    for _, statement in ipairs(beside(run)) do
        statements[#statements + 1] = statement
    end
    local row = store.open().transaction(statements)[1]
    queue.ring_written()
    return row
end

return errand
