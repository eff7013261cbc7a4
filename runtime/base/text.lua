-- How numbers, words and lines are written for people, for shells and into files.
local native = ...
local text = {}

local is_utf8 = native.system.is_utf8

--- A length of time in words: 0.4 -> "0.4s", 75 -> "1m 15s", 7300 -> "2h 01m". What the reports of C show is written by
--- the same function.
---@type fun(seconds: number): string
text.duration = native.system.duration

local LARGEST_WHOLE = 2 ^ 53 -- of the whole numbers that a number holds exactly

--- A value as tostring has it, but of a whole number all digits, where Lua's own text of it has fourteen of them.
---@param value any
---@return string
function text.shown(value)
    return type(value) == "number" and value % 1 == 0 and math.abs(value) <= LARGEST_WHOLE and ("%.0f"):format(value)
        or tostring(value)
end

--- A word in a shell's quotes, whatever is in it.
---@param word string
---@return string
function text.quoted(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- A word as it is typed in a shell: in quotes where it needs them. One that begins with "=" does, as zsh would take it
--- for the name of a program.
---@param word string
---@return string
function text.shell_word(word)
    return word:find "^[%w@%%+:,./_-][%w@%%+=:,./_-]*$" and word or text.quoted(word)
end

--- The lines of a text, without their ends. A last line without an end counts; an empty text has none.
---@param source string
---@return fun(): string?
function text.lines(source)
    local is_open = source ~= "" and source:sub(-1) ~= "\n"
    return (is_open and source .. "\n" or source):gmatch "([^\n]*)\n"
end

--- The words of a text, between spaces.
---@param source? string
---@return string[]
function text.words(source)
    local words = {}
    for word in (source or ""):gmatch "%S+" do
        words[#words + 1] = word
    end
    return words
end

--- The lines of a text with their own ends, to be put together again byte for byte.
---@param source string
---@return { text: string, ending: "\n"|"\r\n"|"" }[]
function text.parted_lines(source)
    local lines, at = {}, 1
    for line, ending, after in source:gmatch "([^\n]-)(\r?\n)()" do
        lines[#lines + 1], at = { text = line, ending = ending }, after
    end
    if at <= #source then
        lines[#lines + 1] = { text = source:sub(at), ending = "" }
    end
    return lines
end

--- What may be shown of a value on one line: the end of a line in it is a mark, and begins none.
---@return string
function text.one_line(value)
    return (native.system.visible(tostring(value)))
end

--- A text whose further lines stand so many columns in: none of them passes for one of what it is shown among.
---@param source string
---@param columns integer
---@return string
function text.indented(source, columns)
    return (source:gsub("\n(.)", "\n" .. (" "):rep(columns) .. "%1"))
end

--- The beginning of a text for people: first without its secrets and then cut, for a part of a secret is not known as
--- one. It ends in no half character.
---@type fun(source: string, longest: integer): string bytes
text.beginning = native.secret.beginning

--- The end of a text, likewise.
---@type fun(source: string, longest: integer): string bytes
text.ending = native.secret.ending

--- A text of at most so many bytes as it is; of a longer one the beginning, and that it goes on.
---@param source string
---@param longest integer bytes, without the mark
---@return string
function text.in_short(source, longest)
    if #source <= longest then
        return source
    end
    local clean = text.beginning(source, #source)
    return #clean <= longest and clean or text.beginning(clean, longest) .. "..."
end

--- The bytes without half a character at their end.
---@param bytes string
---@return string
function text.whole_characters(bytes)
    return (bytes:gsub("[\192-\255]?[\128-\191]*$", function(last)
        return is_utf8(last) and last or ""
    end))
end

local REPLACEMENT = "\239\191\189"

--- The text with U+FFFD for what is no UTF-8.
---@param source string
---@return string
function text.valid(source)
    return (source:gsub("[\128-\255]+", function(bytes)
        return is_utf8(bytes) and bytes or bytes:gsub("[\192-\255]?[\128-\191]*", function(character)
            return character ~= "" and not is_utf8(character) and REPLACEMENT or nil
        end)
    end))
end

--- The number of characters of a text.
---@return integer
function text.characters(source)
    return #source - select(2, source:gsub("[\128-\191]", ""))
end

--- Lines that somebody has wrapped by hand, each paragraph in one line: what follows at the margin, and behind a label
--- ("Makes     a droplet") what follows under its text.
---@param lines string[]
---@return string[]
function text.unwrapped(lines)
    local joined, column = {}, nil
    for _, line in ipairs(lines) do
        local label = line:match "^%S+ ?%S*  +%f[%S]"
        local begins = label or line:find "^%p " -- as the items of a list do
        if column and not begins and line:match "^ *()%S" == column then
            joined[#joined] = joined[#joined] .. " " .. line:sub(column)
        else
            joined[#joined + 1] = line
            column = label and #label + 1 or line:match "^()%S"
        end
    end
    return joined
end

--- Breaks text into lines of at most `width` characters, at spaces.
---@return string[]
function text.wrap(words, width)
    local lines, line, length = {}, "", 0
    for word in words:gmatch "%S+" do
        local longer = text.characters(word)
        if length > 0 and length + 1 + longer > width then
            lines[#lines + 1], line, length = line, word, longer
        else
            line, length = length > 0 and line .. " " .. word or word, length > 0 and length + 1 + longer or longer
        end
    end
    lines[#lines + 1] = line
    return lines
end

return text
