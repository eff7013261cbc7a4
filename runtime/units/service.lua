-- The text of a service that calls hostler: with the surroundings that runs need, and no more rights than they do.
local native, import = ...
local service = {}

local surroundings, unit_text = import "units/surroundings", import "units/text"
local system = native.system

-- hostler needs the network, its journal and what the person may read. In a user's manager what takes namespaces
-- would not work. ProtectKernelTunables= and ProtectControlGroups= are left out: in a container they uncover another
-- boot's identity than processes outside the unit see, and these would take the unit's for ended.
local HARDENED = { "NoNewPrivileges=yes", "LockPersonality=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native", "UMask=0077" }
local HARDENED_SYSTEM = { "PrivateTmp=yes", "ProtectSystem=full", "ProtectClock=yes", "ProtectHostname=yes",
    "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK" }

local is_system = system.user() == 0

--- The line that calls this very program.
---@param words string as systemd reads them
---@return string
function service.command(words)
    -- ":" keeps systemd from replacing variables in it.
    return ("ExecStart=:%s %s"):format(unit_text.quoted(system.real_path "/proc/self/exe"), words)
end

local function joined(...)
    local lines = {}
    for _, list in ipairs { ... } do
        for _, line in ipairs(list) do
            lines[#lines + 1] = line
        end
    end
    return lines
end

--- The text of its file.
---@param settings table<string, string> as from surroundings.look
---@param parts { by: string, description: string, unit: string[], service: string[], install?: string[] } by: the
---  command that writes it; lines of its sections
---@return string
function service.text(settings, parts)
    local network = is_system and { "Wants=network-online.target", "After=network-online.target" } or {}
    local sections = {
        unit_text.section("Unit", joined({ "Description=" .. parts.description }, parts.unit, network)),
        unit_text.section("Service", joined(parts.service, surroundings.lines(settings), HARDENED,
            is_system and HARDENED_SYSTEM or {})),
    }
    sections[3] = parts.install and unit_text.section("Install", parts.install)
    return unit_text.file(parts.by, sections)
end

return service
