-- Finds out why an instance has no certificate, and gets it one.
--
-- Reads     Caddy's state, Caddyfile and journal, and where the name leads.
-- Changes   on a rate limit, with your consent, Caddy to a certificate that it signs itself; --acme takes it back to
--           the authority later. Only tls lines of the Caddyfile and HOSTNAME in /etc/caddy/environment change. A
--           Caddy that does not run, or whose trouble is over, is started again.
-- Waits     with --wait until the limit ends. The run may be stopped meanwhile: `hostler resume` goes on waiting.
-- Refuses   what it cannot mend (DNS, a closed port, a wrong Caddyfile): it says what to do.
-- Again     a Caddy that has its certificate is left alone.
local certificate = require "certificate"
local instance = require "instance"

local MOST_WAITS = 20 -- another instance may take the place that became free

--- Tells what has come of it. It has to be right, then.
local function conclude(one, found)
    if unknown(found) then
        return
    end
    certificate.tell(found, one.name)
    if not certificate.is_good(found, one.name) then
        certificate.fail(found, one.name)
    end
    certificate.verify(one, found.verdict == "self-signed")
end

local function sign_itself(server, one)
    conclude(one, step("a certificate that Caddy signs itself", {
        idempotent = true,
        undo = function() certificate.ask_authority(server, one) end,
    }, function() return certificate.sign_itself(server, one.name) end))
end

--- Back to the authority; when that fails an instance that served a certificate of its own goes on doing so.
local function back_to_authority(server, one, found)
    local _, port = server:hostname()
    if found.mode == "acme" and found.verdict == "ok" and found.hostname == one.name and not port then
        return
    end
    local after = step("ask the certificate authority again", {
        idempotent = true,
        undo = function() certificate.sign_itself(server, one.name) end,
    }, function() return certificate.ask_authority(server, one) end)
    if not unknown(after) and after.verdict ~= "ok" and found.verdict == "self-signed" then
        step("self-signed as before", { idempotent = true }, function()
            return certificate.sign_itself(server, one.name)
        end)
        certificate.verify(one, true)
    end
    conclude(one, after)
end

--- As its Caddyfile asks, but under its own name; one that signs for itself has to know its port, too.
local function start_again(server, one, found)
    if found.mode == "self-signed" then
        return sign_itself(server, one)
    end
    conclude(one, step("start Caddy again", { idempotent = true }, function()
        if found.hostname ~= one.name then
            server:set_hostname(one.name)
        end
        return certificate.try_again(server)
    end))
end

local function wait_out(server, one, found)
    for count = 1, MOST_WAITS do
        say "This goes on when the limit ends. Stopped before, it goes on waiting with `hostler resume`."
        wait_until("the limit to end", { at = found.ends + 1 })
        found = step(("try again (%d)"):format(count), { idempotent = true }, function()
            local meanwhile = certificate.diagnose(server)
            return meanwhile.verdict == "ok" and meanwhile or certificate.try_again(server)
        end)
        if unknown(found) or found.verdict ~= "rate-limited" then
            break
        end
        certificate.tell(found, one.name)
    end
    conclude(one, found)
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
        if p.acme and (p.wait or p.self_signed) or p.wait and p.self_signed then
            fail("of --self-signed, --wait and --acme one goes", { code = "usage" })
        end
        lock("instance:" .. p.tenant)
        local one = instance.of(p.tenant)
        local server = certificate.on(one.host)
        -- A step, although it only reads: a resumed run mends what was found, and not what it has made of it so far.
        local found = step("find out why", function() return certificate.diagnose(server) end)
        certificate.tell(found, one.name)

        if p.acme then
            back_to_authority(server, one, found)
        elseif certificate.is_good(found, one.name) then
            certificate.verify(one, found.verdict == "self-signed")
        elseif p.self_signed then
            sign_itself(server, one)
        elseif found.verdict == "rate-limited" and p.wait then
            wait_out(server, one, found)
        elseif found.verdict == "rate-limited" then
            confirm "Serve a self-signed certificate until then? Browsers will warn. (No: wait, or --wait.)"
            sign_itself(server, one)
        else
            certificate.insist(found, server, one)
            start_again(server, one, found)
        end
    end,
}
