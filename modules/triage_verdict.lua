-- From what was seen of an instance to what is wrong with it and what mends that. Pure: it reaches no host.
--
-- Each rule knows one fault. They stand in the order of causes: a full disk breaks the service, and that breaks what
-- the outside sees. The first that breaks the instance is the verdict; what may only follow from it is not told apart.
local meltano = require "meltano"
local systemd = require "systemd"
local triage_verdict = {}

local FULL, NEARLY_FULL = 0.98, 0.9 -- parts of a disk
local SAME_MOMENT = 5               -- seconds between a kernel's kill and the end of the service
local SIGKILL = 9
local LOG_LINES = 8

---@class triage.Finding
---@field cause string a stable word: "disk-full", "database-password" ...
---@field says string one sentence
---@field proof string[] lines
---@field breaks boolean whether it keeps the instance from serving, rather than being odd
---@field symptom? boolean whether it may only follow from a fault that stands before it
---@field mend? string[] playbook and arguments
---@field by_hand? string what to do where no playbook does it

local function megabytes(bytes)
    return bytes >= 2 ^ 30 and ("%.1f GB"):format(bytes / 2 ^ 30) or ("%.0f MB"):format(bytes / 2 ^ 20)
end

local function serves_inside(e)
    return e.inside ~= nil and e.inside.serves
end

local function last_lines(text, count)
    local lines = {}
    for line in (text or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = line
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

-- ---- reaching it ----

local function is_off(e)
    if e.droplet and e.droplet.status ~= "active" then
        return {
            cause = "droplet-off", says = "the droplet is " .. e.droplet.status, breaks = true,
            proof = { ("DigitalOcean says that %s is %s"):format(e.name, e.droplet.status) },
            by_hand = "power it on in DigitalOcean's page of the droplet",
        }
    end
end

local function is_another_host(e)
    local err = e.ssh_error
    if err and (err.code == "ssh.host_key_changed" or err.code == "ssh.host_key_unknown") then
        local changed = err.code == "ssh.host_key_changed"
        return {
            cause = changed and "host-key-changed" or "host-key-unknown", breaks = changed, proof = { err.message },
            says = changed and "the host does not show the key that it is known by, so nothing inside it was looked at"
                or "the host's key is not known here, so nothing inside it was looked at",
            mend = { "trust-host" },
        }
    end
end

local function is_unreachable(e)
    if e.ssh_error then
        return {
            cause = "unreachable", says = "the host cannot be reached by SSH", breaks = true,
            proof = { e.ssh_error.message },
            by_hand = "look at the droplet's console in DigitalOcean; if it hangs, power-cycle it there",
        }
    end
end

-- ---- the machine ----

local function is_full(e)
    for _, disk in ipairs(e.disks or {}) do
        local part = math.max(disk.used, disk.inodes_used or 0)
        if part >= NEARLY_FULL then
            local inodes = (disk.inodes_used or 0) > disk.used
            return {
                cause = "disk-full", breaks = part >= FULL,
                says = ("the disk of %s is %s"):format(disk.place, part >= FULL and "full" or "nearly full"),
                proof = { inodes and ("%s: %.0f%% of the inodes are used"):format(disk.place, disk.inodes_used * 100)
                    or ("%s: %.0f%% used, %s of %s free"):format(disk.place, disk.used * 100, megabytes(disk.free),
                        megabytes(disk.size)) },
                mend = { "free-disk" },
            }
        end
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

local function is_out_of_memory(e)
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
    return {
        cause = "out-of-memory", says = "Meltano ran out of memory", breaks = true, proof = proof, mend = { "restart" },
        by_hand = "if it happens again, give the droplet a larger size in DigitalOcean",
    }
end

-- ---- its files ----

local function has_wrong_owners(e)
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

local function lacks_settings(e)
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

local function has_open_settings(e)
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

local function has_broken_flags(e)
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

local function trusts(e)
    if not e.trusted or not e.droplet then
        return nil
    end
    for _, address in ipairs(e.trusted) do
        if address == e.droplet.public_address or address == e.droplet.private_address then
            return true
        end
    end
    return #e.trusted == 0
end

local function is_refused_by_database(e)
    local answer = e.database
    if not answer or answer.reachable or (answer.error or ""):find "^[%w_]+ is not set$" then
        return nil
    end
    local said = (answer.error or "no reason given"):gsub("\n.*", "")
    local finding = { breaks = true, proof = { "a connection with the instance's own settings: " .. said } }
    if e.trusted then
        finding.proof[2] = ("the cluster %s (%s) trusts %s; the droplet has %s and %s"):format(e.cluster.name,
            e.cluster.status or "?", #e.trusted > 0 and table.concat(e.trusted, ", ") or "everybody",
            tostring(e.droplet.public_address), tostring(e.droplet.private_address))
    end
    if said:find "password authentication failed" then
        finding.cause, finding.says = "database-password", "the database refuses the instance's password"
        finding.mend = { "configure-meltano" }
    elseif trusts(e) == false then
        finding.cause = "database-untrusted"
        finding.says = "the database refuses the instance: its address is not among the trusted sources"
        finding.mend = { "configure-meltano" }
    elseif e.cluster == nil and e.clusters_seen then
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

local function is_down(e)
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
        by_hand = status.load == "not-found" and "was this host made from an instance image?" or nil,
    }
end

local function is_hanging(e)
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

local function is_failing(e)
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
            symptom = true, proof = proof, mend = { "upgrade" },
            by_hand = "if an upgrade does not help: report the traceback to Meltano's developers",
        }
    end
end

-- ---- what the outside sees ----

local CADDY_SAYS = {
    ["not-running"] = "Caddy does not run",
    ["bad-caddyfile"] = "the Caddyfile is not valid",
    ["rate-limited"] = "the certificate authority's limit was reached, so there is no certificate",
    ["port-taken"] = "another program has Caddy's port",
    ["dns"] = "the name does not lead to this host, so there is no certificate",
    ["port-closed"] = "the certificate authority does not get through to the host",
    ["authority-unreachable"] = "the host does not reach the certificate authority",
    ["expired"] = "the certificate has expired",
    ["unknown"] = "there is no good certificate",
}

local function has_expired(certificate, e)
    return certificate and certificate.not_after and certificate.not_after <= e.at
end

local function date_of(seconds)
    return os.date("!%Y-%m-%d %H:%M UTC", seconds)
end

local function is_behind_caddy(e)
    local found = e.caddy
    local certificate = e.certificate or found and found.certificate
    local proof = {}
    for index = 1, math.min(found and #(found.evidence or {}) or 0, 5) do
        proof[index] = found.evidence[index]
    end
    if found and found.status and found.status.active ~= "active" then
        table.insert(proof, 1, "caddy.service is " .. systemd.describe(found.status))
        local says = found.verdict ~= "not-running" and CADDY_SAYS[found.verdict]
        return {
            cause = "caddy-down", says = CADDY_SAYS["not-running"] .. (says and ": " .. says or ""), breaks = true,
            proof = proof, mend = { "caddy-tls" },
        }
    elseif has_expired(certificate, e) then
        proof[#proof + 1] = ("the certificate was good until %s, issued by %s"):format(date_of(certificate.not_after),
            certificate.issuer)
        return {
            cause = "certificate-expired", says = CADDY_SAYS.expired, breaks = true, proof = proof,
            mend = { "caddy-tls" },
        }
    elseif found and CADDY_SAYS[found.verdict] then
        proof[#proof + 1] = e.certificate and e.certificate.problem or nil
        return {
            cause = "caddy-" .. found.verdict, says = CADDY_SAYS[found.verdict], proof = proof, breaks = true,
            mend = { "caddy-tls" },
        }
    elseif certificate and (certificate.self_signed or certificate.verified == false) then
        proof[#proof + 1] = certificate.problem or "issued by " .. certificate.issuer
        return {
            cause = "certificate-untrusted", says = "browsers do not trust the certificate", proof = proof,
            breaks = false, mend = { "caddy-tls", "--acme" },
        }
    end
end

local function is_named_wrongly(e)
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

local function is_closed(e)
    if serves_inside(e) and e.outside and not e.outside.serves then
        return {
            cause = "outside", says = "Meltano serves, but from outside it cannot be used", breaks = true,
            symptom = true, proof = { "from outside: " .. e.outside.says }, mend = { "caddy-tls" },
        }
    end
end

local RULES = {
    is_off, is_another_host, is_unreachable, is_full, is_out_of_memory, has_wrong_owners, lacks_settings,
    is_refused_by_database, is_down, is_hanging, is_failing, has_broken_flags, is_behind_caddy, is_named_wrongly,
    is_closed, has_open_settings,
}

-- "hostler run PLAYBOOK TENANT OPTION ..."
local function command_of(mend, tenant)
    local words = { "hostler run", mend[1], tenant, unpack(mend, 2) }
    return table.concat(words, " ")
end

local function find_all(e)
    local found = {}
    for _, rule in ipairs(RULES) do
        local finding = rule(e)
        if finding then
            finding.mend = finding.mend and command_of(finding.mend, e.tenant)
            found[#found + 1] = finding
        end
    end
    return found
end

-- The first that breaks the instance, and the rest without what may only follow from it.
local function divide(found)
    local verdict, others = nil, {}
    for _, finding in ipairs(found) do
        if finding.breaks and not verdict then
            verdict = finding
        elseif not (verdict and finding.symptom) then
            others[#others + 1] = finding
        end
    end
    return verdict, others
end

--- What is wrong with an instance.
---@param e table evidence: tenant, name, url, at (seconds since 1970), droplet, record, addresses, outside { serves,
---  says, status }, certificate (http.probe_tls), ssh_error, cluster, trusted, clusters_seen, and what triage.examine
---  found; what was not seen is nil
---@return triage.Finding verdict its cause is "healthy" when nothing is wrong, "unknown" when it does not serve and no
---  rule knows why
---@return triage.Finding[] others what else was noticed
function triage_verdict.of(e)
    local verdict, others = divide(find_all(e))
    if verdict then
        return verdict, others
    end
    if e.outside and e.outside.serves then
        return { cause = "healthy", says = "the instance serves, and nothing that was looked at keeps it from it",
            proof = { "from outside: " .. e.outside.says } }, others
    end
    return {
        cause = "unknown", says = "the instance does not serve, and none of the known faults is the reason",
        proof = { e.outside and "from outside: " .. e.outside.says or "it was not seen from outside" },
        by_hand = "read the journal and the log",
    }, others
end

triage_verdict.megabytes, triage_verdict.date_of = megabytes, date_of
return triage_verdict
