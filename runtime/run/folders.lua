-- Where playbooks, and the modules and parts beside them, are searched.
local native = ...
local folders = {}

local system = native.system

-- Beside the playbooks of a folder: the folder of the parts that they share.
local PARTS = "parts"

-- The folder of the playbook at hand, which comes first.
local beside

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
function folders.shipped()
    local folder = installed()
    return folder and system.real_path(folder)
end

--- The folder for the person's own playbooks, whether it is there or not.
---@return string
function folders.own()
    return (folder_of "XDG_CONFIG_HOME" or (folder_of "HOME" or "/root") .. "/.config") .. "/hostler/playbooks"
end

--- The folders searched, first wins; each once, whatever its spelling.
---@return string[]
function folders.list()
    local candidates = { "./playbooks" }
    for folder in (system.env "HOSTLER_PATH" or ""):gmatch "[^:]+" do
        candidates[#candidates + 1] = folder
    end
    candidates[#candidates + 1] = folders.own()
    candidates[#candidates + 1] = "/etc/hostler/playbooks"
    candidates[#candidates + 1] = installed()
    local found, seen = {}, {}
    for _, folder in ipairs(candidates) do
        local real = system.kind(folder) == "directory" and system.real_path(folder)
        if real and not seen[real] then
            seen[real] = true
            found[#found + 1] = folder
        end
    end
    return found
end

--- The same, each before the folder of its parts.
function folders.with_parts(list)
    local places = {}
    for _, folder in ipairs(list) do
        places[#places + 1] = folder
        places[#places + 1] = folder .. "/" .. PARTS
    end
    return places
end

--- The folder of the playbooks that a file is one of, or a part of.
---@param path string
---@return string
function folders.of(path)
    local folder = path:match "^(.*)/[^/]+$" or "."
    return folder == PARTS and "." or folder:match("^(.*)/" .. PARTS .. "$") or folder
end

--- From now on `require` looks beside this file first.
function folders.stand_beside(path)
    beside = folders.of(path)
end

--- The file of this name that counts: beside the playbook, then in the folders searched.
---@param file string
---@return string? path nil where there is none
function folders.find(file)
    local searched = folders.list()
    if beside then
        table.insert(searched, 1, beside)
    end
    for _, place in ipairs(folders.with_parts(searched)) do
        local path = place .. "/" .. file
        if system.kind(path) == "file" then
            return path
        end
    end
end

return folders
