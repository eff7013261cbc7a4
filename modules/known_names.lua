-- Names for the shell's completion: whoever lists all things of a kind leaves their names here, on this machine, so
-- that Tab finds them without asking anybody.
local _, gate = ...
local known_names = {}

--- Keeps the names of all things that a parameter of this type may mean, in the place of those kept before. Reaches
--- nobody; where it cannot write, nothing is lost but the completion.
---@param type string a parameter's type: "subdomain"
---@param names string[]
function known_names.keep(type, names)
    if not unknown(names) then
        gate.keep_names(type, names)
    end
end

return known_names
