-- What the verdicts of Caddy:diagnose mean, in words, and what a person does about those that no playbook mends.
local caddy_advice = {}

---@class caddy_advice.Meaning
---@field says string one sentence
---@field by_hand? string what a person does: a format that takes the instance's name

---@type table<string, caddy_advice.Meaning>
local MEANINGS = {
    ok = { says = "Caddy has a certificate that is good" },
    ["self-signed"] = { says = "Caddy signs its certificate itself, as its Caddyfile asks" },
    ["not-running"] = { says = "Caddy does not run" },
    pending = { says = "Caddy is still asking for a certificate" },
    expired = { says = "the certificate has expired" },
    ["rate-limited"] = { says = "the certificate authority gives no more certificates for now" },
    ["bad-caddyfile"] = {
        says = "Caddy does not take its Caddyfile",
        by_hand = "mend /etc/caddy/Caddyfile on %s; `caddy validate` says more",
    },
    ["port-taken"] = {
        says = "another program has Caddy's port",
        by_hand = "on %s, `ss -ltnp` names the program: stop it",
    },
    dns = {
        says = "the name does not lead to the instance, so the authority cannot see that it is ours",
        by_hand = "set the A record of %s to the droplet's address",
    },
    ["port-closed"] = {
        says = "the certificate authority does not get through to the instance's port 80 or 443",
        by_hand = "open ports 80 and 443 of %s: DigitalOcean's firewalls, then `ufw status` on the host",
    },
    ["challenge-failed"] = {
        says = "the certificate authority could not see that the name is the instance's",
        by_hand = "set HOSTNAME in /etc/caddy/environment on %s",
    },
    ["authority-unreachable"] = {
        says = "Caddy does not get through to the certificate authority",
        by_hand = "look from %s whether the authority answers, and at https://letsencrypt.status.io",
    },
    unknown = {
        says = "it is not clear why there is no certificate",
        by_hand = "on %s, `journalctl -u caddy` says more",
    },
}

--- What a verdict means.
---@param verdict string see Caddy:diagnose
---@return caddy_advice.Meaning
function caddy_advice.of(verdict)
    return MEANINGS[verdict] or MEANINGS.unknown
end

return caddy_advice
