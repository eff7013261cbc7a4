-- The faults inside an instance: its machine, its files, its database and its service. Pure: each rule takes what was
-- seen (triage_verdict.of says what that is) and returns a triage.Finding, or nothing.
local machine = require "machine"
local meltano = require "meltano"
local systemd = require "systemd"
local triage_inside = {}

local FULL, NEARLY_FULL = 0.98, 0.9 -- parts of a disk
local SAME_MOMENT = 5               -- seconds between a kernel's kill and the end of the service
local SIGKILL = 9
local LOG_LINES = 8

local megabytes = machine.megabytes

local function serves_inside(e)
    return e.inside ~= nil and e.inside.serves
end

-- The last lines of a journal but for the requests that were served: those say nothing of what went wrong.
local function last_lines(text, count)
    local lines = {}
    for line in (text or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = not line:find '"%u+ %S+ HTTP/[%d.]+" [23]%d%d' and line or nil
    end
    local shown = {}
    for index = math.max(1, #lines - count + 1), #lines do
        shown[#shown + 1] = lines[index]
    end
    return shown
end

local function service_line(e)
    return ("meltano.service is %s"):format(systemd.describe(e.meltano))
end

-- ---- the machine ----

-- How full a disk is, by its bytes or its inodes.
local function fullness(disk)
    return math.max(disk.used, disk.inodes_used or 0)
end

--- A disk without room, or nearly so.
---@return triage.Finding?
function triage_inside.is_full(e)
    local fullest
    for _, disk in ipairs(e.disks or {}) do
        fullest = (not fullest or fullness(disk) > fullness(fullest)) and disk or fullest
    end
    if fullest and fullness(fullest) >= NEARLY_FULL then
        local is_full, place = fullness(fullest) >= FULL, fullest.place
        return {
            cause = "disk-full", breaks = is_full, mend = { "free-disk" },
            says = ("the disk of %s is %s"):format(place, is_full and "full" or "nearly full"),
            proof = { (fullest.inodes_used or 0) > fullest.used
                and ("%s: %.0f%% of the inodes are used"):format(place, fullest.inodes_used * 100)
                or ("%s: %.0f%% used, %s of %s free"):format(place, fullest.used * 100, megabytes(fullest.free),
                    megabytes(fullest.size)) },
        }
    end
end

-- The kernel's kill of this service: it died of SIGKILL, and at that moment the kernel says why.
local function kill_of_service(e)
    local status = e.meltano
    if not status or status.active == "active" and status.result == "success" then
        return nil
    end
    local killed = status.exit and status.exit.kind ~= "exited" and status.exit.status == SIGKILL
    for index = #(e.kills or {}), 1, -1 do
        local kill = e.kills[index]
        if killed and status.since and math.abs(kill.at - status.since) <= SAME_MOMENT then
            return kill.line
        end
    end
    return status.result == "oom-kill" and "systemd says that its process was killed for want of memory" or nil
end

--- Meltano was killed for want of memory, or says that it has none.
---@return triage.Finding?
function triage_inside.is_out_of_memory(e)
    local kill = kill_of_service(e)
    local exception = e.traceback and e.traceback.exception or ""
    local refused = not serves_inside(e) and e.inside and e.inside.status and exception:find "^MemoryError"
    if not kill and not refused then
        return nil
    end
    local proof = { kill or ("the last error in meltano-ui.log is " .. exception), service_line(e) }
    if e.memory then
        proof[#proof + 1] = ("memory: %s of %s available now, swap %s"):format(megabytes(e.memory.available),
            megabytes(e.memory.total), e.memory.swap_total > 0 and megabytes(e.memory.swap_total) or "none")
    end
    local limit = e.meltano and e.meltano.memory_max
    if limit then
        proof[#proof + 1] = ("systemd lets meltano.service have %s (MemoryMax)"):format(megabytes(limit))
    end
    return {
        cause = "out-of-memory", says = "Meltano ran out of memory", breaks = true, proof = proof, mend = { "restart" },
        by_hand = limit and "if it happens again, raise the MemoryMax of meltano.service"
            or "if it happens again, give the droplet a larger size in DigitalOcean",
    }
end

-- ---- its files ----

--- Files of the project that are not the service user's.
---@return triage.Finding?
function triage_inside.has_wrong_owners(e)
    local files = e.owners or {}
    if #files == 0 or #files == 1 and files[1].path == meltano.FLAGS then
        return nil
    end
    local proof = {}
    for index = 1, math.min(#files, 5) do
        proof[index] = ("%s belongs to %s"):format(files[index].path, files[index].owner)
    end
    if #files > 5 then
        proof[6] = ("and %d more"):format(#files - 5)
    end
    return {
        cause = "wrong-owner",
        says = "files of the project do not belong to meltano: something was run as another user",
        breaks = not serves_inside(e), proof = proof, mend = { "upgrade", "--mend" },
    }
end

--- No settings of the database, or not all of them.
---@return triage.Finding?
function triage_inside.lacks_settings(e)
    local error_text = e.database and e.database.error or ""
    local missing = error_text:match "^[%w_]+ is not set$"
    local present = false
    for _, file in ipairs(e.environment or {}) do
        present = present or file.name == "postgres"
    end
    if e.environment and (not present or missing) then
        return {
            cause = "settings-missing", says = "the settings of the database are not there", breaks = true,
            proof = { present and ("%s/postgres: %s"):format(meltano.ENVIRONMENT, missing)
                or ("there is no %s/postgres"):format(meltano.ENVIRONMENT) },
            mend = { "configure-meltano" },
        }
    end
end

--- Settings that others may read.
---@return triage.Finding?
function triage_inside.has_open_settings(e)
    local proof = {}
    for _, file in ipairs(e.environment or {}) do
        if not file.private then
            proof[#proof + 1] = ("%s/%s: mode %s, owner %s; it has to be 0600 and meltano's"):format(
                meltano.ENVIRONMENT, file.name, file.mode, file.owner)
        end
    end
    if #proof > 0 then
        return {
            cause = "settings-open", breaks = false,
            says = "others than meltano may read its secrets, or meltano may not",
            proof = proof, mend = { "configure-meltano" },
        }
    end
end

--- A .env that cannot be read, or that holds secrets.
---@return triage.Finding?
function triage_inside.has_broken_flags(e)
    local found = e.dotenv
    if not found or found.missing then
        return nil
    end
    local proof = {}
    for index = 1, math.min(#found.problems, 5) do
        proof[#proof + 1] = ("%s, line %d: %s"):format(meltano.FLAGS, found.problems[index].line,
            found.problems[index].what)
    end
    local unreadable = found.owner ~= meltano.USER and found.mode and found.mode % 8 < 4
    if unreadable then
        proof[#proof + 1] = ("%s belongs to %s, and meltano may not read it"):format(meltano.FLAGS, found.owner)
    end
    local breaks = #proof > 0
    if #found.names > 0 then
        proof[#proof + 1] = ("settings that do not belong into it: %s"):format(table.concat(found.names, ", "))
    end
    if #proof > 0 then
        return {
            cause = breaks and "flags-broken" or "flags-with-secrets", breaks = breaks, proof = proof,
            says = breaks and ".env cannot be read as it is, so feature flags do not count"
                or ".env holds secrets, which every user of the host may read", mend = { "repair-env" },
        }
    end
end

-- ---- its database ----

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

-- Whether the instance has the password that DigitalOcean tells.
local function has_told_password(e)
    for _, file in ipairs(e.environment or {}) do
        local password = file.name == "postgres" and file.values and file.values.PG_PASSWORD
        if password and e.cluster and e.cluster.connection then
            return password == e.cluster.connection.password
        end
    end
end

--- The database does not let the instance in.
---@return triage.Finding?
function triage_inside.is_refused_by_database(e)
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
    if said:find "password authentication failed" then
        finding.cause, finding.says = "database-password", "the database refuses the instance's password"
        if has_told_password(e) then
            finding.proof[#finding.proof + 1] = "DigitalOcean tells this very password"
            finding.by_hand = ("reset the password of %s in DigitalOcean's page of the cluster %s, then: "
                .. "hostler run configure-meltano %s"):format(e.cluster.connection.user, e.cluster.name, e.tenant)
        else
            finding.mend = { "configure-meltano" }
        end
    elseif trusts(e) == false then
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
    return finding
end

-- ---- its service ----

--- The service does not run.
---@return triage.Finding?
function triage_inside.is_down(e)
    local status = e.meltano
    if not status or status.active == "active" then
        return nil
    end
    local proof = { service_line(e) }
    for _, line in ipairs(last_lines(e.journal, LOG_LINES)) do
        proof[#proof + 1] = line
    end
    local starting = status.active == "activating" and status.sub ~= "auto-restart"
    return {
        cause = starting and "service-starting" or "service-down", breaks = true, symptom = true, proof = proof,
        says = starting and "Meltano is being started: look again in a minute"
            or status.load == "not-found" and "the host has no meltano.service" or "Meltano does not run",
        mend = not starting and status.load ~= "not-found" and { "restart" } or nil,
        by_hand = status.load == "not-found" and "was this host made from an instance image?"
            or status.result == "exit-code" and "should it end again by itself, the lines above say why" or nil,
    }
end

--- It runs, and does not answer.
---@return triage.Finding?
function triage_inside.is_hanging(e)
    if e.inside and e.inside.error then
        local proof = { "from inside: " .. tostring(e.inside.message), service_line(e) }
        if e.process then
            proof[#proof + 1] = "its main process is " .. e.process
        end
        local hangs = e.inside.error == "timeout"
        return {
            cause = hangs and "hanging" or "not-answering", breaks = true, symptom = true, proof = proof,
            mend = { "restart" },
            says = hangs and "Meltano runs but does not answer: it hangs"
                or "Meltano runs but does not answer as a web server",
        }
    end
end

--- It answers with a 500 of its own.
---@return triage.Finding?
function triage_inside.is_failing(e)
    if e.inside and e.inside.status and e.inside.status >= 500 then
        local proof = { ("from inside: GET / answers %d"):format(e.inside.status) }
        local traceback = e.traceback
        if traceback then
            proof[#proof + 1] = "the last error in meltano-ui.log: " .. (traceback.exception or "?")
            proof[#proof + 1] = traceback.file and ("raised in %s, line %s"):format(traceback.file,
                tostring(traceback.line)) or nil
        end
        return {
            cause = "application", says = "Meltano itself fails, and nothing around it is wrong", breaks = true,
            symptom = true, proof = proof,
            by_hand = ("read the traceback; an upgrade may help (hostler run upgrade %s), else report it to Meltano's "
                .. "developers"):format(e.tenant),
        }
    end
end

return triage_inside
