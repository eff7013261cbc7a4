-- Brings Caddy's configuration up to date on any number of instances.
--
-- Changes   /etc/caddy/Caddyfile: to the file that you give, or only its tls lines to the site's certificate authority.
-- Checks    what is written with each instance's own Caddy, which must take it before it is loaded; one that is refused
--           is put back. Afterwards every instance has to answer over HTTPS.
-- Again     an instance that has the configuration already is left alone.
local caddy = require "caddy"
local certificate = require "certificate"
local file = require "file"
local site = require "site"

local function configure(one, version, text)
    lock("instance:" .. one.tenant)
    local server = caddy.on(one.host)
    if text and server:version() ~= version then
        fail(("%s runs Caddy %d, and the file is for Caddy %d"):format(one.name, server:version(), version), {
            code = "caddy.version", hint = "--caddy says for which it is",
        })
    end
    local changed = step("configure Caddy", { idempotent = true }, function()
        if text then
            return server:set_config(text)
        end
        return one:configure_caddy(one.host)
    end)
    if unknown(changed) or changed then
        step("load the configuration", { idempotent = true }, function() server:reload() end)
    end
    certificate.verify(one, server:tls_mode() == "self-signed")
end

return playbook {
    summary = "Bring Caddy's configuration up to date on one or more instances",
    handbook = "Maintaining an Existing Instance",
    params = {
        list("tenants", "string", "which instances: names, patterns such as 'a*', or tag:NAME"),
        opt("file", "path", "the Caddyfile to put in place (only the tls lines are changed without one)"),
        opt("caddy", "int", "which major version the file is for", 2),
        opt("parallel", "int", "how many at once", 5),
        opt("batch", "int", "end this many before the next are begun (all)"),
        opt("max-failures", "int", "begin no more once more than this many have failed", 0),
    },
    run = function(p)
        local text = p.file and file.read(p.file)
        each(site.instances(p.tenants), {
            key = "tenant", name = "configure", parallel = p.parallel, batch = p.batch, max_failures = p.max_failures,
        }, function(one) configure(one, p.caddy, text) end)
    end,
}
