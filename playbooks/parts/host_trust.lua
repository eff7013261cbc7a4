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

local CONSOLE = "read the fingerprint in the droplet's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) "
    .. "and give it: --fingerprint SHA256:..."

local function refuse(code, message, hint)
    fail(message .. ": known_hosts stays as it is", { code = code, hint = hint })
end

local function seconds_of(iso)
    local date, time = iso:match "^(%d+%-%d+%-%d+)T(%d+:%d+:%d+)"
    return systemd.parse_time(("%s %s UTC"):format(date, time))
end

local function iso_of(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

-- ---- what there is to see ----

-- When the droplet last came to new host keys in a way that DigitalOcean knows of.
local function renewal_of(cloud, droplet)
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

-- The droplet that has to be behind the name. Refuses where anybody else may be.
local function droplet_of(customer)
    local droplet = customer.cloud:find_droplet(customer.name)
    if not droplet then
        refuse("impostor", ("DigitalOcean has no droplet %s, so whoever answers is not it"):format(customer.name),
            "was it deleted? Then its DNS record should go, too")
    elseif droplet.status ~= "active" then
        refuse("impostor", ("the droplet %s is %s, so whoever answers is not it"):format(customer.name, droplet.status),
            "find out who has the address " .. tostring(droplet.public_address))
    end
    for _, address in ipairs(dns.resolve(customer.name, { nameservers = site.dns.nameservers })) do
        if address ~= droplet.public_address then
            refuse("impostor", ("%s resolves to %s, and the droplet has %s"):format(customer.name, address,
                droplet.public_address), "set the A record right, or find out who answers the name servers' questions")
        end
    end
    return droplet
end

local function is_file(path)
    local stat = file.stat(path)
    return stat and stat.kind == "file" and stat
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

-- How many lines of other names that count for the host have a key that it shows.
local function vouching_lines(path, names, shown)
    local count = 0
    for _, entry in ipairs(known_hosts_file.concerning(file.read(path), names)) do
        count = count + (not entry.mark and shown[entry.key] and 1 or 0)
    end
    return count
end

-- The files whose lines about the host clash with the keys that it shows, and how many lines concern it at all. Lines
-- of `others` only count where they have one of these keys.
local function clashes_of(names, others, keys, paths)
    local found, known, shown = {}, 0, {}
    for _, key in ipairs(keys) do
        shown[key.key], shown[key.type] = true, true
    end
    for _, path in ipairs(paths) do
        local stat = is_file(path)
        if stat then
            local count, stale = stale_lines(path, names, shown)
            known = known + count + vouching_lines(path, others, shown)
            found[#found + 1] = #stale > 0 and { path = path, modified = stat.modified, stale = stale } or nil
        end
    end
    return found, known
end

---@class host_trust.Seen
---@field address string the droplet's
---@field port integer of its SSH server
---@field hosts string[] the host's name, its address, and what ssh calls it
---@field names string[] the same as known_hosts has them, with the port
---@field paths string[] the files that count
---@field keys { type: string, key: string }[] what the host shows, one of each type; key: in base64
---@field clashes { path: string, modified: number, stale: table[] }[] stale: see known_hosts_file.concerning
---@field known integer how many lines concern the host
---@field renewal { at: number, text: string } when the droplet last came to new keys

--- Compares the keys that an instance shows with those that known_hosts has.
---@param wanted { port?: integer, file?: string } instead of what OpenSSH's configuration and the site say
---@return host_trust.Seen
---@raise "impostor", "revoked"
function host_trust.compare(customer, wanted)
    local droplet, settings = droplet_of(customer), ssh.settings(customer.name, { port = wanted.port })
    local file_given = wanted.file or site.known_hosts
    local seen = {
        address = droplet.public_address, port = settings.port,
        hosts = { customer.name, droplet.public_address }, names = {},
        paths = file_given and { file_given } or settings.known_hosts,
        renewal = renewal_of(customer.cloud, droplet),
    }
    if settings.name ~= customer.name and settings.name ~= seen.address then
        table.insert(seen.hosts, 1, settings.name)
    end
    for index, host in ipairs(seen.hosts) do
        seen.names[index] = known_hosts_file.name(host, seen.port)
    end
    if seen.hosts[1] == settings.name then
        seen.names[1] = settings.names[1] -- an alias has no port
    end
    seen.keys = ssh.host_keys(seen.address, { port = seen.port })
    seen.clashes, seen.known = clashes_of(seen.names, { settings.names[2] }, seen.keys, seen.paths)
    return seen
end

-- ---- what it means ----

local KINDS = { own = "", shared = ", shared with other hosts", pattern = ", by a wildcard" }

local function tell_keys(seen)
    for _, key in ipairs(seen.keys) do
        say("shown   %s %s", key.type, known_hosts_file.fingerprint(key.key))
    end
end

--- Tells what clashes, and what the host shows.
---@param seen host_trust.Seen
function host_trust.tell(seen, customer)
    say(seen.known > 0 and "%s shows other keys than known_hosts has:" or "known_hosts does not know %s:",
        customer.name)
    for _, clash in ipairs(seen.clashes) do
        for _, entry in ipairs(clash.stale) do
            say("known   %s:%d  %s %s  for %s%s%s", clash.path, entry.number, entry.type, entry.fingerprint,
                table.concat(entry.concerns, ", "), entry.hashed and ", hashed" or "", KINDS[entry.kind])
        end
    end
    tell_keys(seen)
end

--- Tells that no line is for the host, what it shows, and under which other ports it is known.
---@param seen host_trust.Seen
function host_trust.tell_unknown(seen, customer)
    say("known_hosts has no line for %s, so none can clash: nothing to do.", seen.names[1])
    tell_keys(seen)
    for _, path in ipairs(seen.paths) do
        for _, name in ipairs(is_file(path) and known_hosts_file.names(file.read(path), seen.hosts) or {}) do
            say("but %s has one for %s: hostler run trust-host %s --port %s", path, name, customer.tenant,
                name:match "%]:(%d+)$" or "22")
        end
    end
    say("To have it know the host, %s", CONSOLE)
end

--- The keys shown, when every line that clashes is older than what gave the droplet its present keys; refuses unless
--- that is certain. A line that hostler added carries its date; any other is as old as the last change of its file, at
--- least.
---@param seen host_trust.Seen
---@raise "impostor", "unproven"
function host_trust.proven(seen, customer)
    local renewal, name = seen.renewal, customer.name
    for _, clash in ipairs(seen.clashes) do
        for _, entry in ipairs(clash.stale) do
            local place = ("%s:%d"):format(clash.path, entry.number)
            local latest = entry.added and seconds_of(entry.added) or clash.modified
            local date = iso_of(latest)
            if latest < renewal.at then
                say("why     %s is of %s%s, and the droplet was %s", place, date, entry.added and "" or " or older",
                    renewal.text)
            elseif entry.added then
                refuse("impostor", ("%s was good on %s, and the droplet %s has not been made anew since (%s)"):format(
                    place, date, name, renewal.text), "someone may be in between. If its keys were changed by hand, "
                    .. CONSOLE)
            else
                refuse("unproven", ("nothing shows that the droplet %s (%s) is younger than %s, whose file changed on "
                    .. "%s"):format(name, renewal.text, place, date), "someone may be in between. If not, " .. CONSOLE)
            end
        end
    end
    return seen.keys
end

--- Of the keys shown, the one that a person has seen in the droplet's own console.
---@raise "impostor"
function host_trust.confirmed(keys, fingerprint)
    for _, key in ipairs(keys) do
        if known_hosts_file.fingerprint(key.key) == fingerprint then
            return { key }
        end
    end
    refuse("impostor", ("the host shows no key with the fingerprint %s"):format(fingerprint))
end

-- ---- changing known_hosts ----

--- The files to change: those with lines that clash, else the one that new keys are written to.
---@param seen host_trust.Seen
---@return string[]
function host_trust.paths(seen)
    local paths = {}
    for index, clash in ipairs(seen.clashes) do
        paths[index] = clash.path
    end
    return #paths > 0 and paths or { seen.paths[1] }
end

--- Keeps a dated copy of a file, where there is one.
---@return string? copy
function host_trust.keep(path)
    return is_file(path) and file.keep(path) or nil
end

--- Writes the keys in place of the stale ones; where the file has no line for the host, at its end.
---@param names string[] the first is the one to add
---@return { modified: number } when the file changed
function host_trust.write(path, names, keys)
    local text, date = is_file(path) and file.read(path) or "", iso_of(now())
    local edited = #known_hosts_file.concerning(text, names) > 0
        and known_hosts_file.replace(text, names, keys, date) or known_hosts_file.add(text, names[1], keys, date)
    local written = edited == text or file.write(path, edited, { mode = 384 }) -- 0600
    return unknown(written) and written or { modified = file.stat(path).modified }
end

--- Puts the copy back, unless the file has changed since for other reasons.
---@param made { modified: number } what host_trust.write returned
---@param copy? string
---@raise "changed"
function host_trust.put_back(path, made, copy)
    if file.stat(path).modified ~= made.modified then
        fail(("%s has changed since: it was not put back"):format(path), {
            code = "changed", hint = copy and "take the host's lines from the copy of before, " .. copy or nil,
        })
    elseif copy then
        file.copy(copy, path)
    else
        file.write(path, "")
    end
end

--- Connects as everybody does, strictly. Not being let in is another matter.
---@param seen host_trust.Seen
function host_trust.check(customer, seen)
    local _, err = try(ssh.connect, customer.name, {
        user = "root", address = seen.address, port = seen.port, known_hosts = seen.paths, host_key = "strict",
    })
    if err and err.code ~= "ssh.auth" then
        error(err, 0)
    end
end

return host_trust
