-- What a run that begins by itself has around it: the operator's settings, which the units hold, and secrets, which
-- they do not. Everybody may read a unit. So a secret comes from a file of its own in the folder `credentials` beside
-- the playbooks' (systemd hands it over: LoadCredential=), or from the file `environment` there.
local native, import = ...
local surroundings = {}

local folders, library = import "run/folders", import "run/library"
local unit_text = import "units/text"
local keys, text = import "base/keys", import "base/text"
local system = native.system

-- What hostler itself and libpq read.
local OWN = { "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOSTLER_LEASE", "HOSTLER_STORE", "PGHOST", "PGPORT",
    "PGUSER", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT",
    "PGSSLKEY" }
local OWN_SECRETS = { "PGPASSWORD" }

--- The folder of both: /etc/hostler for root, for others their own.
---@return string
function surroundings.folder()
    return system.user() == 0 and "/etc/hostler" or (folders.own():gsub("/[^/]*$", ""))
end

local function environment_file()
    return surroundings.folder() .. "/environment"
end

local function credentials()
    return system.list_files(surroundings.folder() .. "/credentials") or {}
end

--- A URI with a password in it, or libpq's words for one.
local function holds_password(value)
    return value:find "^%w[%w+.-]*://[^/@]*:[^/@]+@" ~= nil or value:find "password%s*=" ~= nil
end

--- The names that playbooks and their parts ask for, as these stand in the texts.
local function names_asked_for(verb)
    local names = {}
    for _, entry in ipairs(library.files()) do
        local source = system.read_file(entry.paths[1]) or ""
        for name in source:gmatch("%f[%w_]" .. verb .. "%s*%(?%s*\"([%a_][%w_]*)\"") do
            names[name] = true
        end
    end
    return names
end

--- The names that the files beside the playbooks give.
local function names_given()
    local names = {}
    for line in text.lines(system.read_file(environment_file()) or "") do
        names[line:match "^%s*([%a_][%w_]*)%s*=" or ""] = true
    end
    for _, name in ipairs(credentials()) do
        names[name] = true
    end
    return names
end

local function add(set, list)
    for _, name in ipairs(list) do
        set[name] = true
    end
    return set
end

--- What is set here and is asked for: settings by name, and the names of secrets that no file gives.
---@return table<string, string> settings
---@return string[] missing
function surroundings.look()
    local settings, missing, given = {}, {}, names_given()
    for name in pairs(add(names_asked_for "env", OWN)) do
        local value = system.env(name)
        if value and value ~= "" and not given[name] then
            local target = (holds_password(value) or value:find "[%c]") and missing or settings
            target[name] = value
        end
    end
    for name in pairs(add(names_asked_for "secret", OWN_SECRETS)) do
        if (system.env(name) or "") ~= "" and not given[name] then
            settings[name], missing[name] = nil, true
        end
    end
    return settings, keys.sorted(missing)
end

--- The folders that are searched for playbooks, wherever the run begins.
local function search_path()
    local found = {}
    for folder in (system.env "HOSTLER_PATH" or ""):gmatch "[^:]+" do
        found[#found + 1] = system.real_path(folder)
    end
    return table.concat(found, ":")
end

--- The lines of a unit's section Service that give all this.
---@param settings table<string, string> as from surroundings.look
---@return string[]
function surroundings.lines(settings)
    local here = system.kind "./playbooks" == "directory" and system.real_path "."
    local found = { "WorkingDirectory=" .. (here and unit_text.plain(here) or "~") }
    local path = search_path()
    if path ~= "" then
        found[#found + 1] = "Environment=" .. unit_text.quoted("HOSTLER_PATH=" .. path)
    end
    for _, name in ipairs(keys.sorted(settings)) do
        found[#found + 1] = "Environment=" .. unit_text.quoted(name .. "=" .. settings[name])
    end
    found[#found + 1] = "EnvironmentFile=-" .. unit_text.plain(environment_file())
    for _, name in ipairs(credentials()) do
        if name:find "^[%w_.-]+$" then
            found[#found + 1] = ("LoadCredential=%s:%s"):format(name, unit_text.plain(
                ("%s/credentials/%s"):format(surroundings.folder(), name)))
        end
    end
    return found
end

return surroundings
