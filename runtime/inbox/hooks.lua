-- The webhooks there are, by the path that each answers to. They are found as playbooks are, and taken up again when
-- their files change. A file that is broken leaves in force what it was before; one that never was anything else keeps
-- its path all the same, since whoever is told that a path is not there may never come back.
local native, import = ...
local hooks = {}

local loading, webhook = import "inbox/loading", import "inbox/webhook"
local folders, library, lua_source = import "run/folders", import "run/library", import "base/lua_source"
local suggest, refuse = import "base/suggest", import "base/misuse".refuse
local system, task = native.system, native.task

local BETWEEN_LOOKS_SECONDS = 0.5
hooks.GONE_SECONDS = 600 -- a file that is being replaced may be away for a moment
local AGAIN_SECONDS = 5 -- until a broken one is tried again whose file has not changed: what it requires may have

---@class inbox.Hook
---@field name string the file's
---@field file string
---@field path? string what it answers to; nil where that cannot be told
---@field webhook? Webhook what is in force
---@field problem? string why the file as it stands is not
---@field text? string nil: the file cannot be read
---@field is_another? boolean the file turned out to be something else
---@field gone_since? number by the monotonic clock
---@field rank integer which of the folders it stands in, from 1

-- By name.
local known = {}
local looked, looking, seen = nil, false, task.bell()
local on_change = function() end

--- Has fn called with what becomes of a webhook: taken up, broken, its file away, gone for good.
---@param fn fun(hook: inbox.Hook, what: "loaded"|"broken"|"away"|"gone")
function hooks.when_changed(fn)
    on_change = fn
end

--- Loads a webhook's file.
---@param path string
---@return inbox.Loaded
---@raise "manifest", with `is_another` where the file returns something else, "syntax", "load", and what the file
---  raises
function hooks.load(path)
    local loaded = loading.load(path, "webhook")
    if not webhook.is(loaded.value) then
        error(native.error.new {
            code = "manifest", message = "the file does not return a webhook", file = path, line = 1,
            hint = "end it with: return webhook { summary = ..., path = ..., from = ..., key = ..., run = ... }",
            is_another = loaded.value ~= nil,
        }, 0)
    end
    return loaded
end

--- The path that a file names, as it is read without loading it.
local function path_in(text)
    return text and text:match "%f[%w_]path%s*=%s*[\"']([a-z0-9][a-z0-9.-]*)[\"']"
end

--- Which webhook may be meant by a word that names none: the one that answers to it, or one with a name like it.
local function advice_for(word)
    local names = {}
    for _, entry in ipairs(library.playbooks()) do
        local text = system.read_file(entry.paths[1]) or ""
        if lua_source.seems_webhook(text) and path_in(text) == word then
            return ("/hooks/%s is that of '%s'"):format(word, entry.name)
        elseif lua_source.seems_webhook(text) then
            names[#names + 1] = entry.name
        end
    end
    local near = suggest.nearest(word, names)
    return near and ("did you mean '%s'?"):format(near) or "`hostler list` shows what there is"
end

--- The file of a webhook given by name or by path.
---@param name string
---@return string path
---@raise "usage"
function hooks.find(name)
    local ok, path = pcall(library.find, name)
    if ok and lua_source.seems_webhook(system.read_file(path) or "") then
        return path
    end
    return refuse((ok and "%s is no webhook" or "there is no webhook '%s'"):format(ok and path or name),
        advice_for(name))
end

local function describe(err)
    err = native.error.complete(err)
    return err.file and ("%s:%s: %s"):format(err.file, err.line or "?", tostring(err)) or tostring(err)
end

--- Whether a file is to be taken for a webhook before it is loaded: one that is being written may be empty, or not to
--- be read yet, and nobody who asks for it meanwhile is to hear that there is nothing.
---@param text? string nil: it cannot be read
local function may_be_webhook(text)
    return not text or not text:find "%S" or lua_source.seems_webhook(text)
end

--- Takes up a file that is new or has changed.
local function take_up(hook, text)
    local ok, loaded = pcall(hooks.load, hook.file)
    local before = hook.problem
    hook.text, hook.tried = text, system.monotonic()
    if ok then
        hook.loaded, hook.webhook, hook.path, hook.problem = loaded, loaded.value, loaded.value.path, nil
    else
        hook.problem = describe(loaded)
        hook.path = hook.webhook and hook.webhook.path or path_in(text) or hook.path
        hook.is_another = loaded.is_another and not hook.webhook and not may_be_webhook(text)
    end
    if ok or hook.problem ~= before and not hook.is_another then
        on_change(hook, ok and "loaded" or "broken")
    end
end

--- Whether there is no reason to load a webhook again.
local function is_current(hook, path, text)
    if hook.file ~= path or hook.text ~= text then
        return false
    elseif hook.problem then
        return system.monotonic() - hook.tried < AGAIN_SECONDS
    end
    return loading.is_current(hook.loaded)
end

local function look_at(name, path, rank)
    local text = system.read_file(path)
    local hook = known[name]
    if not hook and (not may_be_webhook(text) or system.kind(path) ~= "file") then
        return
    elseif not hook or not is_current(hook, path, text) then
        hook = hook or { name = name }
        known[name], hook.file = hook, path
        take_up(hook, text)
    end
    hook.rank, hook.gone_since = rank, nil
    if hook.is_another then -- it was never a webhook
        known[name] = nil
    end
end

--- What was not found any more.
local function drop_gone(found)
    for name, hook in pairs(known) do
        if not found[name] then
            if not hook.gone_since then
                hook.gone_since, hook.problem = system.monotonic(), "the file is gone"
                on_change(hook, "away")
            end
            if system.monotonic() - hook.gone_since > hooks.GONE_SECONDS then
                known[name] = nil
                on_change(hook, "gone")
            end
        end
    end
end

local function look()
    local found, ranks = {}, {}
    for rank, folder in ipairs(folders.list()) do
        ranks[folder] = rank
    end
    for _, entry in ipairs(library.playbooks()) do
        found[entry.name] = true
        look_at(entry.name, entry.paths[1], ranks[entry.paths[1]:match "^(.*)/"])
    end
    drop_gone(found)
end

--- Looks for files that are new or have changed, unless that was done a moment ago. While somebody looks, others wait:
--- until the first look is over, nobody can say that there is nothing.
---@param at_once? boolean also then
function hooks.refresh(at_once)
    while looking do
        task.listen(seen)
    end
    local now = system.monotonic()
    if looked and not at_once and now - looked < BETWEEN_LOOKS_SECONDS then
        return
    end
    looking = true
    local ok, problem = pcall(look)
    looking, looked = false, ok and now or looked
    task.ring(seen)
    if not ok then
        error(problem, 0)
    end
end

--- By folder, the one that comes first first, and by name.
local function before(left, right)
    if left.rank ~= right.rank then
        return left.rank < right.rank
    end
    return left.name < right.name
end

--- All of them, those of the folder that comes first before others.
---@return inbox.Hook[]
function hooks.all()
    local list = {}
    for _, hook in pairs(known) do
        list[#list + 1] = hook
    end
    table.sort(list, before)
    return list
end

--- Those that answer to a path, of the folder that comes first: one, or several that cannot all. One whose file is gone
--- counts where there is no other. `unclear` is one whose path cannot be told because its file is broken.
---@param path string
---@return inbox.Hook[] found
---@return inbox.Hook? unclear
function hooks.at(path)
    local found, gone, unclear = {}, nil, nil
    for _, hook in ipairs(hooks.all()) do
        if hook.path == path and hook.gone_since then
            gone = hook
        elseif hook.path == path and (not found[1] or hook.rank == found[1].rank) then
            found[#found + 1] = hook
        elseif not hook.path then
            unclear = unclear or hook
        end
    end
    return found[1] and found or { gone }, unclear
end

--- Who keeps a webhook from being heard: one of a folder that comes first, or of the same, and then neither is.
---@param hook inbox.Hook
---@return inbox.Hook?
function hooks.rival(hook)
    for _, other in ipairs(hook.path and hooks.at(hook.path) or {}) do
        if other ~= hook and not hook.gone_since and not other.gone_since then
            return other
        end
    end
end

return hooks
