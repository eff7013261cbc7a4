-- Which run of the queue a process takes, and how a run comes back to the queue.
local _, import = ...
local claims = {}

local current, sealing, store = import "journal/current", import "journal/sealing", import "journal/store"
local process, sources = import "base/process", import "journal/sources"

-- SQL: when a run may begin again that has ended its process. Each time it waits longer: it may do so again.
local AFTER_A_CRASH = "%s + CASE WHEN attempt > 240 THEN 60 ELSE attempt * 0.25 END"

-- A run that has ended so many processes in a row, with no step finished meanwhile, would go on doing so.
local MOST_CRASHES = 5

-- SQL: what such a run has failed with. %s: how its last process has ended, and a newline.
local CRASHED = [['error: its process has ended amid the run ' || (crashes + 1) || ' times in a row, and no step was '
    || 'finished meanwhile; the last time' || %s || coalesce(' at step ''' || (SELECT path FROM steps
        WHERE steps.run = runs.id AND status = 'running' ORDER BY started DESC LIMIT 1) || '''', ' before a step')
    || %s || '  hint      see what ends it, such as a lack of memory (journalctl -k), then: hostler resume ' || id]]

--- SQL: what becomes of a run whose process has ended amid it: it goes back to the queue, or has failed.
---@param how string SQL: how the process has ended, as words that follow others
---@param queued? string SQL: from when on it may begin again, unless it is as before
local function after_crash(how, queued)
    local most = ("crashes + 1 >= %d"):format(MOST_CRASHES)
    return ([[holder = NULL, lease = NULL, attempt = attempt + 1, crashes = crashes + 1, %s
        status = CASE WHEN %s THEN 'failed' ELSE 'queued' END,
        error = CASE WHEN %s THEN %s ELSE error END]]):format(queued and "queued = " .. queued .. "," or "", most, most,
        CRASHED:format(how, store.is_shared() and "chr(10)" or "char(10)"))
end

--- Gives runs of the queue back to it whose worker is gone, as its lease or its process tells.
---@return table[] statements to be written before a claim
local function revivals()
    if store.is_shared() then
        return { store.statement(([[UPDATE runs SET %s
            WHERE id IN (SELECT id FROM runs WHERE status = 'running' AND queued IS NOT NULL
                AND (holder IS NULL OR %s) FOR UPDATE SKIP LOCKED)]]):format(after_crash "''",
            store.expired_sql())) }
    end
    local statements = {}
    for _, row in ipairs(store.open().read [[SELECT id, attempt, holder FROM runs
            WHERE status = 'running' AND queued IS NOT NULL]]) do
        if not row.holder or store.has_ended(row.holder) then
            statements[#statements + 1] = store.statement(([[UPDATE runs SET %s
                WHERE id = $1 AND attempt = $2 AND status = 'running']]):format(
                after_crash("''", AFTER_A_CRASH:format "$3")), row.id, row.attempt, store.now())
        end
    end
    return statements
end

-- In a shared store two who claim at once do not see each other's choice. Where a playbook's runs are limited, that
-- would be one too many: those claims are made one after the other.
local CLAIMS_LOCK = "SELECT pg_advisory_xact_lock(5216694956355245935)" -- any number that other programs do not use

-- SQL: of runs that go one after the other (run/turn.lua) two that are claimed at once would each refuse to begin
-- before the other.
local IN_TURN = [[(turn IS NULL OR NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.turn = next.turn
    AND other.id <> next.id AND other.queued IS NOT NULL AND (other.status = 'running'
        OR (other.status = 'queued' AND other.number < next.number))))]]

--- What claims the run whose turn it is: of the highest priority the one that was ordered first.
---@param only string SQL: a condition without which nothing is claimed
---@return table statement
local function claim(only)
    local shared = store.is_shared()
    return store.statement(([[UPDATE runs SET status = 'running', holder = $1, attempt = attempt + 1, batch = 0,
            lease = %s, updated = %s, error = NULL
        WHERE id = (SELECT id FROM runs AS next WHERE status = 'queued' AND queued <= %s
            AND (at_most IS NULL OR at_most > (SELECT count(*) FROM runs AS other
                WHERE other.status = 'running' AND other.queued IS NOT NULL AND other.playbook = next.playbook))
            AND %s
            ORDER BY priority DESC, number, id LIMIT 1 %s) AND %s AND NOT EXISTS (SELECT 1 FROM runs AS mine
                WHERE mine.status = 'running' AND mine.queued IS NOT NULL AND mine.holder = $1)]]):format(
        store.lease_sql(), store.now_sql "$2", store.now_sql "$2", IN_TURN,
        shared and "FOR UPDATE SKIP LOCKED" or "", only), process.me(), store.now())
end

--- The run that was claimed, with its texts: of a claim that was made twice, since a connection was lost, as well.
---@param statements table[] the last claims
---@return table? row
local function claimed(statements)
    statements[#statements + 1] = store.statement(([[SELECT runs.id, attempt, crashes, playbook, file, directory,
            arguments, status, cancel, at_most, turn, %s
        FROM runs %s WHERE status = 'running' AND queued IS NOT NULL AND holder = $1]]):format(sources.COLUMNS,
        sources.JOINED), process.me())
    local rows = store.open().transaction(statements)
    if rows[1] then
        rows[1].sources = sources.from(rows)
    end
    return rows[1]
end

--- Claims the run of the queue whose turn it is, for this process. For runs.take_up (journal/runs.lua).
---@return table? row
function claims.next()
    sealing.prepare()
    local statements = revivals()
    statements[#statements + 1] = claim(store.is_shared() and "at_most IS NULL" or "1 = 1")
    local row = claimed(statements)
    if not row and store.is_shared() then
        row = claimed { store.statement(CLAIMS_LOCK), claim "1 = 1" }
    end
    return row
end

--- In how many seconds the next run of the queue is due that is not yet, or the lease of one ends; nil: there is none.
---@return number?
function claims.due_in()
    local now = store.now_sql "$1"
    local due = store.open().read(([[SELECT min(CASE WHEN status = 'queued' THEN queued ELSE lease END) - %s AS due
        FROM runs WHERE queued IS NOT NULL
            AND ((status = 'queued' AND queued > %s) OR (status = 'running' AND lease > %s))]]):format(now, now, now),
        store.now())[1].due
    return due and math.max(due, 0)
end

--- Gives a run of the queue back to it whose process has ended in this attempt, whatever its lease says; one that has
--- done so too often has failed.
---@param signal integer what ended the process, 0 when it has ended by itself
---@return "queued"|"failed"|nil status nil when the process had given it back, or ended it, or had lost it
function claims.give_back(id, attempt, signal)
    local row = store.open().write(([[UPDATE runs SET %s
        WHERE id = $1 AND attempt = $2 AND status = 'running' AND queued IS NOT NULL RETURNING status]]):format(
        after_crash("CAST($4 AS TEXT)", AFTER_A_CRASH:format(store.now_sql "$3"))), id, attempt, store.now(),
        signal ~= 0 and " by signal " .. signal or "")[1]
    return row and row.status
end

--- Has a run of the queue wait there for so many seconds when it goes back to it.
function claims.postpone(seconds)
    store.open().later(("UPDATE runs SET queued = %s + $2 WHERE id = $3"):format(store.now_sql "$1"), store.now(),
        seconds, current.run)
end

return claims
