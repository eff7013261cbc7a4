-- Telling the person something: a line in the report of the run.
local native = ...
local saying = {}

local event, task = native.event, native.task

local function shown(format, ...)
    if select("#", ...) > 0 then
        return format:format(...)
    end
    return type(format) == "userdata" and format or tostring(format)
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
