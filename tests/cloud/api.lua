-- A stand-in for the DigitalOcean API (port 8443) and the 1Password Connect API (port 8444): part of the local cloud,
-- reached by nobody else, and no service of those companies. It behaves as they document and as they were seen to
-- behave; behind its droplets, clusters and records are real machines, databases and names (standin/machines.lua).
--
-- Started by `tests/cloud/api` with these in the environment:
--   CLOUD_STATE            the cloud's directory: tokens.json, tls/, ca.pem, agent/*.pub; requests.jsonl is written
-- there   CLOUD_GATEWAY          the address that it serves on
--   CLOUD_PRIVATE_GATEWAY  the database server's address in the private network
--   CLOUD_MACHINES=none    nothing real stands behind anything: for tests of the API alone
--   CLOUD_CLUSTER_DELAY    seconds that a cluster takes at least to come online (2)
local http, sh = require "http", require "sh"
local account, actions, catalogue = require "standin.account", require "standin.actions", require "standin.catalogue"
local control, databases, domains = require "standin.control", require "standin.databases", require "standin.domains"
local droplets, limits, log = require "standin.droplets", require "standin.limits", require "standin.log"
local machines, onepassword, projects = require "standin.machines", require "standin.onepassword",
    require "standin.projects"
local router, seed, tags, teams = require "standin.router", require "standin.seed", require "standin.tags",
    require "standin.teams"

local DIGITALOCEAN_PORT, ONEPASSWORD_PORT = 8443, 8444
local LOG_INTERVAL = 0.2 -- seconds between writes of requests.jsonl

local function read(path)
    return sh.run({ "cat", path }, { read = true }).stdout
end

--- The lines of the operator's public keys, which the account's SSH keys are.
local function public_keys(state)
    local listed = sh.try({ "sh", "-c", "cat \"$1\"/agent/*.pub", "sh", state }, { read = true })
    local lines = {}
    for line in (listed and listed.stdout or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    return lines
end

local function configure(state, gateway)
    local private_gateway = env("CLOUD_PRIVATE_GATEWAY", gateway)
    local public, third = gateway:match "^(%d+%.%d+)%.(%d+)%."
    machines.real = env "CLOUD_MACHINES" ~= "none"
    machines.state = state
    machines.cluster_delay = tonumber(env("CLOUD_CLUSTER_DELAY", "2"))
    droplets.network = {
        public = public, private = private_gateway:match "^(%d+%.%d+)%.", third = tonumber(third),
        gateway = gateway, private_gateway = private_gateway,
    }
    databases.hosts = { public = gateway, private = private_gateway }
    databases.authority = sh.run({ "base64", "-w0", state .. "/ca.pem" }, { read = true }).stdout
    local tokens = json.decode(read(state .. "/tokens.json"))
    onepassword.token = tokens.onepassword
    seed.plant { tokens = tokens, keys = public_keys(state), gateway = gateway }
end

local function digitalocean_router()
    local api = router.new {
        name = "digitalocean", server = "hostler-stand-in (not DigitalOcean)",
        authenticate = teams.authenticate, limit = limits.count, read_only = teams.read_only,
        problem = function(err, request_id)
            return { id = err.id, message = err.message, request_id = request_id }
        end,
    }
    for _, part in ipairs { account, actions, catalogue, databases, domains, droplets, projects, tags } do
        part.routes(api)
    end
    return function(request)
        if request.path:sub(1, 8) == "/_cloud/" then
            return control.answer(request)
        end
        return api:answer(request)
    end
end

local function onepassword_router()
    local api = router.new {
        name = "onepassword", server = "hostler-stand-in (not 1Password)", open = { ["/health"] = true },
        authenticate = onepassword.authenticate, problem = onepassword.problem, read_only = onepassword.read_only,
    }
    onepassword.routes(api)
    return function(request)
        return api:answer(request)
    end
end

local function write_log(path)
    return function()
        while true do
            local text = log.take()
            if text then
                machines.append(path, text)
            else
                sleep(LOG_INTERVAL)
            end
        end
    end
end

return playbook {
    summary = "The local cloud's stand-in for the DigitalOcean and 1Password APIs",
    run = function()
        local state, gateway = env "CLOUD_STATE", env "CLOUD_GATEWAY"
        if not state or not gateway then
            fail("CLOUD_STATE and CLOUD_GATEWAY are not set", { hint = "start it with tests/cloud/cloud up" })
        end
        configure(state, gateway)
        local tls = { certificate = state .. "/tls/server.pem", key = state .. "/tls/server.key" }
        http.serve({ address = gateway, port = DIGITALOCEAN_PORT, tls = tls }, digitalocean_router())
        http.serve({ address = gateway, port = ONEPASSWORD_PORT, tls = tls }, onepassword_router())
        say("stand-in for DigitalOcean on https://%s:%d, for 1Password Connect on https://%s:%d", gateway,
            DIGITALOCEAN_PORT, gateway, ONEPASSWORD_PORT)
        local tasks = machines.workers()
        table.insert(tasks, write_log(state .. "/requests.jsonl"))
        parallel(tasks)
    end,
}
