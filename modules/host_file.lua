-- Changing a file of a host: what is there is read, edited here, and written only where that made a difference.
local _, gate = ...
local host_file = {}

--- Writes what `edit` makes of a file, if that is anything else. In a dry run on a host that is still to be made, what
--- the file will hold is unknown, and so is whether it changes: the plan shows the lines of `planned`.
---@param host table from ssh.connect
---@param path string
---@param edit fun(text: string): string|userdata
---@param input? any what the edit depends on; when that is unknown, so is the file
---@param planned? string[]
---@return boolean changed
---@return string? before what it was
---@raise "ssh.file"
function host_file.edit(host, path, edit, input, planned)
    local text = host:read(path)
    if unknown(text) or unknown(input) then
        return host:write(path, gate.unknown("edited " .. path), { planned = planned })
    end
    local edited = edit(text)
    if edited ~= text then
        host:write(path, edited)
    end
    return edited ~= text, text
end

return host_file
