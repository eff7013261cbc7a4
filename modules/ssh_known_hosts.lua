-- What known_hosts says of a host, and taking that back: for hosts that are gone or were made anew.
local known_hosts = {}

--- The line without this name: nil when nothing is left, the line itself when only a pattern names the host.
function known_hosts.without(line, name)
    local before, names, rest = line:match "^(%s*)(%S+)(%s.*)$"
    if not names or names:find "^@" then
        return line
    elseif names:find "^|1|" then
        return nil
    end
    local kept = {}
    for part in names:gmatch "[^,]+" do
        if part:lower() ~= name then
            kept[#kept + 1] = part
        end
    end
    return #kept > 0 and before .. table.concat(kept, ",") .. rest or nil
end

--- A file's text without what the lines of these numbers say of the name, and how many were changed.
---@param text string
---@param numbers table<integer, boolean>
---@param name string "host" or "[host]:port"
---@return string text, integer changed
function known_hosts.edit(text, numbers, name)
    local kept, number, changed = {}, 0, 0
    for line, ending in text:gmatch "([^\n]*)(\n?)" do
        number = number + 1
        local left = numbers[number] and known_hosts.without(line, name) or not numbers[number] and line or nil
        changed = changed + (left ~= line and 1 or 0)
        kept[#kept + 1] = left and left .. ending or ""
    end
    return table.concat(kept), changed
end

return known_hosts
