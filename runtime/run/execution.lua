-- The life of a run, new or resumed, from its first event to its exit status.
local native, import = ...
local execution = {}

local failure, gate, run_record = import "run/failure", import "gate/gate", import "journal/runs"
local claims, lease = import "queue/claims", import "journal/lease"
local debugging, live = import "run/debugging", import "run/live"
local lock, recording = import "run/lock", import "gate/recording"
local questions, step = import "run/questions", import "run/step"
local turn = import "run/turn"
local reporting, text, undo = import "run/reporting", import "base/text", import "run/undo"
local event, system, task = native.event, native.system, native.task

local function command_line(run)
    local words = { "hostler run " .. text.shell_word(run.given) }
    for _, word in ipairs(run.arguments) do
        words[#words + 1] = text.shell_word(word)
    end
    return table.concat(words, " ")
end

local function status_of(err)
    local code = failure.code_of(err)
    return code == "cancelled" and "cancelled" or code == "parked" and "parked" or "failed"
end

--- What to type next, a line each.
local function next_commands(run, err)
    if not run.id then
        return {}
    end
    local status = status_of(err)
    local lines = {}
    if status == "parked" then
        lines[1] = ("hostler answer %s VALUE"):format(run.id)
    elseif gate.mode ~= "read-only" then -- one that only reads is as well begun anew
        lines[1] = ("hostler resume %s      go on where it stopped"):format(run.id)
    end
    lines[#lines + 1] = ("hostler log %s         what it did"):format(run.id)
    if status == "failed" then
        lines[#lines + 1] = ("hostler debug %s       look into it where it failed"):format(run.id)
    end
    local reached, possible = pcall(undo.is_possible, run.id)
    if reached and possible then
        lines[#lines + 1] = ("hostler undo %s        take back what it did"):format(run.id)
    end
    return lines
end

local function report_failure(err, run)
    local lines = { "", failure.describe(err, run.options.verbose or err.code == "lua" or err.code == "internal") }
    lines[#lines + 1] = "  done      " .. (step.finished()
        or gate.changes == 0 and "nothing was changed" or "no step")
    local reached, doubtful = pcall(step.doubtful, run.id)
    for index, sentence in ipairs(run.id and reached and doubtful or {}) do
        lines[#lines + 1] = ("  %-9s %s"):format(index == 1 and "in doubt" or "", sentence)
    end
    lines[#lines + 1] = "  command   " .. command_line(run)
    for index, line in ipairs(next_commands(run, err)) do
        lines[#lines + 1] = ("  %-9s %s"):format(index == 1 and "next" or "", line)
    end
    system.write_page(table.concat(lines, "\n") .. "\n", true)
end

local AWAY = "journal.away"
-- After this time a run that found something locked by another one is tried again.
local LOCKED_SECONDS = 5

--- Whether the run goes back to the queue: this process was told to stop, and not because somebody gave the run up;
--- something is locked, or the journal was away until the lease was over.
local function is_requeued(err, run)
    if not run.options.requeue then
        return false
    end
    return failure.code_of(err) == "locked" or failure.involves(err, AWAY)
        or (err.code == "cancelled" and task.interrupted() and not run_record.is_given_up(run.id))
end

--- How the run ended, after what should have written that down: where it could not, the run has failed for that.
---@return boolean ok, table? err
local function written_down(ok, err, recorded, problem)
    if recorded then
        return ok, err
    end
    problem = native.error.complete(problem)
    problem.cause = problem.cause or err
    return false, problem
end

--- Records the end.
local function record_end(ok, err, run)
    local status = ok and "done" or is_requeued(err, run) and "queued" or status_of(err)
    if status == "queued" and failure.code_of(err) == "locked" then
        claims.postpone(LOCKED_SECONDS)
    end
    local problem_text = not ok and status ~= "queued" and failure.describe(err, run.options.verbose) or nil
    return written_down(ok, err, pcall(run_record.finish, status, problem_text))
end

--- Goes through the playbook in a task that a person at a prompt may abort, and shows it to them when it has failed.
local function go(run)
    turn.demand(run)
    local ok, err = pcall(live.go)
    if not ok then
        debugging.failed(err)
        error(err, 0)
    end
end

--- Runs the playbook as a task of its own, so that this one lives to record how it ended.
local function perform(run, around)
    local ok, err = lease.hold(around, run, go)
    if ok and task.interrupted() then -- it has caught its cancellation
        ok, err = pcall(task.checkpoint)
    end
    local decided = live.aborted or recording.difference()
    if decided then
        ok, err = false, decided
    end
    return ok, not ok and native.error.complete(err) or nil
end

--- Goes through the playbook once, with the events of a run around it.
---@param run { book: table, name: string, given: string, arguments: string[], values: table, options: table,
---  id?: string, turn?: string } turn: see turn.lua; options: json, verbose, yes, dry_run,
---  undo_on_failure; silent: no events; requeue: when this process is told to stop, the run goes back to the queue
---@return boolean ok, table? err
local function go_through(run, around)
    local context = task.context()
    context.path = run.name
    lock.enter(context)
    context.scope = event.emit("run.begin", {
        name = run.name, text = command_line(run), kind = gate.mode, target = run.id,
    })
    local started = system.monotonic()
    local ok, err = perform(run, around)
    event.emit("run.end", {
        scope = context.scope, name = run.name, status = ok and "done" or status_of(err), kind = gate.mode,
        target = run.id, seconds = system.monotonic() - started, text = not ok and tostring(err) or nil,
        count = gate.changes,
    })
    lock.leave(context)
    return ok, err
end

--- Writes the recording of a run that was to be recorded.
local function keep_recording(ok, err)
    return written_down(ok, err, pcall(recording.finish, ok and "done" or status_of(err)))
end

--- Whether the run writes, only reads, or plans.
---@return "normal"|"read-only"|"dry-run"
function execution.mode(book, options)
    return book.effects == "read" and "read-only" or options.dry_run and "dry-run" or "normal"
end

--- Runs a playbook whose run is recorded, or is a dry run, and reports how it went.
---@param run table as for go_through
---@param around fun(run: table, go: fun(run: table)) calls go(run), with what belongs to a run that goes on
---@return integer exit status
function execution.run(run, around)
    reporting.choose(run.options)
    gate.set_mode(execution.mode(run.book, run.options))
    questions.assume_yes(run.options.yes)
    live.begin(run)
    local ok, err = keep_recording(go_through(run, around))
    local take_back = not ok and run.id and not live.again and run.options.undo_on_failure
        and status_of(err) == "failed"
    if not take_back then
        ok, err = record_end(ok, err, run)
    end
    native.report "none"
    if ok then
        return 0
    elseif live.again then
        return failure.exit_status(err)
    elseif not is_requeued(err, run) then
        report_failure(err, run)
    elseif failure.involves(err, AWAY) then
        system.write_error(("hostler: run %s goes back to the queue: %s\n"):format(run.id, tostring(err)))
    end
    if take_back then
        local undone = undo.perform(run)
        return undone and failure.exit_status(err) or 1
    end
    return failure.exit_status(err)
end

return execution
