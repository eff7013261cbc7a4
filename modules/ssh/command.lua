-- How a list of arguments becomes the one line that SSH carries, and what is fed to it.
--
-- The host's shell sees only quoted words. Environment, secrets and scripts are not among them, since everyone on the
-- host can read arguments: they come on standard input, as one line that a small constant script evaluates before it
-- hands the rest of the input on.
local _, gate, import = ...
local command = {}

local texts = import "base/text"

local LONGEST_SHOWN = 157 -- bytes of a command

-- What only the host's shell can run, or runs as well without a program. Anything else takes the shell's place, so that
-- its end is seen as it was.
local BUILTINS = {}
for _, name in ipairs { "command", "type", "hash", "ulimit", "umask", "cd", "wait", "true", "false", "test", "[" } do
    BUILTINS[name] = true
end

--- One word on a line of its own: a newline in it becomes "$n".
local function quote_in_line(text)
    return (texts.quoted(text):gsub("\n", "'\"$n\"'"))
end

--- What a person reads of a command.
---@param argv any[]
---@return string
function command.shown(argv)
    local words = {}
    for index, word in ipairs(argv) do
        local text = tostring(word)
        words[index] = (secret.is(word) or unknown(word)) and text or texts.shell_word(text)
    end
    local line = table.concat(words, " "):gsub("%s+", " ")
    return texts.in_short(line, LONGEST_SHOWN)
end

local function has_secret(argv)
    for _, word in ipairs(argv) do
        if secret.is(word) then
            return true
        end
    end
    return false
end

--- The line that sets environment, arguments and script; a secret when one of them is.
local function preamble(request, secret_argv)
    local line = ""
    for name, value in pairs(request.env or {}) do
        line = line .. "export " .. name .. "=" .. gate.derive(value, quote_in_line) .. "; "
    end
    if request.script then
        line = line .. "script=" .. gate.derive(request.script, quote_in_line) .. "; "
    end
    if secret_argv then
        line = line .. "set --"
        for _, word in ipairs(request.argv) do
            line = line .. " " .. gate.derive(word, quote_in_line)
        end
    end
    return line .. "\n"
end

--- The program that becomes another user, and what its shell does first.
local function become(request)
    if not request.user or request.user == request.login then
        return {}, ""
    end
    local program = request.login == "root" and { "runuser", "-u", request.user, "--" }
        or { "sudo", "-n", "-u", request.user, "--" }
    return program, ("HOME=~%s USER=%s LOGNAME=%s; export HOME USER LOGNAME; cd \"$HOME\" 2>/dev/null || cd /; ")
        :format(request.user, request.user, request.user)
end

--- Builds the command line and its input.
---@param request { argv: any[], script?: string|secret, env?: table, cwd?: string, user?: string, login: string,
---  stdin?: string|secret } user: run as them; login: who is logged in; script: run by sh with argv as its arguments
---@return string|secret line
---@return any[] input
function command.build(request)
    local secret_argv = has_secret(request.argv)
    local on_input = secret_argv or request.script ~= nil or next(request.env or {}) ~= nil
    local words, script = become(request)
    local input = {}
    if on_input then
        script = script .. "n='\n'; IFS= read -r e || exit 125; eval \"$e\"; unset e n; "
        input[1] = preamble(request, secret_argv)
    end
    if request.cwd then
        script = script .. "cd -- " .. texts.shell_word(request.cwd) .. " || exit 125; "
    end
    input[#input + 1] = request.stdin
    if script ~= "" then
        script = script .. (request.script and 'eval "$script"' or 'exec "$@"')
        for _, word in ipairs { "/bin/sh", "-c", script, "sh" } do
            words[#words + 1] = word
        end
    end
    for _, word in ipairs(secret_argv and {} or request.argv) do
        words[#words + 1] = word
    end
    local builtin = BUILTINS[words[1]]
    for index, word in ipairs(words) do
        words[index] = texts.shell_word(tostring(word))
    end
    local line = table.concat(words, " ")
    return builtin and line or "exec " .. line, input
end

return command
