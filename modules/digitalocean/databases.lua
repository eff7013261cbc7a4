-- DigitalOcean's database clusters and who may connect to them: methods of the cloud that digitalocean.account makes.
-- Every password in an answer becomes a secret here.
local _, _, import = ...
local api = import "digitalocean/api"
local api_answer = require "api_answer"
local base64 = require "base64"
local ask, list, map, select, order_once, shaped = api.ask, api.list, api.map, api.select, api.order_once, api.shaped

---@class digitalocean.Databases
local databases = {}

local function cluster_path(id)
    return "/v2/databases/" .. api_answer.segment(id, "the id of a database cluster")
end

local SECRETS = { password = true, uri = true, access_key = true } -- a uri has the password in it

--- No password leaves this file as plain text, wherever in a cluster it stands.
local function with_secrets(cluster)
    for name, value in pairs(cluster) do
        if type(value) == "table" then
            with_secrets(value)
        elseif SECRETS[name] and type(value) == "string" then
            cluster[name] = secret.wrap(value)
        end
    end
    return cluster
end

---@class digitalocean.Connection how to reach a cluster
---@field host string
---@field port integer
---@field user string
---@field password secret
---@field database string
---@field uri secret
---@field ssl boolean
---@field [string] any what else the API tells

---@class digitalocean.Cluster
---@field id string
---@field name string
---@field status string "creating", "online" ...
---@field engine string "pg"
---@field version string
---@field region string
---@field size string
---@field num_nodes integer
---@field created_at string
---@field tags? string[]
---@field connection digitalocean.Connection
---@field private_connection? digitalocean.Connection
---@field rules? digitalocean.Source[]
---@field users? table[]
---@field db_names? string[]
---@field [string] any what else the API tells

---@class digitalocean.Source whom a cluster lets in
---@field uuid? string
---@field type "ip_addr"|"droplet"|"tag"|"k8s"|"app"
---@field value string
---@field cluster_uuid? string
---@field created_at? string
---@field [string] any what else the API tells

--- The team's database clusters.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/databases_list_clusters
---@param filter? { tag?: string }
---@return digitalocean.Cluster[]
function databases:databases(filter)
    local tag = filter and filter.tag
    local found = list(self, "/v2/databases", "databases", "database", "list database clusters", { tag_name = tag })
    return select(map(found, with_secrets), function(cluster)
        return not tag or api.has_tag(cluster, tag)
    end)
end

--- One cluster.
---@param id string
---@return digitalocean.Cluster
---@raise "digitalocean.not_found"
function databases:database(id)
    return shaped(ask(self, "GET", cluster_path(id), "read database cluster " .. id,
        { gives = "database", id = id, result = "database" }), with_secrets)
end

--- The cluster of this name, or nil. A name is unique in its team.
---@param name string
---@return digitalocean.Cluster?
function databases:find_database(name)
    local found = select(self:databases(), function(cluster)
        return cluster.name == name
    end)
    return unknown(found) and found or found[1]
end

--- Orders a database cluster; it is `creating` for some minutes, see wait_online. When the answer is lost, looks
--- whether the cluster was made; it is never ordered twice.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/databases_create_cluster
---@param order { name: string, engine: string, num_nodes: integer, size: string, region: string, version?: string,
---  tags?: string[], rules?: table[] }
---@return digitalocean.Cluster
---@raise "digitalocean.team_full" when the team has no room for it; "digitalocean.unprocessable_entity" for all else
---  that DigitalOcean does not accept; "digitalocean.unclear" when the answer was lost and no cluster is found
---@effect write
function databases:create_database(order)
    local function send()
        local summary = ("create database cluster %s %s %s"):format(order.name, order.size, order.region)
        return shaped(ask(self, "POST", "/v2/databases", summary, {
            json = api_answer.with_lists(order, { "tags", "rules" }), gives = "database", result = "create database",
        }), with_secrets)
    end
    local cluster, err = try(order_once, self, "create database cluster " .. order.name, send, function()
        return self:find_database(order.name)
    end)
    if err and api.is_full(err) then
        fail(("there is no room for %s: %s"):format(order.name, err.said), {
            code = "digitalocean.team_full", status = err.status, said = err.said, team = self.team_name, cause = err,
            target = self.url, hint = "go on with the next team; this one's name is to be marked (full)",
        })
    elseif err then
        error(err, 0)
    end
    return cluster
end

--- Deletes a cluster and all that is in it; one that is gone is fine.
---@param id string
---@param name? string for the plan and the log
---@return boolean existed
---@effect write
function databases:delete_database(id, name)
    local path = cluster_path(id)
    local summary = name and ("delete database cluster %s (%s)"):format(tostring(name), tostring(id))
        or "delete database cluster " .. id
    return api.delete(self, path, summary)
end

--- Waits until a cluster is online.
---@param id string
---@param options? { timeout?: number } seconds (1800)
---@return digitalocean.Cluster
---@raise "timeout", "digitalocean.not_found"
function databases:wait_online(id, options)
    local patience = { timeout = options and options.timeout or 1800, interval = 1 }
    return api.wait(("database cluster %s to be online"):format(tostring(id)), patience, function()
        local cluster = self:database(id)
        return unknown(cluster) and cluster or cluster.status == "online" and cluster
    end)
end

--- The trusted sources of a cluster: who may connect. An empty list lets everybody in.
---@param id string
---@return digitalocean.Source[]
function databases:trusted_sources(id)
    return (ask(self, "GET", cluster_path(id) .. "/firewall", "read trusted sources of " .. id,
        { list = "rules", kind = "rule", result = "rules" }))
end

--- Whom a cluster trusts, as a set: addresses, ids of droplets, names of tags.
---@param id string
---@return table<string, true>
function databases:trusted_values(id)
    local values = {}
    for _, rule in ipairs(self:trusted_sources(id)) do
        values[rule.value:gsub("/32$", "")] = true
    end
    return values
end

--- Replaces the trusted sources of a cluster. A droplet of another team can only be named by its address.
---@param id string
---@param rules digitalocean.Source[] not empty: that would let everybody in
---@raise "usage" for an empty list
---@effect write
function databases:set_trusted_sources(id, rules)
    if not unknown(rules) and #rules == 0 then
        fail("a cluster without trusted sources lets everybody in", { code = "usage", target = id })
    end
    local plain, names = {}, {}
    for index, rule in ipairs(rules) do
        plain[index] = { type = rule.type, value = rule.value, uuid = rule.uuid }
        names[index] = ("%s %s"):format(rule.type, tostring(rule.value))
    end
    ask(self, "PUT", cluster_path(id) .. "/firewall", ("trust %s in %s"):format(table.concat(names, ", "), id),
        { json = { rules = json.array(plain) }, result = "trusted" })
end

--- The certificate authority of a cluster.
---@param id string
---@return string certificate in PEM
function databases:database_ca(id)
    local ca = ask(self, "GET", cluster_path(id) .. "/ca", "read the certificate authority of " .. id,
        { gives = "ca", result = "ca" })
    return unknown(ca) and ca or base64.decode(ca.certificate)
end

return databases
