-- Where a prompt gets its lines from: a terminal with a line editor, a terminal without one, or a pipe.
local native, import = ...
local prompt_input = {}

local system = native.system

local COLOURS = { cyan = 36, yellow = 33, red = 31, green = 32 }

--- Lines from a pipe or a file; nobody is asked.
local function from_pipe()
    return {
        interactive = false,
        read = function() return system.read_line() end,
        remember = function() end,
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
        remember = function() end,
    }
end

--- The label in a colour. \1 encloses what takes no columns; the last character has to be a visible one.
local function painted(label, colour)
    local code = COLOURS[colour or ""]
    return code and ("\1\27[%dm\1%s\1\27[0m\1%s"):format(code, label:sub(1, -2), label:sub(-1)) or label
end

--- Lines from a terminal that can be edited.
local function from_terminal()
    local editor = native.line_editor
    local history = import "prompt_history"
    for _, entry in ipairs(history.load()) do
        editor.remember(entry)
    end
    local coloured = (system.env "NO_COLOR" or "") == ""
    return {
        interactive = true,
        coloured = coloured,
        read = function(_, label, colour)
            local shown = coloured and painted(label, colour) or label
            while true do
                local what, text = editor.read(shown)
                if what ~= "complete" then
                    return text
                end
            end
        end,
        remember = function(_, entry)
            editor.remember(entry)
            history.add(entry)
        end,
    }
end

--- The input of this process.
---@return { interactive: boolean, coloured?: boolean, read: fun(self, label: string, colour?: string): string?,
---  remember: fun(self, entry: string) } read: waits; nil at the end
function prompt_input.open()
    if not (system.isatty(0) and system.isatty(1)) then
        return from_pipe()
    elseif (system.env "TERM" or "dumb") == "dumb" then
        return from_dumb_terminal()
    end
    return from_terminal()
end

return prompt_input
