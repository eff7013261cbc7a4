-- Meltano on an instance: its service, its project, its settings and its users.
-- Whatever runs Meltano runs it as the service user, in its virtualenv, in the project: nothing else may own files
-- there.
local _, gate, import = ...
local probes, texts = import "meltano/probes", import "base/text"
local settings = require "meltano_settings"
local systemd = require "systemd"
local traceback = require "python_traceback"

local meltano = {
    UNIT = "meltano.service",
    USER = settings.USER,
    FTP_USER = "meltano_ftp",
    HOME = "/var/meltano",
    VIRTUALENV = "/var/meltano/.venv",
    PROGRAM = "/var/meltano/.venv/bin/meltano",
    PROJECT = "/var/meltano/project",
    FLAGS = settings.FLAGS,
    LOGS = "/var/meltano/project/.meltano/run",
    UI_LOG = "meltano-ui.log",
    ENVIRONMENT = settings.ENVIRONMENT,
    PORT = 5000,
}

---@class meltano.Meltano: meltano.Settings the Meltano of a host
---@field host ssh.Host
---@field service ssh.Host the same host, as the service user
---@field systemd systemd.Systemd
local Meltano = {}
Meltano.__index = Meltano
for name, method in pairs(settings.methods) do
    Meltano[name] = method
end

local UPGRADE_SECONDS, INSTALL_SECONDS, COMMAND_SECONDS = 900, 1800, 120
local LOG_BYTES = 256 * 1024
local WRONG_OWNERS_SHOWN = 100

--- The version from what `meltano --version` prints.
---@param text string "meltano, version 1.105.0"
---@return string?
function meltano.parse_version(text)
    return text:match "[Mm]eltano[^%d\n]*(%d+%.%d+[%w.+-]*)"
end

-- ---- running it ----

-- As `source .venv/bin/activate` leaves the environment. Click wants a UTF-8 locale.
local ACTIVATED = {
    HOME = meltano.HOME,
    VIRTUAL_ENV = meltano.VIRTUALENV,
    PATH = meltano.VIRTUALENV .. "/bin:/usr/local/bin:/usr/bin:/bin",
    LC_ALL = "C.UTF-8",
}

local function command(words, options)
    local argv = { meltano.PROGRAM }
    for _, word in ipairs(words) do
        argv[#argv + 1] = word
    end
    options.cwd, options.env = meltano.PROJECT, ACTIVATED
    options.timeout = options.timeout or COMMAND_SECONDS
    options.summary = ("meltano %s, as %s"):format(options.summary or table.concat(words, " "), meltano.USER)
    return argv, options
end

--- The version that is installed, "1.105.0".
---@return string
function Meltano:version()
    local result = self.service:run(command({ "--version" }, { read = true }))
    if unknown(result) then
        return result
    end
    return meltano.parse_version(result.stdout .. result.stderr)
        or fail("'meltano --version' says no version: " .. texts.beginning(result.stdout, 200), {
            code = "meltano.version", target = tostring(self.host.target),
        })
end

--- Upgrades Meltano, its project and its database; the UI goes on serving. Refuses while the project has files of other
--- users, which an upgrade would trip over; a dry run cannot know, for they may be planned to be given back.
---@param options? { plugins?: boolean } plugins: install the plugins anew too (true)
---@raise "meltano.owner" with `files`; "ssh.exit"
---@effect write
function Meltano:upgrade(options)
    if gate.mode ~= "dry-run" then
        self:check_owners()
    end
    self.service:run(command({ "upgrade" }, { timeout = UPGRADE_SECONDS }))
    if not (options and options.plugins == false) then
        self:install()
    end
end

--- Installs the project's plugins and what they need.
---@raise "ssh.exit"
---@effect write
function Meltano:install()
    self.service:run(command({ "install", "--include-related" }, { timeout = INSTALL_SECONDS }))
end

--- Raises unless the text can be the name of a user of the UI.
---@param name string
---@raise "usage"
function meltano.check_user_name(name)
    if not unknown(name) and not (type(name) == "string" and name:find "^%w[%w@._+-]*$") then
        fail(("'%s' cannot name a user"):format(tostring(name)), {
            code = "usage", hint = "letters, digits and @ . _ + -; the first a letter or digit",
        })
    end
end

--- Adds a user of the UI. Meltano takes the password as an argument: other users of the host could see it while the
--- command runs, which is as short as Meltano allows; sudo, the shell and ssh do not have it in theirs.
---@param name string
---@param password secret
---@param options? { role?: string, overwrite?: boolean } role: "admin" (the default) or "regular"; overwrite: give an
---  existing user this password
---@return "added"|"exists" outcome "exists": there is such a user, and nothing was changed
---@raise "usage", "ssh.exit"
---@effect write
function Meltano:add_user(name, password, options)
    options = options or {}
    meltano.check_user_name(name)
    if not secret.is(password) and not unknown(password) then
        fail("a password has to be a secret", { code = "usage", hint = "secret.random(20), or secret.wrap(text)" })
    end
    local words = { "user", "add", "--role", options.role or "admin", "--", name, password }
    if options.overwrite then
        table.insert(words, 3, "--overwrite")
    end
    local result, err = self.service:try(command(words, {
        allow_secret_argv = true, summary = "user add " .. tostring(name),
    }))
    if err and err.code == "ssh.exit" and ((err.stderr or "") .. (err.stdout or "")):find "already exists" then
        return "exists"
    elseif err then
        error(err, 0)
    end
    return unknown(result) and result or "added"
end

--- Whether the UI takes this login.
---@param name string
---@param password userdata a secret
---@return boolean
---@raise "meltano.login" when the UI cannot be asked
function Meltano:logs_in(name, password)
    meltano.check_user_name(name)
    local answer = probes.run(self.host, probes.PYTHON, probes.login, { meltano.PORT }, {
        stdin = name .. "\n" .. password .. "\n", timeout = 60, summary = "see whether the UI lets " .. name .. " in",
    })
    if unknown(answer) then
        return answer
    elseif answer.problem then
        fail(("the UI does not say whether %s may log in: %s"):format(name, answer.problem), {
            code = "meltano.login", target = tostring(self.host.target),
            hint = "once it serves, try again; triage-500 finds out why it does not",
        })
    end
    return answer.taken
end

-- ---- its files ----

-- What customers upload by FTP belongs to the FTP user, in the service's group: that is as it should be.
local FIND_WRONG_OWNERS = [[
root=$1 owner=$2 ftp=$3; shift 3
id "$owner" >/dev/null && cd "$root" || exit 1
if id "$ftp" >/dev/null 2>&1; then
    find "$root" -xdev ! -user "$owner" ! '(' -user "$ftp" -group "$owner" ')' "$@"
else
    find "$root" -xdev ! -user "$owner" "$@"
fi]]

local function find_wrong_owners(self, script, action, options)
    options.args, options.timeout = { meltano.PROJECT, meltano.USER, meltano.FTP_USER }, COMMAND_SECONDS
    for _, word in ipairs(action) do
        options.args[#options.args + 1] = word
    end
    return self.host:sh(script, options)
end

--- The files under the project that do not belong to the service user, at most 100: an upgrade run as root leaves such.
---@return { path: string, owner: string }[]
function Meltano:wrong_owners()
    local result = find_wrong_owners(self, FIND_WRONG_OWNERS .. (" | head -z -n %d"):format(WRONG_OWNERS_SHOWN),
        { "-printf", "%u\\t%p\\0" }, { read = true, summary = "look for files of other users" })
    if unknown(result) then
        return result
    end
    local files = {}
    for owner, path in result.stdout:gmatch "([^\t%z]*)\t([^%z]*)%z" do
        files[#files + 1] = { path = path, owner = owner }
    end
    return files
end

--- Raises when files under the project belong to someone else.
---@raise "meltano.owner" with `files`
function Meltano:check_owners()
    local files = self:wrong_owners()
    if unknown(files) or #files == 0 then
        return
    end
    local count = #files == 1 and "a file" or ("%s%d files"):format(#files == WRONG_OWNERS_SHOWN and "at least " or "",
        #files)
    fail(("the project has %s that %s does not own: %s belongs to %s"):format(count, meltano.USER, files[1].path,
        files[1].owner), {
        code = "meltano.owner", target = tostring(self.host.target), files = files,
        hint = "give them back to " .. meltano.USER .. ": app:mend_owners()",
    })
end

--- Gives every file under the project that belongs to someone else to the service user.
---@return boolean changed false when there was none
---@effect write
function Meltano:mend_owners()
    local files = self:wrong_owners()
    if not unknown(files) and #files == 0 then
        return false
    end
    local owner = meltano.USER .. ":" .. meltano.USER
    find_wrong_owners(self, FIND_WRONG_OWNERS, { "-exec", "chown", "-h", owner, "{}", "+" },
        { summary = ("give all files of the project to %s"):format(meltano.USER) })
    return true
end

--- Whether the instance reaches its database with the settings that it has, and what keeps it from working with it.
---@return { reachable: boolean, seconds: number, error?: string, read_only?: boolean, blocking?: table[] } found
---  blocking: the sessions that others of this database wait for: { pid, user, application, state, seconds, waiting }
function Meltano:database()
    return probes.run(self.service, meltano.VIRTUALENV .. "/bin/python", probes.database,
        { meltano.ENVIRONMENT .. "/postgres" }, { timeout = 30, env = ACTIVATED, summary = "connect to the database" })
end

-- ---- its words ----

--- The end of a log, at most 256 KiB of it.
---@param lines? integer how many lines (50)
---@param name? string a file in the log directory ("meltano-ui.log")
---@return string text empty when there is no such log
function Meltano:logs(lines, name)
    name = name or meltano.UI_LOG
    if not name:find "^[%w_][%w_.-]*$" then
        fail(("'%s' cannot name a log"):format(name), { code = "usage" })
    end
    local result = self.host:sh('if [ -e "$1" ]; then tail -n "$2" -- "$1" | tail -c "$3"; fi', {
        args = { meltano.LOGS .. "/" .. name, lines or 50, LOG_BYTES },
        read = true, summary = "read the end of " .. name,
    })
    return unknown(result.stdout) and result.stdout or texts.ending(result.stdout, LOG_BYTES)
end

--- The last traceback in the UI's log; see python_traceback.last.
---@return python_traceback.Traceback?
function Meltano:last_traceback()
    local text = self:logs(5000)
    if unknown(text) then
        return text
    end
    return traceback.last(text)
end

-- ---- its service ----

---@class meltano.Answer what the UI said
---@field serves boolean it answered, and not with a 5xx
---@field status? integer
---@field location? string where it redirects to
---@field body? string
---@field error? "refused"|"timeout"|"broken" why there is no answer
---@field message? string
---@field seconds number

--- Asks the UI for a page, from inside the host.
---@param options? { path?: string, timeout?: number } path: "/" ; timeout: seconds (10)
---@return meltano.Answer
function Meltano:probe(options)
    local limit = options and options.timeout or 10
    local path = options and options.path or "/"
    local answer = probes.run(self.host, probes.PYTHON, probes.ui, { meltano.PORT, path, limit },
        { timeout = limit + 20, summary = "ask the UI for " .. path })
    if not unknown(answer) then
        answer.serves = answer.status ~= nil and answer.status < 500
    end
    return answer
end

local function fail_to_serve(self, answer, cause)
    local last = try(self.last_traceback, self)
    fail(("Meltano does not serve: %s"):format(answer and (answer.message or ("it answers %d"):format(answer.status))
        or "it has not been asked"), {
        code = "meltano.serves", target = tostring(self.host.target), answer = answer, cause = cause,
        log = answer and answer.status and last and last.text or nil,
        hint = "triage-500 finds out why",
    })
end

--- Waits until the UI answers without a 5xx. A service that failed ends the wait at once.
---@param options? { timeout?: number } seconds (180): a start upgrades the database first
---@return meltano.Answer
---@raise "systemd.unit" with the service's last journal lines; "meltano.serves" with the last answer and traceback
function Meltano:wait_until_it_serves(options)
    if gate.mode == "dry-run" then
        return gate.unknown "answer of Meltano"
    end
    local limit = options and options.timeout or 180
    local deadline, answer = now() + limit, nil
    self.systemd:wait_active(meltano.UNIT, { timeout = limit, settle = 0 })
    local served, err = try(wait_until, "Meltano to serve", { timeout = math.max(deadline - now(), 1), interval = 0.5 },
        function()
            answer = self:probe { timeout = 10 }
            if answer.serves then
                return answer
            end
            -- Raises as soon as the service has died.
            self.systemd:wait_active(meltano.UNIT, { timeout = math.max(deadline - now(), 1), settle = 0 })
            return nil
        end)
    if err and err.code == "timeout" then
        fail_to_serve(self, answer, err)
    elseif err then
        error(err, 0)
    end
    return served
end

--- What tells this start of the service from every other one.
---@return string id empty when it was never started
function Meltano:start_id()
    local status = self.systemd:status(meltano.UNIT)
    return unknown(status) and status or status.invocation or ""
end

--- Restarts the service, which reads its environment files and upgrades the database first.
---@raise "systemd.unit"
---@effect write
function Meltano:restart()
    self.systemd:restart(meltano.UNIT)
end

--- Has the service read its feature flags (.env) again, without a restart.
---@raise "systemd.unit"
---@effect write
function Meltano:reload()
    self.systemd:reload(meltano.UNIT)
end

--- The Meltano of a host.
---@param host ssh.Host
---@return meltano.Meltano
function meltano.on(host)
    return setmetatable({ host = host, service = host:as(meltano.USER), systemd = systemd.on(host) }, Meltano)
end

return meltano
