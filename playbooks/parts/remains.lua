-- What there is of instances that are to go: everything of theirs, and nothing of anybody else's.
local host_keys = require "host_keys"
local instance = require "instance"
local preflight = require "preflight"
local site = require "site"
local exactly_one = require "exactly_one"

local remains = {}

--- A test for an instance's logins in 1Password, by the titles that they have had over the years; and those of
--- add-user.
local function login_of(name)
    local titles = {
        [name] = true, ["meltano@" .. name] = true, ["meltano_ftp@" .. name] = true,
        [name .. " (meltano)"] = true,
    }
    return function(item)
        if titles[item.title] then
            return true
        end
        local tagged = table.concat(item.tags or {}, "\n"):find(site.vault_tag, 1, true) ~= nil
        return tagged and item.title:sub(-#name - 1) == "@" .. name
    end
end

local function select_if(items, test)
    local found = {}
    for _, item in ipairs(items) do
        if test(item) then
            found[#found + 1] = item
        end
    end
    return found
end

--- Every cluster of every team, with its team.
local function all_clusters()
    local readers = {}
    for index, team in ipairs(site.database_teams()) do
        readers[index] = function() return { team = team, clusters = team.cloud:databases() } end
    end
    local all = {}
    for _, held in ipairs(parallel(readers)) do
        for _, cluster in ipairs(held.clusters) do
            all[#all + 1] = { cluster = cluster, team = held.team }
        end
    end
    return all
end

--- A function that raises unless the token of a cloud, or of the vault, may write something; of each it asks once.
local function token_check()
    local asked = {}
    return function(holder, kind)
        local known = asked[holder] or {}
        asked[holder], known[kind] = known, known[kind] or {
            problem = select(2, try(kind == "items" and holder.must_write or preflight.must_write, holder, kind)),
        }
        if known[kind].problem then
            error(known[kind].problem, 0)
        end
    end
end

--- All there is, of everybody: what the instances' parts are looked for in.
local function everything()
    local cloud = site.cloud()
    local parts = parallel {
        function() return cloud:droplets() end,
        function() return cloud:records(site.domain, { type = "A" }) end,
        all_clusters,
        site.passwords,
    }
    return {
        cloud = cloud, droplets = parts[1], records = parts[2], clusters = parts[3], vault = parts[4],
        items = parts[4]:items(), must_write = token_check(),
    }
end

local function is_instance(there, name)
    return #select_if(there.droplets, function(droplet) return droplet.name == name end) > 0
end

--- The addresses by which a cluster would know the instance.
local function addresses_of(one)
    local addresses = {}
    for _, droplet in ipairs(one.droplets) do
        addresses[droplet.public_address or ""], addresses[droplet.private_address or ""] = true, true
    end
    for _, record in ipairs(one.records) do
        addresses[record.data] = true
    end
    return addresses
end

--- By what known_hosts may know it: its name, and its addresses unless another droplet has them by now.
local function hosts_of(one, there)
    local others, hosts = {}, { one.name }
    for _, droplet in ipairs(there.droplets) do
        if droplet.name ~= one.name then
            others[droplet.public_address or ""], others[droplet.private_address or ""] = true, true
        end
    end
    for address in pairs(addresses_of(one)) do
        if address ~= "" and not others[address] then
            hosts[#hosts + 1] = address
        end
    end
    return hosts
end

local function trusts(held, addresses)
    for value in pairs(held.team.cloud:trusted_values(held.cluster.id)) do
        if addresses[value] then
            return true
        end
    end
    return false
end

--- The clusters of an instance: the one that is named as we name them, and those with an older name, which ends the
--- same, that trust the instance. Of the others with such an end it cannot be told whose they are.
---@return table[] its, table[] doubtful
local function clusters_of(one, there)
    local addresses, its, doubtful = addresses_of(one), {}, {}
    for _, held in ipairs(there.clusters) do
        local other = held.cluster.name:match "^meltano%-(.+)$"
        if held.cluster.name == one.cluster_name then
            its[#its + 1] = held
        elseif one:has_name_of(held.cluster) and not (other and is_instance(there, other .. "." .. site.domain)) then
            table.insert(trusts(held, addresses) and its or doubtful, held)
        end
    end
    return its, doubtful
end

--- Raises unless all of the instance can be deleted, as far as that can be known before.
---@raise "digitalocean.ambiguous", "token", "onepassword.forbidden"
local function check(one, there)
    exactly_one(one.droplets, {
        things = "droplets", name = one.name, code = "digitalocean.ambiguous",
        label = function(droplet) return ("%d of %s"):format(droplet.id, tostring(droplet.created_at)) end,
        hint = "rename those in DigitalOcean that are to stay, then run this again",
    })
    if #one.droplets > 0 then
        there.must_write(there.cloud, "droplets")
    end
    if #one.records > 0 then
        there.must_write(there.cloud, "domains")
    end
    for _, held in ipairs(one.clusters) do
        there.must_write(held.team.cloud, "databases")
    end
    if #one.items > 0 then
        there.must_write(there.vault, "items")
    end
end

--- Finds what there is of these tenants' instances. Reads only.
---@param tenants string[]
---@return table[] instances each with droplets, records, clusters ({ team, cluster }), items and host_keys, all of
---  which may be empty; hosts: the names and addresses by which known_hosts may have it; doubtful: clusters that may be
---  its; problem: the error that keeps it from being deleted
function remains.of(tenants)
    local there, found, seen = everything(), {}, {}
    for _, tenant in ipairs(tenants) do
        if not seen[tenant] then
            seen[tenant] = true
            local one = instance.of(tenant)
            one.droplets = select_if(there.droplets, function(droplet) return droplet.name == one.name end)
            one.records = select_if(there.records, function(record) return record.name == tenant end)
            one.clusters, one.doubtful = clusters_of(one, there)
            one.items, one.vault = select_if(there.items, login_of(one.name)), there.vault
            one.hosts = hosts_of(one, there)
            one.host_keys = host_keys.of(one.hosts)
            one.problem = select(2, try(check, one, there))
            found[#found + 1] = one
        end
    end
    return found
end

--- Whether there is nothing of an instance.
function remains.is_empty(one)
    return #one.droplets + #one.records + #one.clusters + #one.items + #one.host_keys == 0
end

return remains
