-- Where playbooks and modules are found, and how they are loaded.
local native, import = ...
local library = {}

-- Whether playbooks are loaded for their manifests alone, by a command that runs none.
local only_manifests = false

-- Beside the playbooks of a folder: the folder of the parts that they share.
local PARTS = "parts"

local system = native.system
local lua_source, sandbox, wording = import "base/lua_source", import "base/sandbox", import "base/text"
local own_modules, suggest, manifest = import "base/own_modules", import "base/suggest", import "run/manifest"

local run_sources = import "journal/sources"

local cache, loading = {}, {}
-- Of modules from files: the path, and every table that has been the module, for values made by an earlier one live on.
local origins, incarnations = {}, {}

-- The texts of this run's files: by path, and by name in the order they were loaded ("playbook", or the module's).
local texts, loaded = {}, {}
local keeping = false
-- What the files of kept texts were when those were loaded.
local beside_kept = {}
-- The hashes of functions by their places.
local codes = {}
-- The files that a resumed run keeps, by name; they count instead of those on disk.
local kept = {}

--- A folder from the environment. XDG's specification: empty is as good as unset.
local function folder_of(variable)
    local folder = system.env(variable)
    return folder ~= "" and folder or nil
end

--- The installed playbooks: beside the binary in a checkout, else under its prefix.
local function installed()
    local binary = system.real_path "/proc/self/exe" or ""
    local prefix = binary:match "^(.*)/[^/]+/[^/]+$" or ""
    for _, candidate in ipairs { prefix .. "/playbooks", prefix .. "/share/hostler/playbooks" } do
        if system.kind(candidate) == "directory" then
            return candidate
        end
    end
end

--- The folder of the installed playbooks, by its real path; nil where there is none.
---@return string?
function library.shipped_folder()
    local folder = installed()
    return folder and system.real_path(folder)
end

--- The folder for the person's own playbooks, whether it is there or not.
---@return string
function library.own_folder()
    return (folder_of "XDG_CONFIG_HOME" or (folder_of "HOME" or "/root") .. "/.config") .. "/hostler/playbooks"
end

--- The folders searched, first wins; each once, whatever its spelling.
---@return string[]
function library.folders()
    local candidates = { "./playbooks" }
    for folder in (system.env "HOSTLER_PATH" or ""):gmatch "[^:]+" do
        candidates[#candidates + 1] = folder
    end
    candidates[#candidates + 1] = library.own_folder()
    candidates[#candidates + 1] = "/etc/hostler/playbooks"
    candidates[#candidates + 1] = installed()
    local folders, seen = {}, {}
    for _, folder in ipairs(candidates) do
        local real = system.kind(folder) == "directory" and system.real_path(folder)
        if real and not seen[real] then
            seen[real] = true
            folders[#folders + 1] = folder
        end
    end
    return folders
end

--- The same, each before the folder of its parts.
local function with_parts(folders)
    local places = {}
    for _, folder in ipairs(folders) do
        places[#places + 1] = folder
        places[#places + 1] = folder .. "/" .. PARTS
    end
    return places
end

--- The folder of the playbooks that a file is one of, or a part of.
---@param path string
---@return string
function library.folder_of(path)
    local folder = path:match "^(.*)/[^/]+$" or "."
    return folder == PARTS and "." or folder:match("^(.*)/" .. PARTS .. "$") or folder
end

--- From now on `require` looks beside this file first.
function library.stand_beside(path)
    library.beside = library.folder_of(path)
end

--- The text of a file, or what is kept of it, without a first line for the shell; remembered under its name.
---@return string
---@raise "load"
function library.read(path, name)
    local source, reason = (kept[name] or {}).text, nil
    if source then
        beside_kept[path] = system.read_file(path)
    else
        source, reason = system.read_file(path)
    end
    if not source then
        error(native.error.new { code = "load", message = ("cannot read %s: %s"):format(path, reason) }, 0)
    end
    texts[path] = source
    if name then
        loaded[#loaded + 1] = { name = name, path = path }
        if keeping then
            run_sources.keep(name, path, source)
        end
    end
    return lua_source.without_shebang(source)
end

local function load_file(path, name)
    local chunk, message = sandbox.compile(library.read(path, name), "@" .. path)
    if not chunk then
        local line, text = message:match ":(%d+): (.*)$"
        error(native.error.new {
            code = "syntax", message = text or message, file = path, line = tonumber(line),
        }, 0)
    end
    return chunk
end

local function find_in_folders(file)
    local folders = library.folders()
    if library.beside then
        table.insert(folders, 1, library.beside)
    end
    for _, place in ipairs(with_parts(folders)) do
        local path = place .. "/" .. file
        if system.kind(path) == "file" then
            return path
        end
    end
end

--- The file of a module that is none of hostler's own.
---@param name string
---@return string? path nil where there is none
function library.module_path(name)
    if own_modules.file(name) then
        return nil
    end
    return kept[name] and kept[name].path or find_in_folders(name:gsub("%.", "/") .. ".lua")
end

local function load_module(name)
    local own = own_modules.file(name)
    if own then
        return import(own:match "^modules/(.*)%.lua$")
    end
    local path = library.module_path(name)
    if not path then
        error(native.error.new {
            code = "load", message = ("there is no module '%s'"):format(name),
            hint = "hostler's own modules come first, then NAME.lua beside the playbooks or in their parts/: "
                .. table.concat(library.folders(), ", "),
        }, 3)
    end
    origins[name] = path
    local value = load_file(path, name)()
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
function library.reload()
    local names = {}
    for name, path in pairs(origins) do
        if system.read_file(path) ~= texts[path] then
            local value = load_file(path)()
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
    local path, shipped = library.module_path(name), library.shipped_folder()
    return path ~= nil and shipped ~= nil and system.real_path(library.folder_of(path)) == shipped
end

--- Stands for a module that comes with hostler until it is used, which manifests hardly do.
local function promise(name)
    local function real()
        only_manifests = false
        local module = library.globals.require(name)
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
function library.load_only_manifests()
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
function library.modules()
    local names = own_modules.names()
    for _, place in ipairs(with_parts(library.folders())) do
        for _, file in ipairs(system.list_files(place) or {}) do
            names[#names + 1] = file:match "^([%w_]+)%.lua$"
        end
    end
    return names
end

--- A module, if it is loaded already.
---@param name string
function library.loaded(name)
    return cache[name]
end

--- True when `require` would find a module of this name.
---@param name string
function library.has_module(name)
    return own_modules.file(name) ~= nil or library.module_path(name) ~= nil
end

--- Every name in these places with the files that carry it, the one that counts first.
local function by_names(places)
    local by_name, names = {}, {}
    for _, place in ipairs(places) do
        for _, file in ipairs(system.list_files(place) or {}) do
            local name = file:match "^([%w_-]+)%.lua$"
            if name then
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
    return by_names(library.folders())
end

--- The same, and the parts that playbooks share.
function library.files()
    return by_names(with_parts(library.folders()))
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

--- Loads and checks a playbook file.
---@return table playbook, string name
---@raise "syntax", "manifest", "load"
function library.load(path)
    library.stand_beside(path)
    local context = native.task.context()
    context.loading = path -- the gate is closed meanwhile: `hostler list` loads them all
    local ok, value = xpcall(load_file, native.error.complete, path, "playbook")
    if ok then
        ok, value = xpcall(value, native.error.complete)
    end
    context.loading = nil
    if not ok then
        error(value, 0)
    end
    if not manifest.is(value) then
        error(native.error.new {
            code = "manifest", message = "the file does not return a playbook", file = path, line = 1,
            hint = "end it with: return playbook { summary = ..., run = function(p) ... end }",
        }, 0)
    end
    return value, path:match "([^/]+)%.lua$" or path
end

--- Runs a file that is no playbook; its folder comes first for `require`.
function library.run_file(path, ...)
    library.stand_beside(path)
    return load_file(path)(...)
end

--- Keeps the texts of all files loaded so far with the run; later ones are kept as they are loaded.
function library.keep()
    keeping = true
    for _, file in ipairs(loaded) do
        run_sources.keep(file.name, file.path, texts[file.path])
    end
end

--- Uses these texts instead of the files: what a run was begun with.
---@param sources table<string, { path: string, text: string }>
function library.use(sources)
    kept = sources
end

--- Names of the files loaded that differ from these texts.
---@return string[]
function library.changed(sources)
    local names = {}
    for _, file in ipairs(loaded) do
        local before = sources[file.name]
        if not before or before.text ~= texts[file.path] then
            names[#names + 1] = file.name
        end
    end
    return names
end

--- Forgets the playbook and the modules beside it: they are about to be loaded again.
function library.forget()
    for _, file in ipairs(loaded) do
        cache[file.name] = nil
    end
    texts, loaded, kept, beside_kept, codes = {}, {}, {}, {}, {}
    keeping = false
end

--- The text that a file was loaded from, and what the file itself was then: a resumed run keeps texts of its own.
---@param path? string
---@return string? text, string? on_disk
function library.text(path)
    local text = path and texts[path]
    return text, text and (beside_kept[path] or text)
end

--- Keeps another text of a loaded file with the run: some of it was just taken.
function library.keep_edited(path, text)
    for _, file in ipairs(loaded) do
        if keeping and file.path == path then
            run_sources.keep(file.name, path, text)
        end
    end
end

--- The hash of some lines of a text.
---@return string
function library.code_at(text, first, last)
    local lines, number = {}, 0
    for line in wording.lines(text) do
        number = number + 1
        if number >= first and number <= last then
            lines[#lines + 1] = line
        end
    end
    return system.hash(table.concat(lines, "\n"))
end

--- The hash of a function's text: it changes when the function is edited, not when it moves.
---@return string? nil for hostler's own functions
function library.code_of(fn)
    local source, first, last = system.place_of(fn)
    local place = ("%s:%d:%d"):format(source, first, last)
    local text = texts[source:sub(2)]
    if text and not codes[place] then
        codes[place] = library.code_at(text, first, last)
    end
    return codes[place]
end

library.globals = { require = require }
return library
