#!build/lua-test
-- Base64: the vectors of RFC 4648, section 10, and what is none.
local tap = require "tap"
local base64 = require "base64"

for text, bytes in pairs {
    [""] = "", ["Zg=="] = "f", ["Zm8="] = "fo", ["Zm9v"] = "foo", ["Zm9vYg=="] = "foob", ["Zm9vYmE="] = "fooba",
    ["Zm9vYmFy"] = "foobar", ["Zm9v\nYmFy\n"] = "foobar", ["Zm8"] = "fo", ["AP/+/w=="] = "\0\255\254\255",
} do
    tap.is(base64.decode(text), bytes, ("'%s'"):format(text:gsub("\n", " ")))
end
for _, text in ipairs { "Z", "Zm9v!", "Zm9vY", "Zg==Zg==", "-_-_", "Zm9v\0" } do
    tap.raises("base64", function() base64.decode(text) end, ("'%s' is none"):format(text:gsub("%z", "NUL")))
end
tap.done()
