-- A host: as whom one comes to it, and the commands that run there. Its files are the file_*.lua's and files.lua's, its
-- ports ports.lua's.
local _, gate, import = ...

local texts = import "base/text"
local native, command, options_of = import "ssh/native", import "ssh/command", import "base/options"

---@class ssh.Host a host, as a user of it
---@field target string the host as the playbook named it
---@field user string who commands run as
local Host = {}
Host.__index = Host
Host.__tostring = function(self)
    return self.acting and ("%s@%s"):format(self.acting, tostring(self.target)) or tostring(self.target)
end

local DEFAULT_LIMIT = 16 * 1024 * 1024
local TAIL = 4096

local RUN_OPTIONS = {
    read = "boolean", stdin = "string or secret", env = "table", cwd = "string", timeout = "number", limit = "number",
    summary = "any", detail = "string", check = "boolean", allow_secret_argv = "boolean", args = "table",
}

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

--- The same host as another user: root becomes them with runuser, others with sudo, which must not ask for a password.
--- Commands then begin in that user's home, with HOME and USER set.
---@param user string
---@return ssh.Host
function Host:as(user)
    if type(user) ~= "string" or not user:find "^[%a_][%w_.-]*$" then
        misuse(("host:as: '%s' does not name a user"):format(tostring(user)))
    end
    return setmetatable({ target = self.target, user = user, acting = user, shared = self.shared }, Host)
end

--- Closes the connection for everybody in this run who shares it. A later use connects again.
function Host:close()
    if not self.shared.lazy then
        gate.perform({ kind = "read", name = "ssh.close", target = self.target, summary = "close the connection" },
            self.shared.close)
    end
end

-- ---- commands ----

local function tail(text)
    return text and texts.ending(text, TAIL)
end

--- No shell and no program could take it whole.
local function refuse_zero_byte(what, value)
    if type(value) ~= "string" and not secret.is(value) then
        return
    end
    gate.derive(value, function(text)
        if text:find "%z" then
            misuse(what .. " holds a zero byte")
        end
        return text
    end)
end

local function check_argv(what, argv, options)
    if type(argv) ~= "table" or (#argv == 0 and what == "host:run") then
        misuse(what .. " takes a list of arguments: host:run { \"systemctl\", \"status\" }")
    end
    local words = {}
    for index, word in ipairs(argv) do
        if secret.is(word) and not options.allow_secret_argv then
            fail(("argument %d of %s is a secret, and everyone on the host can read arguments"):format(index - 1,
                tostring(argv[1])), {
                code = "ssh.secret",
                hint = "give it on stdin or in env; where the tool takes it only so, allow_secret_argv = true",
            })
        elseif type(word) == "number" then
            word = ("%.14g"):format(word)
        elseif type(word) ~= "string" and not secret.is(word) and not unknown(word) then
            misuse(("%s: argument %d is a %s"):format(what, index, type(word)))
        end
        refuse_zero_byte(("%s: argument %d"):format(what, index), word)
        words[index] = word
    end
    if what == "host:run" and type(words[1]) == "string" and words[1]:find "^%-" then
        misuse(("host:run: '%s' cannot be a program's name"):format(words[1]), "the list begins with the program")
    end
    return words
end

local function check_run(what, options)
    options_of.check(what, options, RUN_OPTIONS)
    for name, value in pairs(unknown(options.env) and {} or options.env or {}) do
        if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
            misuse(("%s: '%s' cannot name a variable"):format(what, tostring(name)))
        elseif type(value) ~= "string" and type(value) ~= "number" and not secret.is(value) and not unknown(value) then
            misuse(("%s: the variable %s must be text, a number or a secret, not a %s"):format(what, name, type(value)))
        end
        refuse_zero_byte(("%s: the variable %s"):format(what, name), value)
    end
    refuse_zero_byte(what .. ": cwd", options.cwd)
end

--- Refuses to take for the command's end what the login shell made of it, when that did not begin with it or has its
--- input.
local function check_shell(self, shown, result)
    if result.begun and result.status == command.NO_INPUT_STATUS and result.stderr:sub(-#command.NO_INPUT)
        == command.NO_INPUT then
        fail(("`%s` did not run: it does not get its input on %s"):format(shown, self.target), {
            code = "ssh.shell", unclear = false, status = result.status,
            hint = ("a start-up file of the login shell of %s (.bashrc, .zshenv ...) puts something else in its "
                .. "place, as `exec </dev/null` does: let it do so only where there is a terminal"):format(
                self.shared.login),
        })
    elseif result.begun then
        return
    end
    local says = (result.stderr .. result.stdout):match "%s*(%S[^\n]*)"
    fail(("`%s` did not run: the login shell of %s says %s"):format(shown, self.shared.login,
        says and '"' .. texts.beginning(says, 200) .. '"' or "nothing"), {
        code = "ssh.shell", unclear = false, status = result.status, signal = result.signal,
        stdout = tail(result.stdout), stderr = tail(result.stderr),
        hint = ("on the host, `getent passwd %s` shows which it is; its start-up files may end it, or have another "
            .. "`exec`; come as a user whose shell runs any program, or change it: chsh -s /bin/sh %s"):format(
            self.shared.login, self.shared.login),
    })
end

local function hint_for(result)
    if result.status == 127 or result.stderr:find "^[^\n]+: Command not found%.\n$" then -- csh says so with status 1
        return "the host does not find this program"
    elseif result.status > 128 and result.status < 160 then
        return ("a shell says %d of a program that signal %d ended"):format(result.status, result.status - 128)
    elseif result.status == 126 and result.stderr:find("Argument list too long", 1, true) then
        return "Linux lets one argument or variable have 131,071 bytes, and all together about 2 MB: pass more on "
            .. "stdin, or in a file (host:write)"
    end
end

local function raise_ending(shown, result)
    local details = { status = result.status, signal = result.signal, stdout = tail(result.stdout),
        stderr = tail(result.stderr) }
    if result.signal then
        details.code = "ssh.signal"
        fail(("`%s` was ended by signal %s"):format(shown, result.signal), details)
    end
    details.code = "ssh.exit"
    details.hint = hint_for(result)
    fail(("`%s` ended with status %d"):format(shown, result.status), details)
end

-- The connections whose login shell is known to do what it is told.
local trusted = setmetatable({}, { __mode = "k" })

--- Runs what is built, inside an effect.
local function execute(self, request, options, shown, take, effect)
    local connection = self.shared.connection()
    request.login, request.mark, request.trusted = self.shared.login, effect.mark, trusted[connection]
    local line, input = command.build(request)
    local ok, result = pcall(native.exec, connection, line, input, options.limit or DEFAULT_LIMIT, options.timeout or 0,
        command.BEGUN)
    if not ok then
        if type(result) == "table" and result.stdout then
            result.message = ("`%s`: %s%s"):format(shown, result.message,
                result.begun and "" or "; the login shell had not begun with it")
            result.begun = nil
            result.stdout, result.stderr = tail(result.stdout), tail(result.stderr)
        end
        error(result, 0)
    end
    check_shell(self, shown, result)
    trusted[connection] = trusted[connection] or result.begun:sub(-#command.TRUSTED) == command.TRUSTED
    result.begun = nil
    if options.check ~= false and (result.signal or result.status ~= 0) then
        raise_ending(shown, result)
    end
    if take then
        take(result)
    end
    return result
end

--- A host as outliving.lua comes to it again.
local function way_to(self)
    local options = {}
    for name, value in pairs(self.shared.options) do
        options[name] = getmetatable(value) == Host and way_to(value) or value
    end
    return { module = "ssh", target = self.target, user = self.acting, options = options }
end

--- Every command and file of a host passes here.
local function perform(self, effect, request, options)
    local shown = effect.shown or command.shown(request.argv)
    request.user, request.env, request.cwd = self.acting, options.env, options.cwd
    request.stdin = options.stdin
    local asked = {
        kind = options.read and "read" or "write",
        name = effect.name,
        target = self.target,
        summary = options.summary or effect.summary
            or (self.acting and ("%s (as %s)"):format(shown, self.acting) or shown),
        inputs = { self.target, self.shared.options.address, request.argv, options.env, options.stdin, request.script },
        result = effect.result or tostring(request.argv[1]),
        detail = effect.detail or options.detail,
        reach = not options.read and way_to(self) or nil,
    }
    return gate.perform(asked, execute, self, request, options, shown, effect.take, asked)
end

---@class ssh.RunOptions
---@field read? boolean it changes nothing
---@field stdin? string|secret what it reads
---@field env? table<string, string|number|secret>
---@field cwd? string the directory to run in
---@field timeout? number seconds
---@field limit? integer most bytes of either output (16 MiB)
---@field summary? string how the effect is shown
---@field detail? string lines that a dry run shows below that: what the command would change
---@field check? boolean raise unless its status is 0 (true)
---@field allow_secret_argv? boolean for tools that take a secret only as an argument
---@field args? (string|number)[] of host:sh: its "$1" and so on

---@class ssh.Result
---@field status integer
---@field stdout string
---@field stderr string
---@field signal? string the one that ended it

--- Runs a program on the host and waits until it has ended.
---
--- It counts as a write unless `read = true`. Environment and standard input never appear among its arguments, which
--- all users of the host can read. Without `stdin` its input is empty. Arguments may be as long as the host's system
--- takes them: on Linux 131,071 bytes each and about 2 MB together. The user's login shell may be any (sh, csh, fish
--- ...): the program gets its arguments as they are, and what the shell's start-up files print is no output of it. It
--- goes on when the connection is lost; a run that is resumed waits for it.
---@param argv (string|number)[] the program and its arguments
---@param options? ssh.RunOptions
---@return ssh.Result
---@raise "ssh.exit" with status, stdout, stderr (their last 4 KiB); "ssh.signal" with signal; "ssh.output" past the
---  limit; "ssh.shell" when the user's login shell does not run it; "ssh.closed" when the connection drops;
---  "ssh.secret" for a secret argument; "timeout"; what ssh.connect raises
---@effect write unless read
function Host:run(argv, options)
    options = options or {}
    check_run("host:run", options)
    return perform(self, { name = "ssh.run" }, { argv = check_argv("host:run", argv, options) }, options)
end

--- Like host:run, but returns nil and the error instead of raising it. A cancellation is raised all the same.
---@param argv (string|number)[]
---@param options? ssh.RunOptions
---@return ssh.Result?
---@return Error? error
---@effect write unless read
function Host:try(argv, options)
    return try(self.run, self, argv, options)
end

--- Runs a shell script on the host. The script is sent on standard input, so it does not appear among arguments;
--- values go in as positional arguments: host:sh("mkdir -p \"$1\"", { args = { path } }).
---@param script string|secret for /bin/sh
---@param options? ssh.RunOptions
---@return ssh.Result
---@effect write unless read
function Host:sh(script, options)
    options = options or {}
    check_run("host:sh", options)
    if type(script) ~= "string" and not secret.is(script) and not unknown(script) then
        misuse "host:sh(script, { args = { ... } })"
    end
    refuse_zero_byte("host:sh: the script", script)
    local first = tostring(script):match "^%s*([^\n]*)"
    return perform(self, { name = "ssh.sh", shown = "sh: " .. texts.in_short(first, 100),
        result = "sh" }, { argv = check_argv("host:sh", options.args or {}, options), script = script }, options)
end

return { Host = Host, perform = perform }
