-- A prompt: reads what a person types, runs it, shows what it gave, and again. `hostler repl` is one; the debugger
-- opens others.
local native, import = ...
local prompt = {}

local sessions = import "prompt/session"
local task = native.task

local CONTINUATION = "   ... "

--- The next line; nil at the end of the input. With `cleared`, Ctrl-C has taken it away.
---@return string? line, boolean cleared
local function read(session, label, colour)
    local reader = task.spawn(nil, function() return session.input:read(label, colour) end)
    local outer = session.interactive and task.foreground(reader)
    local ok, line = pcall(task.join, reader)
    if session.interactive then
        task.foreground(outer)
    end
    task.checkpoint()
    if not ok and line.code ~= "cancelled" then
        error(line, 0)
    elseif not ok then
        session.input:drop() -- Ctrl-C may have come while the line was not waited for
    end
    return line, not ok
end

--- Reads and runs one entry.
---@return boolean leave, any value
local function read_entry(session)
    local cleared = false
    local function more()
        local line
        line, cleared = read(session, session.interactive and CONTINUATION or "")
        if cleared then
            error(line, 0)
        end
        return line
    end
    local line
    if session.interactive then
        line, cleared = read(session, session.options.label())
    else
        line = read(session, "")
    end
    if cleared then
        return false
    elseif line == nil then
        return true
    end
    local ok, leave, value = pcall(session.handle, session, line, more)
    if not ok and not cleared then
        error(leave, 0)
    end
    return ok and leave, value
end

--- Reads and runs until a word leaves, the input ends, or a script fails.
local function loop(session)
    local strict = session.options.until_error and not session.interactive
    while not (strict and session.failed) do
        local leave, value = read_entry(session)
        if leave then
            return value
        end
        session:start_jobs()
    end
end

--- Runs one entry as if it had been typed, and ends.
---@param options table as of prompt.run
---@param source string
---@return table? err
function prompt.execute(options, source)
    local session = sessions.new(options)
    session.interactive, session.colour = false, false
    session:handle(source)
    return session.failed
end

--- Reads and runs what is typed until a word leaves or the input ends.
---@param options { label: (fun(): string, string?), environment?: table, words?: table<string, { help: string,
---  usage?: string, plain?: boolean, run: fun(session: prompt.Session, rest: string): leave: boolean?, value: any }>,
---  prepare?: fun(context: table, entry: prompt.Entry), on_effect?: fun(entry: prompt.Entry, effect: table,
---  context: table), finish?: fun(entry: prompt.Entry, ok: boolean, result: table), until_error?: boolean,
---  first?: string }
---  label: what the prompt says before the line, and its colour; environment: names are looked up and assigned there (a
---  world of its own); words: typed as `:name`, the plain ones as `name` too; prepare, finish: called around each
---  evaluation, the first in its task; on_effect: called before each of its effects; until_error: a script ends with
---  its first error; first: a line that is run before any is read
---@return any value what the word that left it returned; nil at the end of the input
---@return table? err the error that ended a script
function prompt.run(options)
    local session = sessions.new(options)
    if options.first then
        session:handle(options.first)
        session:start_jobs()
    end
    local ok, value = pcall(loop, session)
    session:stop_jobs()
    if not ok then
        session.input:drop()
        error(value, 0)
    end
    return value, options.until_error and not session.interactive and session.failed or nil
end

return prompt
