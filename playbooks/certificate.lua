-- The certificate of an instance: why there is none, in words, and the two ways to serve one.
local caddy = require "caddy"
local caddy_advice = require "caddy_advice"
local http = require "http"
local site = require "site"

local certificate = {}

-- Let's Encrypt's limits, https://letsencrypt.org/docs/rate-limits/: in words, and when one more is let through, at the
-- latest, where its answer does not tell.
local LIMITS = {
    ["registered domain"] = {
        says = "50 certificates a registered domain in 7 days, one more about every 202 minutes", seconds = 202 * 60,
    },
    ["set of names"] = {
        says = "5 certificates in 7 days for the same set of names, one more about every 34 hours", seconds = 34 * 3600,
    },
    ["failed authorizations"] = {
        says = "5 failed validations of a name in an hour, one more every 12 minutes", seconds = 12 * 60,
    },
    ["new orders"] = { says = "300 orders in 3 hours", seconds = 36 },
    unknown = { says = "one that the authority's answer does not name", seconds = 202 * 60 },
}

local function date(seconds)
    return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds)
end

--- What Caddy's situation is, once it is decided: a certificate that is being asked for is waited for.
---@param options? { timeout?: number } seconds to wait (60)
---@return table found see Caddy:diagnose
function certificate.diagnose(server, options)
    local found
    local _, err = try(wait_until, "Caddy to have a certificate, or not", {
        timeout = options and options.timeout or 60, interval = 1,
    }, function()
        found = server:diagnose { nameservers = site.dns.nameservers }
        local open = not unknown(found) and (found.verdict == "pending"
            or found.verdict == "unknown" and #found.evidence == 0)
        return not open and found
    end)
    if err and err.code ~= "timeout" then
        error(err, 0)
    end
    return found
end

--- When a rate limit lets one more certificate through: what the authority said, else at the latest.
---@return integer seconds since 1970
function certificate.limit_ends(found)
    return found.retry_after or math.ceil(now() + LIMITS[found.limit].seconds)
end

--- Tells what was found.
function certificate.tell(found, name)
    say("%s: %s.", name, caddy_advice[found.verdict].says)
    for _, line in ipairs(found.evidence) do
        say("evidence  %s", line)
    end
    if found.verdict == "rate-limited" then
        say("limit     %s", LIMITS[found.limit].says)
        say("ends      %s%s", date(certificate.limit_ends(found)), found.retry_after and "" or " at the latest")
    elseif found.verdict == "ok" then
        say("until     %s, issued by %s", date(found.certificate.not_after), found.certificate.issuer)
    end
    if found.renewal then
        warn("its renewal fails: %s", caddy_advice[found.renewal].says)
    end
end

--- Raises what keeps the instance from having a certificate, with what a person can do about it.
function certificate.fail(found, name)
    local meaning = caddy_advice[found.verdict]
    fail(("%s has no certificate: %s"):format(name, meaning.says), {
        code = "caddy." .. found.verdict, target = name, log = table.concat(found.evidence, "\n"),
        hint = meaning.by_hand and meaning.by_hand:format(name) .. "; then run this again" or nil,
    })
end

--- Has Caddy try once more. One that does not start says why in its journal, which `diagnose` reads.
---@return boolean ran unknown in a dry run
function certificate.try_again(server)
    local status, err = try(server.restart, server)
    if err and err.code ~= "systemd.unit" then
        error(err, 0)
    end
    return unknown(status) and status or status ~= nil
end

--- Has Caddy sign its certificate itself. With the port in its name Caddy 1 serves it where browsers look.
function certificate.sign_itself(server, name)
    server:set_tls "self-signed"
    server:set_hostname(name, { port = 443 })
    return certificate.try_again(server)
end

--- Has Caddy get its certificate from the authority again.
function certificate.ask_authority(server, customer)
    customer:configure_caddy(server.host)
    return certificate.try_again(server)
end

--- Asks the instance over HTTPS, from here; whatever it answers, TLS works then.
---@param insecure boolean take a certificate that no authority has signed
function certificate.verify(customer, insecure)
    local options = customer:https_options(customer:find_droplet().public_address)
    options.insecure, options.expect = insecure, { 400, 401, 403, 404, 500, 502, 503, 504 }
    local answer = wait_until(customer.url .. " to answer", { timeout = 30, interval = 0.5 }, function()
        local answer, err = try(http.get, customer.url, options)
        if err and not (err.code:find "^http%." or err.code == "timeout") then
            error(err, 0)
        end
        return answer
    end)
    say("%s answers over HTTPS%s.", customer.url, insecure and " (browsers will warn: nobody has signed for it)" or "")
    if not unknown(answer) and answer.status >= 500 then
        warn("Meltano behind it answers %d: hostler run triage-500 %s", answer.status, customer.tenant)
    end
end

certificate.on = caddy.on

return certificate
