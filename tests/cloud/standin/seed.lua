-- What the stand-in owns before anybody has asked for anything: the teams and their tokens, and in the team of the
-- droplets its keys, snapshots, domain and projects.
local account, catalogue = require "standin.account", require "standin.catalogue"
local domains, projects, teams = require "standin.domains", require "standin.projects", require "standin.teams"

local seed = {}

local DAY = 86400
local DROPLET_LIMIT, CLUSTER_LIMIT, FEW = 500, 50, 10

-- Set-up takes the newest droplet snapshot whose name begins `meltano-`; the others are there to be mistaken for it.
local SNAPSHOTS = {
    { name = "meltano-2024-03-18", days_old = 90, variant = "caddy1" },
    { name = "meltano-2024-06-03", days_old = 12 },
    { name = "controller-2024-06-10", days_old = 5 },
    { name = "meltano-data-volume", days_old = 1, kind = "volume" },
}

--- Records that setting up and deleting an instance must leave alone.
---@param gateway string
local function records(gateway)
    return {
        { type = "NS", name = "@", data = "ns1.digitalocean.com." },
        { type = "NS", name = "@", data = "ns2.digitalocean.com." },
        { type = "A", name = "@", data = gateway, ttl = 3600 },
        { type = "A", name = "controller.int", data = gateway, ttl = 3600 },
        { type = "MX", name = "@", data = "mx.example.com.", priority = 10, ttl = 14400 },
        { type = "TXT", name = "@", data = "v=spf1 include:example.com -all", ttl = 3600 },
    }
end

local function add_snapshots(team)
    for _, snapshot in ipairs(SNAPSHOTS) do
        catalogue.add_snapshot(team, {
            name = snapshot.name, created = now() - snapshot.days_old * DAY, variant = snapshot.variant,
            kind = snapshot.kind,
        })
    end
end

--- Makes the teams that the settings list.
---@param settings { tokens: table, keys: string[], gateway: string } tokens: as in tokens.json; keys: public key lines
function seed.plant(settings)
    for _, entry in ipairs(settings.tokens.droplets) do
        local limits = { droplets = entry.limit or DROPLET_LIMIT, clusters = FEW }
        local team = teams.add(entry.team, entry.token, limits)
        projects.add(team, { name = "first-project", default = true })
        projects.add(team, { name = "Meltano" })
        for index, line in ipairs(settings.keys) do
            account.add_key(team, line:match "^%S+ %S+ (%S+)" or ("key %d"):format(index), line)
        end
        add_snapshots(team)
        domains.add(team, domains.published, records(settings.gateway))
    end
    if settings.tokens.readonly then
        teams.add_reader(teams.list[1], settings.tokens.readonly)
    end
    for _, entry in ipairs(settings.tokens.databases) do
        local team = teams.add(entry.team, entry.token, { droplets = FEW, clusters = entry.limit or CLUSTER_LIMIT })
        projects.add(team, { name = "first-project", default = true })
    end
end

return seed
