-- hostler doctor: the playbook of that name. What to look at is the site's matter; the module `checkup` gives such a
-- playbook the checks of hostler itself.
local _, import = ...
local doctor = {}

local run = import "command/run"

---@param argv string[]
---@return integer exit status: 0 when all is well
function doctor.main(argv)
    return run.main { "doctor", unpack(argv) }
end

return doctor
