-- What an instance shows of itself to somebody who looks for a fault. Reads only; whatever cannot be seen is noted, and
-- the rest goes on. What it means is triage_verdict's to say.
local caddy = require "caddy"
local flags_file = require "flags_file"
local machine = require "machine"
local meltano = require "meltano"
local systemd = require "systemd"
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
    return systemd.journal_text(services:journal(meltano.UNIT, { lines = JOURNAL_LINES }))
end

local function of_the_service(evidence, app, services, host)
    local status = look(evidence, "meltano", services.status, services, meltano.UNIT)
    look(evidence, "failed", services.failed, services)
    look(evidence, "journal", journal, services)
    look(evidence, "traceback", app.last_traceback, app)
    local computer = machine.on(host)
    look(evidence, "disks", computer.disks, computer, PLACES)
    look(evidence, "memory", computer.memory, computer)
    look(evidence, "kills", computer.kills, computer, meltano.USER)
    if status and status.pid then
        look(evidence, "process", computer.process_state, computer, status.pid)
    end
end

--- Looks at an instance from inside.
---@param host ssh.Host
---@param options? { nameservers?: string[] } for caddy's diagnosis
---@return table evidence see triage_verdict; `unseen` says by name what could not be seen, and why
function triage.examine(host, options)
    local evidence = { unseen = {} }
    local app, services, server = meltano.on(host), systemd.on(host), caddy.on(host)
    look(evidence, "environment", environment, app)
    look(evidence, "dotenv", dotenv, host)
    -- The first three may each wait for something that hangs.
    parallel {
        function() look(evidence, "inside", app.probe, app, { timeout = PROBE_SECONDS }) end,
        function()
            if has_settings(evidence) then
                look(evidence, "database", app.database, app)
            end
        end,
        function() look(evidence, "caddy", server.diagnose, server, options) end,
        function() look(evidence, "owners", app.wrong_owners, app) end,
    }
    -- After the probe, whose traceback is the one to see.
    of_the_service(evidence, app, services, host)
    return evidence
end

return triage
