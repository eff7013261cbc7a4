-- Mends a .env that has been overwritten: it keeps feature flags only, which Meltano reads again at a reload.
--
-- Moves     secrets and database settings from /var/meltano/project/.env to /etc/meltano/environment.d/secrets (owner
--           meltano, 0600); one that another file there sets already is only taken out of .env.
-- Mends     quotes that are not closed (closed), lines that are no settings (made comments), owner.
-- Keeps     every other byte, and the old .env as /etc/meltano/env.DATE, for meltano alone.
-- Then      reloads Meltano for the flags, or restarts it if a secret moved.
local flags_file = require "flags_file"
local instance = require "instance"
local meltano = require "meltano"

local SECRETS = "secrets"
local LARGEST = 1024 * 1024 -- bytes

--- The settings of the files in environment.d, by name: which file has each.
local function settings_elsewhere(app)
    local places = {}
    for _, file in ipairs(app:environment_files()) do
        for name in pairs(file.name ~= SECRETS and app:environment(file.name) or {}) do
            places[name] = file.name
        end
    end
    return places
end

--- Keeps a copy of a .env that needs mending, and says what is wrong with it.
---@return { copy?: string } copy: nil when nothing is wrong
local function keep_copy(host)
    local text, stat = host:read(meltano.FLAGS, { limit = LARGEST }), host:stat(meltano.FLAGS)
    local found = flags_file.examine(text)
    for _, problem in ipairs(found.problems) do
        warn("%s, line %d: %s", meltano.FLAGS, problem.line, problem.what)
    end
    if stat.owner ~= meltano.USER then
        warn("%s belongs to %s", meltano.FLAGS, stat.owner)
    end
    if found.kept == text and stat.owner == meltano.USER then
        return {}
    end
    local copy = "/etc/meltano/env." .. os.date("!%Y%m%d-%H%M%S", now())
    host:write(copy, secret.wrap(text), { mode = "0600", owner = meltano.USER, group = meltano.USER })
    return { copy = copy }
end

--- What moves, and what is set elsewhere.
local function sort_out(app, found)
    local elsewhere, moving, names = settings_elsewhere(app), app:environment(SECRETS) or {}, {}
    for _, name in ipairs(found.names) do
        if elsewhere[name] then
            say("%s is set in %s/%s, and only goes from .env", name, meltano.ENVIRONMENT, elsewhere[name])
        else
            say("%s moves to %s/%s", name, meltano.ENVIRONMENT, SECRETS)
            moving[name], names[#names + 1] = found.moved[name], name
        end
    end
    return moving, names
end

return playbook {
    summary = "Move secrets out of an instance's .env, and have its feature flags read again",
    handbook = "/var/meltano/project/.env has been overwritten",
    once = true, -- a new run would find .env mended, and not restart what an old one still had to
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        local host = instance.of(p.tenant):open()
        local app = meltano.on(host)
        local kept = step("keep a copy", { idempotent = true }, function() return keep_copy(host) end)
        if not kept.copy then
            say("%s holds feature flags only: nothing to do.", meltano.FLAGS)
            return
        end
        say("The old .env is kept as %s.", kept.copy)

        -- From the copy, so that a run that was stopped goes on with the same; a dry run has made none.
        local found = flags_file.examine(host:read(host:stat(kept.copy) and kept.copy or meltano.FLAGS))
        local moved = step("move secrets", { idempotent = true }, function()
            local settings, names = sort_out(app, found)
            if #names > 0 then
                app:set_environment(SECRETS, settings)
            end
            return names
        end)
        step("write .env", { idempotent = true }, function()
            host:write(meltano.FLAGS, secret.wrap(found.kept), { owner = meltano.USER, group = meltano.USER })
        end)
        if #moved > 0 or not app.systemd:is_active(meltano.UNIT) then
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
        else
            step("reload Meltano", { idempotent = true }, function() app:reload() end)
        end
        app:wait_until_it_serves()
        say("%s holds feature flags only.", meltano.FLAGS)
    end,
}
