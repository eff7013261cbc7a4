-- hostler undo: takes back what the finished steps of a run did, newest first.
local native, import = ...
local command = {}

local commandline, failure, params = import "command/commandline", import "run/failure", import "run/params"
local recorded, resume, undo = import "journal/recorded", import "run/resume", import "run/undo"
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
        local run = resume.take(row, values)
        run.options = values
        local ok, err = undo.perform(run)
        return ok and 0 or failure.exit_status(err)
    end)
end

return command
