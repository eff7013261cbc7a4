-- Brings Meltano's configuration up to date on any number of instances.
--
-- Changes   the database settings, to what DigitalOcean says of the instance's cluster; who owns and may read the files
--           in /etc/meltano/environment.d; the cluster's trusted sources, where the droplet is not among them: to the
--           droplet alone. With --flag only one line of .env, a feature flag.
-- Restarts  Meltano where it runs with other settings or does not serve; a flag is read without a restart.
-- Again     an instance that is up to date is left alone.
local fleet = require "fleet"
local meltano = require "meltano"
local meltano_settings = require "meltano_settings"

--- The cluster lets the droplet in, by every address that it may come from.
local function trust(one, found)
    local droplet, trusted = one:find_droplet(), found.team.cloud:trusted_values(found.cluster.id)
    if trusted[droplet.public_address] and (not droplet.private_address or trusted[droplet.private_address]) then
        return false
    end
    step("trust the droplet", { idempotent = true }, function()
        one:trust_droplet({ id = found.cluster.id, team = found.team.name }, droplet)
    end)
    return true
end

local function configure(one)
    local app = meltano.on(one.host)
    local found = one:find_cluster() or fail(("there is no database cluster of %s"):format(one.name), {
        code = "instance.missing", target = one.name, hint = "is the token of its team in DO_DATABASE_API_TOKENS?",
    })
    local is_changed = trust(one, found)

    local closed = step("close the settings to others", { idempotent = true }, function()
        return app:close_environment()
    end)
    local settings = app:environment "postgres" or {}
    for name, value in pairs(meltano_settings.database_settings(found.cluster.connection)) do
        settings[name] = value
    end
    local written = step("write the database settings", { idempotent = true }, function()
        return app:set_environment("postgres", settings)
    end)
    if not app:has_loaded(settings) or not app:probe().serves then
        step("restart Meltano", { idempotent = true }, function() app:restart() end)
    elseif not (is_changed or unknown(written) or written or unknown(closed) or closed) then
        say "It is up to date."
    end
    app:wait_until_it_serves()
end

local function set_flag(one, name, value)
    local app = meltano.on(one.host)
    -- A step, although it only reads: a resumed run would find the flag that it has set, and not have it read.
    local is_set = step("look whether it is set", function() return app:flags()[name] == value end)
    if is_set then
        say("It has %s=%s already.", name, value)
        return
    end
    step("set " .. name, { idempotent = true }, function() return app:set_flag(name, value) end)
    step("reload Meltano", { idempotent = true }, function() app:reload() end)
    app:wait_until_it_serves { timeout = 60 }
end

return playbook {
    summary = "Bring Meltano's settings up to date on one or more instances, or set a flag",
    handbook = "/var/meltano/project/.env has been overwritten",
    params = fleet.params({
        opt("flag", "string", "only set this feature flag, such as MELTANO_UI_READONLY"),
        opt("value", "string", "to this", "true"),
    }, { parallel = 5, max_failures = 0 }),
    run = function(p)
        fleet.each(p, "configure", function(one)
            if p.flag then
                set_flag(one, p.flag, p.value)
            else
                configure(one)
            end
        end)
    end,
}
