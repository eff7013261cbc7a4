-- What the service tells whoever runs it, a line each. Trouble that goes on is told once a minute.
local native = ...
local tidings = {}

local scrub, system = native.secret.scrub, native.system

local AGAIN_SECONDS = 60
local MOST_KEPT = 200

local told = {} -- when each trouble was, by the monotonic clock
local kept = 0

local function line(text)
    return (system.visible((scrub(text):gsub("%s*\n%s*", "; "))))
end

--- Tells what happens.
function tidings.say(text)
    system.write(line(text) .. "\n")
end

--- Tells what a person should look after.
function tidings.warn(text)
    system.write_error("hostler: " .. line(text) .. "\n")
end

--- The same, unless it was told a moment ago.
---@param text string
---@param kind? string what is the same of troubles whose texts differ (the text)
function tidings.trouble(text, kind)
    local now = system.monotonic()
    kind = kind or text
    if told[kind] and now - told[kind] < AGAIN_SECONDS then
        return
    end
    if kept >= MOST_KEPT then
        told, kept = {}, 0
    end
    kept = kept + (told[kind] and 0 or 1)
    told[kind] = now
    tidings.warn(text)
end

return tidings
