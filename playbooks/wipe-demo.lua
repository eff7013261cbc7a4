-- Empties the database of the demo instance: every schema falls, with all that is in it, but `public`.
--
-- Finds     the cluster by its trusted sources: it is the one that trusts the demo's droplet, whatever its name.
-- Drops     all schemas except `public` and PostgreSQL's own, in one transaction: all of them or none.
-- Asks      first, with the list; you type the instance's name. What comes later than the list stays.
-- Refuses   when something in `public` would fall with them, because it uses what is in another schema.
-- Again     nothing is left to drop.
local database = require "database"
local instance = require "instance"
local schemas = require "schemas"
local site = require "site"

local function counted(list)
    return #list == 1 and "1 schema" or #list .. " schemas"
end

return playbook {
    summary = "Drop every schema but public from the demo instance's database",
    handbook = "Wipe database in Meltano demo instance",
    params = {
        opt("tenant", "subdomain", "the demo instance", site.demo),
        opt("lock-timeout", "int", "seconds to wait for whoever uses a table", 10),
        flag("with-dependents", "also drop what in public depends on the other schemas"),
    },
    run = function(p)
        local demo = instance.of(p.tenant)
        lock("instance:" .. demo.tenant)
        local held = database.of(demo)
        say("%s uses the cluster %s in team '%s'.", demo.name, held.cluster.name, held.team.name)

        local db = database.connect(demo, held)
        -- A step, although it only reads: what falls is what the person has seen, also where they answer days later.
        local doomed = step("list the schemas", function() return schemas.list(db) end)
        if #doomed == 0 then
            say("Only public is left: nothing to drop.")
            return
        end
        show(doomed, { "schema", "owner", "objects", "size", "extensions" })
        schemas.check_owner(doomed)
        confirm(("Drop %s from %s for good?"):format(counted(doomed), demo.name), demo.name)

        local fallen = step("drop the schemas", { idempotent = true }, function()
            return schemas.drop(db, doomed, { lock_timeout = p.lock_timeout, with_dependents = p.with_dependents })
        end)
        if not unknown(fallen) then
            say("%s fell: %s.", counted(fallen.schemas), table.concat(fallen.schemas, ", "))
            for _, thing in ipairs(fallen.dependents) do
                warn("With them fell, in public: %s", thing)
            end
        end
    end,
}
