-- What can be said of Lua source by a look at it: nothing is parsed or compiled.
local _, import = ...
local lua_source = {}

local text = import "base/text"

--- Lua's own words, which are no names.
---@type table<string, true>
lua_source.KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while]]):gmatch "%l+" do
    lua_source.KEYWORDS[word] = true
end

--- Without the first line that tells the shell which program to run it with ("#!"). The line stays, as an empty one.
---@param source string
---@return string
function lua_source.without_shebang(source)
    return (source:gsub("^#[^\n]*", ""))
end

--- Whether a file seems to be a playbook, and not a module beside them.
---@param source string
---@return boolean
function lua_source.seems_playbook(source)
    return source:find "playbook%s*[({]" ~= nil
end

--- Whether a file seems to be a webhook.
---@param source string
---@return boolean
function lua_source.seems_webhook(source)
    return source:find "%f[%w_]webhook%s*[({]" ~= nil
end

--- The lines of the comment that a file opens with, without their dashes.
---@param source string
---@return string[]
function lua_source.opening_comment(source)
    local lines = {}
    for line in text.lines(source) do
        local words = line:match "^%-%- ?(.*)$"
        if not words then
            break
        end
        lines[#lines + 1] = words
    end
    return lines
end

return lua_source
