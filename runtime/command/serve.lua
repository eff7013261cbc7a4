-- hostler serve: answers webhooks, and goes through the runs that come of them; and installing its units.
local native, import = ...
local command = {}

local commandline, installing = import "command/commandline", import "command/installing"
local params, manager = import "run/params", import "units/manager"
local installation, serve = import "serve/installation", import "serve/serve"
local refuse = import "base/misuse".refuse
local system, task = native.system, native.task

local MOST_JOBS, USUAL_JOBS = 256, 2

local declare = params.globals
local SPECS = {
    declare.opt("jobs", "int", "how many runs at once; 0 leaves them to `hostler worker` (2)"),
    declare.opt("socket", "path", "the unix socket to listen on, instead of the usual one"),
    declare.opt("group", "string", "whose members may connect to it, the proxy's"),
    declare.opt("listen", "string", "ADDRESS:PORT instead, several with commas between them"),
    declare.opt("certificate", "path", "for addresses that others reach: a PEM file"),
    declare.opt("key", "path", "its key, a PEM file"),
    declare.flag("install", "have systemd do it from now on; without other options with those of the last time"),
    declare.flag("remove", "take that away"),
    declare.flag("force", "also units that were edited by hand"),
}

--- What it is told of how to serve.
---@return serve.Options
local function wish_of(values)
    return { jobs = values.jobs, socket = values.socket, group = values.group, listen = values.listen,
        certificate = values.certificate, key = values.key }
end

local function install(wish, force)
    manager.demand()
    local result = installation.install(wish, force)
    installing.tell(result, "the units are as they should be")
    for _, place in ipairs(result.places) do
        system.write(("serving on %s\n"):format(place.url))
    end
    installing.tell_next(result.missing, "the service")
end

local function remove(force)
    manager.demand()
    installing.tell(installation.remove(force), "there were no units")
end

local function check(values, wish)
    if values.install and values.remove then
        refuse("--install and --remove do not go together", "leave out one")
    elseif values.force and not (values.install or values.remove) then
        refuse("--force is for --install and --remove", "leave it out")
    elseif values.remove and next(wish) then
        refuse(("--%s is not for --remove"):format(next(wish)), "leave it out")
    elseif wish.jobs and (wish.jobs < 0 or wish.jobs > MOST_JOBS) then
        refuse(("--jobs %d: from 0 to %d runs at once"):format(wish.jobs, MOST_JOBS))
    end
end

---@param argv string[]
---@return integer exit status
function command.main(argv)
    return commandline.call("serve", SPECS, argv, function(values)
        local wish = wish_of(values)
        check(values, wish)
        if values.install or values.remove then
            task.context().step = "serve" -- what systemd is told passes the gate as a write
        end
        if values.install then
            return install(wish, values.force)
        elseif values.remove then
            return remove(values.force)
        end
        wish.jobs = wish.jobs or USUAL_JOBS
        local ok, err = pcall(serve.run, wish)
        if not ok and not task.interrupted() then -- one that is told to stop before it serves has not failed
            error(err, 0)
        end
    end)
end

return command
