-- Restarts Meltano on instances, and waits until each serves again. It reads its settings anew and upgrades its
-- database first, as at every start.
--
-- Changes   meltano.service is stopped and started; its users wait for some seconds.
local meltano = require "meltano"
local site = require "site"

return playbook {
    summary = "Restart Meltano on one or more instances",
    handbook = "500 error when accessing instance on browser",
    params = {
        list("tenants", "string", "which instances: tenants, patterns such as 'a*', or tag:NAME"),
        opt("parallel", "int", "how many at once", 5),
        opt("max-failures", "int", "begin no more once more than this many have failed", 1),
    },
    run = function(p)
        each(site.instances(p.tenants), {
            parallel = p.parallel, max_failures = p.max_failures, key = "name",
        }, function(instance)
            local app = meltano.on(instance.host)
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
            app:wait_until_it_serves()
        end)
    end,
}
