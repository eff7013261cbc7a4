-- Looks whether everything is there that the other playbooks need. For each thing that is not, it says what to do.
--
-- Changes   nothing.
-- Asks      the ssh-agent for its keys; DigitalOcean for each token's team, its room, what the token may write, and
--           whether the domain, the project, an image and a key of the agent's are there; 1Password, the mail server
--           and the name servers; this machine for hostler's store and libraries.
local dns = require "dns"
local checkup = require "checkup"
local instance = require "instance"
local mail = require "mail"
local prerequisites = require "prerequisites"
local site = require "site"

local ONLINE = "does this machine reach api.digitalocean.com? See https://status.digitalocean.com, too"

local function agent()
    return prerequisites.named(prerequisites.agent_keys())
end

--- What the playbooks write with a token: a token may have been given some of it only.
local function may_write(cloud, kinds, words)
    local refused = {}
    for _, kind in ipairs(kinds) do
        refused[#refused + 1] = not cloud:can_write(kind) and kind or nil
    end
    if #refused > 0 then
        fail(("%s: it may only read %s"):format(words, table.concat(refused, ", ")), {
            hint = "make a token with write access in DigitalOcean, under API, and export it",
        })
    end
    return ("%s, may write %s"):format(words, table.concat(kinds, ", "))
end

local function droplets()
    local cloud = site.cloud()
    local account, count = cloud:account(), #cloud:droplets()
    local words = ("team '%s', %d of %d droplets"):format(account.team.name, count, account.droplet_limit)
    if count >= account.droplet_limit then
        fail(words .. ": there is no room", { hint = "ask DigitalOcean for a higher limit, or delete an instance" })
    end
    return may_write(cloud, { "droplets", "domains", "projects" }, words)
end

local function parts()
    local cloud = site.cloud()
    local domain, project = prerequisites.domain(cloud), prerequisites.project(cloud)
    return ("domain %s, project '%s', image %s"):format(domain.name, project.name, instance.newest_image(cloud).name)
end

local function database_team(cloud)
    local name, count = cloud:account().team.name, #cloud:databases()
    local full = name:find(site.database.full_mark, 1, true)
    return may_write(cloud, { "databases" }, ("team '%s', %d clusters%s"):format(name, count,
        full and ", marked as full" or ""))
end

local function room_for_databases()
    for _, team in ipairs(site.database_teams()) do
        if not team.full then
            return ("the next cluster goes to '%s'"):format(team.name)
        end
    end
    fail("every database team is marked as full", {
        hint = "make a new team and add its token to DO_DATABASE_API_TOKENS; or take the mark out of the name of one "
            .. "that has room again",
    })
end

local function passwords()
    local vault = site.passwords()
    local words = ("vault '%s', %d items"):format(site.vault, #vault:items())
    local _, err = try(vault.must_write, vault)
    if err and err.code == "onepassword.forbidden" then
        fail(words .. ": it may only read", { hint = err.hint })
    elseif err then
        error(err, 0)
    end
    return words .. ", may write"
end

local function mail_server()
    mail.check(site.outgoing())
    return site.mail.server .. (site.mail.user and ", logged in as " .. site.mail.user or "")
end

local function name_servers()
    local words = site.dns.nameservers and table.concat(site.dns.nameservers, ", ") or "the system's"
    local records, absence = try(dns.resolve, site.domain, { nameservers = site.dns.nameservers })
    local problem = not records and absence.message or absence == "nxdomain" and "there is no domain " .. site.domain
    if problem then
        fail(("%s: %s"):format(words, problem), {
            hint = "HOSTLER_NAMESERVERS, or else /etc/resolv.conf, must name servers that answer for the internet",
        })
    end
    return words
end

return playbook {
    summary = "Look whether everything is there that the playbooks need",
    handbook = "Make sure ssh-agent is registered; ensure you can connect to DigitalOcean",
    effects = "read",
    run = function()
        local checks = checkup.own()
        local function add(what, look, advice)
            checks[#checks + 1] = { what = what, look = look, advice = advice }
        end
        add("ssh-agent", agent)
        add("droplets", droplets, ONLINE)
        add("key for droplets", function() return prerequisites.key(site.cloud()) end, ONLINE)
        add("parts of instances", parts, ONLINE)
        for index, cloud in ipairs(try(site.database_clouds) or {}) do
            add("database team " .. index, function() return database_team(cloud) end, ONLINE)
        end
        add("room for databases", room_for_databases, ONLINE)
        add("1Password", passwords, "OP_CONNECT_HOST must lead to the 1Password Connect server, and that must run")
        add("mail server", mail_server, "HOSTLER_SMTP_URL, _USER and _PASSWORD must be those of a server that runs")
        add("name servers", name_servers)
        checkup.examine(checks)
    end,
}
