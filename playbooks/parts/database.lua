-- An instance's database, found by whom it trusts and reached the way the instance reaches it.
local postgres = require "postgres"
local site = require "site"

local database = {}

--- Whether a cluster trusts this very droplet, by whatever it is known to it.
local function trusts(cloud, cluster, droplet)
    local trusted = cloud:trusted_values(cluster.id)
    return trusted[droplet.public_address] or trusted[droplet.private_address] or trusted[("%d"):format(droplet.id)]
end

--- The clusters of every team that trust a droplet; the teams are asked at the same time.
---@return { team: table, cluster: table }[]
local function all_that_trust(droplet)
    local readers, found, count = {}, {}, 0
    for index, team in ipairs(site.database_teams()) do
        readers[index] = function()
            for _, cluster in ipairs(team.cloud:databases()) do
                count = count + 1
                if trusts(team.cloud, cluster, droplet) then
                    found[#found + 1] = { team = team, cluster = cluster }
                end
            end
        end
    end
    parallel(readers)
    return found, count, #readers
end

--- The one cluster that trusts the instance's droplet, whatever its name.
---@param one table the instance
---@return { team: table, cluster: table }
---@raise "database.unknown" when none or more than one does
function database.of(one)
    local droplet = one:find_droplet()
    local found, clusters, teams = all_that_trust(droplet)
    if #found == 0 then
        fail(("none of %d clusters in %d teams trusts %s (%s)"):format(clusters, teams, one.name,
            droplet.public_address), {
            code = "database.unknown", target = one.name,
            hint = "is its address among the trusted sources, and is the team's token in DO_DATABASE_API_TOKENS?",
        })
    elseif #found > 1 then
        local names = {}
        for index, held in ipairs(found) do
            names[index] = ("%s of '%s'"):format(held.cluster.name, held.team.name)
        end
        table.sort(names)
        fail(("%d clusters trust %s: %s"):format(#found, one.name, table.concat(names, ", ")), {
            code = "database.unknown", target = one.name,
            hint = "take the droplet out of the trusted sources of those that are not its own",
        })
    end
    return found[1]
end

--- Connects with the cluster's own credentials. It goes through the instance, the one machine that the cluster
--- trusts; TLS reaches from here to the cluster, which must prove its name with the authority that DigitalOcean tells.
---@param one table the instance
---@param held { team: table, cluster: table } see database.of
---@return table db see postgres.connect
function database.connect(one, held)
    local settings = held.cluster.connection
    local way = one.host:forward(settings.host, settings.port)
    local db, err = try(postgres.connect, {
        host = settings.host, hostaddr = way.address, port = way.port, dbname = settings.database, user = settings.user,
        password = settings.password, ca = held.team.cloud:database_ca(held.cluster.id), timeout = 30,
    })
    if err then
        err.cause = err.cause or way:problem()
        way:close()
        error(err, 0)
    end
    db.way = way -- it is open for as long as the connection is in use
    return db
end

return database
