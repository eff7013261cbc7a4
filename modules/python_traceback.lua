-- Python tracebacks in a log. Pure: it reaches no host.
local _, _, import = ...
local python_traceback = {}

local texts = import "base/text"

local FIRST = "^Traceback %(most recent call last%):"
local CHAINED = {
    ["During handling of the above exception, another exception occurred:"] = true,
    ["The above exception was the direct cause of the following exception:"] = true,
}
local MESSAGE_LINES = 12 -- an exception's own text is seldom longer, and a log goes on after it

local function is_log_line(line)
    return line:find "^%[" or line:find "^%d%d%d%d[-/]%d%d" or line:find "^%u%u+[: ]"
end

-- The line after which the traceback that begins at `first` is over, and the line with the last exception.
local function extent(lines, first)
    local at, exception = first, nil
    while lines[at] do
        if lines[at]:find(FIRST) then
            at = at + 1
            while lines[at] and (lines[at]:find "^%s" or lines[at] == "") do
                at = at + 1
            end
            exception = lines[at] and at or exception
        end
        local limit = at + MESSAGE_LINES
        while lines[at + 1] and at < limit and lines[at + 1] ~= "" and not is_log_line(lines[at + 1])
            and not lines[at + 1]:find(FIRST) do
            at = at + 1
        end
        -- A chained exception comes after a blank line, its introduction, and another one.
        if lines[at + 1] == "" and CHAINED[lines[at + 2] or ""] and (lines[at + 4] or ""):find(FIRST) then
            at = at + 4
        else
            return math.min(at, #lines), exception
        end
    end
    return #lines, exception
end

---@class python_traceback.Traceback
---@field heading? string the log line before it
---@field exception? string "psycopg2.OperationalError: ..."; nil when the log ends before it
---@field file? string where the last exception was raised
---@field line? integer
---@field text string all of it

--- The last traceback of a log, with the exceptions that led to it.
---@param text string
---@return python_traceback.Traceback? traceback nil when the log has none
function python_traceback.last(text)
    local lines = {}
    for line in texts.lines((text:gsub("\r\n", "\n"))) do
        lines[#lines + 1] = line
    end
    local found
    local at = 1
    while at <= #lines do
        if lines[at]:find(FIRST) then
            local last, exception = extent(lines, at)
            found = { first = at, last = last, exception = exception }
            at = last
        end
        at = at + 1
    end
    if not found then
        return nil
    end
    local shown = table.concat(lines, "\n", found.first, found.last)
    local file, line
    for name, number in shown:gmatch "\n%s+File \"([^\"\n]+)\", line (%d+)" do
        file, line = name, tonumber(number)
    end
    local heading = lines[found.first - 1]
    return {
        heading = heading and is_log_line(heading) and heading or nil,
        exception = found.exception and lines[found.exception],
        file = file, line = line, text = shown,
    }
end

return python_traceback
