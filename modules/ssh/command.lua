-- How a list of arguments becomes the one line that SSH carries, and what is fed to it.
--
-- The line is read by the user's login shell, which may be any: sh, csh, fish and others agree on little. So it is made
-- of what they all take alike: `echo`, a semicolon, `exec`, the path of /bin/sh, and quoted words of printable ASCII.
-- Arguments that this does not hold come on standard input, and so do environment, secrets and scripts, since everyone
-- on the host can read arguments: as one line that a small constant script of /bin/sh evaluates before it hands on the
-- rest.
--
-- /bin/sh begins by saying a word: what was printed before it came from the login shell's own start-up files, and
-- without it the login shell has not run the line, for it may be one that refuses, or has another `exec`. A login shell
-- whose `echo` and `exec` were seen to be that says the word itself where nothing else needs /bin/sh: that spares the
-- host a process. Where there is input, its first line has a word as well: start-up files can put something else in its
-- place (`exec </dev/null`), which must neither be evaluated nor reach the program.
local _, gate, import = ...
local WORD, SHELL_WORD = "hostler.begun", "hostler.shell"
local command = {
    --- What is said before the program begins.
    BEGUN = WORD .. "\n",
    --- What a login shell says just before that whose `echo` and `exec` are what they should be: it is to be trusted.
    TRUSTED = SHELL_WORD .. "\n",
    --- What is said, on standard error, when the input is not the one that was sent; with the status of NO_INPUT.
    NO_INPUT = "hostler.no_input\n",
    NO_INPUT_STATUS = 125,
}

local texts = import "base/text"

-- The first line of the input, without what it begins with, is evaluated.
local INPUT = "hostler.input "
local READ_INPUT = ('IFS= read -r hostler_input; case $hostler_input in %s*) ;; *) echo %s >&2; exit %d ;; esac; '
    .. 'eval "${hostler_input#* }"; unset hostler_input; '):format(INPUT:gsub(" ", "\\ "), command.NO_INPUT:match "%S+",
    command.NO_INPUT_STATUS)

local LONGEST_SHOWN = 157 -- bytes of a command

-- How long the line may be is up to others: libssh2 (1.10) refuses more than 34,726 bytes, Dropbear's server more than
-- 9,000; and a packet of SSH need not be longer than 32,768 (RFC 4253, section 6.1).
local MOST_LINE = 8000

-- What only a shell can run: sh does.
local ONLY_IN_SHELLS = {}
for _, name in ipairs { "command", "type", "hash", "ulimit", "umask", "cd", "wait" } do
    ONLY_IN_SHELLS[name] = true
end

-- Programs that some login shells have built in, and run even after `exec`, with another idea of their arguments.
local BUILT_IN = {}
for _, name in ipairs { "echo", "printf", "pwd", "kill", "test", "[" } do
    BUILT_IN[name] = true
end

--- Whether every login shell can be given the text as one word.
local function is_carried(text)
    return not text:find "[^ -~]"
end

--- A word in the login shell's line. In single quotes csh sees "!" and fish a backslash; outside them a backslash makes
--- either plain in all shells. Only a word of plain characters needs no quotes; fish sees "%self".
local function quote_in_line(text)
    if text:find "^[%w@+:,./_-][%w@+=:,./_-]*$" then
        return text
    end
    return "'" .. text:gsub("['\\!]", "'\\%0'") .. "'"
end

--- A word in the line on the input, which sh evaluates: a newline in it becomes a variable.
local function quote_on_input(text)
    return (texts.quoted(text):gsub("\n", "'\"$hostler_newline\"'"))
end

--- The line on the input with that variable, where it needs it.
local function with_newline(line)
    return line:find("$hostler_newline", 1, true)
        and INPUT .. "hostler_newline=$(printf '\\n.'); hostler_newline=${hostler_newline%.}; " .. line:sub(#INPUT + 1)
            .. "unset hostler_newline" or line
end

local function add(words, more)
    for _, word in ipairs(more) do
        words[#words + 1] = word
    end
    return words
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

--- Whether the line can hold the arguments.
local function are_carried(arguments)
    local length = 0
    for _, word in ipairs(arguments) do
        if secret.is(word) or not is_carried(word) then
            return false
        end
        length = length + #quote_in_line(word) + 1
    end
    return length < MOST_LINE
end

--- The line that sets environment, script and, where the command line cannot hold them, arguments; a secret when one of
--- them is.
local function preamble(request, arguments)
    local line = INPUT
    for name, value in pairs(request.env or {}) do
        line = line .. "export " .. name .. "=" .. gate.derive(value, quote_on_input) .. "; "
    end
    if request.script then
        line = line .. "hostler_script=" .. gate.derive(request.script, quote_on_input) .. "; "
    end
    if arguments then
        line = line .. "set --"
        for _, word in ipairs(arguments) do
            line = line .. " " .. gate.derive(word, quote_on_input)
        end
        line = line .. "; "
    end
    return gate.derive(line, with_newline) .. "\n"
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

-- The parents of a marked program, which hand on how it ended. A signal for the group is the program's to take: they go
-- on, and a program that is begun has the default all the same. A status above 128 may be the program's own or tell of
-- a signal: only of a child that a signal ended do dash and BusyBox say something on their standard error, which here
-- `$()` reads. Of SIGINT and SIGPIPE they say nothing, and bash of none: then the status is handed on, as shells do.
local SIGNALS = "HUP INT QUIT PIPE ALRM TERM USR1 USR2"
local AS_PARENT = ("trap : SIGNALS; exec 3>&1; ended=$(trap : SIGNALS; exec 4>&2 2>&1; "
    .. '(%s) >&3 2>&4 3>&- 4>&-; echo " $?"); status=${ended##* }; [ -z "${ended%% *}" ] || '
    .. "{ ulimit -c 0; trap - SIGNALS; kill -$((status - 128)) $$; }; exit ${status:-137}"):gsub("SIGNALS", SIGNALS)

--- What marks a command where it runs: see outliving.lua.
local function marking(mark)
    return mark and ("HOSTLER_COMMAND=%s.; export HOSTLER_COMMAND; "):format(mark) or ""
end

--- What sh does last: it becomes the program, or its parent where that is marked.
local function ending(program, mark)
    local running = ONLY_IN_SHELLS[program] and '"$@"' or 'exec "$@"'
    return mark and AS_PARENT:format(running) or running
end

local function shell(script)
    return { "/bin/sh", "-c", script, "sh" }
end

local function line_of(words)
    local line = {}
    for index, word in ipairs(words) do
        line[index] = quote_in_line(word)
    end
    return "exec " .. table.concat(line, " ")
end

--- Whether nothing is left for /bin/sh to do.
local function is_plain(request, became)
    return not (request.mark or request.script or request.cwd or request.stdin or next(request.env or {}) or #became > 0
        or ONLY_IN_SHELLS[request.argv[1]] or BUILT_IN[request.argv[1]])
end

--- Builds the command line and its input.
---@param request { argv: any[], script?: string|secret, env?: table, cwd?: string, user?: string, login: string,
---  stdin?: string|secret, mark?: string, trusted?: boolean } user: run as them; login: who is logged in; script: run
---  by sh with argv as its arguments; mark: what it is found by when the connection is gone; trusted: the login shell
---  is
---@return string line
---@return any[] input
function command.build(request)
    local arguments = add({ request.cwd }, request.argv)
    local carried = are_carried(arguments)
    local became, script = become(request)
    if request.trusted and carried and is_plain(request, became) then
        return ("echo %s; %s"):format(WORD, line_of(arguments)), {}
    end
    local input, begin = {}, marking(request.mark) .. "echo " .. WORD .. "; "
    if not carried or request.script or next(request.env or {}) or request.stdin then
        script = script .. READ_INPUT
        input[1] = preamble(request, not carried and arguments)
    end
    if request.cwd then
        script = script .. 'cd -- "$1" || exit 125; shift; '
    end
    input[#input + 1] = request.stdin
    local words
    if #became > 0 or request.script and request.mark then -- a script is a program of its own, and so is sudo
        words = add(add(shell(begin .. ending(became[1], request.mark)), became), shell(marking(request.mark) .. script
            .. (request.script and 'eval "$hostler_script"' or ending(request.argv[1]))))
    else
        words = shell(begin .. script .. (request.script and 'eval "$hostler_script"'
            or ending(request.argv[1], request.mark)))
    end
    return ("echo %s; %s"):format(SHELL_WORD, line_of(add(words, carried and arguments or {}))), input
end

return command
