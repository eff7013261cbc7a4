-- What was seen of an instance, one line a thing, for the terminal and the report. Pure: it reaches no host.
local machine = require "machine"
local meltano = require "meltano"
local meltano_settings = require "meltano_settings"
local systemd = require "systemd"
local triage_around = require "triage_around"
local triage_outside = require "triage_outside"
local triage_checks = {}

local megabytes, date_of = machine.megabytes, triage_outside.date_of

---@class triage.Check
---@field title string
---@field state "good"|"bad"|"odd"|"unseen"
---@field line string

local function check(title, state, line, ...)
    return { title = title, state = state, line = select("#", ...) > 0 and line:format(...) or line }
end

local function from_outside(e)
    local seen = e.outside
    return seen and check("from outside", seen.serves and "good" or "bad", "%s", e.url .. " " .. seen.says)
end

local function name(e)
    if not e.addresses then
        return nil
    end
    local found = table.concat(e.addresses, ", ")
    local right = e.droplet and found == e.droplet.public_address
    return check("name", right and "good" or "bad", "%s resolves to %s, A record %s", e.name,
        found ~= "" and found or "nothing", tostring(e.record or "missing"))
end

local function droplet(e)
    local seen = e.droplet
    return seen and check("droplet", seen.status == "active" and "good" or "bad", "%s, %s, private %s", seen.status,
        tostring(seen.public_address), tostring(seen.private_address or "none"))
end

local function certificate(e)
    local seen = e.certificate
    if not seen then
        return e.unseen.certificate and check("certificate", "bad", e.unseen.certificate)
    end
    return check("certificate", seen.not_after <= e.at and "bad" or seen.verified and "good" or "odd",
        "until %s, from %s%s", date_of(seen.not_after), seen.issuer, seen.problem and "; " .. seen.problem or "")
end

local function ssh(e)
    return e.ssh_error and check("SSH", "bad", e.ssh_error.message)
end

local function service(e)
    local seen = e.meltano
    if not seen then
        return nil
    end
    local since = seen.since and " since " .. date_of(seen.since) or ""
    return check("meltano.service", seen.active == "active" and "good" or "bad", "%s%s, user %s, in %s",
        systemd.describe(seen), since, seen.user or "?", seen.directory or "?")
end

local function from_inside(e)
    local seen = e.inside
    if not seen then
        return nil
    end
    return check("from inside", seen.serves and "good" or "bad", "localhost:%d: %s", meltano.PORT,
        seen.status and ("answers %d after %.2f s"):format(seen.status, seen.seconds) or tostring(seen.message))
end

local function failed_units(e)
    if not e.failed then
        return nil
    end
    local names = {}
    for index, status in ipairs(e.failed) do
        names[index] = ("%s %s"):format(status.unit, systemd.describe(status))
    end
    return check("failed units", #names == 0 and "good" or "bad", "%s", #names == 0 and "none"
        or table.concat(names, "; "))
end

local function database(e)
    local seen = e.database
    return seen and check("database", seen.reachable and "good" or "bad", "%s", seen.reachable
        and ("reached with the instance's settings, in %.2f s"):format(seen.seconds)
        or (tostring(seen.error):gsub("%s*\n%s*", " ")))
end

local function settings(e)
    if not e.environment then
        return nil
    end
    local words, private = {}, true
    for index, file in ipairs(e.environment) do
        local names = table.concat(file.settings or {}, " ")
        words[index] = ("%s %s %s (%s)"):format(file.name, file.owner, file.mode, names)
        private = private and file.private
    end
    local state = #words == 0 and "bad" or private and "good" or "odd"
    return check("settings", state, "%s: %s", meltano.ENVIRONMENT, #words > 0 and table.concat(words, "; ") or "none")
end

local function flags(e)
    local seen = e.dotenv
    if not seen then
        return nil
    elseif seen.missing then
        return check(".env", "odd", "is not there")
    end
    local words = {}
    for index, problem in ipairs(seen.problems) do
        words[index] = ("line %d: %s"):format(problem.line, problem.what)
    end
    if #seen.names > 0 then
        words[#words + 1] = "has what does not belong there: " .. table.concat(seen.names, ", ")
    end
    if seen.owner ~= meltano.USER then
        words[#words + 1] = "belongs to " .. tostring(seen.owner)
    end
    return check(".env", #seen.problems > 0 and "bad" or #words > 0 and "odd" or "good", "%s",
        #words > 0 and table.concat(words, "; ") or "feature flags only")
end

local function owners(e)
    local seen = e.owners
    return seen and check("owners", #seen == 0 and "good" or "bad", "%s", #seen == 0 and "all files are meltano's"
        or ("not meltano's: %s (%s)%s"):format(seen[1].path, seen[1].owner, #seen > 1 and
            (" and %d more"):format(#seen - 1) or ""))
end

-- Who has the port, and how far Meltano's user gets to its files.
local function port(e)
    local listeners = e.surroundings and e.surroundings.listeners
    if not listeners then
        return nil
    end
    for _, listener in ipairs(listeners) do
        if listener.port == meltano.PORT then
            local holder = e.surroundings.holders[listener.pid or 0] or {}
            local state = holder.unit == meltano.UNIT and "good" or "bad"
            return check("port", state, "%d of %s: process %s, %s", meltano.PORT, listener.address,
                tostring(listener.pid or "?"), holder.unit or "of no unit")
        end
    end
    return check("port", "bad", "nobody listens at %d", meltano.PORT)
end

local function way(e)
    local blocked = e.surroundings and triage_around.has_blocked_way(e)
    return e.surroundings and check("its files", blocked and "bad" or "good", "%s", blocked and blocked.says
        or "the service's user gets to what it needs")
end

local function disks(e)
    if not e.disks then
        return nil
    end
    local words, most = {}, 0
    for index, disk in ipairs(e.disks) do
        most = math.max(most, disk.used, disk.inodes_used or 0)
        words[index] = ("%s %.0f%% used, %s free"):format(disk.place, disk.used * 100, megabytes(disk.free))
    end
    return check("disk", most >= 0.98 and "bad" or most >= 0.9 and "odd" or "good", "%s", table.concat(words, "; "))
end

local function memory(e)
    local seen = e.memory
    if not seen then
        return nil
    end
    local last = e.kills and e.kills[#e.kills]
    return check("memory", last and "odd" or "good", "%s of %s available%s", megabytes(seen.available),
        megabytes(seen.total), last and ("; for want of it the kernel killed process %d (%s) on %s"):format(last.pid,
            last.program, date_of(last.at)) or "")
end

local function caddy(e)
    local seen = e.caddy
    if not seen then
        return nil
    end
    local running = seen.status and seen.status.active == "active"
    local good = seen.verdict == "ok" or seen.verdict == "self-signed"
    return check("Caddy", not running and "bad" or good and "good" or "odd", "%s, TLS mode %s: %s",
        seen.status and systemd.describe(seen.status) or "?", seen.mode, seen.verdict)
end

local PARTS = {
    from_outside, name, certificate, droplet, ssh, caddy, from_inside, service, failed_units, database, settings, flags,
    port, owners, way, disks, memory,
}

--- Everything that was looked at, in the order in which a request passes it.
---@param e table evidence; see triage_verdict.of
---@return triage.Check[]
function triage_checks.of(e)
    local checks = {}
    for _, part in ipairs(PARTS) do
        checks[#checks + 1] = part(e) or nil
    end
    local names = {}
    for unseen in pairs(e.unseen) do
        names[#names + 1] = unseen
    end
    table.sort(names)
    for _, unseen in ipairs(names) do
        if unseen ~= "certificate" then
            checks[#checks + 1] = check(unseen, "unseen", "could not be seen: " .. e.unseen[unseen])
        end
    end
    return checks
end

-- ---- hiding what may be secret ----

local HIDDEN = "[hidden]"

--- Text of a log without what looks like a secret: passwords in URLs, values of variables named like secrets.
---@param text string
---@return string
function triage_checks.hide(text)
    text = text:gsub("(%a[%w+.-]*://[^/%s:@]*:)[^/%s@]+@", "%1" .. HIDDEN .. "@")
    return (text:gsub("([%w_]+)(['\"]?%s*[=:]%s*['\"]?)([^%s'\",;]+)", function(variable, equals, value)
        if meltano_settings.is_secret(variable) and value ~= HIDDEN then
            return variable .. equals .. HIDDEN
        end
    end))
end

--- The logs worth reading, hidden as above.
---@return { title: string, text: string }[]
function triage_checks.logs(e)
    local logs = {}
    if e.traceback then
        logs[1] = { title = "Last traceback in meltano-ui.log",
            text = (e.traceback.heading and e.traceback.heading .. "\n" or "") .. e.traceback.text }
    end
    if e.journal and e.journal ~= "" then
        logs[#logs + 1] = { title = "Journal of meltano.service", text = e.journal }
    end
    for _, log in ipairs(logs) do
        log.text = triage_checks.hide(log.text)
    end
    return logs
end

return triage_checks
