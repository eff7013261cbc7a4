-- hostler serve: answers webhooks, and goes through the runs that come of them.
local native, import = ...
local command = {}

local commandline, params, serve = import "command/commandline", import "run/params", import "serve/serve"
local refuse = import "base/misuse".refuse
local task = native.task

local MOST_JOBS = 256

local declare = params.globals
local SPECS = {
    declare.opt("jobs", "int", "how many runs at once; 0 leaves them to `hostler worker`", 2),
    declare.opt("socket", "path", "the unix socket to listen on, instead of the usual one"),
    declare.opt("group", "string", "whose members may connect to it, the proxy's"),
    declare.opt("listen", "string", "ADDRESS:PORT instead, several with commas between them"),
    declare.opt("certificate", "path", "for addresses that others reach: a PEM file"),
    declare.opt("key", "path", "its key, a PEM file"),
}

---@param argv string[]
---@return integer exit status
function command.main(argv)
    return commandline.call("serve", SPECS, argv, function(values)
        if values.jobs < 0 or values.jobs > MOST_JOBS then
            refuse(("--jobs %d: from 0 to %d runs at once"):format(values.jobs, MOST_JOBS))
        end
        local ok, err = pcall(serve.run, values)
        if not ok and not task.interrupted() then -- one that is told to stop before it serves has not failed
            error(err, 0)
        end
    end)
end

return command
