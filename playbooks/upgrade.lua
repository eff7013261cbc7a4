-- Upgrades Meltano on any number of instances, without a restart.
--
-- Runs      on each, as the user meltano: `meltano upgrade`, then `meltano install --include-related`.
-- Asks      where the project has files of somebody else, as an upgrade run by root leaves them: whether to give them
--           back to meltano first, and to start it where they have stopped it. Without that it does not begin. --mend
--           agrees beforehand.
-- Checks    that the UI answers afterwards, and that no file has changed hands. One that fails does not stop the
--           others, unless --max-failures is passed.
-- Again     Meltano looks again for something newer; what is there already stays.
local fleet = require "fleet"
local meltano = require "meltano"

--- The version, and what is wrong with the files' owners: an upgrade would trip over files of others.
---@return { version: string, owners?: string }
local function look(app)
    local _, err = try(app.check_owners, app)
    if err and err.code ~= "meltano.owner" then
        error(err, 0)
    end
    return { version = app:version(), owners = err and err.message }
end

local function upgrade(one, p)
    local app = meltano.on(one.host)
    -- A step, although it only reads: a resumed run would find another version, and the files mended.
    local before = step("look at the instance", function() return look(app) end)
    if before.owners then
        warn(before.owners)
        if not p.mend then
            confirm(("%s has files of other users in its project. Give them back to meltano?"):format(one.name))
        end
        step("give the files back to meltano", { idempotent = true }, function() return app:mend_owners() end)
    end
    step("upgrade", { idempotent = true }, function() app:upgrade { plugins = not p.skip_plugins } end)
    if before.owners and not app.systemd:is_active(meltano.UNIT) then
        step("start Meltano", { idempotent = true }, function() app:restart() end)
    end
    if not unknown(app:wait_until_it_serves { timeout = 60 }) then
        app:check_owners()
        local version = app:version()
        say("Meltano %s, %s.", version, version == before.version and "as before" or "before " .. before.version)
    end
end

return playbook {
    summary = "Upgrade Meltano on one or more instances",
    handbook = "Upgrade a Meltano instance manually",
    params = fleet.params({
        flag("skip-plugins", "leave the plugins as they are"),
        flag("mend", "give files of other users back to meltano without asking"),
    }, { parallel = 10 }),
    run = function(p)
        fleet.each(p, "upgrade", function(one) upgrade(one, p) end)
    end,
}
