-- The faults between an instance and its database. Pure: each rule takes what was seen (triage_verdict.of says what
-- that is) and returns a triage.Finding, or nothing.
local triage_reasons = require "triage_reasons"
local triage_database = {}

-- ---- what is known of it ----

-- Whether the cluster's trusted sources let the droplet in; nil when that cannot be told.
local function trusts(e)
    if not e.trusted or not e.droplet then
        return nil
    elseif #e.trusted == 0 then
        return true
    end
    local answer = false
    for _, rule in ipairs(e.trusted) do
        local address = rule.value:gsub("/32$", "")
        if address == e.droplet.public_address or address == e.droplet.private_address
            or rule.type == "droplet" and rule.value == ("%d"):format(e.droplet.id) then
            return true
        elseif rule.type ~= "droplet" and rule.type ~= "ip_addr" or address:find "/" then
            answer = nil -- a tag, an app or a network may mean this droplet
        end
    end
    return answer
end

local function sources(e)
    local names = {}
    for index, rule in ipairs(e.trusted) do
        names[index] = (rule.type == "ip_addr" and "" or rule.type .. " ") .. rule.value
    end
    return #names > 0 and table.concat(names, ", ") or "everybody"
end

-- The settings that lead to the database, and what DigitalOcean tells to put there; nil where either is not known.
local function settings_of(e)
    local connection = e.cluster and e.cluster.connection
    for _, file in ipairs(e.environment or {}) do
        if file.name == "postgres" and file.values and connection then
            return file.values, connection
        end
    end
end

-- Whether the instance has the password that DigitalOcean tells.
local function has_told_password(e)
    local values, connection = settings_of(e)
    return values and values.PG_PASSWORD and values.PG_PASSWORD == connection.password
end

local FIELDS = {
    { "PG_ADDRESS", "host" }, { "PG_PORT", "port" }, { "PG_DATABASE", "database" }, { "PG_USERNAME", "user" },
}

-- The settings that DigitalOcean tells otherwise, "PG_PORT is 1, and DigitalOcean tells 2".
local function strays(e)
    local values, connection = settings_of(e)
    local found = {}
    for _, field in ipairs(values and FIELDS or {}) do
        local has, told = values[field[1]], connection[field[2]]
        if has ~= nil and told ~= nil and tostring(has) ~= tostring(told) then
            found[#found + 1] = ("%s is %s, and DigitalOcean tells %s"):format(field[1], tostring(has), tostring(told))
        end
    end
    return found
end

-- ---- it does not let the instance in ----

local function wrong_password(e, finding)
    finding.cause, finding.says = "database-password", "the database refuses the instance's password"
    if has_told_password(e) then
        finding.proof[#finding.proof + 1] = "DigitalOcean tells this very password"
        finding.by_hand = ("reset the password of %s in DigitalOcean's page of the cluster %s, then: "
            .. "hostler run configure-meltano %s"):format(e.cluster.connection.user, e.cluster.name, e.tenant)
    else
        finding.mend = { "configure-meltano" }
    end
end

local function stray_settings(found, finding)
    finding.cause = "database-settings"
    finding.says = "the instance's settings do not lead to its database"
    for _, line in ipairs(found) do
        finding.proof[#finding.proof + 1] = line
    end
    finding.mend = { "configure-meltano" }
end

local function no_way_in(e, said, finding)
    if trusts(e) == false then
        finding.cause = "database-untrusted"
        finding.says = "the database refuses the instance: its address is not among the trusted sources"
        finding.mend = { "configure-meltano" }
    elseif not e.cluster and not e.unseen.cluster then
        finding.cause, finding.says = "database-missing", "there is no database cluster of this instance"
        finding.by_hand = "restore it from a backup in DigitalOcean, or make the instance anew (delete, then setup)"
    elseif said:find "no pg_hba.conf entry" then
        finding.cause, finding.says = "database-untrusted", "the database's firewall refuses the instance"
        finding.mend = { "configure-meltano" }
    else
        finding.cause, finding.says = "database-down", "the database does not answer the instance"
        finding.by_hand = "look at the cluster in DigitalOcean: is it online, and has it the address of the settings?"
    end
end

--- The database does not let the instance in.
---@return triage.Finding?
function triage_database.refuses(e)
    local answer = e.database
    if not answer or answer.reachable or (answer.error or ""):find "^[%w_]+ is not set$" then
        return nil
    end
    local said = (answer.error or "no reason given"):gsub("\n.*", "")
    local finding = { breaks = true, proof = { "a connection with the instance's own settings: " .. said } }
    if e.trusted then
        finding.proof[2] = ("the cluster %s (%s) trusts %s; the droplet has %s and %s"):format(e.cluster.name,
            e.cluster.status or "?", sources(e), tostring(e.droplet.public_address),
            tostring(e.droplet.private_address))
    end
    local reason, stray = triage_reasons.of({ said }, false), strays(e)
    if said:find "password authentication failed" and #stray == 0 then
        wrong_password(e, finding)
    elseif #stray > 0 then
        stray_settings(stray, finding)
    elseif reason then
        finding.cause, finding.says = reason.cause, reason.says
        finding.mend, finding.by_hand = reason.mend, reason.by_hand
    else
        no_way_in(e, said, finding)
    end
    return finding
end

-- ---- it lets the instance in, and not work ----

local function serves(e)
    return e.inside ~= nil and e.inside.serves
end

--- The database takes no writes.
---@return triage.Finding?
function triage_database.is_read_only(e)
    if e.database and e.database.reachable and e.database.read_only then
        local reason = triage_reasons.named "database-read-only"
        return {
            cause = reason.cause, says = reason.says, by_hand = reason.by_hand, breaks = not serves(e),
            proof = { "a connection with the instance's own settings: its transactions are read-only" },
        }
    end
end

--- Somebody's lock keeps others from the database: of one that does not keep Meltano from serving nothing is said.
---@return triage.Finding?
function triage_database.is_locked(e)
    local holders = e.database and e.database.blocking or {}
    if #holders == 0 or serves(e) then
        return nil
    end
    local proof = {}
    for index, holder in ipairs(holders) do
        proof[index] = ("session %d of %s%s%s: %d wait for it"):format(holder.pid, tostring(holder.user),
            (holder.application or "") ~= "" and (" (%s)"):format(holder.application) or "",
            holder.seconds and (", %s since %d s"):format(holder.state or "busy", holder.seconds) or "", holder.waiting)
    end
    return {
        cause = "database-locked", says = "a session of the database holds a lock that others wait for",
        breaks = true, proof = proof,
        by_hand = ("see what it does (pg_stat_activity), and end it as doadmin: SELECT pg_terminate_backend(%d)")
            :format(holders[1].pid),
    }
end

--- The service runs with other settings than its files have.
---@return triage.Finding?
function triage_database.has_stale_settings(e)
    if e.loaded == false and e.process and e.meltano and e.meltano.active == "active" then
        return {
            cause = "settings-not-loaded", breaks = not serves(e), mend = { "restart" },
            says = "the settings were changed after Meltano was started, which reads them only then",
            proof = { "its process has not what its files in /etc/meltano/environment.d say" },
        }
    end
end

return triage_database
