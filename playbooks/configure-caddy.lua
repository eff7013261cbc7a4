-- Brings Caddy's configuration up to date on any number of instances.
--
-- Changes   /etc/caddy/Caddyfile: to the file that you give, or without one only its tls lines, and the host name in
--           /etc/caddy/environment, so that Caddy gets a certificate from the site's authority.
-- Checks    what is written with each instance's own Caddy, which must take it before it is loaded; one that is refused
--           is put back. Afterwards every instance has to answer over HTTPS.
-- Then      reloads Caddy, which drops no connection; for another host name it has to be restarted.
-- Again     an instance that has the configuration already is left alone.
local caddy = require "caddy"
local certificate = require "certificate"
local file = require "file"
local fleet = require "fleet"

local function check_version(one, server, version)
    if server:version() ~= version then
        fail(("%s runs Caddy %d, and the file is for Caddy %d"):format(one.name, server:version(), version), {
            code = "caddy.version", target = one.name, hint = "--caddy says for which it is",
        })
    end
end

--- What Caddy was started with: whether it has another name, and when its Caddyfile was written.
local function look(one, server)
    local name, port = server:hostname()
    return {
        renamed = name ~= one.name or port ~= nil,
        written = ("%.6f"):format(one.host:stat(caddy.CADDYFILE).mtime),
    }
end

local function configure(one, text)
    local server = caddy.on(one.host)
    -- A step, although it only reads: a resumed run would find what it has written itself, and not have it loaded.
    local before = step("look at the configuration", function() return look(one, server) end)
    local changed = step("configure Caddy", { idempotent = true }, function()
        if text then
            return server:set_config(text)
        end
        return one:configure_caddy(one.host)
    end)
    local loaded = true
    if not text and before.renamed then
        loaded = step("restart Caddy", { idempotent = true }, function() return server:restart().active end)
    elseif unknown(changed) or changed or look(one, server).written ~= before.written then
        loaded = step("load the configuration", { idempotent = true }, function() return server:reload() end)
    else
        say "It has this configuration already."
    end
    if not unknown(loaded) then
        certificate.verify(one, server:tls_mode() == "self-signed")
    end
end

return playbook {
    summary = "Bring Caddy's configuration up to date on one or more instances",
    handbook = "Maintaining an Existing Instance",
    params = fleet.params({
        opt("file", "path", "the Caddyfile to put in place (only the tls lines are changed without one)"),
        opt("caddy", "int", "which major version the file is for", 2),
    }, { parallel = 5, max_failures = 0 }),
    run = function(p)
        local text = p.file and file.read(p.file)
        fleet.each(p, "configure", function(one)
            if text then
                check_version(one, caddy.on(one.host), p.caddy)
            end
            configure(one, text)
        end)
    end,
}
