-- Restarts Meltano on instances, and waits until each serves again. It reads its settings anew and upgrades its
-- database first, as at every start.
--
-- Changes   meltano.service is stopped and started; its users wait for some seconds.
-- Again     it is restarted again. A run that was stopped does so only where it had not yet.
local fleet = require "fleet"
local meltano = require "meltano"

return playbook {
    summary = "Restart Meltano on one or more instances",
    handbook = "500 error when accessing instance on browser",
    params = fleet.params({}, { parallel = 5, max_failures = 1 }),
    run = function(p)
        fleet.each(p, "restart", function(one)
            local app = meltano.on(one.host)
            local before = step("note which start it is", function() return app:start_id() end)
            step("restart Meltano", {
                probe = function() return app:start_id() ~= before end,
            }, function() app:restart() end)
            if not unknown(app:wait_until_it_serves()) then
                say "It serves again."
            end
        end)
    end,
}
