-- A line of OpenSSH's configuration, split as ssh splits it. Pure.
local words = {}

--- The words of a statement's arguments: quotes of both kinds may stand anywhere in a word, a backslash keeps a quote,
--- a backslash or (outside quotes) a blank as it is, and "#" at the beginning of a word ends the line.
---@param text string
---@return string[]
function words.arguments(text)
    local found, at = {}, 1
    while true do
        at = text:find("[^ \t]", at)
        if not at or text:sub(at, at) == "#" then
            return found
        end
        local word, quote = {}, nil
        while at <= #text do
            local char = text:sub(at, at)
            local escaped = char == "\\" and text:match(quote and "^[\"'\\]" or "^[\"'\\ ]", at + 1)
            if escaped then
                word[#word + 1], at = escaped, at + 1
            elseif not quote and char:find "[ \t]" then
                break
            elseif char == quote then
                quote = nil
            elseif not quote and char:find "[\"']" then
                quote = char
            else
                word[#word + 1] = char
            end
            at = at + 1
        end
        found[#found + 1] = table.concat(word)
    end
end

--- A line's keyword in small letters, and its arguments; nil for a blank line or a comment. One equals sign may stand
--- between them.
---@param line string
---@return string? keyword
---@return string[]? arguments
function words.statement(line)
    local keyword, rest = line:match "^%s*\"?([^%s=\"#]+)\"?[ \t]*=?(.-)%s*$"
    if keyword then
        return keyword:lower(), words.arguments(rest)
    end
end

return words
