-- The lines of instances that are gone in this user's known_hosts files: finding them, and taking them out.
local file = require "file"
local known_hosts_file = require "known_hosts_file"
local site = require "site"
local ssh = require "ssh"

local host_keys = {}

local GOES = { own = true, shared = true } -- lines with wildcards and marks stay: they are not about one host

--- The files that there are, with their content.
---@param name string a host's name, for what OpenSSH's configuration says of it
---@return { path: string, text: string }[]
local function files(name)
    local found = {}
    for _, path in ipairs(site.known_hosts and { site.known_hosts } or ssh.known_hosts(name)) do
        local stat = file.stat(path)
        if stat and stat.kind == "file" then
            found[#found + 1] = { path = path, text = file.read(path) }
        end
    end
    return found
end

--- The names that hosts may have in a file: with the usual port, and with every other that is in it in plain.
local function names_in(text, hosts)
    local ports, names = { [22] = true }, {}
    for port in text:gmatch "%]:(%d+)" do
        ports[tonumber(port)] = #port <= 5 or nil
    end
    for _, host in ipairs(hosts) do
        for port in pairs(ports) do
            names[#names + 1] = known_hosts_file.name(host, port)
        end
    end
    table.sort(names)
    return names
end

--- The lines that go with a host.
---@param hosts string[] its name and its addresses
---@return { path: string, number: integer, type: string, shared: boolean }[] shared: with another host, which keeps it
function host_keys.of(hosts)
    local lines = {}
    for _, known in ipairs(files(hosts[1])) do
        for _, line in ipairs(known_hosts_file.concerning(known.text, names_in(known.text, hosts))) do
            if GOES[line.kind] then
                lines[#lines + 1] = {
                    path = known.path, number = line.number, type = line.type, shared = line.kind == "shared",
                }
            end
        end
    end
    return lines
end

--- Takes the lines of hosts out of a file; every other byte stays. A dated copy of before is kept beside it, one only,
--- also where this was interrupted and is done again.
---@param path string
---@param hosts string[]
---@param date string "2026-11-22T01:59:19Z"
---@return string copy
function host_keys.forget(path, hosts, date)
    local text, copy = file.read(path), ("%s.%s"):format(path, date)
    if not file.stat(copy) or file.read(copy) ~= text then
        copy = file.keep(path, date)
    end
    file.write(path, known_hosts_file.replace(text, names_in(text, hosts), {}))
    return copy
end

return host_keys
