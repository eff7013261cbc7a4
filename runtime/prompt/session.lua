-- What one prompt holds: its names, what was typed, what runs beside it; and what is done with a line.
local native, import = ...
local prompt_session = {}

local evaluate, failure, inspect = import "prompt/evaluate", import "run/failure", import "report/inspect"
local completion, texts = import.later "prompt/completion", import "base/text"
local inputs, words, environments = import "prompt/input", import "prompt/words", import "prompt/environment"
local system, task = native.system, native.task

---@class prompt.Entry what was typed and run
---@field source string
---@field number integer
---@field ok boolean
---@field effects { kind: string, summary: any, step?: string }[] step: the one that it was in, when it began
---@field file? string the file that it is the text of

---@class prompt.Session
---@field options table as of prompt.run
---@field environment table where names are looked up and assigned
---@field scope table the same, with `_` and `_err`
---@field entries prompt.Entry[]
---@field files table<string, string> the texts of the files that were loaded, by path
---@field jobs table<integer, table> what runs beside the prompt
---@field failed? table the last error
---@field interactive boolean a person sits there, and sees a prompt
local Session = {}
Session.__index = Session

--- Shows a text for the person.
function Session.say(_, text)
    system.write(text .. "\n")
end

--- Shows values, in the colours that inspect gave them.
local function say_values(values, colour)
    system.write_painted(inspect.values(values, { colour = colour }) .. "\n")
end

--- Shows an error and keeps it as `_err`. Of a cancellation by Ctrl-C only the word is shown.
function Session:fail(err)
    rawset(self.scope, "_err", err)
    self.failed = err
    if not self.interactive then
        system.write_error(failure.describe(err, err.code == "lua" or err.code == "internal") .. "\n")
    elseif err.code == "cancelled" and not err.cause then
        self:say "\ncancelled" -- the terminal has written ^C
    elseif err.code == "syntax" then
        local place = err.file and ("%s:%d: "):format(err.file, err.line)
            or err.line and err.line > 1 and ("line %d: "):format(err.line) or ""
        self:say(("error: %s%s"):format(place, texts.indented(tostring(err.message), #"error: ")))
    else
        self:say(failure.describe(err, false))
    end
end

--- Shows the values of an evaluation and keeps the first as `_`. Where no person sits, a text is written as it is, for
--- the next program in the pipe.
function Session:show(values)
    if values.n == 0 then
        return
    end
    rawset(self.scope, "_", values[1])
    if not self.interactive and values.n == 1 and type(values[1]) == "string" then
        system.write_data((values[1]:gsub("\n?$", "\n", 1)))
    else
        say_values(values, self.colour)
    end
end

--- Notes each effect in its entry, and tells the one who opened the prompt of it.
local function watch(self, entry, context)
    context.title = entry.source
    context.on_effect = function(effect, at)
        entry.effects[#entry.effects + 1] = { kind = effect.kind, summary = effect.summary, step = at.step }
        if self.options.on_effect then
            self.options.on_effect(entry, effect, at)
        end
    end
    if self.options.prepare then
        self.options.prepare(context, entry)
    end
end

local function new_entry(self, source, file)
    local entry = { source = source, effects = {}, number = #self.entries + 1, file = file }
    self.entries[entry.number] = entry
    return entry
end

local function finish(self, entry, ok, result)
    entry.ok = ok
    if self.options.finish then
        self.options.finish(entry, ok, result)
    end
    task.checkpoint()
end

--- Runs what was compiled, as an entry, and shows what it gives.
---@param options? { quiet?: boolean, file?: string } quiet: what it returns is not shown
---@return boolean ok
function Session:run(source, chunk, options)
    options = options or {}
    local entry = new_entry(self, source, options.file)
    local ok, result = evaluate.run(chunk, function(context) watch(self, entry, context) end)
    finish(self, entry, ok, result)
    if not ok then
        self:fail(result)
    elseif not options.quiet then
        self:show(result)
    end
    return ok
end

-- ---- beside the prompt ----

--- Wants code to be run beside the prompt: the task that reads the lines starts it, for it owns what it starts.
---@return integer number
function Session:start_job(source, chunk)
    self.last_job = (self.last_job or 0) + 1
    self.jobs[self.last_job] = { number = self.last_job, source = source, chunk = chunk }
    return self.last_job
end

local function run_job(self, job)
    local started, entry = system.monotonic(), new_entry(self, job.source)
    job.task = evaluate.start(job.chunk, function(context)
        context.unattended = true
        watch(self, entry, context)
    end)
    local ok, result = evaluate.wait(job.task)
    self.jobs[job.number] = nil
    finish(self, entry, ok, result)
    local status = ok and "done" or result.code == "cancelled" and "stopped" or "failed"
    self:say(("[%d] %s after %s"):format(job.number, status, texts.duration(system.monotonic() - started)))
    if ok and result.n > 0 then
        say_values(result, self.colour)
    elseif not ok and status == "failed" then
        self:fail(result)
    end
end

--- Starts the jobs that are wanted; called in the task that reads the lines.
function Session:start_jobs()
    for _, job in pairs(self.jobs) do
        job.keeper = job.keeper or task.spawn(nil, run_job, self, job)
    end
end

--- Stops what runs beside the prompt, and waits for it.
function Session:stop_jobs()
    local keepers = {}
    for _, job in pairs(self.jobs) do
        task.cancel(job.task or job.keeper, "the prompt was left")
        keepers[#keepers + 1] = job.keeper
    end
    for _, keeper in ipairs(keepers) do
        pcall(task.join_shielded, keeper)
    end
end

-- ---- lines ----

--- The word that a line begins with, and what follows it; nil when the line is code.
function Session:word_of(source)
    local name, rest = source:match "^%s*:([%a][%w_-]*)%s*(.-)%s*$"
    if name then
        return self.words[name] or { unknown = name }, rest
    end
    name = source:match "^%s*([%a][%w_]*)%s*$"
    if not name then
        name, rest = source:match "^%s*([%a][%w_]*)%s+([^%s=(].-)%s*$"
    end
    local word = name and self.words[name]
    if word and word.plain then
        return word, rest or ""
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
    task.checkpoint()
    if not ok then
        self:fail(result)
        return false
    end
    return result[1] == true, result[2]
end

--- Compiles a line, and as many more as it takes to make it whole.
local function compile_all(self, source, more)
    while true do
        local chunk, err = evaluate.compile(source, self.scope, ("=entry %d"):format(#self.entries + 1))
        local line = err and err.code == "incomplete" and more and more()
        if not line then
            return chunk, err, source
        end
        source = source .. "\n" .. line
    end
end

--- Takes a line, or several that belong together.
---@param source string
---@param more? fun(): string? the next line of an entry that is not complete; without it, and at its end, that is an
---  error
---@return boolean leave, any value
function Session:handle(source, more)
    local word, rest = self:word_of(source)
    if word then
        self.input:remember(source)
        return self:run_word(word, rest)
    elseif not source:find "%S" then
        return false
    end
    local chunk, err
    chunk, err, source = compile_all(self, source, more)
    if chunk then
        self:run(source, chunk)
    else
        err.code = "syntax"
        self:fail(err)
    end
    self.input:remember(source) -- only now it is known what in it is secret
    return false
end

--- A session that has not read anything yet.
---@param options table as of prompt.run
---@return prompt.Session
function prompt_session.new(options)
    local input = inputs.open()
    local environment = options.environment or environments.new()
    -- `_` and `_err` are the prompt's own, whatever the environment does with assignments.
    local scope = setmetatable({}, { __index = environment, __newindex = environment })
    local session = setmetatable({
        options = options, input = input, interactive = input.interactive, environment = environment, scope = scope,
        entries = {}, files = {}, jobs = {}, words = words.with(options.words), colour = input.coloured,
    }, Session)
    function input.complete(line)
        return completion.of(session, line)
    end
    return session
end

return prompt_session
