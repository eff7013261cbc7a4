-- How numbers and values are written for people.
local text = {}

--- 0.4 -> "0.4 s", 75 -> "1 min 15 s", 7300 -> "2 h 1 min"
---@param seconds number
---@return string
function text.duration(seconds)
    if seconds < 10 then
        return ("%.1f s"):format(seconds)
    elseif seconds < 60 then
        return ("%.0f s"):format(seconds)
    elseif seconds < 3600 then
        return ("%d min %d s"):format(seconds / 60, seconds % 60)
    end
    return ("%d h %d min"):format(seconds / 3600, seconds % 3600 / 60)
end

--- A word as it is typed in a shell.
---@param word string
---@return string
function text.shell_word(word)
    return word:match "^[%w@%%+=:,./_-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Breaks text into lines of at most `width` characters, at spaces.
---@return string[]
function text.wrap(words, width)
    local lines, line = {}, ""
    for word in words:gmatch "%S+" do
        if #line > 0 and #line + 1 + #word > width then
            lines[#lines + 1], line = line, word
        else
            line = #line > 0 and line .. " " .. word or word
        end
    end
    lines[#lines + 1] = line
    return lines
end

return text
