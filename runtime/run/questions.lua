-- Asking the person: ask, confirm, manual, and whether a step that was interrupted happened. One question at a time has
-- the terminal; without a terminal the run parks.
local native, import = ...
local questions = {}

local answers, gate, current = import "run/answers", import "gate/gate", import "journal/current"
local recording, saying, turn = import "gate/recording", import "run/saying", import "task/turn"
local texts = import "base/text"
local event, task, json = native.event, native.task, native.json.face
local say = saying.globals.say

local QUESTION_INDENT = 2 -- columns of the lines of a question after its first

local assume_yes = false

--- Says whether `confirm` answers yes by itself (--yes).
---@param on boolean
function questions.assume_yes(on)
    assume_yes = on
end

--- One line from the person at the terminal.
local function prompt(question)
    event.suspend()
    native.system.write_error(texts.indented(question, QUESTION_INDENT) .. " ")
    local ok, answer = pcall(native.system.read_line)
    event.resume()
    if not ok then
        error(answer, 0)
    end
    if answer == nil then
        error(native.error.new { code = "cancelled", message = "no answer: the input ended at: " .. question }, 0)
    end
    return answer
end

--- The answer to a question: the recorded one, when this run has asked before; else the person's. Without a terminal
--- the run parks until `hostler answer`.
---@param question { kind: string, text: string, prompt: string } text is what `hostler answer` shows
---@return string answer
---@return string path its identity in the run
local function find_answer(question)
    local path = answers.path(task.context(), question.text)
    local given = answers.find(path)
    if given then
        return given, path
    elseif current.collecting then
        error(native.error.new { code = "unfinished", message = "this was not asked yet: " .. question.text }, 3)
    elseif task.context().unattended then
        error(native.error.new {
            code = "parked", message = "a person has to answer: " .. question.text,
            hint = "run it without :bg, where it can ask",
        }, 3)
    elseif not (native.system.isatty(0) and native.system.isatty(2)) then
        answers.open(path, question.kind, question.text)
        error(native.error.new {
            code = "parked",
            message = "a person has to answer: " .. question.text,
            hint = current.run and ("hostler answer %s VALUE"):format(current.run)
                or "run it on a terminal; where the question is a yes or no, --yes answers it",
        }, 3)
    end
    return turn.take(prompt, question.prompt), path
end

--- The same; a recording keeps it.
local function answer_to(question)
    return recording.value("answer", question.text, function() return find_answer(question) end)
end

--- Asks for a line of text.
---@param question string
---@param default? string what an empty answer means
---@return string
local function ask(question, default)
    if gate.mode == "dry-run" and default == nil then
        say("would ask: %s", question)
        return gate.unknown("the answer to: " .. question)
    elseif gate.mode == "dry-run" then
        return default
    end
    local words = default and ("%s [%s]"):format(question, default) or question
    local answer, path = answer_to { kind = "ask", text = question, prompt = words }
    answers.keep(path, "ask", question, answer)
    return answer ~= "" and answer or default or ""
end

--- Asks yes or no; raises "declined" unless the answer is yes. With `type_this`, the person types that text instead.
---@param question string
---@param type_this? string
local function confirm(question, type_this)
    if gate.mode == "dry-run" then
        say("would ask: %s", question)
        return
    end
    local words = type_this and ("%s Type '%s' to go on:"):format(question, type_this) or question .. " [y/N]"
    if assume_yes then
        say("%s yes (--yes)", question)
        answers.keep(answers.path(task.context(), words), "confirm", words, type_this or "yes")
        return
    end
    local answer, path = answer_to { kind = "confirm", text = words, prompt = words }
    if answer == type_this or (not type_this and answer:lower():match "^y" ~= nil) then
        answers.keep(path, "confirm", words, answer)
        return
    end
    -- A no is not kept: a resumed run asks again.
    answers.forget(path)
    error(native.error.new { code = "declined", message = "not done: you did not agree to: " .. question }, 2)
end

--- Asks the person to do something by hand, and waits until they say that it is done.
---@param instruction string
local function manual(instruction)
    if gate.mode == "dry-run" then
        say("would ask a person to: %s", instruction)
        return
    end
    local _, path = answer_to {
        kind = "manual", text = instruction,
        prompt = "By hand: " .. instruction .. " — press Enter when it is done.",
    }
    answers.keep(path, "manual", instruction, "done")
end

--- Asks what became of something that was interrupted: nothing recorded can tell.
---@param what string
---@param doubts string[] the effects it is about, in words
---@return boolean happened, any result
local function ask_what_happened(what, doubts)
    local question = ("%s%s. Look, then say: again (run it), done, or done RESULT (as JSON)"):format(what,
        #doubts > 0 and ": " .. texts.one_line(table.concat(doubts, "; ")) or "")
    while true do
        local answer, path = answer_to { kind = "settle", text = question, prompt = question .. ":" }
        -- Forgotten at once: should the step be interrupted again, the old answer says nothing about that.
        answers.forget(path)
        local result = answer:match "^%s*done%s*(.-)%s*$"
        if answer:match "^%s*again%s*$" then
            return false
        elseif result then
            local readable, value = pcall(json.decode, result ~= "" and result or "null")
            if readable then
                return true, value ~= json.null and value or nil
            end
        end
    end
end

--- Asks whether a step that was interrupted happened.
---@param step string its path
---@param doubts string[] the effects it is about, in words
---@param has_run? boolean it came to its end, and only its result is not known
---@return boolean happened, any result
function questions.settle(step, doubts, has_run)
    return ask_what_happened(("Step '%s' %s"):format(texts.one_line(step), has_run
        and "has run, and its result could not be recorded" or "was interrupted, and may or may not have happened"),
        doubts)
end

--- Asks whether a step was taken back whose undo was interrupted.
---@param step string its path
---@param doubts string[] the effects of the undo that it is about, in words
---@return boolean happened
function questions.settle_undo(step, doubts)
    return (ask_what_happened(("The undo of step '%s' was interrupted, and may or may not have happened"):format(
        texts.one_line(step)), doubts))
end

questions.globals = { ask = ask, confirm = confirm, manual = manual }
return questions
