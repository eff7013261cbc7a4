-- `require`: hostler's own modules, and those of people beside their playbooks.
local native, import = ...
local modules = {}

local own_modules = import "base/own_modules"
local folders, texts = import "run/folders", import "run/texts"
local system = native.system

-- Whether playbooks are loaded for their manifests alone, by a command that runs none.
local only_manifests = false

local cache, loading = {}, {}
-- Of modules from files: the path, and every table that has been the module, for values made by an earlier one live on.
local origins, incarnations = {}, {}

--- The file of a module that is none of hostler's own.
---@param name string
---@return string? path nil where there is none
function modules.path(name)
    if own_modules.file(name) then
        return nil
    end
    return texts.kept_path(name) or folders.find(name:gsub("%.", "/") .. ".lua")
end

local function load_module(name)
    local own = own_modules.file(name)
    if own then
        return import(own:match "^modules/(.*)%.lua$")
    end
    local path = modules.path(name)
    if not path then
        error(native.error.new {
            code = "load", message = ("there is no module '%s'"):format(name),
            hint = "hostler's own modules come first, then NAME.lua beside the playbooks or in their parts/: "
                .. table.concat(folders.list(), ", "),
        }, 3)
    end
    origins[name] = path
    local value = texts.load(path, name)()
    incarnations[name] = { value }
    return value
end

--- Gives a table the contents and the metatable of another.
local function become(old, new)
    for key in pairs(old) do
        if rawget(new, key) == nil then
            old[key] = nil
        end
    end
    for key, value in pairs(new) do
        old[key] = value
    end
    setmetatable(old, getmetatable(new))
end

--- Loads the modules anew whose files were edited. The tables that they were stay what they are and get the contents of
--- the new ones, so that values made before have the new methods.
---@return string[] names
---@raise "syntax", and what the modules raise: then the module stays as it was
function modules.reload()
    local names = {}
    for name, path in pairs(origins) do
        if system.read_file(path) ~= (texts.text(path)) then
            local value = texts.load(path)()
            for _, old in ipairs(incarnations[name]) do
                if type(old) == "table" and type(value) == "table" then
                    become(old, value)
                end
            end
            cache[name] = type(value) == "table" and type(cache[name]) == "table" and cache[name] or value
            table.insert(incarnations[name], value)
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

--- Whether a module comes with hostler: built in, or a part beside the installed playbooks.
local function is_shipped(name)
    if own_modules.file(name) then
        return true
    end
    local path, shipped = modules.path(name), folders.shipped()
    return path ~= nil and shipped ~= nil and system.real_path(folders.of(path)) == shipped
end

--- Stands for a module that comes with hostler until it is used, which manifests hardly do.
local function promise(name)
    local function real()
        only_manifests = false
        local module = modules.globals.require(name)
        only_manifests = true
        return module
    end
    return setmetatable({}, {
        __index = function(_, key) return real()[key] end,
        __call = function(_, ...) return real()(...) end,
    })
end

--- From now on playbooks are loaded for their manifests alone: modules that come with hostler are loaded when one
--- is used.
function modules.load_only_manifests()
    only_manifests = true
end

--- Loads a module once: one of hostler's own, or NAME.lua beside the playbooks or in their parts/ ("a.b" is a/b.lua).
---@param name string
---@return any what the module returns
local function require(name)
    if type(name) ~= "string" or not name:match "^[%w_.-]+$" or name:find("..", 1, true) then
        error(native.error.new { code = "load", message = "require takes a module's name, not a path" }, 2)
    end
    if only_manifests and cache[name] == nil and is_shipped(name) then
        return promise(name)
    elseif cache[name] == nil then
        if loading[name] then
            error(native.error.new { code = "load", message = ("the modules '%s' require each other"):format(name) }, 2)
        end
        loading[name] = true
        local ok, value = pcall(load_module, name)
        loading[name] = nil
        if not ok then
            error(value, 0)
        end
        cache[name] = value == nil and true or value
    end
    return cache[name]
end

--- The names of the modules that `require` finds: hostler's own, and the files beside the playbooks and in
--- their parts/.
---@return string[]
function modules.names()
    local names = own_modules.names()
    for _, place in ipairs(folders.with_parts(folders.list())) do
        for _, file in ipairs(system.list_files(place) or {}) do
            names[#names + 1] = file:match "^([%w_]+)%.lua$"
        end
    end
    return names
end

--- A module, if it is loaded already.
---@param name string
function modules.loaded(name)
    return cache[name]
end

--- True when `require` would find a module of this name.
---@param name string
function modules.exists(name)
    return own_modules.file(name) ~= nil or modules.path(name) ~= nil
end

--- Forgets the playbook and the modules beside it: they are about to be loaded again.
function modules.forget()
    for _, file in ipairs(texts.forget()) do
        cache[file.name] = nil
    end
end

modules.globals = { require = require }
return modules
