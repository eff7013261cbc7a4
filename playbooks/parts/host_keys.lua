-- The lines of instances that are gone in this user's known_hosts files: finding them, and taking them out.
local file = require "file"
local known_hosts_file = require "known_hosts_file"
local site = require "site"
local ssh = require "ssh"

local host_keys = {}

local GOES = { own = true, shared = true } -- lines with wildcards and marks stay: they are not about one host

--- The files that there are, with their content.
---@param settings { known_hosts: string[] } see ssh.settings
---@return { path: string, text: string }[]
local function files(settings)
    local found = {}
    for _, path in ipairs(site.known_hosts and { site.known_hosts } or settings.known_hosts) do
        local stat = file.stat(path)
        if stat and stat.kind == "file" then
            found[#found + 1] = { path = path, text = file.read(path) }
        end
    end
    return found
end

--- The lines that go with a host.
---@param hosts string[] its name and its addresses
---@return { path: string, number: integer, type: string, shared: boolean }[] shared: with another host, which keeps it
function host_keys.of(hosts)
    local lines, settings = {}, ssh.settings(hosts[1])
    for _, known in ipairs(files(settings)) do
        local names = known_hosts_file.names(known.text, hosts, { settings.port })
        for _, line in ipairs(known_hosts_file.concerning(known.text, names)) do
            if GOES[line.kind] then
                lines[#lines + 1] = {
                    path = known.path, number = line.number, type = line.type, shared = line.kind == "shared",
                }
            end
        end
    end
    return lines
end

--- Takes the lines of hosts out of a file; every other byte stays. A dated copy of before is kept beside it.
---@param path string
---@param hosts string[]
---@return string? copy nil when there was no such line
function host_keys.forget(path, hosts)
    local text = file.read(path)
    local names = known_hosts_file.names(text, hosts, { ssh.settings(hosts[1]).port })
    local edited = known_hosts_file.replace(text, names, {})
    if edited == text then
        return nil
    end
    local copy = file.keep(path)
    file.write(path, edited)
    return copy
end

return host_keys
