-- Names for the shell's completion: whoever lists all things of a kind leaves their names here, on this machine, so
-- that Tab finds them without asking anybody.
local _, _, import = ...
local completion_names = {}

local kept_names, recording = import "base/kept_names", import "gate/recording"

--- Keeps the names of all things that a parameter of this type may mean, in the place of those kept before. Reaches
--- nobody; where it cannot write, nothing is lost but the completion.
---@param type string a parameter's type: "subdomain"
---@param names string[]
function completion_names.keep(type, names)
    if not unknown(names) and recording.mode ~= "replay" then
        kept_names.keep(type, names)
    end
end

return completion_names
