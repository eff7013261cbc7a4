-- Brings Meltano's configuration up to date on any number of instances.
--
-- Changes   the database settings, to what DigitalOcean says of the instance's cluster; who owns and may read the files
--           in /etc/meltano/environment.d; the cluster's trusted sources, where the droplet is not among them. With
--           --flag only one line of .env, a feature flag.
-- Restarts  Meltano where settings changed or it does not serve; a flag is read without a restart.
-- Again     an instance that is up to date is left alone.
local meltano = require "meltano"
local site = require "site"

local function trusts(rules, droplet)
    local trusted = {}
    for _, rule in ipairs(rules) do
        trusted[rule.value] = true
    end
    return trusted[droplet.public_address] and (not droplet.private_address or trusted[droplet.private_address])
end

local function configure_database(one, app)
    local found = one:find_cluster() or fail(("there is no database cluster of %s"):format(one.name), {
        code = "instance.missing", target = one.name, hint = "is the token of its team in DO_DATABASE_API_TOKENS?",
    })
    local cluster, droplet = found.cluster, one:find_droplet()
    if not trusts(found.team.cloud:trusted_sources(cluster.id), droplet) then
        step("trust the droplet", { idempotent = true }, function()
            one:trust_droplet({ id = cluster.id, team = found.team.name }, droplet)
        end)
    end
    local connection = cluster.connection
    return step("write the database settings", { idempotent = true }, function()
        return app:set_environment("postgres", {
            PG_USERNAME = connection.user, PG_PASSWORD = connection.password, PG_ADDRESS = connection.host,
            PG_PORT = connection.port, PG_DATABASE = connection.database,
        })
    end)
end

local function configure(one)
    lock("instance:" .. one.tenant)
    local app = meltano.on(one.host)
    local written = configure_database(one, app)
    step("close the settings to others", { idempotent = true }, function() return app:close_environment() end)
    if unknown(written) or written or not app:probe().serves then
        step("restart Meltano", { idempotent = true }, function() app:restart() end)
    end
    app:wait_until_it_serves()
end

local function set_flag(one, name, value)
    lock("instance:" .. one.tenant)
    local app = meltano.on(one.host)
    local changed = step("set " .. name, { idempotent = true }, function() return app:set_flag(name, value) end)
    if unknown(changed) or changed then
        step("reload Meltano", { idempotent = true }, function() app:reload() end)
        app:wait_until_it_serves { timeout = 60 }
    end
end

return playbook {
    summary = "Bring Meltano's settings up to date on one or more instances, or set a flag",
    handbook = "/var/meltano/project/.env has been overwritten",
    params = {
        list("tenants", "string", "which instances: names, patterns such as 'a*', or tag:NAME"),
        opt("flag", "string", "only set this feature flag, such as MELTANO_UI_READONLY"),
        opt("value", "string", "to this", "true"),
        opt("parallel", "int", "how many at once", 5),
        opt("max-failures", "int", "begin no more once more than this many have failed", 0),
    },
    run = function(p)
        each(site.instances(p.tenants), {
            key = "tenant", name = "configure", parallel = p.parallel, max_failures = p.max_failures,
        }, function(one)
            if p.flag then
                set_flag(one, p.flag, p.value)
            else
                configure(one)
            end
        end)
    end,
}
