-- Names that completion offers without asking any server: code that lists things leaves their names in the state
-- directory.
local native, import = ...
local kept_names = {}

local state = import "base/state"

local system = native.system

local MOST = 5000

local function file_of(type)
    return ("%s/names-%s"):format(state.directory(), type)
end

local function write(type, names)
    local path, lines = file_of(type), { unpack(names, 1, math.min(#names, MOST)) }
    table.sort(lines)
    local text = table.concat(lines, "\n")
    if system.read_file(path) ~= text then
        system.make_private_parent(path)
        system.write_private(path, text)
    end
end

--- Keeps the names of all things that a parameter of this type may mean. Where they cannot be written, completion does
--- not offer them, and nothing else suffers.
---@param type string of a parameter: "subdomain"
---@param names string[]
function kept_names.keep(type, names)
    pcall(write, type, names)
end

--- The names that were kept last. Only what needs no quotes in a shell counts.
---@param type string
---@return string[]
function kept_names.of(type)
    local names = {}
    for name in (system.read_file(file_of(type)) or ""):gmatch "[^\n]+" do
        names[#names + 1] = name:match "^[%w._-]+$"
    end
    return names
end

return kept_names
