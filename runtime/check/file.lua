-- Checks one file: a playbook or a webhook with what it leads to in the modules beside it and their parts, or such a
-- module.
local native, import = ...
local check_file = {}

local sandbox = import "base/sandbox"
local annotations, findings, folders = import "check/annotations", import "check/findings", import "run/folders"
local library, modules = import "run/library", import "run/modules"
local hooks = import "inbox/hooks"
local lua_parser, suggest = import "check/lua_parser", import "base/suggest"
local lua_source = import "base/lua_source"
local types, values = import "check/annotation_types", import "check/values"
local own_modules = import "base/own_modules"
local PassedSteps, Machine = import "check/passed_steps", import "check/machine"
local system = native.system

local trees = {}

--- The tree of a file, read once. Where the file is wrong, nil and { line, column, message }.
local function tree_of(path, found)
    if not trees[path] then
        local source = system.read_file(path) or ""
        local _, message = sandbox.compile(lua_source.without_shebang(source), "@" .. path)
        local line, words = (message or ""):match ":(%d+): (.*)$"
        local tree, rest = lua_parser.parse(source)
        trees[path] = { tree = not message and tree or nil, comments = tree and rest or {},
            wrong = not tree and not (rest.code and message) and rest
                or message and { line = tonumber(line) or 1, column = 1, message = words } }
    end
    findings.heed(found, path, trees[path].comments)
    return trees[path].tree, trees[path].wrong
end

-- ---- modules ----

local function missing_module(machine, name, node)
    local names = modules.names()
    local near = suggest.nearest(name, names)
    machine:find(node, "load", ("there is no module '%s'"):format(name), near and ("did you mean '%s'?"):format(near)
        or "hostler's own modules come first, then NAME.lua beside the playbooks or in their parts/")
    return values.unknown
end

--- Goes through a module beside the playbook, as when it is loaded.
local function run_module(machine, name, path, node)
    local tree, wrong = tree_of(path, machine.found)
    if not tree then
        machine:find(node, "load", ("%s:%d: %s"):format(path, wrong.line, wrong.message))
        return values.unknown
    end
    local value = machine:within({ passed = PassedSteps.new(), loop = false, checked = false }, function()
        return machine:run_file(path, tree)
    end)
    if value.kind == "table" then
        value.module = name
    end
    return value
end

--- What `require` gives: hostler's own modules by their annotations, others by going through them.
local function open_module(machine, name, node)
    machine.modules = machine.modules or {}
    if machine.modules[name] == nil then
        local path = modules.path(name)
        local module = annotations.index().modules[name]
        machine.modules[name] = values.unknown -- while it is being loaded
        if module and next(module.class.members) then
            machine.modules[name] = values.object(module.class)
            machine.modules[name].module, machine.modules[name].shown = true, name
        elseif path then
            machine.modules[name] = run_module(machine, name, path, node)
        elseif not own_modules.file(name) then
            machine.modules[name] = missing_module(machine, name, node)
        end
    end
    return machine.modules[name]
end

-- ---- the playbook ----

--- The parameters of a playbook as the table that its `run` gets.
local function parameters_of(book)
    local class = { name = "p", members = {}, order = {}, anonymous = true }
    for _, spec in ipairs(book.params) do
        local text = type(spec.type) ~= "table" and (spec.type == "int" or spec.type == "number"
            or spec.type == "duration") and "number" or "string"
        local shown = spec.kind == "flag" and "boolean" or spec.kind == "list" and text .. "[]" or text
        class.members[spec.field] = { name = spec.field, path = "p." .. spec.field, kind = "value",
            type = types.parse(shown), text = spec.help }
        class.order[#class.order + 1] = spec.field
    end
    local p = values.object(class)
    p.is_parameters = true
    return p
end

--- What Lua itself says when the file is loaded: a manifest that is refused, an effect at the top.
local function load_manifest(load, path, found)
    local ok, book = pcall(load, path)
    if ok then
        return book
    end
    local err = native.error.complete(book)
    local known = err.code == "manifest" or err.code == "syntax"
    local place = { file = err.file or path, line = err.line or 1, column = 1 }
    if known or not findings.has_line(found, place.file, place.line) then
        findings.add(found, place, known and err.code or "load", tostring(err.message), err.hint)
    end
end

--- Functions that nothing was seen to call: what they hold is looked at, but not where it may stand.
local function run_the_rest(machine)
    local index = 1
    while machine.functions[index] do
        local fn = machine.functions[index]
        if fn.file == machine.main_file and not machine.visited[fn.node] then
            machine:within({ checked = false, passed = PassedSteps.new(), step = false, loop = false }, function()
                machine:call_function(fn, { more = true }, fn.node)
            end)
        end
        index = index + 1
    end
end

local function run_playbook(machine, book)
    local fields = machine.playbook and machine.playbook.kind == "table" and machine.playbook.fields or {}
    if fields.run then
        local reading = values.option(machine.playbook, "effects") == "read"
        machine:within({ passed = PassedSteps.new(), reading = reading }, function()
            machine:call(fields.run, { book and parameters_of(book) or values.unknown }, machine.playbook.node)
        end)
    end
end

-- ---- the webhook ----

--- Another webhook that is heard in its place, or that keeps both from being heard.
local function rival_of(path, answers)
    hooks.refresh(true)
    for _, hook in ipairs(hooks.at(answers)) do
        if system.real_path(hook.file) ~= system.real_path(path) then
            return hook
        end
    end
end

--- What a webhook names: a path of its own, and a playbook that there is.
local function check_names(machine, loaded, run, results)
    local rival = rival_of(machine.main_file, loaded.value.path)
    if rival then
        machine:find(machine.webhook.node, "rival", ("%s answers to /hooks/%s too"):format(rival.file,
            loaded.value.path))
    end
    local playbook = results[1] and results[1].const
    local ok, problem = pcall(library.find, type(playbook) == "string" and playbook or machine.main_file)
    if not ok then
        machine:find(run.node, "errand", tostring(problem.message), problem.hint)
    end
end

local function run_webhook(machine, loaded)
    local fields = machine.webhook.kind == "table" and machine.webhook.fields or {}
    local results = {}
    for _, name in ipairs { "key", "run" } do
        local fn = fields[name]
        local delivery = values.object(annotations.index().classes.Delivery)
        results[name] = fn and machine:within({ passed = PassedSteps.new(), deciding = true }, function()
            return machine:call(fn, { delivery }, machine.webhook.node)
        end)
    end
    if loaded and results.run and fields.run.node then
        check_names(machine, loaded, fields.run, results.run)
    end
end

--- Checks a file and adds what is found.
---@param path string
---@param found table see findings.lua
function check_file.check(path, found)
    folders.stand_beside(path)
    local tree, wrong = tree_of(path, found)
    if not tree then
        local place = { file = path, line = wrong.line, column = wrong.column }
        findings.add(found, place, wrong.code or "syntax", wrong.message)
        return
    end
    local machine = Machine.new(found, path, open_module)
    machine:within({ checked = false }, function() machine:run_file(path, tree) end)
    if machine.webhook then
        run_webhook(machine, load_manifest(hooks.load, path, found))
    else
        run_playbook(machine, machine.playbook and load_manifest(library.load, path, found))
    end
    run_the_rest(machine)
end

return check_file
