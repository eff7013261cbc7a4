-- The control API of the local cloud, under /_cloud/: it is no part of what is imitated. Tests look at what was asked
-- and made, order faults, and change a team.
local answer, teams = require "standin.answer", require "standin.teams"
local account, domains = require "standin.account", require "standin.domains"
local faults, log, onepassword = require "standin.faults", require "standin.log", require "standin.onepassword"

local control = {}

local function state()
    local told = { teams = {} }
    for _, kind in ipairs { "droplets", "clusters", "records", "items" } do
        told[kind] = json.array {}
    end
    for index, team in ipairs(teams.list) do
        told.teams[index] = {
            name = team.name, droplet_limit = team.droplet_limit, cluster_limit = team.cluster_limit,
            droplets = #team.droplets, clusters = #team.clusters,
        }
        for _, droplet in ipairs(team.droplets) do
            table.insert(told.droplets, {
                id = droplet.id, name = droplet.name, status = droplet.status, public = droplet.public,
                private = droplet.private, team = team.name,
            })
        end
        for _, cluster in ipairs(team.clusters) do
            table.insert(told.clusters, {
                id = cluster.id, name = cluster.name, status = cluster.status, team = team.name,
                database = cluster.database, role = cluster.role, rules = json.array(cluster.rules),
            })
        end
        for _, domain in ipairs(team.domains) do
            for _, record in ipairs(domain.records) do
                table.insert(told.records, {
                    domain = domain.name, type = record.type, name = record.name, data = record.data, ttl = record.ttl,
                })
            end
        end
    end
    for _, item in ipairs(onepassword.vault.items) do
        table.insert(told.items, { title = item.title, category = item.category, id = item.id })
    end
    return told
end

--- Changes a team: { team, name?, limit?, burst?, hourly?, readonly? }; limit is for droplets and clusters alike. The
--- team "1Password" has readonly alone.
local function change_team(order)
    if order.team == "1Password" then
        onepassword.access = order.readonly and "read" or "write"
        return { team = order.team }
    end
    local team = teams.named(order.team)
    if not team then
        answer.refuse(404, "not_found", ("there is no team '%s'"):format(tostring(order.team)))
    end
    team.name = order.name or team.name
    team.droplet_limit, team.cluster_limit = order.limit or team.droplet_limit, order.limit or team.cluster_limit
    team.burst, team.hourly = order.burst or team.burst, order.hourly or team.hourly
    if order.readonly ~= nil then
        teams.set_access(team, order.readonly and "read" or "write")
    end
    return { team = team.name }
end

--- Fills the published domain with address records: { count }. They are not published.
local function add_records(order)
    for _, team in ipairs(teams.list) do
        local domain = teams.find(team.domains, "name", domains.published)
        for number = 1, domain and order.count or 0 do
            table.insert(domain.records, {
                id = answer.number(), type = "A", name = ("filler-%d"):format(number), data = "192.0.2.1", ttl = 1800,
            })
        end
    end
    return { count = order.count }
end

local routes = {
    ["GET /_cloud/health"] = function() return { status = "ok", what = "stand-in" } end,
    ["GET /_cloud/state"] = function() return state() end,
    ["POST /_cloud/faults"] = function(order) return { path = faults.add(order).path } end,
    ["DELETE /_cloud/faults"] = function()
        faults.clear()
        return {}
    end,
    ["POST /_cloud/team"] = change_team,
    ["POST /_cloud/records"] = add_records,
    ["POST /_cloud/key"] = function(order)
        return { id = account.add_key(teams.named(order.team), order.name, order.public_key).id }
    end,
}

--- Answers a request under /_cloud/.
function control.answer(request)
    if request.path == "/_cloud/log" and request.method == "GET" then
        return { status = 200, headers = { ["Content-Type"] = "application/x-ndjson" }, body = log.text() }
    end
    local route = routes[request.method .. " " .. request.path]
    if not route then
        return { status = 404, headers = {}, json = { id = "not_found", message = "the control API has no such path" } }
    end
    local result, err = try(function()
        return route((request.body or "") ~= "" and json.decode(request.body) or {})
    end)
    if err then
        local problem = { id = err.id or "bad_request", message = tostring(err) }
        return { status = err.status or 400, headers = {}, json = problem }
    end
    return { status = 200, headers = {}, json = result }
end

return control
