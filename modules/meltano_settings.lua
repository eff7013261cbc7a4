-- What Meltano is configured with: feature flags in the project's .env, which it reads again at a reload, and settings
-- in /etc/meltano/environment.d, which it gets when it starts. Methods of meltano.on(host); see meltano.lua.
local _, gate = ...
local environment_file = require "environment_file"
local host_file = require "host_file"

local settings = {
    USER = "meltano",
    FLAGS = "/var/meltano/project/.env",
    ENVIRONMENT = "/etc/meltano/environment.d",
}

---@class meltano.Settings
---@field host ssh.Host
---@field systemd systemd.Systemd
local Meltano = {}
settings.methods = Meltano

-- ---- what is a secret, what is a flag (pure) ----

local SECRET_WORDS = {
    "PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE", "SALT", "DSN", "_KEY$", "APIKEY",
}

--- True for a variable that must not be seen: by its name, or because its value is a URL with a password in it.
---@param name string
---@param value? string
---@return boolean
function settings.is_secret(name, value)
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
    local items = environment_file.parse(text, "dotenv")
    for _, item in ipairs(items) do
        item.written = item.name
        item.export, item.name = item.name:match "^(export%s+)(.*)$"
        item.export, item.name = item.export or "", item.name or item.written
        if not item.quoted then
            item.value, item.comment = item.value:gsub("%s+#.*$", ""), item.value:match "%s+#.*$"
        end
    end
    return items
end

--- The text of .env with one flag set; `export`, and a comment behind it, stay.
---@param text string
---@param name string
---@param value string
---@return string
---@raise "environment_file.unsafe" where an open quote makes others part of it
function settings.set_in_flags(text, name, value)
    environment_file.check(text, { name }, "dotenv")
    local current
    for _, item in ipairs(read_flags(text)) do
        current = item.name == name and item or current
    end
    if not current then
        return environment_file.set(text, name, value, "dotenv")
    elseif current.value == value then
        return text
    end
    return text:sub(1, current.first - 1) .. current.export .. environment_file.assignment(name, value)
        .. (current.comment or "") .. text:sub(current.last + 1)
end

--- Splits the text of .env into what belongs there, the feature flags, and what does not: secrets and database
--- settings.
---@param text string
---@return string kept the text without them; comments, blanks and line ends as they were
---@return table<string, secret>? moved the settings that do not belong there, as secrets; nil when there are none
function settings.split_flags(text)
    local moved, names = nil, {}
    for _, item in ipairs(read_flags(text)) do
        if item.value ~= "" and (settings.is_secret(item.name, item.value) or item.name:find "^PG_") then
            moved = moved or {}
            moved[item.name] = secret.wrap(item.value)
            names[#names + 1] = item.written
        end
    end
    return environment_file.remove(text, names, "dotenv"), moved
end

-- ---- its flags ----

--- The feature flags in .env.
---@return table<string, string>
function Meltano:flags()
    local text = self.host:read(settings.FLAGS)
    if unknown(text) then
        return text
    end
    local flags = {}
    for _, item in ipairs(read_flags(text)) do
        flags[item.name] = settings.is_secret(item.name, item.value) and secret.wrap(item.value) or item.value
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
    if settings.is_secret(name, value) or name:find "^PG_" then
        fail(("%s does not belong among the feature flags"):format(name), {
            code = "usage", hint = "app:set_environment keeps settings in " .. settings.ENVIRONMENT,
        })
    end
    return (host_file.edit(self.host, settings.FLAGS, function(text)
        return settings.set_in_flags(text, name, value)
    end))
end

-- ---- its settings ----

local function environment_path(name)
    if type(name) ~= "string" or not name:find "^[%w_][%w_.-]*$" then
        fail(("'%s' cannot name a file of settings"):format(tostring(name)), { code = "usage" })
    end
    return settings.ENVIRONMENT .. "/" .. name
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
        values[variable] = settings.is_secret(variable, value) and secret.wrap(value) or value
    end
    return values
end

--- The settings that lead Meltano to its database: the file "postgres" of its environment.
---@param connection { user: string, password: secret, host: string, port: integer, database: string } of a cluster
---@return table<string, string|number|secret>
function settings.database_settings(connection)
    return {
        PG_USERNAME = connection.user, PG_PASSWORD = connection.password, PG_ADDRESS = connection.host,
        PG_PORT = connection.port, PG_DATABASE = connection.database,
    }
end

-- Secrets compare with secrets only.
local function same(a, b)
    if secret.is(a) or secret.is(b) then
        return (secret.is(a) and a or secret.wrap(tostring(a))) == (secret.is(b) and b or secret.wrap(tostring(b)))
    end
    return tostring(a) == tostring(b)
end

-- Whether some settings are among others, with the same values.
local function are_among(wanted, have)
    for name, value in pairs(wanted) do
        if have[name] == nil or not same(value, have[name]) then
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
        local private = stat and not unknown(stat) and settings.is_private(stat)
        local current = private and self:environment(name)
        if private and are_among(values, current) and are_among(current, values) then
            return false
        end
    end
    local written = self.host:write(path, text or gate.unknown("settings of " .. name), {
        mode = tonumber("600", 8), owner = settings.USER, group = settings.USER,
        planned = not text and planned_settings(values) or nil,
    })
    return unknown(written) and written or true
end

--- Whether the service runs with these settings. It gets them when it starts: what is in its files may be newer.
---@param values table<string, string|number|secret>
---@return boolean loaded false also while it does not run
function Meltano:has_loaded(values)
    local status = self.systemd:status "meltano.service"
    if unknown(status) or not status.pid then
        return unknown(status) and status or false
    end
    local loaded = {}
    for name, value in self.host:read(("/proc/%d/environ"):format(status.pid)):gmatch "([^%z=]+)=(%Z*)" do
        loaded[name] = settings.is_secret(name, value) and secret.wrap(value) or value
    end
    return are_among(values, loaded)
end

--- True for a file that the service user alone may read.
---@param stat { mode: integer, owner: string }
---@return boolean
function settings.is_private(stat)
    return stat.owner == settings.USER and stat.mode % 512 == 384 -- 0600
end

--- The files of the service's environment.
---@return { name: string, mode: string, owner: string, private: boolean }[] mode in octal; private: 0600 and the
---  service user's
function Meltano:environment_files()
    local result = self.host:run({ "find", settings.ENVIRONMENT, "-mindepth", "1", "-maxdepth", "1", "-type", "f",
        "-printf", "%m\\t%u\\t%f\\0" }, { read = true })
    if unknown(result) then
        return result
    end
    local files = {}
    for mode, owner, name in result.stdout:gmatch "(%d+)\t([^\t]*)\t([^%z]*)%z" do
        files[#files + 1] = {
            name = name, mode = mode, owner = owner, private = mode == "600" and owner == settings.USER,
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
            local path = settings.ENVIRONMENT .. "/" .. item.name
            self.host:run { "chmod", "600", "--", path }
            self.host:run { "chown", settings.USER .. ":" .. settings.USER, "--", path }
            changed = true
        end
    end
    return changed
end

return settings
