-- Changing a file of a host: what is there is read, edited here, and written only where that made a difference.
local _, gate = ...
local host_file = {}

-- What `edit` makes of the text; where that cannot be changed safely, the error says of which file.
local function edited_text(host, path, edit, text)
    local edited, err = try(edit, text)
    if err then
        err.target = err.target or tostring(host.target)
        if err.code:find "%.unsafe$" then
            err.message = ("%s is not changed: %s"):format(path, err.message)
        end
        error(err, 0)
    end
    return edited
end

--- Writes what `edit` makes of a file, if that is anything else. In a dry run on a host that is still to be made, what
--- the file will hold is unknown, and so is whether it changes: the plan shows the lines of `planned`.
---@param host table from ssh.connect
---@param path string
---@param edit fun(text: string): string|userdata
---@param input? any what the edit depends on; when that is unknown, so is the file
---@param planned? string[]
---@return boolean changed
---@return string? before what it was
---@raise "ssh.file", and what `edit` raises: "environment_file.unsafe", "caddy.unsafe"
---@effect write
function host_file.edit(host, path, edit, input, planned)
    local text = host:read(path)
    if unknown(text) or unknown(input) then
        return host:write(path, gate.unknown("edited " .. path), { planned = planned })
    end
    local edited = edited_text(host, path, edit, text)
    if edited ~= text then
        host:write(path, edited)
    end
    return edited ~= text, text
end

--- Writes a whole file, unless the host has it already: with this text, mode and owner.
---@param host ssh.Host
---@param path string
---@param text string
---@param options { mode: string, owner: string, group: string } mode: "0644"
---@return boolean changed
---@raise "ssh.file"
---@effect write
function host_file.put(host, path, text, options)
    local stat = host:stat(path)
    if not unknown(stat) and stat and stat.mode == tonumber(options.mode, 8) and stat.owner == options.owner
        and stat.group == options.group and host:read(path) == text then
        return false
    end
    local written = host:write(path, text, options)
    return unknown(written) and written or true
end

return host_file
