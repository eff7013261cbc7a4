-- The run that this process records: which it is, and the numbers of what is recorded of it.
local native, import = ...
local texts = import "base/text"

local current = {
    --- Its id; nil when nothing is recorded: in a dry run, in tests of modules.
    run = nil,
    --- `attempt` counts the processes that worked on a run. Every claim raises it, and names the attempt it expects: of
    --- two that would resume a run at once, one finds no row. It is also the fence: every write of a run matches the
    --- attempt it was made by, so a process that was taken for dead writes nothing more.
    attempt = nil,
    --- Whether processes before this one have ended amid the run, and no step was finished since.
    has_crashed = false,
    --- While the finished steps of a run are gone through again to undo them: nothing new is begun.
    collecting = false,
}

local scrub = native.secret.scrub

local SCOPES_AN_ATTEMPT = 1e9

local last_number = 0

--- The run and its attempt are this process's now; without an id, none is.
---@param id? string
---@param attempt? integer
---@param number? integer the last number that was given in it (0)
function current.set(id, attempt, number)
    current.run, current.attempt, last_number = id, attempt, number or last_number
    current.has_crashed = false
end

--- Whether steps are only gone through again.
---@param on boolean
function current.collect(on)
    current.collecting = on
end

--- The next number of what is recorded of the run.
---@return integer
function current.next_number()
    last_number = last_number + 1
    return last_number
end

--- The number of a scope among those of all attempts: each process counts from 1.
function current.in_attempt(scope)
    return scope and scope + current.attempt * SCOPES_AN_ATTEMPT
end

--- Text for the journal: as a person would see it, never a secret, and UTF-8. A NUL, which no text in PostgreSQL
--- can hold, is spelled out.
function current.shown(value)
    return value ~= nil and (texts.valid(scrub(tostring(value))):gsub("%z", "\\x00")) or nil
end

return current
