-- What an instance shows of itself to somebody who looks for a fault. Reads only; whatever cannot be seen is noted, and
-- the rest goes on. What it means is triage_verdict's to say.
local caddy = require "caddy"
local flags_file = require "flags_file"
local machine = require "machine"
local meltano = require "meltano"
local surroundings = require "surroundings"
local systemd = require "systemd"
local triage_around = require "triage_around"
local triage = {}

local JOURNAL_LINES = 40
local PROBE_SECONDS = 10
local LARGEST_FLAGS = 1024 * 1024 -- bytes
local PLACES = { "/", "/var", meltano.PROJECT, "/tmp" }

--- Looks, and notes why where that fails.
---@param evidence table
---@param name string what it is called in the evidence
---@param fn function called with the rest
---@return any value nil when it could not be seen
function triage.look(evidence, name, fn, ...)
    local value, err = try(fn, ...)
    evidence[name], evidence.unseen[name] = value, err and err.message
    return value
end

local look = triage.look

-- The settings are read so that their secrets are known, and hidden wherever a log shows them.
local function environment(app)
    local files = app:environment_files()
    for _, file in ipairs(files) do
        file.values, file.settings = try(app.environment, app, file.name) or {}, {}
        for name in pairs(file.values) do
            file.settings[#file.settings + 1] = name
        end
        table.sort(file.settings)
    end
    return files
end

-- Whether there are settings to reach the database with, or nobody knows.
local function has_settings(evidence)
    local there = not evidence.environment
    for _, file in ipairs(evidence.environment or {}) do
        there = there or file.name == "postgres"
    end
    return there
end

local function dotenv(host)
    local stat = host:stat(meltano.FLAGS)
    if not stat then
        return { missing = true, problems = {}, names = {} }
    end
    local found = flags_file.examine(host:read(meltano.FLAGS, { limit = LARGEST_FLAGS }))
    return { problems = found.problems, names = found.names, owner = stat.owner, mode = stat.mode }
end

local function journal(services)
    return services:journal(meltano.UNIT, { lines = JOURNAL_LINES })
end

-- What the service itself said when it ran last, a line each: of the run that the journal's end belongs to.
local function words_of(entries)
    local words, last = {}, nil
    for _, entry in ipairs(entries) do
        last = entry.invocation or last
    end
    for _, entry in ipairs(entries) do
        if entry.invocation == last and entry.from ~= "systemd" then
            for line in entry.message:gmatch "[^\n]+" do
                words[#words + 1] = line
            end
        end
    end
    return words
end

-- The disks of what any instance has, and of whatever is mounted below Meltano's own.
local function disks(evidence, computer)
    local places = { unpack(PLACES) }
    local mounts = evidence.surroundings and evidence.surroundings.mounts or {}
    for _, mount in ipairs(surroundings.mounts_below(mounts, meltano.HOME)) do
        places[#places + 1] = not mount.read_only and mount.place or nil
    end
    return computer:disks(places)
end

-- Whether the service runs with the settings that its files have now.
local function has_loaded(evidence, app)
    for _, file in ipairs(evidence.environment or {}) do
        if not app:has_loaded(file.values) then
            return false
        end
    end
    return true
end

local function of_the_host(evidence, app, services, host)
    local computer, status = machine.on(host), look(evidence, "meltano", services.status, services, meltano.UNIT)
    parallel {
        function() look(evidence, "failed", services.failed, services) end,
        function()
            local entries = look(evidence, "journal", journal, services) or {}
            evidence.journal, evidence.words = systemd.journal_text(entries), words_of(entries)
        end,
        function() look(evidence, "traceback", app.last_traceback, app) end,
        function() look(evidence, "disks", disks, evidence, computer) end,
        function() look(evidence, "memory", computer.memory, computer) end,
        function() look(evidence, "kills", computer.kills, computer, meltano.USER) end,
        function()
            if status and status.pid then
                look(evidence, "loaded", has_loaded, evidence, app)
                look(evidence, "process", computer.process_state, computer, status.pid)
            end
        end,
    }
end

-- Each of these may wait for something that hangs.
local function of_the_service(evidence, app, host, options)
    local server = caddy.on(host)
    parallel {
        function() look(evidence, "inside", app.probe, app, { timeout = PROBE_SECONDS }) end,
        function()
            if has_settings(evidence) then
                look(evidence, "database", app.database, app)
            end
        end,
        function() look(evidence, "caddy", server.diagnose, server, options) end,
        function() look(evidence, "owners", app.wrong_owners, app) end,
        function()
            look(evidence, "surroundings", surroundings.of, host, {
                unit = meltano.UNIT, user = meltano.USER, program = meltano.PROGRAM, places = triage_around.PLACES,
            })
        end,
    }
end

--- Looks at an instance from inside.
---@param host ssh.Host
---@param options? { nameservers?: string[] } for caddy's diagnosis
---@return table evidence see triage_verdict; `unseen` says by name what could not be seen, and why
function triage.examine(host, options)
    local evidence = { unseen = {} }
    local app, services = meltano.on(host), systemd.on(host)
    parallel {
        function() look(evidence, "environment", environment, app) end,
        function() look(evidence, "dotenv", dotenv, host) end,
    }
    of_the_service(evidence, app, host, options)
    -- After the probe: its traceback is the one to see, and a service that was being started may have ended by now.
    of_the_host(evidence, app, services, host)
    return evidence
end

return triage
