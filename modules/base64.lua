-- Base64, RFC 4648 section 4.
local native = ...
local base64 = {}

--- The bytes that a text stands for. White space in it counts for nothing.
---@param text string
---@return string
---@raise "base64"
function base64.decode(text)
    return native.decode(text) or fail("this is not base64", { code = "base64" })
end

return base64
