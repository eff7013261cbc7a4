-- Deletes the instances of customers who need them no longer, several at once.
--
-- Deletes   the droplet, its A record and no other, its database cluster in whichever team holds it, its logins in
--           1Password, and its lines in your known_hosts, of which a dated copy is kept.
-- Asks      once, with a list of exactly what will go; you type the names.
-- Again     what is gone already is fine: of an instance that is half gone the rest goes. An instance that cannot be
--           deleted does not stop the others.
local host_keys = require "host_keys"
local remains = require "remains"
local site = require "site"

--- What stays because it is not certain whose it is, and what cannot be deleted at all.
local function tell_doubts(found)
    for _, one in ipairs(found) do
        for _, held in ipairs(one.doubtful) do
            warn("%s may have another cluster: %s in team '%s' is named like it but does not trust it. It stays; look "
                .. "whose it is.", one.name, held.cluster.name, held.team.name)
        end
        if one.problem then
            warn("%s stays: %s", one.name, tostring(one.problem))
        end
    end
end

--- A team that was full has room again, which only a person can write into its name.
local function tell_room(team)
    if team.full then
        local name = team.name:gsub("%s*" .. site.database.full_mark:gsub("%p", "%%%0"), "")
        warn("The team '%s' has room again: rename it to '%s' in DigitalOcean.", team.name, name)
    end
end

local function delete(one)
    -- The record first: a name must not point to an address that DigitalOcean gives to somebody else.
    for _, record in ipairs(one.records) do
        step("delete A record " .. record.id, { idempotent = true }, function()
            one.cloud:delete_record(site.domain, record)
        end)
    end
    for _, droplet in ipairs(one.droplets) do
        step("delete droplet " .. droplet.id, { idempotent = true }, function()
            one.cloud:delete_droplet(droplet.id, one.name)
        end)
    end
    for _, held in ipairs(one.clusters) do
        local name = ("delete database cluster %s of %s"):format(held.cluster.name, held.team.name)
        step(name, { idempotent = true }, function()
            held.team.cloud:delete_database(held.cluster.id, held.cluster.name)
        end)
        tell_room(held.team)
    end
    if #one.items > 0 then
        step("delete logins from 1Password", { idempotent = true }, function()
            local vault = site.passwords()
            for _, item in ipairs(one.items) do
                vault:delete(item.id, item.title)
            end
        end)
    end
end

--- Once for all of them: a file is not edited by two at the same time.
local function forget_host_keys(gone)
    local hosts, paths, seen = {}, {}, {}
    for _, one in ipairs(gone) do
        for _, host in ipairs(#one.host_keys > 0 and one.hosts or {}) do
            hosts[#hosts + 1] = host
        end
        for _, key in ipairs(one.host_keys) do
            paths[#paths + 1] = not seen[key.path] and key.path or nil
            seen[key.path] = true
        end
    end
    for _, path in ipairs(paths) do
        step("forget host keys in " .. path, { idempotent = true }, function()
            return host_keys.forget(path, hosts)
        end)
    end
end

return playbook {
    summary = "Delete instances with everything that belongs to them",
    handbook = "Deleting an instance",
    params = { list("subdomains", "subdomain", "the instances SUBDOMAIN." .. site.domain) },
    run = function(p)
        local found = remains.of(p.subdomains)
        -- A step, although it only reads: once droplets and records are gone, nothing tells a resumed run of them.
        remains.find_host_keys(found, step("note names and addresses", function()
            local hosts = {}
            for _, one in ipairs(found) do
                hosts[one.tenant] = one.hosts
            end
            return hosts
        end))
        local doomed, names = {}, {}
        for index, one in ipairs(found) do
            names[index] = one.tenant
            if remains.is_empty(one) then
                say("Nothing is left of %s.", one.name)
            else
                doomed[#doomed + 1] = one
            end
        end
        tell_doubts(found)
        if #doomed == 0 then
            return
        end
        show(remains.rows(doomed), { "instance", "part", "what" })
        confirm(("Delete %s for good, with the data?"):format(table.concat(names, ", ")), table.concat(names, " "))
        local gone = {}
        local _, failed = try(each, doomed, { key = "tenant", name = "delete" }, function(one)
            lock("instance:" .. one.name)
            if one.problem then
                error(one.problem, 0)
            end
            delete(one)
            gone[#gone + 1] = one
        end)
        forget_host_keys(gone)
        if failed then
            error(failed, 0)
        end
    end,
}
