-- Database clusters: each is a real database and role on the local cloud's PostgreSQL, which enforces its trusted
-- sources. A new one is `creating` until that database exists.
local answer, teams = require "standin.answer", require "standin.teams"
local catalogue, machines = require "standin.catalogue", require "standin.machines"
local projects, tags = require "standin.projects", require "standin.tags"

local databases = {
    --- Where the clusters are reached: { public = address, private = address }.
    hosts = nil,
    --- The certificate authority of the database server, as PEM in base64.
    authority = "",
}

local PORT = 25060
local VERSION, WHOLE_VERSION = "15", "15.8"
local ENGINES = { pg = true }
local TRUST_TIMEOUT = 20 -- seconds

local function connection_of(cluster, host)
    return {
        uri = ("postgresql://%s:%s@%s:%d/%s?sslmode=require"):format(
            cluster.role, cluster.password, host, PORT, cluster.database),
        database = cluster.database, host = host, port = PORT, user = cluster.role, password = cluster.password,
        ssl = true,
    }
end

local function show_rule(cluster)
    return function(rule)
        return {
            uuid = rule.uuid, cluster_uuid = cluster.id, type = rule.type, value = rule.value,
            created_at = answer.time(rule.created),
        }
    end
end

local function map(list, show)
    local shown = json.array {}
    for index, item in ipairs(list) do
        shown[index] = show(item)
    end
    return shown
end

local function show(cluster)
    local shown = {
        id = cluster.id, name = cluster.name, engine = cluster.engine, version = VERSION,
        semantic_version = WHOLE_VERSION,
        num_nodes = cluster.num_nodes, size = cluster.size, region = cluster.region, status = cluster.status,
        created_at = answer.time(cluster.created), private_network_uuid = cluster.network,
        tags = json.array(cluster.tags),
        db_names = json.null, users = json.null,
        maintenance_window = { day = "saturday", hour = "08:45:12", pending = false },
        project_id = cluster.project, storage_size_mib = 10240,
        connection = connection_of(cluster, databases.hosts.public),
        private_connection = connection_of(cluster, databases.hosts.private),
    }
    if cluster.status ~= "creating" then
        shown.db_names = { cluster.database }
        shown.users = { { name = cluster.role, role = "primary", password = cluster.password } }
    end
    if #cluster.rules > 0 then
        shown.rules = map(cluster.rules, show_rule(cluster))
    end
    return shown
end

--- Checks a whole order before anything of it is made.
local function check_order(team, body)
    local name, nodes = body.name, body.num_nodes
    local sizes = table.concat(catalogue.database_sizes, " ")
    if type(name) ~= "string" or not name:match "^[a-z][a-z0-9-]+$" or name:match "%-$" or #name < 3 or #name > 63 then
        answer.unprocessable "invalid cluster name: 3 to 63 lower-case letters, digits and dashes, a letter first"
    elseif not ENGINES[body.engine] then
        answer.unprocessable "invalid database engine"
    elseif not answer.absent(body.version) and body.version ~= VERSION then
        answer.unprocessable "invalid engine version"
    elseif type(body.size) ~= "string" or not (" " .. sizes .. " "):find(" " .. body.size .. " ", 1, true) then
        answer.unprocessable "invalid size"
    elseif type(nodes) ~= "number" or nodes < 1 or nodes > 3 or nodes % 1 ~= 0 then
        answer.unprocessable "invalid number of nodes"
    elseif not catalogue.region(body.region) then
        answer.unprocessable "invalid region"
    elseif teams.find(team.clusters, "name", name) then
        answer.unprocessable "cluster name is not available"
    elseif #team.clusters >= team.cluster_limit then
        -- DigitalOcean documents no text for this; it is worded as its droplet limit is.
        answer.unprocessable "creating this database cluster will exceed your database cluster limit"
    end
    return {
        name = name, engine = body.engine, size = body.size, num_nodes = nodes, region = body.region,
        tags = tags.check(answer.absent(body.tags) and {} or body.tags), rules = {},
    }
end

local function default_project(team)
    return teams.find(team.projects, "default", true).id
end

local function create(call)
    local team = call.team
    local cluster = check_order(team, call.body or {})
    local number = answer.number()
    cluster.id, cluster.status, cluster.created, cluster.network = uuid(), "creating", now(), team.uuid
    cluster.database, cluster.role = ("defaultdb_%d"):format(number), ("doadmin_%d"):format(number)
    cluster.password = "AVNS_" .. uuid():gsub("-", "")
    cluster.project = default_project(team)
    tags.remember(team, cluster.tags)
    table.insert(team.clusters, cluster)
    projects.adopt(team, "do:dbaas:" .. cluster.id)
    machines.create_database(cluster, function()
        cluster.status = "online"
    end)
    return 201, { database = show(cluster) }
end

-- The one list of the API that has no pages.
local function list(call)
    local tag = call.query.tag_name
    return 200, {
        databases = map(teams.select(call.team.clusters, function(cluster)
            return not tag or tags.has(cluster.tags, tag)
        end), show),
    }
end

local function cluster_of(call)
    local cluster, index = teams.find(call.team.clusters, "id", call.params.id)
    if not cluster then
        answer.refuse(404, "not_found", "cluster not found")
    end
    return cluster, index
end

local function destroy(call)
    local cluster, index = cluster_of(call)
    table.remove(call.team.clusters, index)
    projects.release(call.team, "do:dbaas:" .. cluster.id)
    machines.drop_database(cluster)
    return 204
end

local function addresses_of(droplets)
    local list_of_addresses = {}
    for _, droplet in ipairs(droplets) do
        table.insert(list_of_addresses, droplet.public)
        table.insert(list_of_addresses, droplet.private)
    end
    return list_of_addresses
end

local function is_network(text)
    local address, bits = text:match "^([%d.]+)/(%d%d?)$"
    return (address or text):match "^%d+%.%d+%.%d+%.%d+$" and (not bits or tonumber(bits) <= 32)
end

-- What a rule lets in, as addresses. Only the team's own droplets can be named.
local ADDRESSES = {
    ip_addr = function(_, value)
        if not is_network(value) then
            answer.unprocessable(("invalid IP address: %s"):format(value))
        end
        return { value }
    end,
    droplet = function(team, value)
        local droplet = teams.find(team.droplets, "id", tonumber(value))
        if not droplet then
            answer.unprocessable(("invalid droplet: %s"):format(value))
        end
        return addresses_of { droplet }
    end,
    tag = function(team, value)
        return addresses_of(teams.select(team.droplets, function(droplet)
            return tags.has(droplet.tags, value)
        end))
    end,
}

local function check_rules(team, rules)
    local checked, addresses = {}, {}
    for index, rule in ipairs(rules) do
        local let_in = ADDRESSES[rule.type]
        if not let_in or type(rule.value) ~= "string" then
            answer.unprocessable(("invalid rule type: %s"):format(tostring(rule.type)))
        end
        for _, address in ipairs(let_in(team, rule.value)) do
            addresses[#addresses + 1] = address
        end
        checked[index] = { uuid = uuid(), type = rule.type, value = rule.value, created = now() }
    end
    return checked, addresses
end

--- Replaces the rules; for a cluster that is online, answers when they are in force.
local function set_rules(call)
    local cluster = cluster_of(call)
    local rules, addresses = check_rules(call.team, call.body and call.body.rules or {})
    cluster.rules = rules
    local in_force = false
    machines.trust(cluster, addresses, function()
        in_force = true
    end)
    if cluster.status == "online" then
        wait_until("the trusted sources of " .. cluster.name, { timeout = TRUST_TIMEOUT, interval = 0.02 }, function()
            return in_force
        end)
    end
    return 204
end

function databases.routes(router)
    router:on("GET", "/v2/databases", list)
    router:on("POST", "/v2/databases", create)
    router:on("GET", "/v2/databases/:id", function(call)
        return 200, { database = show((cluster_of(call))) }
    end)
    router:on("DELETE", "/v2/databases/:id", destroy)
    router:on("GET", "/v2/databases/:id/firewall", function(call)
        local cluster = cluster_of(call)
        return 200, { rules = map(cluster.rules, show_rule(cluster)) }
    end)
    router:on("PUT", "/v2/databases/:id/firewall", set_rules)
    router:on("GET", "/v2/databases/:id/ca", function(call)
        cluster_of(call)
        return 200, { ca = { certificate = databases.authority } }
    end)
end

return databases
