-- The faults around an instance's service, on its host: the way to its files, their file systems, its port, its Python,
-- what the host grants it. Pure: each rule takes what was seen (triage_verdict.of says what that is) and returns a
-- triage.Finding, or nothing.
local meltano = require "meltano"
local surroundings = require "surroundings"
local triage_reasons = require "triage_reasons"
local triage_unit = require "triage_unit"
local triage_around = {}

local WRONG_CLOCK = 300 -- seconds, from which certificates and signatures begin to be refused

-- What Meltano needs, and what its user has to be able to do with it. What is optional may be missing; what is made is
-- an empty folder to begin with.
local NEEDS = {
    { place = meltano.PROJECT, kind = "directory", may = "rwx" },
    { place = meltano.PROGRAM, kind = "file", may = "rx" },
    { place = meltano.PROJECT .. "/meltano.yml", kind = "file", may = "r", optional = true },
    { place = meltano.PROJECT .. "/.meltano", kind = "directory", may = "rwx", made = true },
    { place = meltano.LOGS, kind = "directory", may = "rwx", made = true },
    { place = meltano.LOGS .. "/" .. meltano.UI_LOG, kind = "file", may = "rw", optional = true },
    { place = "/tmp", kind = "directory", may = "rwx" },
    { place = "/dev/null", kind = "other", may = "rw" },
}

--- The places that surroundings.of has to look at.
triage_around.PLACES = {}
for index, need in ipairs(NEEDS) do
    triage_around.PLACES[index] = need.place
end

local function serves(e)
    return e.inside ~= nil and e.inside.serves
end

local function restart_after(advice, e)
    return ("on %s: %s; then: hostler run restart %s"):format(e.name, advice, e.tenant)
end

-- ---- its files ----

local MAKE_AGAIN = {
    ["/tmp"] = "install -d -m 1777 /tmp",
    ["/dev/null"] = "rm -f /dev/null; mknod -m 666 /dev/null c 1 3",
}
local VERBS = { { "r", "read" }, { "w", "write" }, { "x", "enter or run" } }

local function is_within(path, root)
    return path == root or path:sub(1, #root + 1) == root .. "/"
end

local function may_all(may, wanted)
    for letter in wanted:gmatch "." do
        if not may:find(letter, 1, true) then
            return false
        end
    end
    return true
end

-- What gives the user back what it needs of a path.
local function opening(seen, need)
    if MAKE_AGAIN[seen.at] then
        return MAKE_AGAIN[seen.at]
    elseif not is_within(seen.at, meltano.HOME) then
        return "chmod o+rx " .. seen.at
    elseif seen.owner ~= "meltano:meltano" then
        return ("chown meltano:meltano %s; chmod u+rwX %s"):format(seen.at, seen.at)
    end
    local wanted = need.kind == "directory" and "rwx" or need.may
    return ("chmod u+%s %s (if that is refused: lsattr -d)"):format(wanted, seen.at)
end

local function lacks(seen, need)
    local verbs = {}
    for _, verb in ipairs(VERBS) do
        if need.may:find(verb[1], 1, true) and not seen.may:find(verb[1], 1, true) then
            verbs[#verbs + 1] = verb[2]
        end
    end
    return table.concat(verbs, " and ")
end

local function described(seen)
    return ("%s: mode %s, owner %s"):format(seen.at, seen.mode or "?", seen.owner or "?")
end

-- By how far one gets on the way to a place: what is wrong there, and what a person does.
local STATES = {
    missing = function(seen, need)
        return "file-missing", seen.at .. " is not there", MAKE_AGAIN[seen.at] or need.made
            and "install -d -o meltano -g meltano " .. seen.at
            or ("bring %s back, from git or a snapshot of the droplet; is a volume not mounted (findmnt --verify)?")
                :format(seen.at)
    end,
    dangling = function(seen)
        return "link-broken", ("%s is a link to %s, which is not there"):format(seen.at, seen.target or "?"),
            "bring back what it leads to (is a volume not mounted?), or replace the link"
    end,
    closed = function(seen, need)
        return "file-closed", ("the user meltano may not enter %s"):format(seen.at), opening(seen, need)
    end,
    ["not-a-directory"] = function(seen)
        return "file-of-another-kind", seen.at .. " is no directory", ("move %s away"):format(seen.at)
    end,
    there = function(seen, need)
        if seen.kind ~= need.kind then
            local kind = need.kind == "other" and "device" or need.kind
            return "file-of-another-kind", ("%s is no %s"):format(seen.at, kind),
                MAKE_AGAIN[seen.at] or ("move %s away; Meltano makes it again, or git has it"):format(seen.at)
        elseif not may_all(seen.may, need.may) then
            return "file-closed", ("the user meltano may not %s %s"):format(lacks(seen, need), seen.at),
                opening(seen, need)
        end
    end,
}

-- Somebody else's files within the project are told, and mended, as such.
local function is_told_as_wrong_owner(e, seen)
    local owner = (seen.owner or ""):match "^[^:]*"
    return is_within(seen.at, meltano.PROJECT) and #(e.owners or {}) > 0 and owner ~= meltano.USER
end

--- Meltano's user does not get to a file that it needs, or may not use it.
---@return triage.Finding?
function triage_around.has_blocked_way(e)
    for _, need in ipairs(e.surroundings and NEEDS or {}) do
        local seen = e.surroundings.places[need.place]
        local cause, says, advice
        if seen and not (seen.state == "missing" and need.optional and seen.at == need.place)
            and not is_told_as_wrong_owner(e, seen) then
            cause, says, advice = STATES[seen.state](seen, need)
        end
        if cause then
            return {
                cause = cause, says = says, breaks = not serves(e), proof = { described(seen), triage_unit.line(e) },
                by_hand = restart_after(advice, e),
            }
        end
    end
end

-- ---- their file systems ----

local function read_only_at(mounts, path)
    local mount = mounts and surroundings.mount_of(mounts, path)
    return mount and mount.read_only and mount or nil
end

-- The first place to which Meltano writes that lies on a file system which takes no writes, in somebody's view of them.
local function read_only_need(mounts)
    for _, need in ipairs(NEEDS) do
        local mount = need.may:find "w" and need.kind ~= "other" and read_only_at(mounts, need.place)
        if mount then
            return need.place, mount
        end
    end
end

--- A file system that Meltano writes to takes no writes: for all, or for its service alone.
---@return triage.Finding?
function triage_around.is_read_only(e)
    local seen = e.surroundings
    local place, mount = read_only_need(seen and seen.mounts)
    local own = false
    if seen and not place and seen.own_mounts then
        place, mount = read_only_need(seen.own_mounts)
        own = place ~= nil
    end
    if not place then
        return nil
    end
    local proof = { ("%s lies on %s (%s of %s), which is read-only%s"):format(place, mount.place, mount.type,
        mount.source, own and " for the service alone" or "") }
    proof[2] = own and triage_unit.confinement(e) or nil
    return {
        cause = "read-only", breaks = not serves(e), proof = proof,
        says = own and "Meltano's unit makes the file system read-only for it"
            or ("the file system of %s is read-only"):format(place),
        by_hand = own and triage_reasons.named("read-only").by_hand:gsub("{tenant}", e.tenant)
            or restart_after(("`journalctl -k -p warning` may tell of errors of the disk, for which the kernel does "
                .. "this, and /etc/fstab whether it is meant; else: mount -o remount,rw %s"):format(mount.place), e),
    }
end

-- ---- its Python ----

local function version_of(text)
    return (text or ""):match "(%d+%.%d+)"
end

-- What is wrong with the interpreter that the program's first line names: cause, sentence, advice.
local function interpreter_fault(seen)
    local way = seen.places[seen.interpreter or ""]
    if seen.first_line == "" or not seen.interpreter and not seen.first_line:find "^\127ELF" then
        return "program-damaged", meltano.PROGRAM .. " does not begin with #! and its Python",
            "install it anew: sudo -u meltano /var/meltano/.venv/bin/pip install --force-reinstall meltano"
    elseif (seen.interpreter or ""):find "\r" then
        return "program-damaged", "the first line of " .. meltano.PROGRAM .. " ends in a carriage return",
            "sed -i 's/\\r$//' " .. meltano.PROGRAM
    elseif way and (way.state ~= "there" or not may_all(way.may, "x")) then
        local to = way.target and (", a link to %s,"):format(way.target) or ""
        return "interpreter-missing", ("the Python of the virtualenv, %s%s is %s"):format(way.at, to,
            way.state == "there" and "not to be run" or way.state == "closed" and "not to be entered" or "not there"),
            "install that Python again (apt), or make /var/meltano/.venv anew with the one that the host has"
    elseif seen.interpreter_says and not seen.interpreter_says:find "^Python %d" then
        return "python-broken", "the Python of the virtualenv does not start", "install the host's Python anew: "
            .. "apt-get install --reinstall python3-minimal"
    end
    local made, has = version_of(seen.made_for), version_of(seen.interpreter_says)
    if made and has and made ~= has then
        return "python-replaced", ("the virtualenv was made for Python %s, and the host has %s now"):format(made, has),
            ("install Python %s again, or make /var/meltano/.venv anew"):format(made)
    end
end

--- What runs Meltano's program does not run.
---@return triage.Finding?
function triage_around.has_broken_python(e)
    local seen = e.surroundings
    local program = seen and seen.places[meltano.PROGRAM]
    if not program or program.state ~= "there" or program.kind ~= "file" then
        return nil
    end
    local cause, says, advice = interpreter_fault(seen)
    if not cause then
        return nil
    end
    local proof = { ("the first line of %s is %q"):format(meltano.PROGRAM, seen.first_line) }
    proof[#proof + 1] = seen.interpreter_says
        and "its Python, asked for its version, says: " .. seen.interpreter_says:gsub("\n.*", "") or nil
    proof[#proof + 1] = e.meltano and triage_unit.line(e) or nil
    return {
        cause = cause, says = says, breaks = not serves(e), proof = proof, by_hand = restart_after(advice, e),
    }
end

-- ---- its port ----

-- Who listens at a port, or at any but that one, of those that the unit does or does not hold.
local function holders(e, at_port, of_unit)
    local found = {}
    for _, listener in ipairs(e.surroundings and e.surroundings.listeners or {}) do
        local holder = e.surroundings.holders[listener.pid or 0]
        local is_own = holder ~= nil and holder.unit == meltano.UNIT
        if (listener.port == meltano.PORT) == at_port and is_own == of_unit then
            found[#found + 1] = { listener = listener, holder = holder or { user = "somebody" } }
        end
    end
    return found
end

local function holder_line(found)
    local listener, holder = found.listener, found.holder
    return ("port %d of %s: %s, process %s of %s%s%s"):format(listener.port, listener.address, listener.program or "?",
        tostring(holder.pid or "?"), tostring(holder.user), holder.unit and (" in %s"):format(holder.unit) or "",
        holder.command and ": " .. holder.command or "")
end

--- Another program listens where Meltano has to.
---@return triage.Finding?
function triage_around.has_foreign_port(e)
    local found = holders(e, true, false)[1]
    if not found or #holders(e, true, true) > 0 then
        return nil
    end
    local holder = found.holder
    local is_meltano = holder.user == meltano.USER and (holder.command or ""):find "meltano"
    local is_service = holder.unit and holder.unit:find "%.service$"
    local advice = is_service and not holder.unit:find "^user@" and "systemctl disable --now " .. holder.unit
        or holder.pid and "kill " .. holder.pid or "`ss -ltnp` names it: stop it"
    return {
        cause = "port-taken", breaks = true, proof = { holder_line(found), triage_unit.line(e) },
        says = is_meltano and "a Meltano that somebody started by hand has the service's port"
            or ("another program has Meltano's port %d: %s"):format(meltano.PORT, found.listener.program or "?"),
        by_hand = restart_after(("if nobody needs it: %s"):format(advice), e),
    }
end

--- It listens, but not where Caddy asks.
---@return triage.Finding?
function triage_around.listens_elsewhere(e)
    local found = holders(e, false, true)[1]
    if not found or e.inside == nil or e.inside.error ~= "refused" or #holders(e, true, true) > 0 then
        return nil
    end
    return {
        cause = "other-port", breaks = true, proof = { holder_line(found), triage_unit.line(e) },
        says = ("Meltano listens at port %d, and not at %d"):format(found.listener.port, meltano.PORT),
        by_hand = restart_after(("take the other port out: MELTANO_UI_BIND_PORT in %s, ui.bind_port in meltano.yml "
            .. "and .env, --bind-port in the unit"):format(meltano.ENVIRONMENT), e),
    }
end

--- Its process has a network of its own, which nobody reaches.
---@return triage.Finding?
function triage_around.has_own_network(e)
    if e.surroundings and e.surroundings.own_network and e.inside and e.inside.error then
        return {
            cause = "own-network", says = "Meltano's unit gives it a network of its own, so nobody reaches it",
            breaks = true, proof = { "from inside: " .. tostring(e.inside.message), triage_unit.confinement(e) },
            by_hand = restart_after("`systemctl cat meltano`: take PrivateNetwork= out; systemctl daemon-reload", e),
        }
    end
end

-- ---- its host ----

--- The user that it runs as is gone.
---@return triage.Finding?
function triage_around.lacks_user(e)
    if e.surroundings and not e.surroundings.user then
        local user = e.meltano and e.meltano.user or meltano.USER
        return {
            cause = "user-missing", says = ("the host has no user %s, as which Meltano runs"):format(user),
            breaks = not serves(e), proof = { ("`id %s` knows nobody"):format(user), triage_unit.line(e) },
            by_hand = restart_after(user == meltano.USER and "make it again, with the number that owns /var/meltano "
                .. "(stat -c %u /var/meltano): useradd --system --uid NUMBER --home-dir /var/meltano meltano"
                or "`systemctl cat meltano`: mend User=", e),
        }
    end
end

--- The host cannot speak to itself: its loopback is down, or the name localhost leads nowhere.
---@return triage.Finding?
function triage_around.lacks_localhost(e)
    if e.surroundings and not e.surroundings.loopback then
        return {
            cause = "loopback-down", says = "the host's loopback interface is down", breaks = not serves(e),
            proof = { "the interface lo is not UP" }, by_hand = restart_after("ip link set lo up", e),
        }
    elseif e.surroundings and not e.surroundings.localhost then
        return {
            cause = "localhost-unknown", says = "the host does not know the name localhost", breaks = not serves(e),
            proof = { "`getent ahosts localhost` finds nothing" },
            by_hand = restart_after("put the line \"127.0.0.1 localhost\" into /etc/hosts", e),
        }
    end
end

--- Its process may open no more files.
---@return triage.Finding?
function triage_around.has_no_files_left(e)
    local seen = e.surroundings
    local open, limit = seen and seen.open_files, seen and seen.open_files_limit
    if open and limit and open >= limit * 0.95 and not serves(e) then
        local reason = triage_reasons.named "too-many-open-files"
        return {
            cause = reason.cause, says = reason.says, breaks = true, mend = reason.mend, by_hand = reason.by_hand,
            proof = { ("its process has %d files and connections open, of %d that it may"):format(open, limit) },
        }
    end
end

local NOT_UP = {
    starting = { "host-starting", "the host is still starting: look again in a minute",
        "`systemctl list-jobs` shows what it waits for" },
    stopping = { "host-stopping", "the host is being shut down",
        "wait until it is off, and power it on in DigitalOcean's page of the droplet" },
    maintenance = { "host-in-emergency", "the host is in emergency mode",
        "the droplet's console in DigitalOcean shows what its boot failed at, mostly a line of /etc/fstab" },
}

--- The host is not up, or not any more.
---@return triage.Finding?
function triage_around.is_not_up(e)
    local row = e.surroundings and NOT_UP[e.surroundings.system or ""]
    if row and not serves(e) then
        return {
            cause = row[1], says = row[2], breaks = true, by_hand = row[3],
            proof = { "`systemctl is-system-running` says " .. e.surroundings.system },
        }
    end
end

--- Its clock is wrong.
---@return triage.Finding?
function triage_around.has_wrong_clock(e)
    local clock = e.surroundings and e.surroundings.clock
    local off = clock and e.at and clock - e.at or 0
    if math.abs(off) > WRONG_CLOCK then
        return {
            cause = "clock-wrong", breaks = false,
            says = ("the host's clock is %.0f minutes %s"):format(math.abs(off) / 60, off > 0 and "ahead" or "behind"),
            proof = { "certificates, tokens and signatures are refused by a wrong clock" },
            by_hand = "timedatectl set-ntp true; `timedatectl` shows whether it is synchronised",
        }
    end
end

return triage_around
