-- What still runs from files that an upgrade has replaced, and whether the whole host waits for a restart.
local restarts = {}

local machine = require "machine"

-- A line a process: pid, its unit (or scope), its program, and one of the files. Only what packages own is looked for:
-- memory that programs share, and files of their own that they have deleted, look alike.
local LOOK = [[
for maps in /proc/[0-9]*/maps; do
    process=${maps%/maps}
    file=$(grep -m 1 -oE ' (/usr|/lib[^/]*|/s?bin|/opt)/.* \(deleted\)$' "$maps" 2>/dev/null) || continue
    unit=$(grep -oE '[^/]+\.(service|scope)$' "$process/cgroup" 2>/dev/null | head -n 1)
    printf '%s\t%s\t%s\t%s\0' "${process#/proc/}" "$unit" "$(cat "$process/comm" 2>/dev/null)" "$file"
done]]

---@class packages.Restarts
---@field services string[] units that still run what was replaced
---@field processes { pid: integer, program: string, file: string, unit?: string }[] those of no service: of somebody
---  who is logged in, say
---@field reboot machine.Reboot

--- What the host has answered.
---@param text string
---@return { services: string[], processes: table[] }
function restarts.parse(text)
    local services, processes, known = {}, {}, {}
    for pid, unit, program, file in text:gmatch "(%d+)\t([^\t]*)\t([^\t]*)\t([^%z]*)%z" do
        if unit:find "%.service$" and not unit:find "^user@" then
            services[#services + 1] = not known[unit] and unit or nil
            known[unit] = true
        else
            processes[#processes + 1] = {
                pid = tonumber(pid), program = program, unit = unit ~= "" and unit or nil,
                file = file:match "^%s*(.-) %(deleted%)%s*$" or file,
            }
        end
    end
    table.sort(services)
    return { services = services, processes = processes }
end

--- What of a host has to be started again.
---@param host ssh.Host
---@return packages.Restarts
function restarts.of(host)
    local result = host:sh(LOOK, {
        read = true, check = false, timeout = 120, env = { LC_ALL = "C" }, summary = "see what has to be started again",
    })
    if unknown(result) then
        return result
    end
    local found = restarts.parse(result.stdout)
    found.reboot = machine.on(host):facts({ fresh = true }).reboot
    return found
end

return restarts
