-- Local commands. A command is a list of arguments: no shell ever sees it, so nothing needs quoting.
local native, gate, import = ...
local sh = {}

local options_of, texts = import "base/options", import "base/text"

local OPTIONS = { read = "boolean", stdin = "string or secret", env = "table", cwd = "string", timeout = "number",
    limit = "number", check = "boolean" }

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local function check_options(options)
    options_of.check("sh.run", options, OPTIONS)
    if (tonumber(options.timeout) or 1) <= 0 or (tonumber(options.limit) or 1) <= 0 then
        misuse("sh.run: timeout (seconds) and limit (bytes) must be more than 0")
    end
    for name, value in pairs(unknown(options.env) and {} or options.env or {}) do
        local kind = type(value)
        if type(name) ~= "string" or value == true or kind == "table" or kind == "function" then
            misuse(("sh.run: env maps names to text, numbers, secrets or false, not %s to a %s"):format(
                tostring(name), kind))
        end
    end
end

--- The arguments as text; an unknown stays one, for the plan of a dry run.
local function arguments_of(argv)
    if type(argv) ~= "table" or #argv == 0 then
        misuse("sh.run takes a list of arguments: sh.run { \"git\", \"status\" }")
    end
    local arguments = {}
    for index, argument in ipairs(argv) do
        if secret.is(argument) then
            fail(("argument %d of %s is a secret, and everyone on this machine can read arguments"):format(index - 1,
                tostring(argv[1])), { code = "secret", hint = "give it on stdin, or in env" })
        elseif type(argument) == "number" then
            argument = tostring(argument)
        elseif type(argument) ~= "string" and not unknown(argument) then
            misuse(("argument %d of %s is a %s"):format(index - 1, tostring(argv[1]), type(argument)))
        end
        arguments[index] = argument
    end
    return arguments
end

--- The arguments as a person would type them.
local function summary_of(arguments)
    local words = {}
    for index, argument in ipairs(arguments) do
        words[index] = unknown(argument) and tostring(argument) or texts.shell_word(tostring(argument))
    end
    return table.concat(words, " ")
end

---@class sh.Options
---@field read? boolean it changes nothing
---@field stdin? string|secret what it reads
---@field env? table<string, string|number|secret|false> variables to add, false leaves one out (a secret here can be
---  read by the same user and root in /proc)
---@field cwd? string the directory to run in
---@field timeout? number seconds
---@field limit? integer most bytes of either output (16 MiB)
---@field check? boolean raise unless its exit status is 0 (true)

---@class sh.Result
---@field status integer
---@field stdout string
---@field stderr string

--- Runs a program of this machine and waits until it has ended and closed its output.
---
--- It counts as a write unless `read = true`. It runs in a session of its own, without a terminal; when the playbook is
--- cancelled, it and all it started get SIGTERM, and SIGKILL two seconds later; when hostler itself is killed, SIGKILL
--- at once. What it leaves behind when it ends, and that does not hold its output, stays. Its parent is a guardian, a
--- process of hostler's. It inherits hostler's environment, without the variables that secrets were read from: these it
--- gets by `env` alone.
---@param argv (string|number)[] the program and its arguments; a secret among them raises, for `ps` would show it
---@param options? sh.Options
---@return sh.Result
---@raise "sh.exit" with status, stdout, stderr; "sh.signal" with signal; "sh.spawn" when it cannot be started;
---  "sh.output" past the limit; "timeout"
---@effect write unless read
function sh.run(argv, options)
    options = options or {}
    check_options(options)
    local arguments = arguments_of(argv)
    return gate.perform({
        kind = options.read and "read" or "write",
        name = "sh.run",
        target = "localhost",
        summary = summary_of(arguments),
        inputs = { arguments, options },
        result = tostring(arguments[1]),
    }, native.run, arguments, options)
end

--- Like sh.run, but returns nil and the error instead of raising it. A cancellation is raised all the same.
---@param argv (string|number)[]
---@param options? sh.Options
---@return sh.Result?
---@return Error? error
---@effect write unless read
function sh.try(argv, options)
    return try(sh.run, argv, options)
end

return sh
