-- The certificate of an instance: why there is none, in words, and the two ways to serve one.
local caddy = require "caddy"
local caddy_advice = require "caddy_advice"
local dns = require "dns"
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

---@class certificate.Found : caddy.Diagnosis
---@field hostname? string what Caddy serves
---@field ends? integer when a rate limit lets one more certificate through, seconds since 1970: as the authority said,
---  else at the latest

--- What Caddy's situation is, once it is decided: a certificate that is being asked for is waited for.
---@return certificate.Found
function certificate.diagnose(server)
    local found
    local _, err = try(wait_until, "Caddy to have a certificate, or not", { timeout = 60 }, function()
        found = server:diagnose { nameservers = site.dns.nameservers }
        local open = not unknown(found) and (found.verdict == "pending"
            or found.verdict == "unknown" and #found.evidence == 0)
        return not open and found
    end)
    if err and err.code ~= "timeout" then
        error(err, 0)
    elseif unknown(found) then
        return found
    end
    found.hostname = server:hostname()
    if found.verdict == "rate-limited" then
        found.ends = found.retry_after or math.ceil(now() + LIMITS[found.limit].seconds)
    end
    return found
end

--- Whether the instance serves as its Caddyfile asks, under its name.
function certificate.is_good(found, name)
    return (found.verdict == "ok" or found.verdict == "self-signed") and found.hostname == name
end

--- Tells what was found.
function certificate.tell(found, name)
    say("%s: %s.", name, caddy_advice.of(found.verdict).says)
    for _, line in ipairs(found.evidence) do
        say("evidence  %s", line)
    end
    if found.verdict == "rate-limited" then
        say("limit     %s", LIMITS[found.limit].says)
        say("ends      %s%s", date(found.ends), found.retry_after and "" or " at the latest")
    elseif found.verdict == "ok" then
        say("until     %s, issued by %s", date(found.certificate.not_after), found.certificate.issuer)
    end
    if found.renewal then
        warn("its renewal fails: %s", caddy_advice.of(found.renewal).says)
    end
    if found.hostname ~= name then
        warn("HOSTNAME in /etc/caddy/environment is %s, and not its name", tostring(found.hostname))
    end
end

--- Raises what keeps the instance from having a certificate, with what a person can do about it.
function certificate.fail(found, name)
    local meaning = caddy_advice.of(found.verdict)
    fail(("%s has no certificate: %s"):format(name, meaning.says), {
        code = "caddy." .. found.verdict, target = name, log = table.concat(found.evidence, "\n"),
        hint = meaning.by_hand and meaning.by_hand:format(name) .. "; then run this again" or nil,
    })
end

-- ---- what a person has to mend ----

-- Caddy's journal tells what was wrong when it last tried. Whether that is so still, as far as it can be seen.
local STILL = {
    dns = function(_, one)
        local addresses = dns.resolve(one.name, { nameservers = site.dns.nameservers })
        return #addresses ~= 1 or addresses[1] ~= one:find_droplet().public_address
    end,
    ["port-closed"] = function(_, one)
        local _, err = try(http.get, ("http://%s/"):format(one.name), {
            resolve = { [one.name .. ":80"] = one:find_droplet().public_address }, timeout = 5, retries = 0,
            redirects = 0,
        })
        return err ~= nil and err.code ~= "http.status"
    end,
    ["bad-caddyfile"] = function(server)
        local _, err = try(server.validate, server)
        return err ~= nil
    end,
}

--- Raises what was found while it is so still. Then Caddy may as well try again.
function certificate.insist(found, server, one)
    local is_still_so = STILL[found.verdict]
    if is_still_so and is_still_so(server, one) then
        certificate.fail(found, one.name)
    end
end

-- ---- the ways to a certificate ----

--- Has Caddy try once more. One that does not start says why in its journal.
---@return table found see certificate.diagnose; unknown in a dry run
function certificate.try_again(server)
    local status, err = try(server.restart, server)
    if err and err.code ~= "systemd.unit" then
        error(err, 0)
    end
    return unknown(status) and status or certificate.diagnose(server)
end

--- Has Caddy sign its certificate itself, unless it has got a good one meanwhile. With the port in its name Caddy 1
--- serves it where browsers look.
---@return table found see certificate.diagnose; unknown in a dry run
function certificate.sign_itself(server, name)
    local found = certificate.diagnose(server)
    if found.verdict == "ok" and found.hostname == name then
        return found
    end
    server:set_tls "self-signed"
    server:set_hostname(name, { port = 443 })
    return certificate.try_again(server)
end

--- Has Caddy get its certificate from the authority again.
---@return table found see certificate.diagnose; unknown in a dry run
function certificate.ask_authority(server, customer)
    customer:configure_caddy(server.host)
    return certificate.try_again(server)
end

--- Asks the instance over HTTPS, from here; whatever it answers, TLS works then.
---@param insecure boolean take a certificate that no authority has signed
function certificate.verify(customer, insecure)
    local options = customer:https_options(customer:find_droplet().public_address)
    options.insecure, options.expect = insecure, { 400, 401, 403, 404, 500, 502, 503, 504 }
    local last
    local answer, gave_up = try(wait_until, customer.url .. " to answer", { timeout = 30, interval = 0.5 }, function()
        local answer, err = try(http.get, customer.url, options)
        if err and not (err.code:find "^http%." or err.code == "timeout") then
            error(err, 0)
        end
        last = err
        return answer
    end)
    if gave_up then
        gave_up.cause = gave_up.cause or last
        gave_up.hint = ("hostler run triage-500 %s finds out more"):format(customer.tenant)
        error(gave_up, 0)
    end
    say("%s answers over HTTPS%s.", customer.url, insecure and " (browsers will warn: nobody has signed for it)" or "")
    if not unknown(answer) and answer.status >= 500 then
        warn("Meltano behind it answers %d: hostler run triage-500 %s", answer.status, customer.tenant)
    end
end

certificate.on = caddy.on

return certificate
