-- The project's .env: whether it can be read, and what in it belongs there. Pure: it reaches no host.
local meltano_settings = require "meltano_settings"
local _, _, import = ...
local flags_file = {}

local keys, texts = import "base/keys", import "base/text"

local BYTE_ORDER_MARK = "^\239\187\191"
local ASSIGNMENT = "^%s*[%a_][%w_.]*%s*="
local NOT_A_SETTING = "# not a setting: "

local function is_assignment(line)
    return line:gsub("^%s*export%s+", ""):find(ASSIGNMENT) ~= nil
end

-- Where a quoted value ends, in a text that begins behind its opening quote.
local function find_closing(text, quote)
    local at = 1
    while at <= #text do
        local c = text:sub(at, at)
        if c == quote then
            return at
        end
        at = at + (c == "\\" and quote == "\"" and 2 or 1)
    end
    return nil
end

-- How many lines after `first` the quoted value that begins there goes on; nil when its quote is never closed. A value
-- may have several lines, as a key in PEM does, but none that looks like the next setting.
local function lines_of_value(lines, first, quote, rest)
    if find_closing(rest, quote) then
        return 0
    end
    for at = first + 1, #lines do
        if is_assignment(lines[at].text) then
            return nil
        elseif find_closing(lines[at].text, quote) then
            return at - first
        end
    end
    return nil
end

---@class flags_file.Problem
---@field line integer
---@field what string

--- What of a .env cannot be read, and the text with it mended: a quote that is not closed is closed at the end of its
--- line, a line that is no setting becomes a comment. All else stays as it is, byte for byte.
---@param text string
---@return string mended
---@return flags_file.Problem[] problems
function flags_file.mend(text)
    local problems = {}
    local function note(line, what)
        problems[#problems + 1] = { line = line, what = what }
    end
    local without_mark, marks = text:gsub(BYTE_ORDER_MARK, "")
    if marks > 0 then
        note(1, "it begins with a byte order mark")
    end
    local lines = texts.parted_lines(without_mark)
    local at = 1
    while at <= #lines do
        local line = lines[at]
        local value = is_assignment(line.text) and line.text:match "^[^=]*=%s*(.*)$"
        local quote = value and value:match "^[\"']"
        local more = quote and lines_of_value(lines, at, quote, value:sub(2)) or 0
        if quote and not lines_of_value(lines, at, quote, value:sub(2)) then
            note(at, "the quote is not closed")
            line.text = line.text .. quote
        elseif not value and line.text:find "%S" and not line.text:find "^%s*#" then
            note(at, "it is no setting")
            line.text = NOT_A_SETTING .. line.text:gsub("%z", "")
        end
        at = at + 1 + more
    end
    local parts = {}
    for index, line in ipairs(lines) do
        parts[index] = line.text .. line.ending
    end
    return table.concat(parts), problems
end

--- All that is wrong with a .env, and what it should be.
---@param text string
---@return { problems: flags_file.Problem[], kept: string, moved: table<string, secret>, names: string[] } kept: the
---  text as it should be; moved: the settings that do not belong there, as secrets; names: theirs, sorted
function flags_file.examine(text)
    local mended, problems = flags_file.mend(text)
    local kept, moved = meltano_settings.split_flags(mended)
    moved = moved or {}
    return { problems = problems, kept = kept, moved = moved, names = keys.sorted(moved) }
end

return flags_file
