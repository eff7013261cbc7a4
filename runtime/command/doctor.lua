-- hostler doctor: the playbook of that name. What to look at is the site's matter; the module `doctor` gives such a
-- playbook the checks of hostler itself.
local _, import = ...
local doctor = {}

---@param argv string[]
---@return integer exit status: 0 when all is well
function doctor.main(argv)
    return import "command/run".main { "doctor", unpack(argv) }
end

return doctor
