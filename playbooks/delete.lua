-- Deletes the instances of customers who need them no longer, several at once.
--
-- Deletes   the droplet, its A record and no other, its database cluster in whichever team holds it, its logins in
--           1Password, and its lines in your known_hosts, of which a dated copy is kept.
-- Asks      once, with a list of exactly what will go; you type the names.
-- Refuses   before anything is deleted, an instance of which a part could not be: a token may only read, or two
--           droplets have its name. That does not stop the others, nor does one that fails later.
-- Again     what is gone already is fine: of an instance that is half gone the rest goes.
local deletion = require "deletion"
local host_keys = require "host_keys"
local remains = require "remains"
local site = require "site"

local function delete(one)
    -- The record first: a name must not point to an address that DigitalOcean gives to somebody else.
    for _, record in ipairs(one.records) do
        step("delete A record " .. record.id, { idempotent = true }, function()
            return one.cloud:delete_record(site.domain, record)
        end)
    end
    -- The clusters before the droplet: an old one is known by nothing but the droplet's address, which it trusts.
    for _, held in ipairs(one.clusters) do
        local name = ("delete database cluster %s of %s"):format(held.cluster.name, held.team.name)
        held.gone = not unknown(step(name, { idempotent = true }, function()
            return held.team.cloud:delete_database(held.cluster.id, held.cluster.name)
        end))
    end
    for _, droplet in ipairs(one.droplets) do
        step(("delete droplet %d"):format(droplet.id), { idempotent = true }, function()
            return one.cloud:delete_droplet(droplet.id, one.name)
        end)
    end
    for _, item in ipairs(one.items) do
        step(("delete '%s' (%s) from 1Password"):format(item.title, item.id), { idempotent = true }, function()
            return one.vault:delete(item.id, item.title)
        end)
    end
end

--- Once for all of them: a file is not edited by two at the same time.
local function forget_host_keys(gone)
    for _, known in ipairs(deletion.known_hosts(gone)) do
        step("forget host keys in " .. known.path, { idempotent = true }, function()
            return host_keys.forget(known.path, known.hosts)
        end)
    end
end

return playbook {
    summary = "Delete instances with everything that belongs to them",
    handbook = "Deleting an instance",
    params = { list("subdomains", "subdomain", "the instances SUBDOMAIN." .. site.domain) },
    run = function(p)
        local found = remains.of(p.subdomains)
        -- A step, although it only reads: once parts are gone, nothing tells a resumed run of them.
        local noted = step("note what there is", function() return deletion.note(found) end)
        deletion.recall(found, noted)
        deletion.tell(found, noted)

        local doomed = deletion.deletable(found)
        if #doomed > 0 then
            show(deletion.rows(doomed), { "instance", "part", "what" })
            local names = deletion.names(doomed, noted)
            confirm(("Delete %s for good, with the data?"):format(table.concat(names, ", ")), table.concat(names, " "))
        end

        local gone = {}
        local _, failed = try(each, deletion.left(found), { key = "tenant", name = "delete" }, function(one)
            lock("instance:" .. one.tenant)
            if one.problem then
                error(one.problem, 0)
            end
            delete(one)
            gone[#gone + 1] = one
        end)
        forget_host_keys(gone)
        deletion.tell_room(found, noted)
        if failed then
            error(failed, 0)
        end
    end,
}
