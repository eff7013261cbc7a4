-- The units of the service, as files: its socket, which systemd keeps open while the service restarts, so that no
-- sender is turned away; and the service itself, which systemd watches and begins again when it is gone.
local native, import = ...
local units = {}

local service, unit_text = import "units/service", import "units/text"
local json, system = native.json.face, native.system

units.SOCKET, units.SERVICE = "hostler-serve.socket", "hostler-serve.service"
units.PATTERN = "hostler-serve.*"

units.RESTART_SECONDS = 2

-- What serves can be told, in the order of the unit's lines.
local OPTIONS = { "jobs", "socket", "group", "listen", "certificate", "key" }
local KEPT = "X-HostlerOptions="

---@class serve.Options
---@field jobs? integer
---@field socket? string
---@field group? string
---@field listen? string
---@field certificate? string
---@field key? string

local function stream(place)
    local options = place.options
    if options.path then
        return "ListenStream=" .. unit_text.plain(options.path)
    end
    return ("ListenStream=" .. (options.address:find(":", 1, true) and "[%s]:%d" or "%s:%d")):format(options.address,
        options.port)
end

local function socket_text(options, places)
    local lines = {}
    for index, place in ipairs(places) do
        lines[index] = stream(place)
    end
    local more = options.listen and { "FreeBind=yes" } -- it may begin before the address is there
        or { "SocketMode=0660", "DirectoryMode=0755", "RemoveOnStop=yes",
            options.group and "SocketGroup=" .. unit_text.plain(options.group) }
    for _, line in ipairs(more) do
        lines[#lines + 1] = line
    end
    return unit_text.file("serve", {
        unit_text.section("Unit", { "Description=hostler: where webhooks come in" }),
        unit_text.section("Socket", lines),
        unit_text.section("Install", { "WantedBy=sockets.target" }),
    })
end

--- The options as a line of the unit, for the next time it is installed.
local function kept_line(options)
    local pairs_of = json.array {}
    for _, name in ipairs(OPTIONS) do
        pairs_of[#pairs_of + 1] = options[name] and json.array { name, options[name] } or nil
    end
    return KEPT .. json.encode(pairs_of)
end

--- The options that the unit was installed with.
---@param text? string of the service's file
---@return serve.Options?
function units.kept(text)
    local line = ("\n" .. (text or "")):match("\n" .. KEPT:gsub("-", "%%-") .. "([^\n]*)\n")
    local ok, list = pcall(json.decode, line or "")
    if not ok or type(list) ~= "table" then
        return nil
    end
    local options = {}
    for _, pair in ipairs(list) do
        options[pair[1]] = pair[2]
    end
    return options
end

local function command(options)
    local words = { "serve", options.jobs and ("--jobs %d"):format(options.jobs) }
    for _, name in ipairs { "certificate", "key" } do
        if options[name] then
            words[#words + 1] = ("--%s %s"):format(name, unit_text.quoted(options[name]))
        end
    end
    return service.command(table.concat(words, " "))
end

local function service_text(options, settings)
    return service.text(settings, {
        by = "serve", description = "hostler: webhooks, and the runs that come of them",
        unit = { "Requires=" .. units.SOCKET, "After=" .. units.SOCKET, "StartLimitIntervalSec=0", kept_line(options) },
        service = {
            "Type=notify", command(options), "Restart=always", "RestartSec=" .. units.RESTART_SECONDS,
            "WatchdogSec=1min", "KillMode=mixed", "TimeoutStopSec=2min",
        },
        install = { "WantedBy=" .. (system.user() == 0 and "multi-user.target" or "default.target") },
    })
end

--- The texts that the files are to have, by their names.
---@param options serve.Options
---@param places serve.Place[]
---@param settings table<string, string> as from surroundings.look
---@return table<string, string>
function units.wanted(options, places, settings)
    return { [units.SOCKET] = socket_text(options, places), [units.SERVICE] = service_text(options, settings) }
end

---@param file string
---@return boolean
function units.is_of_service(file)
    return file == units.SOCKET or file == units.SERVICE
end

return units
