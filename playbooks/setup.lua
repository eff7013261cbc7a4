-- Sets up the instance of a new customer, from nothing to a login in their mailbox.
--
-- Makes     a droplet from the newest meltano- snapshot, an A record, a database cluster that trusts only the droplet,
--           two 1Password items; configures Meltano and Caddy on the droplet; sends one mail.
-- Checks    first: the name, a key of the agent's, write access, room, domain, project, image, the mail server.
-- Again     an instance that is complete is left as it is; one that is half there is described and left alone.
local api_answer = require "api_answer"
local caddy = require "caddy"
local instance = require "instance"
local login_mail = require "login_mail"
local mail = require "mail"
local meltano = require "meltano"
local preflight = require "preflight"
local site = require "site"
local systemd = require "systemd"

return playbook {
    summary = "Set up a new Meltano instance and mail the login to the customer",
    handbook = "Creating a New Instance",
    once = true,
    params = {
        arg("full-name", "name", "the customer's full name"),
        arg("email", "email", "where the login is sent"),
        arg("subdomain", "subdomain", "the instance becomes SUBDOMAIN." .. site.domain),
        flag("new", "fail where that instance is complete already, since it is somebody else's"),
    },
    run = function(p)
        local new = instance.of(p.subdomain)
        lock("instance:" .. new.tenant)

        -- A step, although it only reads: a resumed run, which has made some of it, must not look again.
        local found = step("check that it can be made", function()
            local there = new:survey()
            local complete, reason = new:is_complete(there)
            if complete and p.new then
                preflight.refuse_complete(new)
            elseif not complete then
                preflight.check_free(new, there, reason)
                preflight.check_all(new)
            end
            return { complete = complete }
        end)
        if found.complete then
            say("%s is complete and answers: nothing to do.", new.url)
            return
        end

        -- The cluster first: it takes longest, and it is what there may be no room for.
        local database = step("create database cluster", {
            probe = function() return new:found_cluster() end,
            undo = function(made) new:team(made.team).cloud:delete_database(made.id, new.cluster_name) end,
        }, function() return new:create_cluster() end)

        local ordered = step("create droplet", {
            probe = function() return new.cloud:find_droplet(new.name) end,
            undo = function(made) new.cloud:delete_droplet(made.id, new.name) end,
        }, function() return new:create_droplet() end)

        step("put the droplet into its project", { idempotent = true }, function() new:move_to_project(ordered.id) end)

        local droplet = new.cloud:wait_active(ordered.id, { timeout = site.droplet.give_up_after })
        step("create DNS record", {
            probe = function() return new:survey().record end,
            undo = function(made) new.cloud:delete_record(site.domain, made.id) end,
        }, function()
            local record = new.cloud:create_record(site.domain, {
                type = "A", name = new.tenant, data = droplet.public_address, ttl = site.dns.ttl,
            })
            return { id = record.id }
        end)

        step("trust the droplet", { idempotent = true }, function() new:trust_droplet(database, droplet) end)

        local passwords = {}
        for _, login in ipairs { "tenant", "meltano" } do
            passwords[login] = step(("store %s in 1Password"):format(new.items[login]), {
                probe = function() return new:stored_login(login) end,
                undo = function() new:forget_item(new.items[login]) end,
            }, function() return new:store_login(login) end)
        end

        local connection = new:wait_for_cluster(database).connection
        new:wait_for_dns(droplet.public_address)
        local host = new:connect(droplet.public_address)
        local app, services = meltano.on(host), systemd.on(host)

        step("write the database settings", { idempotent = true }, function()
            app:set_environment("postgres", {
                PG_USERNAME = connection.user, PG_PASSWORD = connection.password, PG_ADDRESS = connection.host,
                PG_PORT = connection.port, PG_DATABASE = connection.database,
            })
        end)
        step("configure Caddy", { idempotent = true }, function() new:configure_caddy(host) end)
        step("restart Meltano", { idempotent = true }, function() services:restart "meltano.service" end)
        step("restart Caddy", { idempotent = true }, function() caddy.on(host):restart() end)
        app:wait_until_it_serves()

        step("add the user " .. new.tenant, { idempotent = true }, function()
            app:add_user(new.tenant, passwords.tenant, { role = "admin" })
        end)
        step("add the user meltano", { idempotent = true }, function()
            app:add_user("meltano", passwords.meltano, { role = "admin" })
        end)
        new:wait_until_it_serves(droplet.public_address, host)

        -- Mail has no probe: when it is unclear whether the letter went out, a person looks for its Message-ID.
        step("send the login", function()
            local letter = login_mail.write {
                full_name = p.full_name, url = new.url, user = new.tenant, password = passwords.tenant,
            }
            letter.to = ("%s <%s>"):format(p.full_name, p.email)
            letter.message_id = "<login." .. api_answer.shown(droplet.id) .. "@" .. site.domain .. ">"
            mail.send(site.outgoing(letter))
        end)
        step("mark as finished", { idempotent = true }, function() new:mark_as_finished(ordered.id) end)
        if not unknown(droplet) then
            say("%s is ready; the login went to %s.", new.url, p.email)
        end
    end,
}
