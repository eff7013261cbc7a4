-- hostler undo: takes back what the finished steps of a run did, newest first.
local native, import = ...
local command = {}

local commandline, params = import "command/commandline", import "run/params"
local play, recorded = import "command/play", import "journal/recorded"
local system = native.system

---@param argv string[]
---@return integer exit status
function command.main(argv)
    local declare = params.globals
    local specs = {
        commandline.run_argument,
        declare.opt("code", { "kept", "latest" }, "the playbook as it was when the run began, or today's", "kept"),
        declare.flag("partial", "take back what can be, although the playbook no longer comes to some steps"),
        declare.flag("yes", "do not ask"),
        declare.flag("json", "print events as JSON, one a line"),
        declare.flag("verbose", "show every effect"),
    }
    return commandline.call("undo", specs, argv, function(values)
        local row = recorded.find(values.run)
        if row.status == "undone" then
            system.write(("run %s is undone already\n"):format(row.id))
            return 0
        end
        return play.take_back(row, values)
    end)
end

return command
