-- hostler debug: a prompt at the place where a run has failed. The playbook is gone through again up to there: finished
-- steps give their recorded results, what is read is read again, and so its variables and connections come back.
-- Nothing else of it is done unless the person says so.
local native, import = ...
local debug = {}

local recorded = import "journal/recorded"
local commandline, params, play = import "command/commandline", import "run/params", import "command/play"

local declare = params.globals
local SPECS = {
    commandline.run_argument,
    declare.opt("code", { "kept", "latest" }, "the playbook as it was when the run began, or as it is today", "kept"),
    declare.flag("verbose", "show every effect"),
}

---@param argv string[]
---@return integer exit status
function debug.main(argv)
    return commandline.call("debug", SPECS, argv, function(values)
        local row = recorded.find(values.run)
        if row.status == "done" or row.status == "undone" then
            error(native.error.new {
                code = "usage", message = ("run %s is %s: nothing of it failed"):format(row.id, row.status),
                hint = ("hostler log %s shows what it did"):format(row.id),
            }, 0)
        end
        values.debug, values.look_into = true, true
        return play.go_on(row, values)
    end)
end

return debug
