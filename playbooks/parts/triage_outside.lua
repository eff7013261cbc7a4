-- The faults between an instance and who wants to reach it: its droplet, SSH, Caddy, its certificate and its name.
-- Pure: each rule takes what was seen (triage_verdict.of says what that is) and returns a triage.Finding, or nothing.
local caddy_advice = require "caddy_advice"
local meltano = require "meltano"
local systemd = require "systemd"
local triage_unit = require "triage_unit"
local triage_outside = {}

local PROOF_LINES = 5

--- A time for people.
---@param seconds number since 1970
---@return string
function triage_outside.date_of(seconds)
    return os.date("!%Y-%m-%d %H:%M UTC", seconds)
end

local date_of = triage_outside.date_of

-- ---- reaching it ----

--- The droplet is off.
---@return triage.Finding?
function triage_outside.is_off(e)
    if e.droplet and e.droplet.status ~= "active" then
        return {
            cause = "droplet-off", says = "the droplet is " .. e.droplet.status, breaks = true,
            proof = { ("DigitalOcean says that %s is %s"):format(e.name, e.droplet.status) },
            by_hand = "power it on in DigitalOcean's page of the droplet",
        }
    end
end

--- Who answers shows another host key.
---@return triage.Finding?
function triage_outside.is_another_host(e)
    local err = e.ssh_error
    if err and err.code == "ssh.host_key_changed" then
        return {
            cause = "host-key-changed", breaks = true, proof = { err.message }, mend = { "trust-host" },
            says = "the host does not show the key that it is known by, so nothing inside it was looked at",
        }
    end
end

--- Nobody here has met the host yet.
---@return triage.Finding?
function triage_outside.is_not_known(e)
    local err = e.ssh_error
    if err and err.code == "ssh.host_key_unknown" then
        return {
            cause = "host-key-unknown", breaks = true, proof = { err.message },
            says = "the host's key is not known here, so nothing inside it was looked at",
            by_hand = ("read its fingerprint in the droplet's console (ssh-keygen -lf "
                .. "/etc/ssh/ssh_host_ed25519_key.pub), then: hostler run trust-host %s --fingerprint SHA256:...")
                :format(e.tenant),
        }
    end
end

--- SSH does not get through.
---@return triage.Finding?
function triage_outside.is_unreachable(e)
    if e.ssh_error then
        return {
            cause = "unreachable", says = "the host cannot be reached by SSH", breaks = true, symptom = true,
            proof = { e.ssh_error.message },
            by_hand = "look at the droplet's console in DigitalOcean; if it hangs, power-cycle it there",
        }
    end
end

-- ---- Caddy and its certificate ----

-- What to do about a verdict on Caddy: caddy-tls does it, or a person does and caddy-tls tries again. A Caddy that is
-- to sign for itself and does not lacks its port only.
local function remedy(e, verdict)
    local by_hand = caddy_advice.of(verdict).by_hand
    if by_hand and not (verdict == "unknown" and e.caddy.mode == "self-signed") then
        return nil, ("%s; then: hostler run caddy-tls %s"):format(by_hand:format(e.name), e.tenant)
    end
    return { "caddy-tls" }
end

-- What keeps systemd from starting Caddy at all, which no other Caddyfile mends: a sentence and what a person does.
local function start_fault(status)
    if status.load and status.load ~= "loaded" then
        return "systemd has no unit of Caddy that it could start: it is " .. status.load,
            "`systemctl cat caddy` shows its unit; one that is masked: systemctl unmask caddy"
    end
    local meaning = triage_unit.start_failure(status)
    if meaning then
        return ("systemd could not %s of Caddy's service, and so not start it"):format(meaning.failed_to),
            ("`systemctl cat caddy`: look at %s"):format(meaning.settings or "it all")
    end
end

local function is_without_caddy(e)
    local found = e.caddy
    local says, advice
    if found and found.status and found.status.active ~= "active" then
        says, advice = start_fault(found.status)
    end
    if says then
        return {
            cause = "caddy-down", says = says, breaks = true,
            proof = { "caddy.service is " .. systemd.describe(found.status), unpack(found.evidence, 1, PROOF_LINES) },
            by_hand = ("on %s: %s; then: hostler run caddy-tls %s"):format(e.name, advice, e.tenant),
        }
    elseif found and found.status and found.status.active ~= "active" then
        local finding = {
            cause = "caddy-down", says = caddy_advice.of("not-running").says, breaks = true,
            proof = { "caddy.service is " .. systemd.describe(found.status), unpack(found.evidence, 1, PROOF_LINES) },
        }
        if found.verdict ~= "not-running" then
            finding.says = ("%s: %s"):format(finding.says, caddy_advice.of(found.verdict).says)
        end
        finding.mend, finding.by_hand = remedy(e, found.verdict)
        return finding
    end
end

local function has_expired_certificate(e)
    local found = e.caddy or {}
    local certificate = e.certificate or found.certificate
    if certificate and certificate.not_after <= e.at then
        return {
            cause = "certificate-expired", says = caddy_advice.of("expired").says, breaks = true,
            proof = { ("the certificate was good until %s, issued by %s"):format(date_of(certificate.not_after),
                certificate.issuer), unpack(found.evidence or {}, 1, PROOF_LINES) },
            -- One that staff have put there is not renewed by anybody.
            mend = { "caddy-tls", found.mode == "files" and "--acme" or nil },
        }
    end
end

local HAS_ONE = { ok = true, ["self-signed"] = true }

local function has_no_certificate(e)
    local found = e.caddy
    if found and not HAS_ONE[found.verdict] then
        local finding = {
            cause = "caddy-" .. found.verdict, breaks = true, says = "there is no certificate: "
                .. caddy_advice.of(found.verdict).says, proof = { unpack(found.evidence, 1, PROOF_LINES) },
        }
        finding.proof[#finding.proof + 1] = e.certificate and e.certificate.problem or nil
        finding.mend, finding.by_hand = remedy(e, found.verdict)
        return finding
    end
end

local function has_untrusted_certificate(e)
    local certificate = e.certificate or e.caddy and e.caddy.certificate
    if certificate and (certificate.self_signed or certificate.verified == false) then
        return {
            cause = "certificate-untrusted", says = "browsers do not trust the certificate", breaks = false,
            proof = { certificate.problem or "issued by " .. certificate.issuer }, mend = { "caddy-tls", "--acme" },
        }
    end
end

--- Caddy or its certificate. Each of these follows from the one before it, so the first tells.
---@return triage.Finding?
function triage_outside.has_fault_in_front(e)
    return is_without_caddy(e) or has_expired_certificate(e) or has_no_certificate(e) or has_untrusted_certificate(e)
end

-- ---- its name and the way to it ----

--- The name leads elsewhere.
---@return triage.Finding?
function triage_outside.is_named_wrongly(e)
    if not e.droplet or not e.addresses then
        return nil
    end
    local found = table.concat(e.addresses, ", ")
    if found ~= e.droplet.public_address then
        return {
            cause = "dns", breaks = true,
            says = #e.addresses == 0 and "the name has no address" or "the name leads to another address",
            proof = { ("%s resolves to %s; the droplet has %s; the A record says %s"):format(e.name,
                found ~= "" and found or "nothing", tostring(e.droplet.public_address),
                tostring(e.record or "nothing")) },
            by_hand = ("point the A record %s of the domain to %s in DigitalOcean"):format(e.tenant,
                tostring(e.droplet.public_address)),
        }
    end
end

--- It serves, and from outside it cannot be reached.
---@return triage.Finding?
function triage_outside.is_closed(e)
    if e.inside and e.inside.serves and e.outside and not e.outside.serves then
        return {
            cause = "outside", says = "Meltano serves, but from outside it cannot be used", breaks = true,
            symptom = true, proof = { "from outside: " .. e.outside.says },
            by_hand = e.outside.status and ("look at what /etc/caddy/Caddyfile on %s hands on to localhost:%d")
                :format(e.name, meltano.PORT) or caddy_advice.of("port-closed").by_hand:format(e.name),
        }
    end
end

return triage_outside
