-- hostler resume: goes on with a run where it stopped.
local native, import = ...
local resume = {}

local commandline, execution, journal = import "command/commandline", import "run/execution", import "journal/journal"
local answers, hooks, step = import "run/answers", import "run/hooks", import "run/step"
local library, params, process = import "run/library", import "run/params", import "base/process"
local sealing = import "journal/sealing"
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

local function refuse(message, code, hint)
    error(native.error.new { code = code, message = message, hint = hint }, 0)
end

--- Makes sure that nobody else works on the run, and that its secrets can be read, and takes it over.
---@param row table a row of runs
---@raise "locked", "key"
function resume.claim(row)
    if row.status == "running" and journal.is_held(row) then
        local host, pid = process.parts(row.holder)
        refuse(("run %s is being worked on by process %d on %s"):format(row.id, pid, host), "locked",
            ("hostler log %s -f follows it, hostler attach %s joins it"):format(row.id, row.id))
    end
    if not journal.claim(row) then
        refuse(("run %s was taken over by another process just now"):format(row.id), "locked")
    end
end

--- Loads the playbook of a recorded run with the texts kept with it, or today's.
---@param row table a row of runs
---@param options { code?: "kept"|"latest", anywhere?: boolean } anywhere: its directory may be another machine's
---@return table run for execution
function resume.load(row, options)
    if row.file == "" then
        refuse(("run %s is what was typed at a prompt: it cannot be gone through again"):format(row.id), "usage",
            ("hostler log %s shows what it did"):format(row.id))
    end
    local ok, reason = system.change_directory(row.directory)
    if not ok and not options.anywhere then
        refuse(("the directory of this run, %s, cannot be entered: %s"):format(row.directory, reason), "load")
    end
    local sources = import "journal/sources".of(row.id)
    if options.code ~= "latest" then
        library.use(sources)
    end
    local book, name = library.load(row.file)
    local arguments = sealing.decode(row.arguments)
    local values = params.parse(import "command/run".specs(book), arguments)
    for _, option in ipairs { "yes", "json", "verbose", "undo_on_failure" } do
        values[option] = values[option] or options[option] or false
    end
    if values.record then
        system.write_error(("hostler: %s has the run as far as it had come; what follows is not recorded\n"):format(
            values.record))
    end
    values.debug = options.debug or false -- somebody was there then; is there now?
    return {
        id = row.id, book = book, name = name, given = row.playbook, arguments = arguments, values = values,
        options = setmetatable({ look_into = options.look_into }, { __index = values }),
        changed = options.code == "latest" and library.changed(sources) or {},
    }
end

--- Takes a run over and loads it.
---@param row table a row of runs
---@param options table as of the command
---@return table run for execution
function resume.take(row, options)
    resume.claim(row)
    return resume.prepare(row, options)
end

--- Loads a run that this process has claimed. When that cannot be done, the run has failed.
---@return table run for execution
function resume.prepare(row, options)
    local ok, run = xpcall(resume.load, native.error.complete, row, options)
    if not ok then
        journal.finish(row.status == "running" and "failed" or row.status, tostring(run))
        error(run, 0)
    end
    for _, name in ipairs(run.changed) do
        local what = name == "playbook" and "the playbook" or "the module " .. name
        system.write_error(("hostler: %s was edited since this run began; finished steps keep their results\n")
            :format(what))
    end
    return run
end

--- Goes on with a run.
---@return integer exit status
function resume.go_on(row, options)
    if import "run/undo".has_begun(row.id) then
        refuse(("run %s was undone in part"):format(row.id), "usage", "go on with that: hostler undo " .. row.id)
    end
    local run = resume.take(row, options)
    library.keep()
    return execution.run(run)
end

--- Goes on with a run that has just ended in this process: what a person at a debugger's prompt has asked for.
---@param run table as for execution.run
---@param code "kept"|"latest"
---@return integer exit status
function resume.again(run, code)
    library.forget()
    step.reset()
    answers.reset()
    hooks.aborted, hooks.after = nil, nil
    local options = setmetatable({ code = code, look_into = false }, { __index = run.options })
    return commandline.guard(resume.go_on, commandline.find(run.id), options)
end

---@param argv string[]
---@return integer exit status
function resume.main(argv)
    return commandline.call("resume", { commandline.run_argument, unpack(OPTIONS) }, argv, function(values)
        local row = commandline.find(values.run)
        if row.status == "done" then
            system.write(("run %s is done: there is nothing to go on with\n"):format(row.id))
            return 0
        elseif row.status == "undone" then
            refuse(("run %s was undone"):format(row.id), "usage", "begin a new one: hostler run " .. row.playbook)
        end
        return resume.go_on(row, values)
    end)
end

return resume
