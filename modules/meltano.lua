-- Meltano on an instance: its service, its project, its settings and its users.
-- Whatever runs Meltano runs it as the service user, in its virtualenv, in the project: nothing else may own files
-- there.
local _, gate = ...
local environment_file = require "environment_file"
local probes = require "meltano_probes"
local systemd = require "systemd"
local traceback = require "traceback"

local meltano = {
    UNIT = "meltano.service",
    USER = "meltano",
    FTP_USER = "meltano_ftp",
    HOME = "/var/meltano",
    VIRTUALENV = "/var/meltano/.venv",
    PROJECT = "/var/meltano/project",
    FLAGS = "/var/meltano/project/.env",
    LOGS = "/var/meltano/project/.meltano/run",
    UI_LOG = "meltano-ui.log",
    ENVIRONMENT = "/etc/meltano/environment.d",
    PORT = 5000,
}

---@class meltano.Meltano the Meltano of a host
---@field host ssh.Host
---@field service ssh.Host the same host, as the service user
---@field systemd systemd.Systemd
local Meltano = {}
Meltano.__index = Meltano

local PROGRAM = meltano.VIRTUALENV .. "/bin/meltano"
local UPGRADE_SECONDS, INSTALL_SECONDS, COMMAND_SECONDS = 900, 1800, 120
local LOG_BYTES = 256 * 1024
local WRONG_OWNERS_SHOWN = 100

-- ---- what is a secret, what is a flag (pure) ----

local SECRET_WORDS = {
    "PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE", "SALT", "DSN", "_KEY$", "APIKEY",
}

--- True for a variable that must not be seen: by its name, or because its value is a URL with a password in it.
---@param name string
---@param value? string
---@return boolean
function meltano.is_secret(name, value)
    for _, word in ipairs(SECRET_WORDS) do
        if name:upper():find(word) then
            return true
        end
    end
    return (value or ""):find "^%a[%w+.-]*://[^/%s@]*:[^/%s@]+@" ~= nil
end

-- The assignments of a .env file: as an environment file, but `export NAME=` and a comment after a bare value are
-- known.
local function read_flags(text)
    local items = environment_file.parse(text)
    for _, item in ipairs(items) do
        item.written = item.name
        item.name = item.name:gsub("^export%s+", "")
        if not item.quoted then
            item.value = item.value:gsub("%s+#.*$", "")
        end
    end
    return items
end

--- Splits the text of .env into what belongs there, the feature flags, and what does not: secrets and database
--- settings.
---@param text string
---@return string kept the text without them; comments, blanks and line ends as they were
---@return table<string, secret>? moved the settings that do not belong there, as secrets; nil when there are none
function meltano.split_flags(text)
    local moved, names = nil, {}
    for _, item in ipairs(read_flags(text)) do
        if item.value ~= "" and (meltano.is_secret(item.name, item.value) or item.name:find "^PG_") then
            moved = moved or {}
            moved[item.name] = secret.wrap(item.value)
            names[#names + 1] = item.written
        end
    end
    return environment_file.remove(text, names), moved
end

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
    local argv = { PROGRAM }
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
        or fail("'meltano --version' says no version: " .. result.stdout:sub(1, 200), {
            code = "meltano.version", target = tostring(self.host.target),
        })
end

--- Upgrades Meltano, its project and its database; the UI goes on serving. Refuses while the project has files of other
--- users, which an upgrade would trip over.
---@param options? { plugins?: boolean } plugins: install the plugins anew too (true)
---@raise "meltano.owner" with `files`; "ssh.exit"
---@effect write
function Meltano:upgrade(options)
    self:check_owners()
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

--- The feature flags in .env.
---@return table<string, string>
function Meltano:flags()
    local text = self.host:read(meltano.FLAGS)
    if unknown(text) then
        return text
    end
    local flags = {}
    for _, item in ipairs(read_flags(text)) do
        flags[item.name] = meltano.is_secret(item.name, item.value) and secret.wrap(item.value) or item.value
    end
    return flags
end

--- Sets a feature flag in .env, where its other lines stay as they are. The service reads it at a reload.
---@param name string
---@param value string
---@return boolean changed
---@raise "usage" for what does not belong there: secrets, and the database's settings
---@effect write
function Meltano:set_flag(name, value)
    if meltano.is_secret(name, value) or name:find "^PG_" then
        fail(("%s does not belong among the feature flags"):format(name), {
            code = "usage", hint = "app:set_environment keeps settings in " .. meltano.ENVIRONMENT,
        })
    end
    local text = self.host:read(meltano.FLAGS)
    if unknown(text) then
        return self.host:write(meltano.FLAGS, gate.unknown("edited " .. meltano.FLAGS))
    end
    local edited = environment_file.set(text, name, value)
    if edited ~= text then
        self.host:write(meltano.FLAGS, edited)
    end
    return edited ~= text
end

-- ---- its settings ----

local function environment_path(name)
    if type(name) ~= "string" or not name:find "^[%w_][%w_.-]*$" then
        fail(("'%s' cannot name a file of settings"):format(tostring(name)), { code = "usage" })
    end
    return meltano.ENVIRONMENT .. "/" .. name
end

--- The settings in a file of the service's environment, secrets as secrets.
---@param name string "postgres"
---@return table<string, string|secret>? settings nil when there is no such file
function Meltano:environment(name)
    local path = environment_path(name)
    local stat = self.host:stat(path)
    if unknown(stat) or not stat then
        return stat
    end
    local values = environment_file.values(self.host:read(path))
    for variable, value in pairs(values) do
        values[variable] = meltano.is_secret(variable, value) and secret.wrap(value) or value
    end
    return values
end

-- Secrets compare with secrets only.
local function same_settings(have, want)
    for name, value in pairs(want) do
        local current = have[name]
        if secret.is(value) and type(current) == "string" then
            current = secret.wrap(current)
        elseif not secret.is(value) and secret.is(current) then
            value = secret.wrap(tostring(value))
        elseif not secret.is(value) then
            value = tostring(value)
        end
        if current ~= value then
            return false
        end
    end
    for name in pairs(have) do
        if want[name] == nil then
            return false
        end
    end
    return true
end

--- The settings as a plan shows them: of secrets the names only.
local function planned_settings(values)
    local lines = {}
    for name, value in pairs(values) do
        lines[#lines + 1] = name .. "=" .. (secret.is(value) and "[hidden]" or tostring(value))
    end
    table.sort(lines)
    return lines
end

--- Writes a file of the service's environment, readable by the service user alone. Meltano reads it at a restart. A
--- file that says the same already, with the right owner and mode, stays.
---@param name string "postgres"
---@param values table<string, string|number|secret> the whole file: what is not among them goes
---@return boolean changed
---@raise "usage" for names and values that an environment file cannot hold
---@effect write
function Meltano:set_environment(name, values)
    local path, text = environment_path(name), nil
    if not gate.has_unknown(values) then
        text = environment_file.format(values)
        local stat = self.host:stat(path)
        local private = stat and not unknown(stat) and meltano.is_private(stat)
        if private and same_settings(self:environment(name), values) then
            return false
        end
    end
    local written = self.host:write(path, text or gate.unknown("settings of " .. name), {
        mode = tonumber("600", 8), owner = meltano.USER, group = meltano.USER,
        planned = not text and planned_settings(values) or nil,
    })
    return unknown(written) and written or true
end

--- True for a file that the service user alone may read.
---@param stat { mode: integer, owner: string }
---@return boolean
function meltano.is_private(stat)
    return stat.owner == meltano.USER and stat.mode % 512 == 384 -- 0600
end

--- The files of the service's environment.
---@return { name: string, mode: string, owner: string, private: boolean }[] mode in octal; private: 0600 and the
---  service user's
function Meltano:environment_files()
    local result = self.host:run({ "find", meltano.ENVIRONMENT, "-mindepth", "1", "-maxdepth", "1", "-type", "f",
        "-printf", "%m\\t%u\\t%f\\0" }, { read = true })
    if unknown(result) then
        return result
    end
    local files = {}
    for mode, owner, name in result.stdout:gmatch "(%d+)\t([^\t]*)\t([^%z]*)%z" do
        files[#files + 1] = {
            name = name, mode = mode, owner = owner, private = mode == "600" and owner == meltano.USER,
        }
    end
    table.sort(files, function(a, b) return a.name < b.name end)
    return files
end

--- Gives the files of the service's environment to the service user alone.
---@return boolean changed false when they were already
---@effect write
function Meltano:close_environment()
    local files, changed = self:environment_files(), false
    if unknown(files) then
        return files
    end
    for _, item in ipairs(files) do
        if not item.private then
            local path = meltano.ENVIRONMENT .. "/" .. item.name
            self.host:run { "chmod", "600", "--", path }
            self.host:run { "chown", meltano.USER .. ":" .. meltano.USER, "--", path }
            changed = true
        end
    end
    return changed
end

--- Whether the instance reaches its database with the settings that it has.
---@return { reachable: boolean, seconds: number, error?: string }
function Meltano:database()
    local python = meltano.VIRTUALENV .. "/bin/python"
    local result = self.service:run({ python, "-I", "-B", "-c", probes.database, environment_path "postgres" },
        { read = true, timeout = 30, env = ACTIVATED, summary = "connect to the database" })
    return unknown(result) and result or json.decode(result.stdout)
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
    return result.stdout
end

--- The last traceback in the UI's log; see traceback.last.
---@return traceback.Traceback?
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
    local result = self.host:run({ "/usr/bin/python3", "-I", "-B", "-c", probes.ui, meltano.PORT, path, limit }, {
        read = true, timeout = limit + 20, summary = "ask the UI for " .. path,
    })
    if unknown(result) then
        return result
    end
    local answer = json.decode(result.stdout)
    for name, value in pairs(answer) do
        answer[name] = value ~= json.null and value or nil
    end
    answer.serves = answer.status ~= nil and answer.status < 500
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
