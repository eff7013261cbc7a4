-- Deaths for tests: with HOSTLER_CRASH=PLACE:N in the environment the process gets SIGKILL around its Nth write.
--
--   intent:N   its intent is recorded, and nothing of it has left the process
--   effect:N   it has happened, and nothing is recorded of how it ended
--
-- So tests/chaos stops runs exactly where a loss of power would do most harm.
local native, import = ...
local crash = {}

local process = import "base/process"

local SIGKILL = 9
local place, number = (native.system.env "HOSTLER_CRASH" or ""):match "^(%a+):(%d+)$"
number = tonumber(number)

--- Ends the process here when it was asked to.
---@param here "intent"|"effect"
---@param write integer the how manieth write of this process
function crash.at(here, write)
    if here == place and write == number then
        local _, me = process.parts(process.me())
        native.system.signal(me, SIGKILL)
    end
end

return crash
