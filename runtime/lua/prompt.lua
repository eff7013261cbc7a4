-- A prompt: reads what a person types, runs it, shows what it gave, and again. `hostler repl` is one; the debugger
-- opens others.
local native, import = ...
local prompt = {}

local evaluate, failure, inspect = import "evaluate", import "failure", import "inspect"
local inputs, words, worlds = import "prompt_input", import "prompt_words", import "prompt_world"
local system, task = native.system, native.task

local CONTINUATION = "   ... "

---@class prompt.Session
---@field environment table where names are looked up and assigned
---@field entries { source: string, number: integer, ok: boolean, effects: table[] }[] what was typed and run
---@field interactive boolean a person sits there, and sees a prompt
local Session = {}
Session.__index = Session

--- Shows a text for the person.
function Session.say(_, text)
    system.write(text .. "\n")
end

--- Shows an error and keeps it as `_err`. A cancellation by Ctrl-C is no news.
function Session:fail(err)
    rawset(self.scope, "_err", err)
    self.failed = err
    if not self.interactive then
        system.write_error(failure.describe(err, err.code == "lua" or err.code == "internal") .. "\n")
    elseif err.code == "cancelled" and not err.cause then
        self:say "cancelled"
    elseif err.code == "syntax" then
        local line = err.line and err.line > 1 and ("line %d: "):format(err.line) or ""
        self:say(("error: %s%s"):format(line, err.message))
    else
        self:say(failure.describe(err, false))
    end
end

--- Shows the values of an evaluation and keeps the first as `_`. What is piped on is only text.
function Session:show(values)
    if values.n == 0 then
        return
    end
    rawset(self.scope, "_", values[1])
    if not self.interactive and values.n == 1 and type(values[1]) == "string" then
        system.write((values[1]:gsub("\n?$", "\n", 1)))
    else
        self:say(inspect.values(values, { colour = self.colour }))
    end
end

--- Runs what was compiled, and remembers it as an entry.
---@param quiet? boolean do not show what it returns
---@return boolean ok
function Session:run(source, chunk, quiet)
    local entry = { source = source, effects = {}, number = #self.entries + 1 }
    self.entries[entry.number] = entry
    local function prepare(context)
        context.on_effect = function(effect, at)
            entry.effects[#entry.effects + 1] = { kind = effect.kind, name = effect.name, summary = effect.summary }
            if self.options.on_effect then
                self.options.on_effect(entry, effect, at)
            end
        end
        if self.options.prepare then
            self.options.prepare(context, entry)
        end
    end
    local ok, result = evaluate.run(chunk, prepare)
    entry.ok = ok
    if self.options.finish then
        self.options.finish(entry, ok, result)
    end
    if not ok then
        self:fail(result)
    elseif not quiet then
        self:show(result)
    end
    return ok
end

--- The word that a line begins with, and what follows it; nil when the line is code.
function Session:word_of(source)
    local name, rest = source:match "^%s*:([%a][%w_-]*)%s*(.-)%s*$"
    if name then
        return self.words[name] or { unknown = name }, rest
    end
    name, rest = source:match "^%s*([%a][%w_]*)%s*$", ""
    if not name then
        name, rest = source:match "^%s*([%a][%w_]*)%s+([^%s=(].-)%s*$"
    end
    local word = name and self.words[name]
    if word and word.plain then
        return word, rest
    end
end

--- Runs a word. Its errors are shown as those of code.
---@return boolean leave, any value
function Session:run_word(word, rest)
    if word.unknown then
        self:fail(words.unknown(word.unknown, self.words))
        return false
    end
    local ok, result = evaluate.run(function() return word.run(self, rest) end)
    if not ok then
        self:fail(result)
        return false
    end
    return result[1] == true, result[2]
end

--- Takes a line, or several that belong together.
---@param source string
---@param more? fun(): string? the next line of an entry that is not complete; without it, and at its end, that is an
---  error
---@return boolean leave, any value
function Session:handle(source, more)
    local word, rest = self:word_of(source)
    if word then
        return self:run_word(word, rest)
    elseif not source:find "%S" then
        return false
    end
    local chunk, err = evaluate.compile(source, self.scope, ("=entry %d"):format(#self.entries + 1))
    while err and err.code == "incomplete" and more do
        local line = more()
        if not line then
            break
        end
        source = source .. "\n" .. line
        chunk, err = evaluate.compile(source, self.scope, ("=entry %d"):format(#self.entries + 1))
    end
    if err then
        err.code = "syntax"
        self:fail(err)
    else
        self:run(source, chunk)
    end
    return false
end

--- The next line; nil at the end of the input. "" when Ctrl-C has cleared it: `cleared` tells.
function Session:read(label)
    local reader = task.spawn(nil, function() return self.input:read(label) end)
    local outer = self.interactive and task.foreground(reader)
    local ok, line = pcall(task.join, reader)
    if self.interactive then
        task.foreground(outer)
    end
    task.checkpoint()
    if not ok and line.code ~= "cancelled" then
        error(line, 0)
    end
    return line, not ok
end

--- Reads and runs until a word leaves, the input ends, or a script fails.
function Session:loop()
    while not (self.failed and self.options.until_error and not self.interactive) do
        local cleared = false
        local function more()
            local line
            line, cleared = self:read(self.interactive and CONTINUATION or "")
            if cleared then
                error(line, 0)
            end
            return line
        end
        local line
        line, cleared = self:read(self.interactive and self.options.label() or "")
        if not cleared then
            if line == nil then
                return nil
            end
            local ok, leave, value = pcall(self.handle, self, line, more)
            if not ok and not cleared then
                error(leave, 0)
            elseif ok and leave then
                return value
            end
        end
    end
    return nil, self.failed
end

--- A session that has not read anything yet.
---@param options table as of prompt.run
---@return prompt.Session
function prompt.new(options)
    local input = inputs.open()
    local environment = options.environment or worlds.new()
    local session = setmetatable({
        options = options, input = input, interactive = input.interactive, environment = environment, entries = {},
        words = words.with(options.words),
        colour = input.interactive and (system.env "NO_COLOR" or "") == "" and system.env "TERM" ~= "dumb",
    }, Session)
    -- `_` and `_err` are the prompt's own, whatever the environment does with assignments.
    session.scope = setmetatable({}, { __index = environment, __newindex = environment })
    return session
end

--- Runs one entry as if it had been typed, and ends.
---@param options table as of prompt.run
---@param source string
---@return table? err
function prompt.execute(options, source)
    local session = prompt.new(options)
    session.interactive = false
    session:handle(source)
    return session.failed
end

--- Reads and runs what is typed until a word leaves or the input ends.
---@param options { label: fun(): string, environment?: table, words?: table<string, { help: string, plain?: boolean,
---  run: fun(session: prompt.Session, rest: string): leave: boolean?, value: any }>, prepare?: fun(context: table,
---  entry: table), on_effect?: fun(entry: table, effect: table, context: table), finish?: fun(entry: table,
---  ok: boolean, result: table), until_error?: boolean, first?: string }
---  label: what the prompt says before the line; environment: names are looked up and assigned there (a world of its
---  own); words: typed as `:name`, the plain ones as `name` too; prepare, finish: called around each evaluation, the
---  first in its task; on_effect: called before each of its effects; until_error: a script ends with its first error;
---  first: a line that is run before any is read
---@return any value what the word that left it returned; nil at the end of the input
---@return table? err the error that ended a script
function prompt.run(options)
    local session = prompt.new(options)
    if options.first then
        session:handle(options.first)
    end
    return session:loop()
end

return prompt
