-- Playbooks that people keep of their own: new ones, and copies of shipped ones that they changed. Beside a copy, in
-- .shipped/NAME.lua, stands what it was copied from, so that its changes can be told from those of later versions.
local native, import = ...
local own = {}

local folders, library = import "run/folders", import "run/library"
local files, system = native.user_files, native.system

local function folder_of(path)
    return path:match "^(.*)/[^/]+$" or "."
end

local function is_shipped(path)
    local shipped = folders.shipped()
    return shipped ~= nil and system.real_path(folders.of(path)) == shipped
end

--- Where what a copy was made from is kept.
---@param path string of the copy
---@return string
function own.base_path(path)
    return ("%s/.shipped/%s"):format(folder_of(path), path:match "[^/]+$")
end

--- A playbook (or a module or part of playbooks) as the person and as hostler has it.
---@param name string
---@return { name: string, path?: string, shipped?: string, winner: string } path: the person's, the first that is
---  found; shipped: hostler's; winner: the one that a run takes
---@raise "usage"
function own.find(name)
    for _, entry in ipairs(library.files()) do
        if entry.name == name then
            return own.of(entry)
        end
    end
    local path = library.find(name) -- raises, with what was perhaps meant
    return { name = path:match "([^/]+)%.lua$" or path, path = path, winner = path }
end

--- The same of an entry of library.files.
function own.of(entry)
    local found = { name = entry.name, winner = entry.paths[1] }
    for _, path in ipairs(entry.paths) do
        local field = is_shipped(path) and "shipped" or "path"
        found[field] = found[field] or path
    end
    return found
end

--- What the copy was made from, or nil.
---@param found table from own.find
---@return string?
function own.base(found)
    return found.path and (system.read_file(own.base_path(found.path))) or nil
end

--- Whether the shipped playbook has changed since it was copied.
---@param found table from own.find
---@return boolean
function own.is_outdated(found)
    local base = found.shipped and own.base(found)
    return base ~= nil and base ~= system.read_file(found.shipped)
end

local function refuse(verb, path, reason)
    error(native.error.new { code = "file", message = ("cannot %s %s: %s"):format(verb, path, reason) }, 0)
end

--- Makes a file in the person's folder, never over another one.
---@param name string
---@param text string
---@return string path
---@raise "file"
function own.create(name, text)
    local path = ("%s/%s.lua"):format(folders.own(), name)
    local made, reason = files.make_directory(folders.own())
    if made then
        made, reason = files.create(path, text)
    end
    return made and path or refuse("make", path, reason)
end

--- Notes what a copy was made from.
---@param path string of the copy
---@param text string
---@raise "file"
function own.keep_base(path, text)
    local base = own.base_path(path)
    local kept, reason = files.make_directory(folder_of(base))
    if kept then
        kept, reason = files.write(base, text)
    end
    return kept or refuse("write", base, reason)
end

--- Takes a copy away again.
function own.forget(path)
    files.remove(own.base_path(path))
    files.remove(path)
end

return own
