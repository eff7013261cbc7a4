-- Talking with the person: say, warn, ask, confirm, manual; and small values: secret, env, now, uuid.
local native, import = ...
local answers, gate, journal = import "run/answers", import "gate/gate", import "journal/journal"
local recording = import "gate/recording"
local fragment = import "gate/recorded_values".fragment
local turn = import "task/turn"
local event, task, json = native.event, native.task, native.json.face
local talk = {
    --- Set by --yes: confirm answers yes by itself.
    assume_yes = false,
}

local function shown(format, ...)
    if select("#", ...) > 0 then
        return format:format(...)
    end
    return type(format) == "userdata" and format or tostring(format)
end

--- Shows a line.
---@param format any shown as it is when nothing follows it, else a format of string.format
---@param ... any its values
local function say(format, ...)
    event.emit("say", { parent = task.context().scope, text = shown(format, ...) })
end

--- Shows a line that asks for attention.
---@param format any as for say
---@param ... any
local function warn(format, ...)
    event.emit("warn", { parent = task.context().scope, text = shown(format, ...) })
end

--- One line from the person at the terminal.
local function prompt(question)
    event.suspend()
    native.system.write_error(question .. " ")
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
    elseif journal.collecting then
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
            hint = journal.run and ("hostler answer %s VALUE"):format(journal.run)
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
    if talk.assume_yes then
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

--- Asks whether a step that was interrupted happened: nothing recorded can tell.
---@param step string its path
---@param doubts string[] the effects it is about, in words
---@return boolean happened, any result
function talk.settle(step, doubts)
    local question = ("Step '%s' was interrupted, and may or may not have happened%s. Look, then say: again (run it), "
        .. "done, or done RESULT (as JSON)"):format(step, #doubts > 0 and ": " .. table.concat(doubts, "; ") or "")
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

--- The parts of a secret list, each a secret: DO_DATABASE_API_TOKENS holds several tokens with commas between them.
---@param value secret
---@param separator? string one character (",")
---@return secret[]
local function split_secret(value, separator)
    local parts = {}
    native.secret.derive(value, function(text)
        for part in text:gmatch("[^" .. (separator or ","):gsub("%W", "%%%0") .. "]+") do
            parts[#parts + 1] = native.secret.new((part:match "^%s*(.-)%s*$"))
            fragment(parts[#parts])
        end
        return text
    end)
    return parts
end

---@class secret a value that is never shown; `..` and string.format with one make another

---@class secretlib
---@field split fun(value: secret, separator?: string): secret[] the parts of a secret list, each a secret; they stand
---  between separators of one character (",")
---@field random fun(length?: integer): secret a random one of letters and digits, 8 to 256 of them (32)
---@field wrap fun(text: string): secret makes text a secret: it is masked wherever it would be shown
---@field is fun(value: any): boolean whether a value is a secret
---@field scrub fun(text: string): string the text without the secrets that were seen so far; for what is encoded before
---  it is written, for then nobody would know them again
---@overload fun(name: string, options?: { optional?: boolean }): secret reads a secret from the environment or from
---  systemd's $CREDENTIALS_DIRECTORY; where it is not set this raises "secret", or with `optional` gives nil

---@type secretlib
local secret = setmetatable({
    split = split_secret, random = native.secret.random, wrap = native.secret.new, is = native.secret.is,
    scrub = native.secret.scrub,
}, {
    __call = function(_, name, options)
        local value = recording.setting("secret " .. name, function()
            local text = native.system.credential(name) or native.system.env(name)
            return text and text ~= "" and native.secret.new(text) or nil
        end)
        if value then
            return value
        elseif options and options.optional then
            return nil
        end
        error(native.error.new {
            code = "secret",
            message = ("the secret %s is not set"):format(name),
            hint = ("export %s=... , or give it to the service with LoadCredential=%s:FILE"):format(name, name),
        }, 2)
    end,
})

---@class jsonlib
---@field encode fun(value: any, pretty?: boolean): string the JSON text of a value; a table with items is a list,
---  another one an object. A secret in it raises "json"
---@field decode fun(text: string): any the value of a JSON text; null is json.null. Raises "json"
---@field array fun(list?: any[]): any[] the same table, written as [] also where it is empty
---@field is_array fun(value: any): boolean whether a table is written as a list
---@field null userdata stands for null

talk.globals = {
    say = say, warn = warn, ask = ask, confirm = confirm, manual = manual, secret = secret,
    ---@type jsonlib
    json = native.json.face,
    --- A setting from the environment, or the default.
    ---@param name string
    ---@param default? string
    ---@return string?
    env = function(name, default)
        local text = recording.setting(name, function() return native.system.env(name) end)
        return text ~= nil and text ~= "" and text or default
    end,
    --- Seconds since 1970.
    ---@return number
    now = function() return recording.value("now", "", native.system.now, true) end,
    --- A random UUID.
    ---@return string
    uuid = function() return recording.value("uuid", "", native.system.uuid, true) end,
}
return talk
