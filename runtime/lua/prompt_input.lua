-- Where a prompt gets its lines from: a terminal with a line editor, a terminal without one, or a pipe.
local native = ...
local prompt_input = {}

local system = native.system

--- Lines from a pipe or a file; nobody is asked.
local function from_pipe()
    return {
        interactive = false,
        read = function() return system.read_line() end,
        close = function() end,
    }
end

--- Lines from a terminal that can do nothing but print.
local function from_dumb_terminal()
    return {
        interactive = true,
        read = function(_, label)
            system.write(label)
            return system.read_line()
        end,
        close = function() end,
    }
end

--- The input of this process.
---@return { interactive: boolean, read: fun(self, label: string): string?, close: fun(self) } read waits; nil at the
---  end
function prompt_input.open()
    if not (system.isatty(0) and system.isatty(1)) then
        return from_pipe()
    end
    return from_dumb_terminal()
end

return prompt_input
