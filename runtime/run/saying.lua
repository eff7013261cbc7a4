-- Telling the person something: a line in the report of the run.
local native, import = ...
local saying = {}

local text_of = import "base/text"
local event, task = native.event, native.task

--- Numbers as texts, which a format takes for either: so %s shows all digits of a whole number.
local function with_all_digits(...)
    local values = { ... }
    for index = 1, select("#", ...) do
        values[index] = type(values[index]) == "number" and text_of.shown(values[index]) or values[index]
    end
    return unpack(values, 1, select("#", ...))
end

local function shown(format, ...)
    if select("#", ...) > 0 then
        return format:format(with_all_digits(...))
    end
    return type(format) == "userdata" and format or text_of.shown(format)
end

--- Shows a line.
---@param format any shown as it is when nothing follows it, else a format of string.format
---@param ... any its values
local function say(format, ...)
    event.emit("say", { parent = task.context().scope, text = shown(format, ...) })
end

--- Shows a line that asks for attention.
---@param format any as for say
---@param ... any
local function warn(format, ...)
    event.emit("warn", { parent = task.context().scope, text = shown(format, ...) })
end

saying.globals = { say = say, warn = warn }
return saying
