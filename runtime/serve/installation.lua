-- The service as systemd has it: written and enabled, begun anew, taken away.
local native, import = ...
local installation = {}

local listening, units = import "serve/listening", import "serve/units"
local files, manager, program = import "units/files", import "units/manager", import "units/program"
local surroundings, unit_installation = import "units/surroundings", import "units/installation"
local refuse = import "base/misuse".refuse
local sockets, system = native.local_socket, native.system

--- A path for a unit, which has no folder of its own. The file may be a link that is turned elsewhere later.
local function absolute(path)
    local folder, name = path:match "^(.*)/([^/]+)$"
    local real = system.real_path(folder == "" and "/" or folder or ".")
    if not real then
        refuse(("there is no folder %s"):format(folder), "it has to be there before it is named to systemd")
    end
    return (real == "/" and "" or real) .. "/" .. (name or path)
end

local function check_file(option, path)
    local _, reason = system.read_file(path)
    return reason and refuse(("--%s: cannot read %s: %s"):format(option, path, reason))
end

local function check_group(group)
    local ok, found = pcall(program.ask, { "getent", "group", "--", group })
    return ok and not found and refuse(("--group: there is no group '%s'"):format(group), "getent group lists them")
end

--- systemd would take the socket away from whoever serves there.
local function check_free(places)
    local path = places[1].options.path
    if not path or manager.state(units.SOCKET) == "active" then
        return
    end
    local connection = sockets.connect(path:match "^(.*)/[^/]*$", path:match "[^/]*$")
    if connection then
        sockets.close(connection)
        refuse(("somebody serves on %s already"):format(path), "end that first: ss -xlp says which process it is")
    end
end

--- What is to be installed: what is asked for, or what was the last time when nothing is.
local function complete(wish)
    local options = {}
    for name, value in pairs(next(wish) and wish or units.kept(files.read(units.SERVICE)) or {}) do
        options[name] = value
    end
    for _, name in ipairs { "socket", "certificate", "key" } do
        options[name] = options[name] and absolute(options[name])
    end
    return options
end

local function check(options, places)
    for _, place in ipairs(places) do
        if place.options.port == 0 then
            refuse("--listen: port 0 is any that is free, and senders have to know which", "such as 127.0.0.1:8080")
        end
    end
    if options.certificate then
        check_file("certificate", options.certificate)
        check_file("key", options.key)
    end
    if options.group then
        check_group(options.group)
    end
    check_free(places)
end

local function begin(unit)
    local ok, err = pcall(manager.restart, { unit })
    if ok or err.code ~= "systemd" then
        return ok or error(err, 0)
    end
    error(native.error.new {
        code = "systemd", message = ("%s does not start. The last of its log:\n%s"):format(unit,
            manager.said(unit) or tostring(err)),
        hint = ("systemd tries the service again every %d seconds; `hostler serve --remove` takes it away"):format(
            units.RESTART_SECONDS),
    }, 0)
end

--- A socket that is to be another one is closed as what it was, so that its file goes with it.
local function retire(gone, changed)
    manager.disable(gone)
    for _, file in ipairs(changed) do
        if file == units.SOCKET and manager.state(file) == "active" then
            manager.stop { units.SOCKET, units.SERVICE }
        end
    end
end

local function apply(wanted, verb, force)
    return unit_installation.apply(wanted, files.present(units.is_of_service),
        { verb = verb, force = force, retire = retire })
end

--- Writes and enables the units, and begins the service anew. The socket is closed meanwhile only where it changes.
---@param wish serve.Options nothing at all: as it was the last time
---@param force? boolean also what was edited by hand
---@return { changed: string[], gone: string[], missing: string[], places: serve.Place[] } result files;
---  missing: secrets that are set here and that no file gives to the units
---@raise "usage", "edited", "file", "systemd"
function installation.install(wish, force)
    local options = complete(wish)
    local places = listening.places(options, {})
    check(options, places)
    local settings, missing = surroundings.look()
    local wanted = units.wanted(options, places, settings)
    local result = apply(wanted, "overwritten", force)
    manager.enable { units.SOCKET, units.SERVICE }
    if manager.state(units.SOCKET) ~= "active" then
        manager.stop { units.SOCKET, units.SERVICE } -- no socket begins while its service is at work
        begin(units.SOCKET)
    end
    begin(units.SERVICE)
    result.missing, result.places = missing, places
    return result
end

--- Ends the service as gently as SIGTERM does, and takes the units away. Runs that it went through are in the queue.
---@return { changed: string[], gone: string[] } result
---@raise "edited", "file", "systemd"
function installation.remove(force)
    local result = apply({}, "removed", force)
    manager.forget { units.PATTERN }
    return result
end

return installation
