-- Mends a .env that has been overwritten: it keeps feature flags only, which Meltano reads again at a reload.
--
-- Moves     secrets and database settings from /var/meltano/project/.env to /etc/meltano/environment.d/secrets (owner
--           meltano, 0600); one that another file there sets already is only taken out of .env.
-- Mends     quotes that are not closed (closed), lines that are no settings (made comments), owner.
-- Keeps     every other byte, and the old .env as /etc/meltano/env.DATE, for meltano alone.
-- Then      reloads Meltano for the flags, or restarts it if a secret moved.
-- Again     a .env that is as it should be stays, and Meltano goes on.
local flags_file = require "flags_file"
local instance = require "instance"
local meltano = require "meltano"

local SECRETS = "secrets"
local LARGEST = 1024 * 1024 -- bytes

--- Says what is wrong with .env, and where the copy of it is to be: nil when nothing is wrong.
---@return { copy?: string }
local function look(host)
    local text, stat = host:read(meltano.FLAGS, { limit = LARGEST }), host:stat(meltano.FLAGS)
    local found = flags_file.examine(text)
    for _, problem in ipairs(found.problems) do
        warn("%s, line %d: %s", meltano.FLAGS, problem.line, problem.what)
    end
    if stat.owner ~= meltano.USER then
        warn("%s belongs to %s", meltano.FLAGS, stat.owner)
    end
    local is_good = found.kept == text and stat.owner == meltano.USER
    return { copy = not is_good and "/etc/meltano/env." .. os.date("!%Y%m%d-%H%M%S", now()) or nil }
end

--- The names that the files in environment.d set, and which of them does.
local function settings_elsewhere(app)
    local places = {}
    for _, file in ipairs(app:environment_files()) do
        for name in pairs(file.name ~= SECRETS and app:environment(file.name) or {}) do
            places[name] = file.name
        end
    end
    return places
end

--- Writes what does not belong in .env where it does.
---@return string[] names of what has moved: not of what is set elsewhere already
local function move_secrets(app, found)
    local elsewhere, kept, names = settings_elsewhere(app), app:environment(SECRETS) or {}, json.array {}
    for _, name in ipairs(found.names) do
        if elsewhere[name] then
            say("%s is set in %s/%s, and only goes from .env", name, meltano.ENVIRONMENT, elsewhere[name])
        else
            say("%s moves to %s/%s", name, meltano.ENVIRONMENT, SECRETS)
            kept[name], names[#names + 1] = found.moved[name], name
        end
    end
    if #names > 0 then
        app:set_environment(SECRETS, kept)
    end
    return names
end

return playbook {
    summary = "Move secrets out of an instance's .env, and have its feature flags read again",
    handbook = "/var/meltano/project/.env has been overwritten",
    once = true, -- a new run would find .env mended, and not reload what an old one still had to
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        lock("instance:" .. p.tenant)
        local host = instance.of(p.tenant):open()
        local app = meltano.on(host)

        local copy = step("look what is wrong", function() return look(host) end).copy
        if not copy then
            say("%s holds feature flags only: nothing to do.", meltano.FLAGS)
            return
        end
        step("keep a copy", { idempotent = true }, function()
            host:run({
                "install", "-m", "600", "-o", meltano.USER, "-g", meltano.USER, "--", meltano.FLAGS, copy,
            }, { summary = ("keep a copy of %s as %s"):format(meltano.FLAGS, copy) })
        end)

        -- From the copy, so that a run that was stopped goes on with the same; a dry run has made none.
        local found = flags_file.examine(host:read(host:stat(copy) and copy or meltano.FLAGS))
        local names = step("move secrets", { idempotent = true }, function() return move_secrets(app, found) end)
        step("write .env", { idempotent = true }, function()
            host:write(meltano.FLAGS, secret.wrap(found.kept), { owner = meltano.USER, group = meltano.USER })
        end)

        local moved = {}
        for _, name in ipairs(names) do
            moved[name] = found.moved[name]
        end
        if app:has_loaded(moved) then
            step("reload Meltano", { idempotent = true }, function() app:reload() end)
        else
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
        end
        if not unknown(app:wait_until_it_serves()) then
            say("%s holds feature flags only; the old one is kept as %s.", meltano.FLAGS, copy)
        end
    end,
}
