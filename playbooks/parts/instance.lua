-- One customer's instance: its names, what exists of it, and the parts it is made of. Shared by the playbooks.
local caddy = require "caddy"
local digitalocean = require "digitalocean"
local dns = require "dns"
local file = require "file"
local host_file = require "host_file"
local http = require "http"
local prerequisites = require "prerequisites"
local site = require "site"
local ssh = require "ssh"
local systemd = require "systemd"
local tenants = require "tenants"

---@class instance
---@field tenant string the customer's short name
---@field name string the name of its host
---@field url string
---@field cluster_name string
---@field items { tenant: string, meltano: string } the titles of its logins in 1Password
---@field cloud digitalocean.Cloud
---@field droplet? digitalocean.Droplet where that is known
---@field host ssh.Host its machine, connected when it is first asked for
---@field systemd systemd.Systemd
---@field caddy caddy.Caddy
---@field meltano meltano.Meltano
local instance = {}

local CLUSTER_PREFIX = "meltano-"

-- What is made when it is first asked for.
local PARTS = {
    host = function(self) return instance.open(self) end,
    caddy = function(self) return caddy.on(self.host) end,
    meltano = function(self) return require "meltano".on(self.host) end,
    systemd = function(self) return systemd.on(self.host) end,
}

function instance.__index(self, name)
    local make = PARTS[name]
    if not make then
        return instance[name]
    end
    local part = make(self)
    rawset(self, name, part)
    return part
end

--- The instance of a tenant. Nothing is asked yet.
---@param tenant string the customer's short name
---@param droplet? digitalocean.Droplet where that is known
---@return instance
function instance.of(tenant, droplet)
    local name = ("%s.%s"):format(tenant, site.domain)
    return setmetatable({
        tenant = tenant,
        name = name,
        url = ("https://%s/"):format(name),
        cluster_name = CLUSTER_PREFIX .. tenant,
        items = { tenant = name, meltano = "meltano@" .. name },
        cloud = site.cloud(),
        droplet = droplet,
    }, instance)
end

--- True for a cluster whose name ends in "-TENANT". One whose name is not exactly this instance's may be another's:
--- meltano-ada-lovelace ends in -lovelace too.
function instance:has_name_of(cluster)
    return cluster.name:sub(-#self.tenant - 1) == "-" .. self.tenant
end

--- Where a cluster of this instance is, in whichever team holds it: its name ends in "-TENANT". The clusters that are
--- named as we name them are their own tenant's alone.
---@return { team: table, cluster: table }?
function instance:find_cluster()
    for _, team in ipairs(self:teams()) do
        for _, cluster in ipairs(team.cloud:databases()) do
            local is_ours = cluster.name:sub(1, #CLUSTER_PREFIX) == CLUSTER_PREFIX
            if cluster.name == self.cluster_name or not is_ours and self:has_name_of(cluster) then
                return { team = team, cluster = cluster }
            end
        end
    end
end

--- The cluster as the step that creates it returns it, for when it is unclear whether that step ended.
function instance:found_cluster()
    local found = self:find_cluster()
    return found and { id = found.cluster.id, team = found.team.name } or nil
end

--- The database teams, asked for once.
function instance:teams()
    self.known_teams = self.known_teams or site.database_teams()
    return self.known_teams
end

--- The database team of this name.
function instance:team(name)
    for _, team in ipairs(self:teams()) do
        if team.name == name or unknown(name) then
            return team
        end
    end
    fail(("none of the tokens belongs to a team called '%s'"):format(name), {
        hint = "was the team renamed since this run began? Name it back, or set DO_DATABASE_API_TOKENS",
    })
end

--- What exists of the instance; reads only, all at once.
---@return { droplet?: table, record?: table, database?: table, tenant_item?: table, meltano_item?: table }
function instance:survey()
    local vault = site.passwords()
    local found = parallel {
        function() return self.cloud:find_droplet(self.name) or false end,
        function() return self.cloud:records(site.domain, { name = self.tenant, type = "A" })[1] or false end,
        function() return self:find_cluster() or false end,
        function() return vault:find(self.items.tenant) or false end,
        function() return vault:find(self.items.meltano) or false end,
    }
    return {
        droplet = found[1] or nil, record = found[2] or nil, database = found[3] or nil,
        tenant_item = found[4] or nil, meltano_item = found[5] or nil,
    }
end

--- The survey in words: what exists, and what is missing.
---@return string[] existing, string[] missing
function instance:describe(there)
    local existing, missing = {}, {}
    local function note(part, words)
        table.insert(part and existing or missing, words)
    end
    note(there.droplet, there.droplet and ("the droplet %s (id %d, %s)"):format(self.name, there.droplet.id,
        there.droplet.status) or "the droplet " .. self.name)
    note(there.record, there.record and ("the A record %s -> %s"):format(self.tenant, there.record.data)
        or "the A record " .. self.tenant)
    note(there.database, there.database and ("the database cluster %s in team '%s'"):format(
        there.database.cluster.name, there.database.team.name) or "the database cluster " .. self.cluster_name)
    note(there.tenant_item, ("the 1Password item '%s'"):format(self.items.tenant))
    note(there.meltano_item, ("the 1Password item '%s'"):format(self.items.meltano))
    return existing, missing
end

--- Whether everything is there, no set-up was left before its end, and the instance answers over HTTPS with a
--- certificate that holds.
---@return boolean complete, string? reason what keeps it from being complete
function instance:is_complete(there)
    local _, missing = self:describe(there)
    if #missing > 0 then
        return false, "missing: " .. table.concat(missing, ", ")
    elseif there.record.data ~= there.droplet.public_address then
        return false, ("the A record points to %s, the droplet is %s"):format(there.record.data,
            tostring(there.droplet.public_address))
    end
    for _, tag in ipairs(there.droplet.tags) do
        if tag == site.droplet.unfinished_tag then
            return false, ("its set-up did not come to its end: the droplet still has the tag '%s'"):format(tag)
        end
    end
    local answered, err = try(http.get, self.url, self:https_options(there.droplet.public_address))
    return answered ~= nil, err and tostring(err) or nil
end

--- Requests go to the droplet's own address: DNS has been checked on its own by then.
function instance:https_options(address)
    return { ca_file = site.ca_file, resolve = { [self.name .. ":443"] = address }, timeout = 10, retries = 0 }
end

--- The newest snapshot that instances are made of.
---@param cloud table from digitalocean.account
function instance.newest_image(cloud)
    local images = cloud:snapshots { resource_type = "droplet", prefix = site.droplet.image_prefix }
    return images[1] or fail(("there is no snapshot whose name begins with '%s'"):format(site.droplet.image_prefix), {
        target = cloud:who(), hint = "make one of a good instance, or change droplet.image_prefix in site.lua",
    })
end

function instance:image()
    return instance.newest_image(self.cloud)
end

function instance:create_droplet()
    local keys = {}
    for _, key in ipairs(self.cloud:keys()) do
        keys[#keys + 1] = key.id
    end
    local droplet = self.cloud:create_droplet {
        name = self.name, region = site.droplet.region, size = site.droplet.size, image = tonumber(self:image().id),
        ssh_keys = keys, tags = { site.droplet.tag, site.droplet.unfinished_tag }, backups = false,
    }
    return { id = droplet.id }
end

--- Says that all of it is done: until then an instance that answers may still lack its users, or the mail be unsent.
function instance:mark_as_finished(droplet_id)
    self.cloud:untag_droplets(site.droplet.unfinished_tag, { droplet_id })
end

function instance:move_to_project(droplet_id)
    self.cloud:assign(prerequisites.project(self.cloud), { digitalocean.urn("droplet", droplet_id) })
end

--- Orders the cluster in the first team that has room, and says which teams turned out to be full.
---@return { id: string, team: string }
function instance:create_cluster()
    for _, team in ipairs(self:teams()) do
        if not team.full then
            local cluster, err = try(function()
                return team.cloud:create_database {
                    name = self.cluster_name, engine = site.database.engine, size = site.database.size,
                    num_nodes = site.database.nodes, region = site.droplet.region, tags = { site.database.tag },
                }
            end)
            if cluster then
                return { id = cluster.id, team = team.name }
            elseif not digitalocean.is_full(err) then
                error(err, 0)
            end
            warn("The team '%s' is full: rename it to '%s %s' in DigitalOcean.", team.name, team.name,
                site.database.full_mark)
        end
    end
    fail("no database team has room for another cluster", {
        hint = "make a new team, add its token to DO_DATABASE_API_TOKENS, or free a cluster",
    })
end

--- The cluster answers to the droplet alone: by its public address, and by the one it has in its VPC.
function instance:trust_droplet(database, droplet)
    local rules = { { type = "ip_addr", value = droplet.public_address } }
    if droplet.private_address then
        rules[2] = { type = "ip_addr", value = droplet.private_address }
    end
    self:team(database.team).cloud:set_trusted_sources(database.id, rules)
end

--- Makes a login and keeps it in 1Password.
---@param login "tenant"|"meltano" the customer's, or that of staff
---@return secret password
function instance:store_login(login)
    local password = login == "tenant" and secret.random(20) or secret.random(32)
    site.passwords():create {
        title = self.items[login], username = login == "tenant" and self.tenant or "meltano", password = password,
        urls = { self.url },
    }
    return password
end

--- The password that 1Password has for a login, or nil.
---@return secret?
function instance:stored_login(login)
    local item = site.passwords():find(self.items[login])
    return item and item.password
end

--- Takes a login out of 1Password again, if it is there.
---@param title string
function instance.forget_item(_, title)
    local vault = site.passwords()
    local item = vault:find(title)
    if item then
        vault:delete(item.id, title)
    end
end

--- Waits until the cluster can be used, and returns it.
function instance:wait_for_cluster(database)
    local cluster, err = try(function()
        return self:team(database.team).cloud:wait_online(database.id, { timeout = site.database.give_up_after })
    end)
    if err and err.code == "timeout" then
        err.target = ("%s in team '%s'"):format(self.cluster_name, database.team)
        err.hint = "look at the cluster in DigitalOcean, and at https://status.digitalocean.com"
    end
    return cluster or error(err, 0)
end

--- Waits until every name server gives the droplet's address for the instance's name.
function instance:wait_for_dns(address)
    local resolved, err = try(wait_until, ("%s to resolve to %s"):format(self.name, tostring(address)), {
        timeout = site.dns.give_up_after, interval = 2,
    }, function()
        return dns.resolves_to(self.name, address, { nameservers = site.dns.nameservers })
    end)
    if err and err.code == "timeout" then
        err.target, err.hint = self.name, ("does %s still point to DigitalOcean's name servers, and is the A "
            .. "record %s there?"):format(site.domain, self.tenant)
    end
    return resolved or error(err, 0)
end

--- The instance's droplet, which must be there.
---@raise "instance.missing"
function instance:find_droplet()
    self.droplet = self.droplet or self.cloud:find_droplet(self.name)
        or fail(("there is no droplet %s"):format(self.name), {
            code = "instance.missing", target = self.name, hint = "hostler run instances shows what there is",
        })
    return self.droplet
end

--- Connects as root to an instance that has been there before this run: its host key must be known.
---@return table host see ssh.connect
---@raise "instance.missing"; what ssh.connect raises
function instance:open()
    return ssh.connect(self.name, {
        user = "root", address = self:find_droplet().public_address, known_hosts = site.known_hosts,
        host_key = "strict",
    })
end

-- What SSH says to somebody who comes while a machine still boots.
local NOT_YET = {
    ["ssh.unreachable"] = true, ["ssh.refused"] = true, ["ssh.timeout"] = true, ["ssh.closed"] = true,
}

--- Waits until SSH answers, and connects as root. A droplet that this run has made may introduce itself; its host key
--- is pinned from then on.
function instance:connect(address)
    local last
    local host, err = try(wait_until, "SSH on " .. self.name, { timeout = site.ssh.give_up_after, interval = 2 },
        function()
            local connected, problem = try(ssh.connect, self.name, {
                user = "root", address = address, known_hosts = site.known_hosts, host_key = "accept-new",
            })
            if not connected and not NOT_YET[problem.code] then
                error(problem, 0)
            end
            last = problem
            return connected
        end)
    if err and err.code == "timeout" then
        err.target, err.cause = self.name, last
        err.hint = ("look at the droplet's console in DigitalOcean; it should answer at %s, port 22"):format(address)
    end
    return host or error(err, 0)
end

--- Caddy on the instance's name, with a certificate from the site's certificate authority.
---@return boolean changed
function instance:configure_caddy(host)
    local server = caddy.on(host)
    local authority, trusted
    if site.acme.ca_file then
        authority = "/etc/caddy/acme-ca.pem"
        trusted = host_file.put(host, authority, file.read(site.acme.ca_file), {
            mode = "0644", owner = "root", group = "root",
        })
    end
    local renamed = server:set_hostname(self.name)
    local changed = server:set_tls("acme", { email = site.acme.email, ca = site.acme.directory, ca_root = authority })
    return unknown(renamed) and renamed or unknown(changed) and changed or trusted or renamed or changed
end

-- What waiting longer does not mend; other verdicts pass, or nobody knows.
local HOPELESS = { ["rate-limited"] = true, ["bad-caddyfile"] = true, ["port-taken"] = true, ["not-running"] = true }
local TIME_FOR_A_CERTIFICATE = 10 -- seconds until Caddy is asked why there is none

--- Why there is no certificate, as an error, when Caddy knows.
---@param host table
---@param only_hopeless boolean
local function certificate_problem(self, host, only_hopeless)
    local found = try(function() return caddy.on(host):diagnose { nameservers = site.dns.nameservers } end)
    if not found or found.verdict == "ok" or only_hopeless and not HOPELESS[found.verdict] then
        return
    end
    fail(("%s has no certificate: %s"):format(self.name, found.verdict), {
        code = "certificate", target = self.name, detail = table.concat(found.evidence, "\n"),
        hint = found.verdict == "rate-limited" and "Caddy gets one by itself once the limit is over; until then "
            .. "`tls internal` in its Caddyfile makes it answer with one of its own" or nil,
    })
end

--- Waits until the instance answers over HTTPS with a certificate that holds.
---@raise "certificate" when there is none and Caddy knows why; "timeout"
function instance:wait_until_it_serves(address, host)
    local last, asked
    local begun = now()
    local answer, err = try(wait_until, self.url .. " to answer", { timeout = site.acme.give_up_after, interval = 1 },
        function()
            local found, problem = try(http.get, self.url, self:https_options(address))
            if not found and not (problem.code:find "^http%." or problem.code == "timeout") then
                error(problem, 0)
            elseif not found and not asked and now() - begun > TIME_FOR_A_CERTIFICATE then
                asked = true
                certificate_problem(self, host, true)
            end
            last = problem
            return found
        end)
    if err and err.code == "timeout" then
        certificate_problem(self, host, false)
        err.target, err.cause = self.url, last
    end
    return answer or error(err, 0)
end

--- The instances that are meant; see tenants.matching.
---@param patterns string[]
---@return table[] instances see instance.of; each has its droplet as `droplet`
---@raise "usage"
function instance.matching(patterns)
    local found = {}
    for index, one in ipairs(tenants.matching(patterns)) do
        found[index] = instance.of(one.tenant, one.droplet)
    end
    return found
end

local function names_of_all()
    local names = {}
    for index, one in ipairs(tenants.matching { "*" }) do
        names[index] = one.tenant
    end
    return names
end

-- instance "ada" is short for instance.of "ada".
setmetatable(instance, {
    __call = function(_, tenant) return instance.of(tenant) end,
    __completes = { __call = names_of_all, of = names_of_all },
})

return instance
