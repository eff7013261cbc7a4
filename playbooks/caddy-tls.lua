-- Finds out why an instance has no certificate, and gets it one.
--
-- Reads     Caddy's state, Caddyfile and journal, and where the name leads.
-- Changes   on a rate limit, with your consent, Caddy to a certificate that it signs itself; --acme takes it back to
--           the authority later. Only tls lines of the Caddyfile and HOSTNAME in /etc/caddy/environment change. A
--           Caddy that does not run is started.
-- Refuses   what it cannot mend (DNS, a closed port, a wrong Caddyfile): it says what to do.
local certificate = require "certificate"
local instance = require "instance"

--- Once more, and then it has to be right.
local function try_again(server, one, name)
    local ran = step(name, { idempotent = true }, function() return certificate.try_again(server) end)
    if unknown(ran) then
        return
    end
    local found = certificate.diagnose(server)
    certificate.tell(found, one.name)
    if found.verdict ~= "ok" and found.verdict ~= "self-signed" then
        certificate.fail(found, one.name)
    end
    certificate.verify(one, found.verdict == "self-signed")
end

local function sign_itself(server, one)
    local ran = step("a certificate that Caddy signs itself", {
        idempotent = true,
        undo = function() certificate.ask_authority(server, one) end,
    }, function() return certificate.sign_itself(server, one.name) end)
    if not unknown(ran) then
        certificate.verify(one, true)
    end
end

--- Back to the authority; when that fails an instance that served a certificate of its own goes on doing so.
local function back_to_authority(server, one, found)
    local _, port = server:hostname()
    if found.mode == "acme" and found.verdict == "ok" and not port then
        return
    end
    local ran = step("ask the certificate authority again", {
        idempotent = true,
        undo = function() certificate.sign_itself(server, one.name) end,
    }, function() return certificate.ask_authority(server, one) end)
    if unknown(ran) then
        return
    end
    local after = certificate.diagnose(server)
    if after.verdict == "ok" then
        return certificate.verify(one, false)
    end
    certificate.tell(after, one.name)
    if found.verdict == "self-signed" then
        step("self-signed as before", { idempotent = true }, function() certificate.sign_itself(server, one.name) end)
        certificate.verify(one, true)
    end
    certificate.fail(after, one.name)
end

return playbook {
    summary = "Find out why an instance has no certificate, and get it one",
    handbook = "Caddy Service Failed Error",
    params = {
        arg("tenant", "subdomain", "whose instance"),
        flag("self-signed", "let Caddy sign its certificate itself, whatever is in the way"),
        flag("wait", "on a rate limit, wait until it ends and try again"),
        flag("acme", "go back from self-signed to the certificate authority"),
    },
    run = function(p)
        lock("instance:" .. p.tenant)
        local one = instance.of(p.tenant)
        local server = certificate.on(one.host)
        local found = certificate.diagnose(server)
        certificate.tell(found, one.name)

        if p.acme then
            back_to_authority(server, one, found)
        elseif found.verdict == "ok" or found.verdict == "self-signed" then
            certificate.verify(one, found.verdict == "self-signed")
        elseif p.self_signed then
            sign_itself(server, one)
        elseif found.verdict == "rate-limited" and p.wait then
            sleep(math.max(certificate.limit_ends(found) - now(), 0) + 1)
            try_again(server, one, "try again after the limit")
        elseif found.verdict == "rate-limited" then
            confirm "Serve a self-signed certificate until then? Browsers will warn. (No: wait, or --wait.)"
            sign_itself(server, one)
        elseif found.verdict == "not-running" or found.verdict == "expired" then
            try_again(server, one, "start Caddy again")
        else
            certificate.fail(found, one.name)
        end
    end,
}
