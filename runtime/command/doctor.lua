-- hostler doctor: the playbook of that name. What to look at is the site's matter; the module `checkup` gives such a
-- playbook the checks of hostler itself.
local _, import = ...
local doctor = {}

local commandline, run = import "command/commandline", import "command/run"
local library, manifest = import "run/library", import "run/manifest"

---@param argv string[]
---@return integer exit status: 0 when all is well
function doctor.main(argv)
    if commandline.asks_for_help(argv) then
        return commandline.guard(function()
            return commandline.explain("doctor", manifest.specs((library.load(library.find "doctor"))))
        end)
    end
    return run.main { "doctor", unpack(argv) }
end

return doctor
