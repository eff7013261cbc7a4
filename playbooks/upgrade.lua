-- Upgrades Meltano on any number of instances, without a restart.
--
-- Runs      on each, as the user meltano: `meltano upgrade`, then `meltano install --include-related`.
-- Refuses   an instance whose project has files of somebody else, as an upgrade run by root leaves them; --mend gives
--           them back first, and starts Meltano where they have stopped it.
-- Checks    that the UI answers afterwards, and that no file has changed hands. One that fails does not stop the
--           others, unless --max-failures is passed.
local meltano = require "meltano"
local site = require "site"

--- Whose files an upgrade would trip over: mended where that was asked for, else a reason not to begin.
local function settle_owners(app, one, mend)
    if mend then
        step("give the files back to meltano", { idempotent = true }, function() return app:mend_owners() end)
        return
    end
    local _, err = try(app.check_owners, app)
    if err then
        err.hint = err.code == "meltano.owner" and ("hostler run upgrade %s --mend gives them back to meltano first")
            :format(one.tenant) or err.hint
        error(err, 0)
    end
end

local function upgrade(one, p)
    lock("instance:" .. one.tenant)
    local app = meltano.on(one.host)
    local before = app:version()
    settle_owners(app, one, p.mend)
    step("upgrade", { idempotent = true }, function() app:upgrade { plugins = not p.skip_plugins } end)
    if p.mend and not app.systemd:is_active(meltano.UNIT) then
        step("start Meltano", { idempotent = true }, function() app:restart() end)
    end
    app:wait_until_it_serves { timeout = 60 }
    app:check_owners()
    local after = app:version()
    say("%s: Meltano %s%s", one.name, tostring(after), after == before and "" or (", before " .. tostring(before)))
end

return playbook {
    summary = "Upgrade Meltano on one or more instances",
    handbook = "Upgrade a Meltano instance manually",
    params = {
        list("tenants", "string", "which instances: names, patterns such as 'a*', or tag:NAME"),
        flag("skip-plugins", "leave the plugins as they are"),
        flag("mend", "give files of other users back to meltano first"),
        opt("parallel", "int", "how many at once", 10),
        opt("batch", "int", "end this many before the next are begun (all)"),
        opt("max-failures", "int", "begin no more once more than this many have failed (all are begun)"),
    },
    run = function(p)
        each(site.instances(p.tenants), {
            key = "tenant", name = "upgrade", parallel = p.parallel, batch = p.batch, max_failures = p.max_failures,
        }, function(one) upgrade(one, p) end)
    end,
}
