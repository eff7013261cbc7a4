-- Going on with a run where it stopped: who may, with which texts, and past what is done.
local native, import = ...
local resume = {}

local process, sealing, run_record = import "base/process", import "journal/sealing", import "journal/runs"
local store = import "journal/store"
local manifest, params, library = import "run/manifest", import "run/params", import "run/library"
local texts = import "run/texts"
local kept_sources = import "journal/sources"
local system = native.system

local function refuse(message, code, hint)
    error(native.error.new { code = code, message = message, hint = hint }, 0)
end

--- Makes sure that nobody else works on the run, and that its secrets can be read, and takes it over.
---@param row table a row of runs
---@raise "locked", "key"
function resume.claim(row)
    if row.status == "running" and store.is_held(row) then
        local host, pid = process.parts(row.holder)
        refuse(("run %s is being worked on by process %d on %s"):format(row.id, pid, host), "locked",
            ("hostler log %s -f follows it, hostler attach %s joins it"):format(row.id, row.id))
    end
    if not run_record.claim(row) then
        refuse(("run %s was taken over by another process just now, so this does nothing"):format(row.id), "locked",
            ("hostler log %s -f follows it"):format(row.id))
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
    local sources = row.sources or kept_sources.of(row.id)
    if options.code ~= "latest" then
        texts.use(sources)
    end
    local book, name = library.load(row.file)
    local arguments = sealing.decode(row.arguments)
    local values = params.parse(manifest.specs(book), arguments)
    for _, option in ipairs { "yes", "json", "verbose", "undo_on_failure" } do
        values[option] = values[option] or options[option] or false
    end
    if values.record then
        system.write_error(("hostler: %s has the run as far as it had come; what follows is not recorded\n"):format(
            values.record))
    end
    values.debug = options.debug or false -- somebody was there then; is there now?
    return {
        id = row.id, turn = row.turn, book = book, name = name, given = row.playbook,
        arguments = arguments, values = values,
        options = setmetatable({ look_into = options.look_into }, { __index = values }),
        changed = options.code == "latest" and texts.changed(sources) or {},
    }
end

--- Takes a run over and loads it.
---@param row table a row of runs
---@param options table as of the command
---@param taken? fun() called as soon as the run is this process's
---@return table run for execution
function resume.take(row, options, taken)
    resume.claim(row)
    if taken then
        taken()
    end
    return resume.prepare(row, options)
end

--- How a run stands that could not be loaded.
local function status_after(row, options)
    if not native.task.interrupted() then
        return row.status == "running" and "failed" or row.status
    elseif options.requeue and not run_record.is_given_up(row.id) then
        return "queued"
    end
    return row.status == "running" and "cancelled" or row.status
end

--- Loads a run that this process has claimed. When that cannot be done, the run has failed; where the journal was away,
--- it is left to whoever comes next.
---@param options { code?: "kept"|"latest", anywhere?: boolean, requeue?: boolean } requeue: it goes back to the queue
---  when this process is told to stop
---@return table run for execution
function resume.prepare(row, options)
    local ok, run = xpcall(resume.load, native.error.complete, row, options)
    if not ok and run.code == "journal.away" then
        error(run, 0)
    elseif not ok then
        local status = status_after(row, options)
        run_record.finish(status, status ~= "queued" and tostring(run) or nil)
        error(run, 0)
    end
    for _, name in ipairs(run.changed) do
        local what = name == "playbook" and "the playbook" or "the module " .. name
        system.write_error(("hostler: %s was edited since this run began; finished steps keep their results\n")
            :format(what))
    end
    return run
end

return resume
