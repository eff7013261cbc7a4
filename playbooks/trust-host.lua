-- Clears up the "REMOTE HOST IDENTIFICATION HAS CHANGED" of an instance whose droplet was made anew.
--
-- Reads     known_hosts, the keys that the host shows, and DigitalOcean's record of its droplet.
-- Changes   with your consent, the lines of this host in known_hosts, nothing else; a dated copy is kept beside it.
-- Refuses   when the droplet was not made anew after the old key was known: then someone may be in between. A
--           fingerprint that you have read in the droplet's own console settles it: --fingerprint.
local file = require "file"
local host_trust = require "host_trust"
local instance = require "instance"
local known_hosts_file = require "known_hosts_file"
local site = require "site"
local ssh = require "ssh"

return playbook {
    summary = "Replace the host key of an instance that was made anew, if it was",
    handbook = "DNS Spoofing Error",
    params = {
        arg("tenant", "subdomain", "whose instance"),
        opt("port", "int", "the port of its SSH server", 22),
        opt("file", "path", "the known_hosts file (the ones that ssh uses)"),
        opt("fingerprint", "string", "the key's SHA256:... as the droplet's console shows it"),
    },
    run = function(p)
        local customer = instance.of(p.tenant)
        local droplet = host_trust.droplet(customer)
        local address = droplet.public_address
        local paths = { p.file or site.known_hosts }
        if #paths == 0 then
            paths = ssh.known_hosts(customer.name)
        end

        local keys = ssh.host_keys(address, { port = p.port })
        local names = { known_hosts_file.name(customer.name, p.port), known_hosts_file.name(address, p.port) }
        local clashes, known = host_trust.clashes(names, keys, paths)
        if #clashes == 0 then
            say(known > 0 and "%s shows the keys that known_hosts has: nothing to do."
                or "known_hosts has no line for %s, so none can clash: nothing to do.", customer.name)
            return
        end
        host_trust.tell(clashes, keys)

        if p.fingerprint then
            keys = host_trust.confirmed(keys, p.fingerprint)
        else
            local renewal = host_trust.renewal(customer.cloud, droplet)
            for _, reason in ipairs(host_trust.explain(clashes, renewal, customer.name)) do
                say("why     %s", reason)
            end
        end

        confirm(("Trust the keys that %s (%s) shows now?"):format(customer.name, address))
        for _, clash in ipairs(clashes) do
            local done = step("replace the keys in " .. clash.path, {
                idempotent = true,
                undo = function(made) file.copy(made.copy, made.path) end,
            }, function() return host_trust.replace(clash.path, names, keys) end)
            if not unknown(done) then
                say("%s is up to date; the copy of before is %s", done.path, done.copy)
                host_trust.check(customer, address, p.port, paths)
            end
        end
    end,
}
