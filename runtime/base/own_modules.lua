-- Which modules are in the binary: modules/NAME.lua, or modules/NAME/NAME.lua, the face of a folder whose other files
-- are no modules but parts of this one.
local native, import = ...
local own_modules = {}

local keys = import "base/keys"
local system = native.system
local faces

--- The files of all modules, by the names of the modules.
local function index()
    if not faces then
        faces = {}
        for _, file in ipairs(system.embedded_names()) do
            local folder, name = file:match "^modules/([%w_]+)/([%w_]+)%.lua$"
            name = name or file:match "^modules/([%w_]+)%.lua$"
            if name and (not folder or folder == name) then
                faces[name] = file
            end
        end
    end
    return faces
end

--- The file of a module in the binary.
---@param name string
---@return string? file "modules/ssh/ssh.lua"; nil when there is no such module
function own_modules.file(name)
    return index()[name]
end

--- The names of all modules in the binary.
---@return string[]
function own_modules.names()
    return keys.sorted(index())
end

--- Whether a file in the binary is the face of a module: what `require` gives.
---@param file string
function own_modules.is_face(file)
    return index()[file:match "([%w_]+)%.lua$"] == file
end

return own_modules
