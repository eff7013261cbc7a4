-- What the prelude's functions refuse of their arguments.
local native, import = ...
local checks = {}

local texts = import "base/text"

--- Raises "usage" at the place that called the function of the prelude.
---@param message string
---@param level? integer how many functions of the prelude are between (1)
function checks.usage(message, level)
    error(native.error.new { code = "usage", message = message }, (level or 1) + 2)
end

-- Names are keys of the journal; PostgreSQL has no NUL in a text, and none beyond 2,700 bytes in an index.
local LONGEST_NAME, LONGEST_PATH = 400, 2000

--- A name by which the journal knows a step, an item or a lock.
---@param what string "step"
---@param name string
---@param path? string the name with those of all that it is in
function checks.name(what, name, path)
    local problem = type(name) ~= "string" and "must be a text, not " .. type(name)
        or name == "" and "must not be empty"
        or name:find "%z" and "must not contain a NUL character"
        or #name > LONGEST_NAME and ("must not have more than %d bytes, and this one, '%s...', has %d"):format(
            LONGEST_NAME, texts.beginning(name, 40), #name)
        or #(path or "") > LONGEST_PATH and ("must not have more than %d bytes with all that it is in"):format(
            LONGEST_PATH)
    if problem then
        checks.usage(("%s: its name %s"):format(what, problem), 2)
    end
end

--- A name as the journal has it: without the secrets in it, which a short hash tells apart.
---@param name string
---@return string
function checks.without_secrets(name)
    local clean = native.secret.scrub(name)
    return clean == name and name or ("%s (%s)"):format(clean, native.system.hash(name):sub(1, 8))
end

--- A number of things, where one is given.
function checks.count(what, name, value, least)
    if value ~= nil and not (type(value) == "number" and value >= least and value % 1 == 0) then
        checks.usage(("%s: %s must be a whole number from %d up, not %s"):format(what, name, least, tostring(value)), 2)
    end
end

--- The items of a list, which must have no gap: Lua would end it there, or not, as it likes.
---@return integer count
function checks.list(what, items)
    local count = 0
    for _ in ipairs(items) do
        count = count + 1
    end
    for index in pairs(items) do
        if type(index) == "number" and not (index >= 1 and index <= count and index % 1 == 0) then
            checks.usage(("%s: the list has a gap before its number %s"):format(what, tostring(index)), 2)
        end
    end
    return count
end

--- A time.
function checks.seconds(what, name, value)
    if not (type(value) == "number" and value >= 0 and value < math.huge) then
        checks.usage(("%s: %s must be seconds from 0 up, not %s"):format(what, name, tostring(value)), 2)
    end
end

return checks
