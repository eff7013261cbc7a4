-- A run as the commands begin it or go on with it: with the debugger where that is asked for, and with the socket by
-- which `hostler attach` joins it.
local native, import = ...
local play = {}

local commandline, attach_server = import "command/commandline", import "debug/attach_server"
local recorded = import "journal/recorded"
local answers, execution, live = import "run/answers", import "run/execution", import "run/live"
local failure = import "run/failure"
local resume, step, modules, texts = import "run/resume", import "run/step", import "run/modules", import "run/texts"
local undo = import "run/undo"
local debugger = import.later "debug/debugger"

local go_on

--- Goes on with a run that has just ended in this process: what a person at a debugger's prompt has asked for.
local function again(run, code)
    modules.forget()
    step.reset()
    answers.reset()
    local options = setmetatable({ code = code, look_into = false }, { __index = run.options })
    return commandline.guard(go_on, recorded.find(run.id), options)
end

--- Goes through a run that is loaded and recorded, or is a dry run.
---@param run table as for execution.run
---@return integer exit status
function play.run(run)
    if run.options.debug then
        debugger.attend(run.options.look_into)
    end
    local status = execution.run(run, attach_server.around)
    if live.again then
        return again(run, live.again)
    end
    return status
end

--- Takes a recorded run over and goes on with it.
---@param row table a row of runs
---@param options table the options of the command
---@param taken? fun() called as soon as the run is this process's
---@return integer exit status
function play.go_on(row, options, taken)
    if undo.has_begun(row.id) then
        error(native.error.new {
            code = "usage", message = ("run %s was undone in part"):format(row.id),
            hint = "go on with that: hostler undo " .. row.id,
        }, 0)
    end
    local run = resume.take(row, options, taken)
    texts.keep()
    return play.run(run)
end

--- Takes a recorded run over and takes back what it did.
---@param row table a row of runs
---@param options table the options of the command
---@param taken? fun() called as soon as the run is this process's
---@return integer exit status
function play.take_back(row, options, taken)
    local run = resume.take(row, options, taken)
    run.options = options
    local ok, err = undo.perform(run)
    return ok and 0 or failure.exit_status(err)
end

go_on = play.go_on
return play
