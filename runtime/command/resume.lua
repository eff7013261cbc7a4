-- hostler resume: goes on with a run where it stopped.
local native, import = ...
local resume = {}

local commandline, play = import "command/commandline", import "command/play"
local params, recorded = import "run/params", import "journal/recorded"
local refuse = import "base/misuse".refuse
local system = native.system

local declare = params.globals
local OPTIONS = {
    declare.opt("code", { "kept", "latest" }, "the playbook as it was when the run began, or as it is today", "kept"),
    declare.flag("yes", "answer yes to questions"),
    declare.flag("json", "print events as JSON, one a line"),
    declare.flag("verbose", "show every effect"),
    declare.flag("undo-on-failure", "take back what was done when the run fails"),
    declare.flag("debug", "open a prompt where it fails"),
}

---@param argv string[]
---@return integer exit status
function resume.main(argv)
    return commandline.call("resume", { commandline.run_argument, unpack(OPTIONS) }, argv, function(values)
        local row = recorded.find(values.run)
        if row.status == "done" then
            system.write(("run %s is done: there is nothing to go on with\n"):format(row.id))
            return 0
        elseif row.status == "undone" then
            refuse(("run %s was undone"):format(row.id), "begin a new one: hostler run " .. row.playbook)
        end
        return play.go_on(row, values)
    end)
end

return resume
