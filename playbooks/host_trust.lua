-- Whether a host that shows another key than known_hosts has may be believed: what is known of its key, what it shows,
-- and what DigitalOcean says was done to its droplet in between.
local dns = require "dns"
local file = require "file"
local known_hosts_file = require "known_hosts_file"
local site = require "site"
local ssh = require "ssh"
local systemd = require "systemd"

local host_trust = {}

-- What gives a droplet a new system, and with it new host keys.
local RENEWALS = { rebuild = "rebuilt", restore = "restored" }

local function refuse(code, message, hint)
    fail(message .. ": known_hosts stays as it is", { code = code, hint = hint })
end

local function seconds_of(iso)
    local date, time = iso:match "^(%d+%-%d+%-%d+)T(%d+:%d+:%d+)"
    return systemd.parse_time(("%s %s UTC"):format(date, time))
end

--- When the droplet last came to new host keys in a way that DigitalOcean knows of.
---@return { at: number, text: string }
function host_trust.renewal(cloud, droplet)
    local last = { at = seconds_of(droplet.created_at), text = "created on " .. droplet.created_at }
    for _, action in ipairs(cloud:droplet_actions(droplet.id)) do
        local word = action.status ~= "errored" and RENEWALS[action.type]
        local at = word and seconds_of(action.started_at)
        if at and at > last.at then
            last = { at = at, text = ("%s on %s"):format(word, action.started_at) }
        end
    end
    return last
end

--- The droplet that has to be behind the name. Refuses where anybody else may be.
function host_trust.droplet(customer)
    local droplet = customer.cloud:find_droplet(customer.name)
    if not droplet then
        refuse("impostor", ("DigitalOcean has no droplet %s, so whoever answers is not it"):format(customer.name),
            "was it deleted? Then its DNS record should go, too")
    elseif droplet.status ~= "active" then
        refuse("impostor", ("the droplet %s is %s, so whoever answers is not it"):format(customer.name, droplet.status),
            "find out who has the address " .. tostring(droplet.public_address))
    end
    local addresses = dns.resolve(customer.name, { nameservers = site.dns.nameservers })
    for _, address in ipairs(addresses) do
        if address ~= droplet.public_address then
            refuse("impostor", ("%s resolves to %s, and the droplet has %s"):format(customer.name, address,
                droplet.public_address), "set the A record right, or find out who answers the name servers' questions")
        end
    end
    return droplet
end

-- What a file says of the host: how many lines concern it, and those that ssh would stumble over. Not over a line with
-- wildcards beside a right one, nor over a key of a type that the host does not show while another line is right.
local function stale_lines(path, names, shown)
    local entries, good, stale = known_hosts_file.concerning(file.read(path), names), {}, {}
    for _, entry in ipairs(entries) do
        if entry.mark == "@revoked" and shown[entry.key] then
            refuse("revoked", ("%s:%d revokes the key that the host shows"):format(path, entry.number))
        elseif not entry.mark and shown[entry.key] then
            good.any, good[entry.type] = true, true
        end
    end
    for _, entry in ipairs(entries) do
        local harmless = entry.kind == "pattern" and good[entry.type] or not shown[entry.type] and good.any
        if not entry.mark and not shown[entry.key] and not harmless then
            stale[#stale + 1] = entry
        end
    end
    return #entries, stale
end

--- The files whose lines about the host clash with the keys that it shows.
---@param names string[] the host's, as known_hosts has them
---@param keys { type: string, key: string }[] what it shows
---@param paths string[]
---@return { path: string, modified: number, stale: table[] }[] files stale: see known_hosts_file.concerning
---@return integer known how many lines concern the host at all
function host_trust.clashes(names, keys, paths)
    local found, known, shown = {}, 0, {}
    for _, key in ipairs(keys) do
        shown[key.key], shown[key.type] = true, true
    end
    for _, path in ipairs(paths) do
        local stat = file.stat(path)
        local count, stale = 0, {}
        if stat and stat.kind == "file" then
            count, stale = stale_lines(path, names, shown)
        end
        known = known + count
        if #stale > 0 then
            found[#found + 1] = { path = path, modified = stat.modified, stale = stale }
        end
    end
    return found, known
end

local KINDS = { own = "", shared = ", shared with other hosts", pattern = ", by a wildcard" }

--- Tells what clashes, and what the host shows.
function host_trust.tell(clashes, keys)
    for _, clash in ipairs(clashes) do
        for _, entry in ipairs(clash.stale) do
            say("known   %s:%d  %s %s  for %s%s%s", clash.path, entry.number, entry.type, entry.fingerprint,
                table.concat(entry.concerns, ", "), entry.hashed and ", hashed" or "", KINDS[entry.kind])
        end
    end
    for _, key in ipairs(keys) do
        say("shown   %s %s", key.type, known_hosts_file.fingerprint(key.key))
    end
end

--- Whether every line is older than what gave the droplet its present keys; refuses unless that is certain. A line
--- that hostler added carries its date; any other is as old as the last change of its file, at least.
---@return string[] reasons
function host_trust.explain(clashes, renewal, name)
    local console = "read the fingerprint in the droplet's console (ssh-keygen -lf "
        .. "/etc/ssh/ssh_host_ed25519_key.pub) and give it: --fingerprint SHA256:..."
    local reasons = {}
    for _, clash in ipairs(clashes) do
        for _, entry in ipairs(clash.stale) do
            local place = ("%s:%d"):format(clash.path, entry.number)
            local latest = entry.added and seconds_of(entry.added) or clash.modified
            local date = os.date("!%Y-%m-%dT%H:%M:%SZ", latest)
            if latest < renewal.at then
                reasons[#reasons + 1] = ("%s is of %s%s, and the droplet was %s"):format(place, date,
                    entry.added and "" or " or older", renewal.text)
            elseif entry.added then
                refuse("impostor", ("%s was good on %s, and the droplet %s has not been made anew since (%s)"):format(
                    place, date, name, renewal.text), "someone may be in between. If its keys were changed by hand, "
                    .. console)
            else
                refuse("unproven", ("nothing shows that the droplet %s (%s) is younger than %s, whose file changed on "
                    .. "%s"):format(name, renewal.text, place, date), "someone may be in between. If not, " .. console)
            end
        end
    end
    return reasons
end

--- Of the keys shown, the one that a person has seen in the droplet's own console.
function host_trust.confirmed(keys, fingerprint)
    for _, key in ipairs(keys) do
        if known_hosts_file.fingerprint(key.key) == fingerprint then
            return { key }
        end
    end
    refuse("impostor", ("the host shows no key with the fingerprint %s"):format(fingerprint))
end

--- Writes the keys in place of the stale ones, after a dated copy.
---@return { path: string, copy: string }
function host_trust.replace(path, names, keys)
    local date = os.date("!%Y-%m-%dT%H:%M:%SZ", now())
    local copy = ("%s.%s"):format(path, date)
    file.copy(path, copy)
    local written = file.write(path, known_hosts_file.replace(file.read(path), names, keys, date))
    return unknown(written) and written or { path = path, copy = copy }
end

--- Connects as everybody does, strictly. Not being let in is another matter.
function host_trust.check(customer, address, port, paths)
    local _, err = try(ssh.connect, customer.name, {
        user = "root", address = address, port = port, known_hosts = paths, host_key = "strict",
    })
    if err and err.code ~= "ssh.auth" then
        error(err, 0)
    end
end

return host_trust
