-- Clears up the "REMOTE HOST IDENTIFICATION HAS CHANGED" of an instance whose droplet was made anew.
--
-- Reads     known_hosts, the keys that the host shows, and DigitalOcean's record of its droplet.
-- Changes   with your consent, the lines of this host in known_hosts, nothing else; a dated copy is kept beside it.
-- Refuses   when the droplet was not made anew after the old key was known: then someone may be in between. A
--           fingerprint that you have read in the droplet's own console settles it: --fingerprint. With it a host that
--           known_hosts does not know yet is added, too.
-- Again     a host whose key is right already is left alone.
local host_trust = require "host_trust"
local instance = require "instance"

return playbook {
    summary = "Replace the host key of an instance that was made anew, if it was",
    handbook = "DNS Spoofing Error",
    params = {
        arg("tenant", "subdomain", "whose instance"),
        opt("port", "int", "the port of its SSH server (the one that ssh uses)"),
        opt("file", "path", "the known_hosts file (the ones that ssh uses)"),
        opt("fingerprint", "string", "the key's SHA256:... as the droplet's console shows it"),
    },
    run = function(p)
        local customer = instance.of(p.tenant)
        -- A step, although it only reads: who agrees later agrees to the keys of now.
        local seen = step("compare the keys", function() return host_trust.compare(customer, p) end)
        if #seen.clashes == 0 and seen.known > 0 then
            say("%s shows the keys that known_hosts has: nothing to do.", customer.name)
            return
        elseif #seen.clashes == 0 and not p.fingerprint then
            host_trust.tell_unknown(seen, customer)
            return
        end
        host_trust.tell(seen, customer)
        local keys = p.fingerprint and host_trust.confirmed(seen.keys, p.fingerprint)
            or host_trust.proven(seen, customer)

        confirm(("Trust the keys that %s (%s) shows now?"):format(customer.name, seen.address))
        for _, path in ipairs(host_trust.paths(seen)) do
            local copy = step("keep a copy of " .. path, { idempotent = true }, function()
                return host_trust.keep(path)
            end)
            local written = step("write the keys to " .. path, {
                idempotent = true, undo = function(made) host_trust.put_back(path, made, copy) end,
            }, function() return host_trust.write(path, seen.names, keys) end)
            if not unknown(written) then
                say("%s is up to date%s", path, copy and "; the copy of before is " .. copy or "")
                host_trust.check(customer, seen)
            end
        end
    end,
}
