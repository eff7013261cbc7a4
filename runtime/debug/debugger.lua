-- The debugger: a prompt at the place where a run has failed or was stopped, with the variables of every frame that led
-- there. What is decided there, and what is done by hand, is on record.
--
-- One prompt at a time: of several items that fail, the others wait for their turn. While a person looks, the
-- deadlines of what is looked at stand still. To leave a prompt without a decision (Ctrl-D, the end of a script) lets
-- the run take the course that it would have taken without a debugger.
local native, import = ...
local debugger = {}

local debugging = import "run/debugging"
local by_hand, frames, live = import "debug/by_hand", import "debug/frames", import "run/live"
local step_record = import "journal/steps"
local prompt, stacks, turn = import "prompt/prompt", import "debug/stacks", import "task/turn"
local view, words = import "debug/view", import "debug/words"
local event, json, task = native.event, native.json.face, native.task

-- The errors for which no prompt opens: a person has already decided about them, or will.
local DECIDED = { cancelled = true, parked = true, declined = true }

-- Errors for which a prompt was opened already: they go on up the stack, and open no second one.
local seen = setmetatable({}, { __mode = "k" })

--- Whether nobody has looked at this error, or at what it is about.
local function is_news(err)
    if seen[err] or DECIDED[err.code] then
        return false
    end
    for _, item in ipairs(type(err.failures) == "table" and err.failures or {}) do
        if type(item) == "table" and native.error.is(item.error) and is_news(item.error) then
            return true
        end
    end
    return not (err.failures or native.error.is(err.cause) and not is_news(err.cause))
end

-- ---- the prompt ----

---@class debugger.Stop
---@field title string what has happened
---@field err table? the error to look at; without one it is the place that stops
---@field doubts string[]? writes of which it is not known whether they happened
---@field leave table? what it means to leave the prompt without a decision
---@field words fun(list: frames.Frame[]): table<string, table> what may be decided, as words of the prompt
---@field place { path: string, scope: number } where in the run it is

--- Opens the prompt; returns what was decided, or nil. A task of its own, so that what is looked at stands still.
---@param stop debugger.Stop
local function ask(stop)
    local threads = task.threads()
    table.remove(threads, 1)
    local list = stop.err and stacks.of(stop.err) or {}
    local shown = view.new(stop, list[1] and list or frames.of(threads))
    local decisions = stop.words(shown.list)
    local options = by_hand.recording(stop.place)
    options.environment = shown:environment()
    options.label = function() return shown:label() end
    options.words = words.merge(view.words(shown), decisions)
    native.system.write(shown:introduction() .. words.line(decisions) .. "\n")
    return (prompt.run(options))
end

local function ask_undisturbed(stop)
    if live.aborted then
        return { abort = true }
    end
    task.hold_deadlines()
    event.suspend()
    local ok, result = pcall(task.join, task.spawn(nil, ask, stop))
    event.resume()
    task.release_deadlines()
    task.checkpoint()
    if ok then
        return result
    end
    event.emit("warn", { parent = stop.place.scope, text = "the debugger has failed: " .. tostring(result) })
end

--- Stops here until a person has decided.
---@param stop debugger.Stop
---@return table? decision
function debugger.stop(stop)
    local context = task.context()
    stop.place = { path = context.step or context.path, scope = context.scope }
    return turn.take(ask_undisturbed, stop) or stop.leave
end

-- ---- what is decided ----

--- Shows what was decided, which also records it.
local function tell(stop, format, ...)
    event.emit("say", { parent = stop.place.scope, text = "by hand: " .. format:format(...) })
end

local function end_run(stop, decision, err)
    if live.aborted then
        return
    end
    tell(stop, decision.resume and "the run begins again, past the steps that are done" or "abort the run")
    live.abort(err, decision.resume)
end

--- Asks what to do about a step.
---@return table? decision as debugging.Listener has it, or nil to let the error, or the step, take its course
local function ask_about(work, stop)
    local decision = debugger.stop(stop)
    if not decision or decision.continue then
        return nil
    elseif decision.abort or decision.resume then
        end_run(stop, decision, stop.err or native.error.new {
            code = "aborted", message = ("the run was left before the step '%s'"):format(work.path),
        })
        return nil
    end
    tell(stop, decision.skip and "the step '%s' counts as done" or decision.new and "the step '%s' again, as edited"
        or "the step '%s' again", work.path)
    return decision
end

--- What has failed is a step, and that is recorded.
local function at_failed_step(work, err)
    if not is_news(err) then
        return nil
    end
    seen[err] = true
    return ask_about(work, {
        title = ("step '%s' failed"):format(work.path), err = err, doubts = step_record.doubts(work.path),
        words = function(list) return words.of_step(work, list) end,
    })
end

--- What has failed is not in a step, or nobody has looked at it there.
local function at_failure(err)
    if not is_news(err) then
        return
    end
    seen[err] = true
    local stop = { title = "the playbook failed", err = err, words = words.of_failure }
    local decision = debugger.stop(stop)
    if decision and not decision.continue then
        end_run(stop, decision, err)
    end
end

-- The steps that a run which is looked into has stopped at.
local visited, arrived = {}, false

--- The step began in an earlier attempt, and did not end. What is recorded of it is shown as if it had failed just now.
local function before_unfinished_step(work, row)
    local recorded = row.error and json.decode(row.error)
        or { code = "unfinished", message = ("step '%s' began and did not end"):format(work.path) }
    local err = native.error.new(recorded)
    seen[err] = true
    local decision = ask_about(work, {
        title = ("step '%s' did not end"):format(work.path), err = err,
        doubts = step_record.doubts(work.path, row.attempt), leave = { abort = true },
        words = function(list) return words.of_step(work, list) end,
    })
    if not decision then
        error(err, 0)
    end
    return decision
end

--- Looking into a run that has failed, nothing of it is done unasked: it stops at each step that did not end, and
--- before the first that was not begun.
local function before_step(work, row)
    if visited[work.path] or arrived and not row then
        return nil
    end
    visited[work.path], arrived = true, true
    if row then
        return before_unfinished_step(work, row)
    end
    local decision = ask_about(work, {
        title = ("the playbook comes to the step '%s', which was not begun"):format(work.path),
        leave = { abort = true }, words = words.of_next_step,
    })
    task.checkpoint()
    return decision
end

-- Ends what the attention before began.
local leave = function() end

--- Opens a prompt from now on where something fails.
---@param look_into? boolean also where the run stopped before
function debugger.attend(look_into)
    stacks.keep()
    leave()
    leave = debugging.join {
        failed_step = at_failed_step, failed = at_failure, before_step = look_into and before_step or nil,
        breakpoints = true,
    }
end

--- What `breakpoint()` does where there is somebody to look.
function debugger.at_breakpoint()
    local stop = { title = "breakpoint", words = words.of_breakpoint }
    local decision = debugger.stop(stop)
    if decision and decision.abort then
        local err = native.error.new { code = "aborted", message = "the run was aborted at a breakpoint" }
        seen[err] = true
        end_run(stop, decision, err)
        task.checkpoint()
    end
end

return debugger
