-- The playbooks there are: found by name, loaded and checked.
local native, import = ...
local library = {}

local folders, manifest, texts = import "run/folders", import "run/manifest", import "run/texts"
local lua_source, suggest = import "base/lua_source", import "base/suggest"
local system, task = native.system, native.task

local LONGEST_LOADING_SECONDS = 5

--- Every name in these places with the files that carry it, the one that counts first.
local function by_names(places)
    local by_name, names = {}, {}
    for _, place in ipairs(places) do
        for _, file in ipairs(system.list_files(place) or {}) do
            local name = file:match "^([%w_-]+)%.lua$"
            if name and system.kind(place .. "/" .. file) ~= "other" then -- a pipe would be waited for
                if not by_name[name] then
                    by_name[name] = {}
                    names[#names + 1] = name
                end
                table.insert(by_name[name], place .. "/" .. file)
            end
        end
    end
    table.sort(names)
    local found = {}
    for index, name in ipairs(names) do
        found[index] = { name = name, paths = by_name[name] }
    end
    return found
end

--- Every name of a playbook (or of a module beside playbooks) with the files that carry it, the one that counts first.
---@return { name: string, paths: string[] }[]
function library.playbooks()
    return by_names(folders.list())
end

--- The same, and the parts that playbooks share.
function library.files()
    return by_names(folders.with_parts(folders.list()))
end

--- The file of a playbook, of a module beside playbooks or of a part, given by name, or by path (with a slash or ending
--- in .lua).
---@return string path
---@raise "usage" with the nearest name
function library.find(name)
    if name:find "/" or name:match "%.lua$" then
        if system.kind(name) ~= "file" then
            error(native.error.new { code = "usage", message = ("there is no file %s"):format(name) }, 0)
        end
        return name
    end
    local names = {}
    for _, entry in ipairs(library.files()) do
        if entry.name == name then
            return entry.paths[1]
        end
        names[#names + 1] = entry.name
    end
    local near = suggest.nearest(name, names)
    error(native.error.new {
        code = "usage", message = ("there is no playbook '%s'"):format(name),
        hint = near and ("did you mean '%s'?"):format(near) or "`hostler list` shows what there is",
    }, 0)
end

--- What a file returns, loaded with the gate closed, since `hostler list` loads them all; its folder comes first for
--- `require`.
---@param path string
---@param name? string what its text is remembered as; see texts.load
---@return any
---@raise "syntax", "load", and what the file raises
function library.evaluate(path, name)
    folders.stand_beside(path)
    local context = task.context()
    context.loading = path
    local ok, value = xpcall(function() return texts.load(path, name)() end, native.error.complete)
    context.loading = nil
    if not ok then
        error(value, 0)
    end
    return value
end

--- The same for a playbook, in a task: a file that never ends is not waited for.
local function evaluate_in_time(path)
    local ok, value = pcall(task.join, task.spawn(LONGEST_LOADING_SECONDS, library.evaluate, path, "playbook"))
    task.checkpoint()
    if ok then
        return value
    elseif value.code == "timeout" then
        value = native.error.new {
            code = "load", message = ("loading it takes more than %d seconds"):format(LONGEST_LOADING_SECONDS),
            file = value.file or path, line = value.line or 1, traceback = value.traceback,
            hint = "what is to be computed belongs into run = function(p) ... end",
        }
    end
    return error(value, 0)
end

--- Loads and checks a playbook file.
---@return table playbook, string name
---@raise "syntax", "manifest", "load"
function library.load(path)
    local ok, value = pcall(evaluate_in_time, path)
    local name = path:match "([^/]+)%.lua$" or path
    local is_webhook = not manifest.is(value) and lua_source.seems_webhook(system.read_file(path) or "")
    if not ok and (not is_webhook or native.error.complete(value).code == "cancelled") then
        error(value, 0) -- a webhook is none whatever else is wrong with it
    elseif not manifest.is(value) then
        error(native.error.new {
            code = "manifest", file = path, line = 1,
            message = is_webhook and "this is a webhook, and no playbook" or "the file does not return a playbook",
            hint = is_webhook and ("hostler webhook test %s --file BODY says what comes of a delivery"):format(name)
                or "end it with: return playbook { summary = ..., run = function(p) ... end }",
        }, 0)
    end
    return value, name
end

--- Runs a file that is no playbook; its folder comes first for `require`.
function library.run_file(path, ...)
    folders.stand_beside(path)
    return texts.load(path)(...)
end

return library
