-- Base64, RFC 4648 section 4.
local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local VALUES = {}
for index = 1, #ALPHABET do
    VALUES[ALPHABET:byte(index)] = index - 1
end

--- The bytes that a text stands for. White space in it counts for nothing.
---@param text string
---@return string
---@raise "base64"
function base64.decode(text)
    local digits = text:gsub("%s+", ""):gsub("=+$", "")
    if digits:find "[^%w+/]" or #digits % 4 == 1 then
        fail("this is not base64", { code = "base64" })
    end
    local bytes, bits, count = {}, 0, 0
    for index = 1, #digits do
        bits, count = bits * 64 + VALUES[digits:byte(index)], count + 6
        if count >= 8 then
            count = count - 8
            local byte = math.floor(bits / 2 ^ count)
            bytes[#bytes + 1], bits = string.char(byte), bits - byte * 2 ^ count
        end
    end
    return table.concat(bytes)
end

return base64
