-- Where in people's code something is asked for.
--
-- Files that people edit are loaded under a name that begins with "@", hostler's own under "=". In C, error_complete
-- (base/error.c) looks for such a place in the same way when it puts `file` and `line` into an error; the tasks' tree
-- (task/lua.c) also takes what was typed at a prompt, whose name begins with "=" and is not "=hostler:".
local native = ...
local place = {}

local caller = native.system.caller

--- The file of people's code that a chunk's name stands for.
---@param source string as the interpreter has it
---@return string? file nil for what is hostler's own, or was typed
function place.file(source)
    return source:match "^@(.*)$"
end

--- The innermost place in people's code that has led here.
---@return string? place "book.lua:12"; nil when no file of theirs has
function place.innermost()
    local level = 1
    repeat
        level = level + 1
        local source, line = caller(level)
        local file = source and place.file(source)
        if file then
            return ("%s:%d"):format(file, line)
        end
    until not source
end

return place
