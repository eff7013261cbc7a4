-- Errors that tell people that what they asked for cannot be done in that way.
local native = ...
local misuse = {}

--- Raises that something is used in a wrong way.
---@param message string
---@param hint? string
---@raise "usage"
function misuse.refuse(message, hint)
    error(native.error.new { code = "usage", message = message, hint = hint }, 0)
end

return misuse
