-- Sets up several instances at once, as the tests of chaos do it.
local setup = require "setup"

return playbook {
    summary = "Set up several instances at once",
    params = { list("tenants", "subdomain", "the instances") },
    run = function(p)
        each(p.tenants, { name = "instances" }, function(tenant)
            setup.run { full_name = "Ada Lovelace", email = tenant .. "@example.com", subdomain = tenant }
        end)
    end,
}
