-- From what was seen of an instance to what is wrong with it and what mends that. Pure: it reaches no host.
local around = require "triage_around"
local database = require "triage_database"
local inside = require "triage_inside"
local outside = require "triage_outside"
local unit = require "triage_unit"
local triage_verdict = {}

---@class triage.Finding
---@field cause string a stable word: "disk-full", "database-password" ...
---@field says string one sentence
---@field proof string[] lines
---@field breaks boolean whether it keeps the instance from serving, rather than being odd
---@field symptom? boolean whether it may only follow from a fault that stands before it
---@field mend? string|string[] a rule's: playbook and options, the tenant comes between them; a verdict's: the command
---@field by_hand? string what to do where no playbook does it

-- In the order of causes: a full disk breaks the service, and that breaks what the outside sees. The first that breaks
-- the instance is the verdict; what may only follow from it is not told apart.
local RULES = {
    outside.is_off, outside.is_another_host, outside.is_not_known, outside.is_unreachable, around.is_not_up,
    unit.is_not_loaded, inside.is_full, inside.is_out_of_memory, around.is_read_only, around.has_foreign_port,
    around.lacks_user, inside.has_wrong_owners, around.has_blocked_way, around.has_broken_python, inside.lacks_settings,
    database.refuses, database.is_read_only, database.is_locked, database.has_stale_settings, around.lacks_localhost,
    around.has_own_network, around.listens_elsewhere, around.has_no_files_left, unit.cannot_be_started,
    unit.ended_for_a_reason, unit.is_down, unit.is_hanging, unit.is_failing, inside.has_broken_flags,
    outside.has_fault_in_front, outside.is_named_wrongly, outside.is_closed, inside.has_open_settings,
    around.has_wrong_clock, unit.is_set_up_oddly,
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

-- The first that breaks the instance, and the rest without what may only follow from it, or is said already.
local function divide(found)
    local verdict, others = nil, {}
    for _, finding in ipairs(found) do
        if finding.breaks and not verdict then
            verdict = finding
        elseif not (verdict and (finding.symptom or finding.cause == verdict.cause)) then
            others[#others + 1] = finding
        end
    end
    return verdict, others
end

--- What is wrong with an instance.
---@param e table evidence: tenant, name, url, at (seconds since 1970), droplet, record (an address), addresses, outside
---  { serves, says, status }, certificate (http.probe_tls), ssh_error, cluster, trusted (its rules), and what
---  triage.examine found; what was not seen is nil, and `unseen` says by name why
---@return triage.Finding verdict its cause is "healthy" when nothing is wrong, "unknown" when it does not serve and no
---  rule knows why; mend is the command to type
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

return triage_verdict
