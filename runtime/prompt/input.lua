-- Where a prompt gets its lines from: a terminal with a line editor, a terminal without one, or a pipe.
local native, import = ...
local prompt_input = {}

local history = import.later "prompt/history"
local tables, texts = import "report/rows", import "base/text"
local system, task = native.system, native.task

local MOST_SHOWN = 120
local COLOURS = { cyan = 36, yellow = 33, red = 31, green = 32 }

--- Lines from a pipe or a file; nobody is asked.
local function from_pipe()
    return {
        interactive = false,
        read = function() return system.read_line() end,
        remember = function() end,
        drop = function() end,
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
        drop = function() system.write "\n" end,
    }
end

--- The label in a colour. \1 encloses what takes no columns; the last character has to be a visible one.
local function painted(label, colour)
    local code = COLOURS[colour or ""]
    return code and ("\1\27[%dm\1%s\1\27[0m\1%s"):format(code, label:sub(1, -2), label:sub(-1)) or label
end

--- What all the names begin with.
local function common(names)
    local prefix = names[1] or ""
    for _, name in ipairs(names) do
        while name:sub(1, #prefix) ~= prefix do
            prefix = prefix:sub(1, -2)
        end
    end
    return texts.whole_characters(prefix)
end

--- The names in columns, as many as are worth reading.
local function in_columns(names)
    local shown, widest = {}, 0
    for index = 1, math.min(#names, MOST_SHOWN) do
        shown[index] = system.visible(names[index])
        widest = math.max(widest, #shown[index])
    end
    local columns = math.max(1, math.floor(system.width() / (widest + 2)))
    local rows, cells = math.ceil(#shown / columns), {}
    for row = 1, rows do
        cells[row] = {}
        for index = row, #shown, rows do
            table.insert(cells[row], shown[index])
        end
    end
    local lines = tables.align(cells)
    if #names > MOST_SHOWN then
        lines[#lines + 1] = ("... and %d more"):format(#names - MOST_SHOWN)
    end
    return table.concat(lines, "\n")
end

--- Puts into the line what is certain, and shows what may be where nothing is.
local function offer(beginning, names)
    local certain = common(names):sub(#beginning + 1)
    if certain ~= "" then
        native.line_editor.insert(certain)
    elseif #names > 1 then
        system.write(in_columns(names) .. "\n")
    end
end

--- Looks up what may come while the person types on; what it finds counts only if the line is still the same.
local function look_up(lookup, beginning, text, cursor)
    return task.spawn(nil, function()
        local ok, names = pcall(lookup)
        local text_now, cursor_now = native.line_editor.text()
        if ok and text_now == text and cursor_now == cursor then
            offer(beginning, names)
        end
    end)
end

local function read_line(self, label)
    local looking
    while true do
        local what, text, cursor = native.line_editor.read(label)
        if looking then
            task.cancel(looking, "the line went on")
        end
        if what ~= "complete" then
            return text
        end
        local beginning, names, lookup = self.complete(text:sub(1, cursor))
        looking = lookup and look_up(lookup, beginning, text, cursor)
        if not lookup then
            offer(beginning, names)
        end
    end
end

--- Lines from a terminal that can be edited.
local function from_terminal()
    local editor = native.line_editor
    for _, entry in ipairs(history.load()) do
        editor.remember(entry)
    end
    local coloured = (system.env "NO_COLOR" or "") == ""
    return {
        interactive = true,
        coloured = coloured,
        read = function(self, label, colour)
            label = system.visible(label)
            return read_line(self, coloured and painted(label, colour) or label)
        end,
        remember = function(_, entry)
            editor.remember(entry)
            history.add(entry)
        end,
        drop = function() editor.close "^C" end,
    }
end

--- The input of this process.
---@return { interactive: boolean, coloured?: boolean, read: fun(self, label: string, colour?: string): string?,
---  remember: fun(self, entry: string), drop: fun(self) } read: waits; nil at the end; drop: the line is not wanted any
---  more
function prompt_input.open()
    if not (system.isatty(0) and system.isatty(1)) then
        return from_pipe()
    elseif (system.env "TERM" or "dumb") == "dumb" then
        return from_dumb_terminal()
    end
    return from_terminal()
end

return prompt_input
