-- The faults of Meltano's service: systemd does not take its unit, cannot start it, or it ended; or it runs and does
-- not answer as it should. What its last words mean is in triage_reasons. Pure: each rule takes what was seen
-- (triage_verdict.of says what that is) and returns a triage.Finding, or nothing.
local python_traceback = require "python_traceback"
local systemd = require "systemd"
local systemd_exit = require "systemd_exit"
local triage_reasons = require "triage_reasons"
local triage_unit = {}

local LOG_LINES = 8

local function serves(e)
    return e.inside ~= nil and e.inside.serves
end

local function is_down(e)
    return e.meltano ~= nil and e.meltano.active ~= "active"
end

local function answers(e)
    return e.database ~= nil and e.database.reachable == true
end

--- How the service is, in one line.
---@return string
function triage_unit.line(e)
    if not e.meltano then
        return "meltano.service could not be seen"
    end
    return ("meltano.service is %s"):format(systemd.describe(e.meltano))
end

--- What keeps the service from what its user may do, in one line; nil where nothing does.
---@return string?
function triage_unit.confinement(e)
    local confined = e.meltano and e.meltano.confined or {}
    return #confined > 0 and "it is confined: " .. table.concat(confined, ", ") or nil
end

-- The last lines of a journal but for the requests that were served: those say nothing of what went wrong.
local function last_lines(text, count)
    local lines = {}
    for line in (text or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = not line:find '"%u+ %S+ HTTP/[%d.]+" [23]%d%d' and line or nil
    end
    return { unpack(lines, math.max(1, #lines - count + 1)) }
end

-- What there is to show of a service: how it is, what changes its unit file, and its last lines.
local function proof_of(e, count)
    local proof = { triage_unit.line(e) }
    local drop_ins = e.meltano.drop_ins or {}
    if #drop_ins > 0 then
        proof[2] = "its unit file is changed by " .. table.concat(drop_ins, ", ")
    end
    proof[#proof + 1] = triage_unit.confinement(e)
    for _, line in ipairs(last_lines(e.journal, count)) do
        proof[#proof + 1] = line
    end
    return proof
end

local function fill(text, e)
    return text and (text:gsub("{(%l+)}", { tenant = e.tenant, name = e.name }))
end

-- A finding from what some last words mean.
local function finding_of(e, reason, line, proof)
    table.insert(proof, 1, "it says: " .. line)
    return {
        cause = reason.cause, says = reason.says, breaks = true, symptom = true, proof = proof, mend = reason.mend,
        by_hand = fill(reason.by_hand, e),
    }
end

-- ---- its unit ----

local NOT_LOADED = {
    ["not-found"] = {
        cause = "service-missing", says = "the host has no meltano.service",
        by_hand = "was this host made from an instance image? Bring /etc/systemd/system/meltano.service back from "
            .. "another instance; then: systemctl daemon-reload; systemctl enable --now meltano",
    },
    masked = {
        cause = "service-masked", says = "meltano.service is masked: somebody has forbidden that it is started",
        by_hand = "if nobody knows why any more: systemctl unmask meltano, and where its file in /etc/systemd/system "
            .. "has made room for that, bring it back from another instance; then: hostler run restart {tenant}",
    },
}
local WRONG_FILE = {
    cause = "service-file-wrong", says = "systemd does not take the unit file of Meltano",
    by_hand = "`systemd-analyze verify meltano.service` names the line: mend it; then: systemctl daemon-reload; "
        .. "hostler run restart {tenant}",
}

--- systemd has no unit that it could start.
---@return triage.Finding?
function triage_unit.is_not_loaded(e)
    local load = e.meltano and e.meltano.load
    if not load or load == "loaded" then
        return nil
    end
    local row = NOT_LOADED[load] or WRONG_FILE
    local proof = proof_of(e, load == "not-found" and 0 or LOG_LINES)
    if e.meltano.load_error then
        table.insert(proof, 2, "systemd says: " .. e.meltano.load_error)
    end
    return { cause = row.cause, says = row.says, breaks = not serves(e), proof = proof, by_hand = fill(row.by_hand, e) }
end

-- By the name of an exit status of systemd's: what a person does where more is known than which settings to look at.
local START_ADVICE = {
    CHDIR = "`namei -l /var/meltano/project` shows where the way ends: make, chown or chmod that",
    EXEC = "`head -n 1` and `namei -l` of the program that is named show what is missing: the file, its x, or the "
        .. "interpreter of its first line",
    USER = "make the user again (useradd --system --home-dir /var/meltano meltano), or mend User= in the unit",
    GROUP = "make the group again (groupadd --system meltano), or mend Group= in the unit",
    NAMESPACE = "one of the paths that `systemctl cat meltano` names for its file system is not there: make it, or "
        .. "put a - before it",
    SECCOMP = "mend SystemCallFilter= in the unit",
}

--- What systemd itself could not do when it last started a unit.
---@param status systemd.Status
---@return systemd_exit.Meaning?
function triage_unit.start_failure(status)
    local failed = systemd.failed_command(status)
    local ended = failed and failed.exit or status.exit
    return ended and ended.kind == "exited" and systemd_exit.of(ended.status) or nil
end

--- systemd cannot even start the program: exit statuses 200 to 243.
---@return triage.Finding?
function triage_unit.cannot_be_started(e)
    local meaning = is_down(e) and triage_unit.start_failure(e.meltano)
    if not meaning then
        return nil
    end
    local advice = START_ADVICE[meaning.name] or meaning.settings
        and ("`systemctl cat meltano`: look at %s"):format(meaning.settings) or "`systemctl cat meltano` shows the unit"
    return {
        cause = "start-" .. meaning.name:lower():gsub("_", "-"), breaks = true, symptom = true,
        says = ("systemd could not %s of Meltano's service, and so not start it"):format(meaning.failed_to),
        proof = proof_of(e, LOG_LINES),
        by_hand = ("%s; then: hostler run restart %s"):format(advice, e.tenant),
    }
end

-- ---- it ended ----

local function ended_badly(status)
    local failed = systemd.failed_command(status)
    local ended = failed and failed.exit or status.exit
    return ended ~= nil and ended.kind == "exited" and ended.status ~= 0
end

--- It ended by itself, and its last words are known ones.
---@return triage.Finding?
function triage_unit.ended_for_a_reason(e)
    if is_down(e) and ended_badly(e.meltano) then
        local reason, line = triage_reasons.of(e.words or {}, answers(e))
        return reason and finding_of(e, reason, line, proof_of(e, LOG_LINES)) or nil
    end
end

-- How a service that does not run came to that, by what tells it: the first that fits. `mend`: a restart can help.
local ENDINGS = {
    {
        fits = function(status) return status.active == "activating" and status.sub ~= "auto-restart" end,
        cause = "service-starting", says = "Meltano is being started: look again in a minute",
    },
    {
        fits = function(status) return status.active == "deactivating" end,
        cause = "service-stopping", says = "Meltano is being stopped: look again in a minute",
    },
    {
        fits = function(status) return status.result == "timeout" end,
        cause = "start-timeout", says = "Meltano did not start, or not stop, in the time that systemd gives it",
        by_hand = "the lines above tell how far it came: it may wait for the database or for a lock in it",
    },
    {
        fits = function(status) return status.result == "resources" end,
        cause = "start-resources", says = "systemd could not prepare the start of Meltano",
        by_hand = "the lines above name what is missing, mostly a file of EnvironmentFile= (`systemctl cat meltano`); "
            .. "then: hostler run restart {tenant}",
    },
    {
        fits = function(_, e) return table.concat(last_lines(e.journal, 2)):find "Dependency failed for" ~= nil end,
        cause = "dependency-failed", says = "a unit that Meltano's unit needs has failed, so it was not started",
        by_hand = "`systemctl list-dependencies meltano` shows which: mend that; then: hostler run restart {tenant}",
    },
    {
        fits = function(status) return status.condition_met == false end,
        cause = "condition-not-met", says = "a condition of its unit keeps Meltano from being started",
        by_hand = "`systemctl cat meltano`: the lines with Condition and Assert say what there has to be; then: "
            .. "hostler run restart {tenant}",
    },
    {
        fits = function(status) return status.exit and status.exit.kind ~= "exited" and status.exit.status == 31 end,
        cause = "forbidden-system-call", says = "Meltano was killed for a system call that its unit forbids",
        by_hand = "`systemctl cat meltano`: SystemCallFilter= is too narrow; then: hostler run restart {tenant}",
    },
    {
        fits = function(status) return status.exit and status.exit.kind ~= "exited" and status.exit.status == 4 end,
        cause = "crashed", says = "Meltano crashed: it was built for another processor",
        by_hand = "install the virtualenv's packages anew on this host",
    },
    {
        fits = function(status)
            local crash = { [5] = true, [6] = true, [7] = true, [8] = true, [11] = true }
            return status.exit and status.exit.kind ~= "exited" and crash[status.exit.status]
        end,
        cause = "crashed", says = "Meltano crashed, in a library that is not written in Python", mend = { "restart" },
        by_hand = "if it happens again, install the virtualenv's packages anew (psycopg2 first)",
    },
    {
        fits = ended_badly, cause = "service-failed", says = "Meltano ended by itself, and why is not known here",
        by_hand = "the lines above are its last words; `journalctl -u meltano` has more. A restart helps only where "
            .. "what they tell of is over: hostler run restart {tenant}",
    },
    { fits = function() return true end, cause = "service-down", says = "Meltano does not run", mend = { "restart" } },
}

--- The service does not run.
---@return triage.Finding?
function triage_unit.is_down(e)
    if not is_down(e) then
        return nil
    end
    local status, proof = e.meltano, proof_of(e, LOG_LINES)
    if status.exit and status.exit.kind ~= "exited" then
        table.insert(proof, 2, ("the signal is %s"):format(systemd_exit.signal(status.exit.status)))
        if status.exit.status == 9 and e.surroundings and e.surroundings.container then
            table.insert(proof, 3, ("a person sent it, or the kernel for want of memory: the host is a container (%s), "
                .. "which cannot tell"):format(e.surroundings.container))
        end
    end
    for _, row in ipairs(ENDINGS) do
        if row.fits(status, e) then
            return {
                cause = row.cause, says = row.says, breaks = true, symptom = true, proof = proof, mend = row.mend,
                by_hand = fill(row.by_hand, e),
            }
        end
    end
end

-- ---- it runs ----

-- The last words of a service that runs: only the latest, for older ones may tell of what is long over.
local function latest_words(e)
    local words = e.words or {}
    return { unpack(words, math.max(1, #words - 20 + 1)) }
end

--- It runs, and does not answer.
---@return triage.Finding?
function triage_unit.is_hanging(e)
    if not e.inside or not e.inside.error or is_down(e) then
        return nil
    end
    local proof = { "from inside: " .. tostring(e.inside.message), triage_unit.line(e) }
    if e.process then
        proof[#proof + 1] = "its main process is " .. e.process
    end
    local reason, line = triage_reasons.of(latest_words(e), answers(e))
    if reason then
        return finding_of(e, reason, line, proof)
    end
    local hangs = e.inside.error == "timeout"
    return {
        cause = hangs and "hanging" or "not-answering", breaks = true, symptom = true, proof = proof,
        mend = { "restart" },
        says = hangs and "Meltano runs but does not answer: it hangs"
            or "Meltano runs but does not answer as a web server",
    }
end

-- What a page that failed has said: the log's last traceback, else that of the journal.
local function failure_of(e)
    return e.traceback or python_traceback.last(table.concat(e.words or {}, "\n"))
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    return lines
end

--- It answers with a 500 of its own.
---@return triage.Finding?
function triage_unit.is_failing(e)
    if not e.inside or not e.inside.status or e.inside.status < 500 then
        return nil
    end
    local proof = { ("from inside: GET / answers %d"):format(e.inside.status) }
    local traceback = failure_of(e)
    if traceback then
        proof[#proof + 1] = "the last error in meltano-ui.log: " .. (traceback.exception or "?")
        proof[#proof + 1] = traceback.file and ("raised in %s, line %s"):format(traceback.file,
            tostring(traceback.line)) or nil
        local reason, line = triage_reasons.of(lines_of(traceback.text), answers(e))
        if reason then
            return finding_of(e, reason, line, proof)
        end
    end
    return {
        cause = "application", says = "Meltano itself fails, and nothing around it is wrong", breaks = true,
        symptom = true, proof = proof,
        by_hand = ("read the traceback; an upgrade may help (hostler run upgrade %s), else report it to Meltano's "
            .. "developers"):format(e.tenant),
    }
end

-- ---- what will break it later ----

--- What systemd knows of its unit is not what the files say now, or the next boot will not start it.
---@return triage.Finding?
function triage_unit.is_set_up_oddly(e)
    local status = e.meltano
    if not status or status.load ~= "loaded" then
        return nil
    elseif status.needs_daemon_reload then
        return {
            cause = "unit-not-reloaded", says = "the unit file was changed, and systemd has not read it again",
            breaks = false, proof = { "meltano.service: systemd says that it needs a daemon-reload" },
            by_hand = ("systemctl daemon-reload; then: hostler run restart %s"):format(e.tenant),
        }
    elseif status.enabled == "disabled" then
        return {
            cause = "unit-disabled", says = "meltano.service is not enabled: the next boot will not start it",
            breaks = false, proof = { triage_unit.line(e) .. ", and disabled" }, by_hand = "systemctl enable meltano",
        }
    end
end

return triage_unit
