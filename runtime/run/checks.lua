-- What the prelude's functions refuse of their arguments.
local native = ...
local checks = {}

--- Raises "usage" at the place that called the function of the prelude.
---@param message string
---@param level? integer how many functions of the prelude are between (1)
function checks.usage(message, level)
    error(native.error.new { code = "usage", message = message }, (level or 1) + 2)
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
