-- Errors as playbooks make, catch and show them. The shape is runtime/base/error.h's.
local native, import = ...
local failure = {}

local texts = import "base/text"

local MOST_CAUSES = 10
local LONGEST_SAID = 4000 -- bytes

---@class Error what is raised when something fails; tostring gives what a person reads
---@field code string a stable word to test for: "ssh.exit", "http.status", "timeout", "cancelled", "usage" ...
---@field message string what failed, one sentence
---@field hint? string what to do next
---@field cause? Error the error underneath
---@field target? string whom the effect reached
---@field effect? string the effect that failed
---@field step? string the step it failed in
---@field file? string where in the playbook
---@field line? integer
---@field traceback? string
---@field status? integer|table of a command its exit status, of an HTTP request the answer's
---@field stdout? string the last of what a command said
---@field stderr? string
---@field body? string the beginning of what a server said
---@field sqlstate? string PostgreSQL's word for it
---@field failures? { key: string, error: Error }[] of an each: what failed
---@field [string] any the details that a function's `raises` names

--- Raises an error. `fields` may add code (default "failed"), hint, target and details of its own.
---@param message string what failed, one sentence
---@param fields? { code?: string, hint?: string, target?: string, cause?: Error, [string]: any }
local function fail(message, fields)
    local err = {}
    for key, value in pairs(fields or {}) do
        err[key] = value
    end
    err.message = tostring(message)
    err.code = err.code or "failed"
    error(native.error.new(err), 2)
end

--- Calls fn and returns its results, or nil and the error. A cancellation is not caught.
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any result what fn returns, all of it
---@return Error? error
local function try(fn, ...)
    local results = { xpcall(fn, native.error.complete, ...) }
    if results[1] then
        return unpack(results, 2, table.maxn(results))
    end
    native.task.checkpoint()
    return nil, results[2]
end

--- Scrubbed as a whole, before it is cut into lines: a part of a secret would not be known as one.
local function clean(text)
    return native.secret.scrub(tostring(text))
end

local ERROR = "error: "

local function add(lines, label, text)
    if text == nil or text == "" or text == false then
        return
    end
    local first = true
    for line in texts.lines(clean(text)) do
        lines[#lines + 1] = ("  %-9s %s"):format(first and label or "", line)
        first = false
    end
end

--- The last lines of a long text, for what a command said before it failed.
local function tail(text, count)
    local lines = {}
    for line in texts.lines((text:gsub("%s+$", ""))) do
        lines[#lines + 1] = line
    end
    return table.concat(lines, "\n", math.max(1, #lines - count + 1))
end

--- The last lines of what the other side said: the command's errors or output, the server's answer, the log.
local function said(err, count)
    for _, field in ipairs { "stderr", "stdout", "body", "log" } do
        local words = err[field]
        if type(words) == "string" and words:find "%S" then
            return tail(texts.ending(words, LONGEST_SAID), count), field
        end
    end
    return "", "said"
end

--- The failed items that an error lists: those of each(), or of a playbook that raises them as an error of its own.
local function failures_of(err)
    local found = {}
    for _, item in ipairs(type(err.failures) == "table" and err.failures or {}) do
        if type(item) == "table" and item.key ~= nil and native.error.is(item.error) then
            found[#found + 1] = item
        end
    end
    return found
end

--- What a person reads of an error: message, step, target, what was said, place, causes, hint.
---@param err table
---@param verbose? boolean with the traceback
---@return string
function failure.describe(err, verbose)
    local lines = { ERROR .. texts.indented(clean(err.message), #ERROR) }
    for _, field in ipairs { "step", "target", "effect" } do
        add(lines, field, err[field] and texts.one_line(clean(err[field])))
    end
    local words, source = said(err, 10)
    add(lines, source, words)
    add(lines, "sql", err.excerpt)
    add(lines, "detail", err.detail)
    add(lines, "where", err.file and ("%s:%s"):format(tostring(err.file), tostring(err.line or "?")))
    local failed, cause = failures_of(err), err.cause
    if failed[1] and failed[1].error == cause then -- it is told below
        cause = cause.cause
    end
    for _ = 1, MOST_CAUSES do
        add(lines, "because", cause)
        cause = type(cause) == "table" and cause.cause or nil
    end
    for _, item in ipairs(failed) do
        add(lines, "failed", texts.one_line(clean(item.key)) .. ": " .. clean(item.error))
        add(lines, "", item.error.step and "  step " .. texts.one_line(clean(item.error.step)))
        add(lines, "", said(item.error, 3):gsub("[^\n]+", "  %0"))
        add(lines, "", item.error.hint and "  " .. item.error.hint)
    end
    add(lines, "hint", err.hint)
    if verbose then
        add(lines, "trace", err.traceback)
    end
    return table.concat(lines, "\n")
end

-- Exit statuses before a run has begun, and after.
local EXIT_BEFORE = { usage = 2, manifest = 2, syntax = 2, load = 2, locked = 4 }
local EXIT_AFTER = { parked = 3, locked = 4, cancelled = 130 }
local EXIT_FAILED, EXIT_INTERRUPTED = 1, 130

--- The error's code; of an each all of whose items failed alike, theirs.
---@param err table
---@return string
function failure.code_of(err)
    local code = err.code
    for index, item in ipairs(code == "each" and err.failures or {}) do
        local one = failure.code_of(item.error)
        if index > 1 and one ~= code then
            return err.code
        end
        code = one
    end
    return code
end

--- Whether an error has a code, or what caused it, or one of those that it lists.
---@param err any
---@param code string
---@return boolean
function failure.involves(err, code)
    for _ = 1, MOST_CAUSES do
        if not native.error.is(err) then
            return false
        elseif err.code == code then
            return true
        end
        for _, item in ipairs(failures_of(err)) do
            if failure.involves(item.error, code) then
                return true
            end
        end
        err = err.cause
    end
    return false
end

--- The exit status that tells of this error of a run.
---@param err table
---@return integer
function failure.exit_status(err)
    return native.task.interrupted() and EXIT_INTERRUPTED or EXIT_AFTER[failure.code_of(err)] or EXIT_FAILED
end

--- The exit status that tells of this error of a command, before any run has begun.
---@param err table
---@return integer
function failure.exit_status_before(err)
    return native.task.interrupted() and EXIT_INTERRUPTED or EXIT_BEFORE[err.code] or EXIT_FAILED
end

failure.globals = { fail = fail, try = try }
return failure
