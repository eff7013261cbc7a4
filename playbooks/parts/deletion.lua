-- Deleting instances, besides finding their parts and deleting these: whom to ask about, what to note for a run that is
-- resumed when parts are gone, and what to tell.
local host_keys = require "host_keys"
local remains = require "remains"
local site = require "site"

local deletion = {}

--- Those of which there is something.
function deletion.left(found)
    local left = {}
    for _, one in ipairs(found) do
        left[#left + 1] = not remains.is_empty(one) and one or nil
    end
    return left
end

--- Those of them that nothing keeps from being deleted.
function deletion.deletable(found)
    local deletable = {}
    for _, one in ipairs(deletion.left(found)) do
        deletable[#deletable + 1] = not one.problem and one or nil
    end
    return deletable
end

-- ---- what a resumed run cannot find out any more ----

--- What can only be told while everything is there.
---@return { names: string[], of: table<string, { hosts: string[], clusters: string[] }>, full: { cluster: string,
---  team: string }[] } names: who can be deleted; of: what is whose, by tenant; full: clusters in teams that are marked
---  as full; the clusters are ids
function deletion.note(found)
    local noted = { names = json.array {}, of = {}, full = json.array {} }
    for _, one in ipairs(deletion.deletable(found)) do
        noted.names[#noted.names + 1] = one.tenant
    end
    for _, one in ipairs(found) do
        local clusters = json.array {}
        for index, held in ipairs(one.clusters) do
            clusters[index] = held.cluster.id
            if held.team.full then
                table.insert(noted.full, { cluster = held.cluster.id, team = held.team.name })
            end
        end
        noted.of[one.tenant] = { hosts = one.hosts, clusters = clusters }
    end
    return noted
end

--- Gives instances back what was theirs by the names and addresses that there were.
function deletion.recall(found, noted)
    for _, one in ipairs(found) do
        local its = {}
        for _, id in ipairs(noted.of[one.tenant].clusters) do
            its[id] = true
        end
        for index = #one.doubtful, 1, -1 do
            if its[one.doubtful[index].cluster.id] then
                table.insert(one.clusters, table.remove(one.doubtful, index))
            end
        end
        one.hosts = noted.of[one.tenant].hosts
        one.host_keys = host_keys.of(one.hosts)
    end
end

--- Whom to name when asking: those who were noted, so that a resumed run asks what it has an answer to, and those who
--- have become deletable since.
---@return string[] tenants
function deletion.names(doomed, noted)
    local names, seen = {}, {}
    for index, tenant in ipairs(noted.names) do
        names[index], seen[tenant] = tenant, true
    end
    for _, one in ipairs(doomed) do
        names[#names + 1] = not seen[one.tenant] and one.tenant or nil
    end
    return names
end

--- The known_hosts files that have lines of some instances, with the names and addresses of those.
---@return { path: string, hosts: string[] }[]
function deletion.known_hosts(instances)
    local files, by_path = {}, {}
    for _, one in ipairs(instances) do
        local seen = {}
        for _, key in ipairs(one.host_keys) do
            local known = by_path[key.path]
            if not known then
                known = { path = key.path, hosts = {} }
                files[#files + 1], by_path[key.path] = known, known
            end
            for _, host in ipairs(not seen[known] and one.hosts or {}) do
                table.insert(known.hosts, host)
            end
            seen[known] = true
        end
    end
    return files
end

-- ---- in words ----

--- What is gone already, what cannot be deleted or is not found, and what stays because it is not certain whose it is.
function deletion.tell(found, noted)
    for _, one in ipairs(found) do
        if #one.droplets > 0 and #noted.of[one.tenant].clusters + #one.doubtful == 0 then
            warn("%s has no database cluster in these teams. If it has one, the token of its team is missing in "
                .. "DO_DATABASE_API_TOKENS.", one.name)
        end
        for _, held in ipairs(one.doubtful) do
            warn("%s may have another cluster: %s in team '%s' is named like it but does not trust it. It stays; look "
                .. "whose it is.", one.name, held.cluster.name, held.team.name)
        end
        if remains.is_empty(one) then
            say("Nothing is left of %s.", one.name)
        elseif one.problem then
            warn("%s stays: %s", one.name, tostring(one.problem))
        end
    end
end

--- A team that was full and has lost a cluster has room again, which only a person can write into its name.
function deletion.tell_room(found, noted)
    local there, told = {}, {}
    for _, one in ipairs(found) do
        for _, held in ipairs(one.clusters) do
            there[held.cluster.id] = not held.gone
        end
    end
    for _, was in ipairs(noted.full) do
        if not there[was.cluster] and not told[was.team] then
            told[was.team] = true
            warn("The team '%s' has room again: rename it to '%s' in DigitalOcean.", was.team,
                (was.team:gsub("%s*" .. site.database.full_mark:gsub("%p", "%%%0"), "")))
        end
    end
end

--- What is found, a row for each part.
---@return { instance: string, part: string, what: string }[]
function deletion.rows(found)
    local rows = {}
    for _, one in ipairs(found) do
        local function add(part, format, ...)
            rows[#rows + 1] = { instance = one.name, part = part, what = format:format(...) }
        end
        for _, droplet in ipairs(one.droplets) do
            add("droplet", "%d, %s, %s", droplet.id, droplet.public_address or "no address yet", droplet.status)
        end
        for _, record in ipairs(one.records) do
            add("A record", "%s in %s -> %s", record.name, site.domain, record.data)
        end
        for _, held in ipairs(one.clusters) do
            add("cluster", "%s in team '%s'", held.cluster.name, held.team.name)
        end
        for _, item in ipairs(one.items) do
            add("1Password", "%s", item.title)
        end
        for _, key in ipairs(one.host_keys) do
            add("host key", "%s line %d, %s%s", key.path, key.number, key.type,
                key.shared and ", but not for the other hosts in it" or "")
        end
    end
    return rows
end

return deletion
