-- The files of units that hostler writes: where they are, whose they are.
local native, import = ...
local files = {}

local unit_text, keys = import "units/text", import "base/keys"
local system = native.system

local is_system = system.user() == 0

--- Where the units are: the system manager's for root, else those of the user's own.
---@return string
function files.folder()
    if is_system then
        return "/etc/systemd/system"
    end
    local config = system.env "XDG_CONFIG_HOME"
    return (config and config ~= "" and config or (system.env "HOME" or "") .. "/.config") .. "/systemd/user"
end

--- The text of a unit's file as it is now, or nil.
---@return string?
function files.read(file)
    return (system.read_file(files.folder() .. "/" .. file))
end

--- The files there are of those that somebody writes, by their names.
---@param is_theirs fun(file: string): boolean?
---@return table<string, string>
function files.present(is_theirs)
    local found = {}
    for _, file in ipairs(system.list_files(files.folder()) or {}) do
        if is_theirs(file) then
            found[file] = files.read(file) or ""
        end
    end
    return found
end

--- Those files that are not as they were written here.
---@param texts table<string, string> by the files' names
---@return string[]
function files.not_ours(texts)
    return keys.sorted(texts, function(file) return unit_text.whose(texts[file]) ~= "ours" end)
end

local function refuse(verb, path, reason)
    error(native.error.new {
        code = "file", message = ("cannot %s %s: %s"):format(verb, path, reason),
        hint = is_system and "a system whose /etc is read-only takes no units" or "it is yours: who owns the folder?",
    }, 0)
end

---@raise "file"
function files.write(file, text)
    local made, reason = native.user_files.make_directory(files.folder())
    if made then
        made, reason = native.user_files.write(files.folder() .. "/" .. file, text)
    end
    return made or refuse("write", files.folder() .. "/" .. file, reason)
end

--- The file in which systemd keeps when a timer elapsed last.
local function stamp(file)
    local data = system.env "XDG_DATA_HOME"
    local folder = is_system and "/var/lib" or data and data ~= "" and data
        or (system.env "HOME" or "") .. "/.local/share"
    return ("%s/systemd/timers/stamp-%s"):format(folder, file)
end

--- Removes a unit's file, and what systemd keeps of it.
---@raise "file"
function files.remove(file)
    local path = files.folder() .. "/" .. file
    local removed, reason = native.user_files.remove(path)
    if not removed and system.kind(path) then
        refuse("remove", path, reason)
    end
    native.user_files.remove(stamp(file))
end

return files
