-- Deliveries as they are recorded. What was sent is sealed: it holds what people have told of themselves.
local native, import = ...
local deliveries = {}

local current, recorded = import "journal/current", import "journal/recorded"
local errand, runs = import "inbox/errand", import "journal/runs"
local sealing, store = import "journal/sealing", import "journal/store"
local refuse = import "base/misuse".refuse
local json, system = native.json.face, native.system

local ID_LENGTH, LONGEST_REASON = 8, 2000
local FLUSH_SECONDS = 1

local COLUMNS = [[inbox.id AS id, inbox.number AS number, inbox.webhook AS webhook, inbox.key AS key,
    inbox.received AS received, inbox.remote AS remote, inbox.outcome AS outcome, inbox.reason AS reason,
    inbox.playbook AS playbook, inbox.run AS run, runs.status AS status, runs.holder AS holder, runs.error AS error,
    (SELECT error FROM steps WHERE run = inbox.run AND status = 'failed' ORDER BY position DESC LIMIT 1)
        AS step_error, ]]

local function from()
    return COLUMNS .. store.leased_sql() .. " FROM inbox LEFT JOIN runs ON runs.id = inbox.run "
end

-- How a delivery stands, by its run.
local BY_RUN = { queued = "new", running = "running", stopped = "running", done = "done", parked = "waiting",
    failed = "failed", cancelled = "failed", undone = "failed" }

-- With these codes a step says that nothing is wrong but what was asked for: the name is somebody else's.
local NOT_TO_BE_USED = { refused = true, taken = true }

local function is_refusal(row)
    return row.status == "failed" and row.step_error ~= nil
        and NOT_TO_BE_USED[json.decode(row.step_error).code] ~= nil
end

--- How a delivery stands.
---@return "new"|"running"|"waiting"|"done"|"refused"|"failed"
function deliveries.status(row)
    if not row.run or is_refusal(row) then
        return "refused"
    end
    return BY_RUN[recorded.status(row)]
end

--- Why it was refused, or its run has failed.
---@return string?
function deliveries.reason(row)
    local stands = deliveries.status(row)
    local reason = stands == "refused" and not row.run and row.reason
        or (stands == "refused" or stands == "failed") and row.error or nil
    return reason and reason:match "^[^\n]*":gsub("^error: ", "") or nil
end

-- ---- recording ----

-- A new delivery, unless there is one with its key. %s is the time.
local INSERT = [[INSERT INTO inbox (id, webhook, scope, key, received, remote, head, body, outcome, reason, playbook,
        run, number)
    VALUES ($1, $2, $3, $4, %s, $6, $7, $8, $9, $10, $11, $12, (SELECT coalesce(max(number), 0) + 1 FROM inbox))
    ON CONFLICT DO NOTHING]]

local function head_of(delivery)
    local headers = {}
    for name, value in pairs(delivery.headers) do
        headers[name] = type(value) == "string" and system.is_utf8(value) and value or "(not text)"
    end
    return sealing.seal(json.encode { method = delivery.method, path = delivery.path, headers = headers })
end

--- Gives `perform` the statement and its parameters.
---@param perform fun(sql: string, ...): any
local function insert(perform, id, hook, delivery, fields)
    return perform(INSERT:format(store.now_sql "$5"), id, hook.name, hook.scope, fields.key, store.now(),
        current.shown(delivery.remote), head_of(delivery), sealing.seal(delivery.body), fields.outcome,
        fields.reason and current.shown(fields.reason):sub(1, LONGEST_REASON), fields.playbook, fields.run)
end

local function by_key()
    return "SELECT " .. from() .. "WHERE inbox.scope = $1 AND inbox.key = $2"
end

--- What is recorded under a key.
---@param scope string
---@param key string
---@return table? row
---@raise "journal"
function deliveries.find_key(scope, key)
    return store.open().read(by_key(), scope, key)[1]
end

--- Records a delivery and puts its run into the queue, in one transaction. Of two at once with one key, one is
--- recorded, and the run of the other goes as it came.
---@param hook { name: string, scope: string }
---@param delivery Delivery
---@param key string
---@param ready inbox.Errand
---@return table? row what is recorded under the key; nil when its number was another one's
---@return boolean? is_new whether that is this delivery
---@raise "journal", "key"
function deliveries.accept(hook, delivery, key, ready)
    sealing.prepare()
    local id = runs.random_id(ID_LENGTH)
    local row = errand.enqueue(ready, function(run)
        local fields = { key = key, outcome = "accepted", playbook = ready.playbook, run = run }
        return {
            insert(store.statement, id, hook, delivery, fields),
            store.statement("DELETE FROM runs WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM inbox WHERE run = $1)", run),
            store.statement(by_key(), hook.scope, key),
        }
    end)
    return row, row and row.id == id
end

--- Records a delivery that cannot be used.
---@param hook { name: string, scope: string }
---@param delivery Delivery
---@param key string
---@param reason string
---@param playbook? string the one that it was for
---@return table? row, boolean? is_new as of accept
---@raise "journal", "key"
function deliveries.refuse(hook, delivery, key, reason, playbook)
    sealing.prepare()
    local id = runs.random_id(ID_LENGTH)
    insert(store.open().write, id, hook, delivery,
        { key = key, outcome = "refused", reason = reason, playbook = playbook })
    local row = deliveries.find_key(hook.scope, key)
    return row, row and row.id == id
end

--- Puts another run of a delivery into the queue.
---@param row table
---@param ready inbox.Errand
---@param key? string by which it is known from then on, unless another one is (its own)
---@return string run
---@raise "journal", "key"
function deliveries.run_again(row, ready, key)
    return errand.enqueue(ready, function(run)
        local set = "UPDATE inbox SET run = $1, playbook = $2 WHERE id = $3"
        local name = [[UPDATE inbox SET key = $1 WHERE id = $2 AND NOT EXISTS
            (SELECT 1 FROM inbox AS other WHERE other.scope = inbox.scope AND other.key = $1)]]
        return {
            store.statement(set, run, ready.playbook, row.id), store.statement(name, key or row.key, row.id),
            store.statement("SELECT run FROM inbox WHERE id = $1", row.id),
        }
    end).run
end

-- ---- looking ----

--- The delivery meant by an id, a beginning of one that no other id has, or "last".
---@param text string
---@return table row
---@raise "usage", "journal"
function deliveries.find(text)
    if text == "last" then
        return store.open().read("SELECT " .. from() .. "ORDER BY inbox.number DESC, inbox.id LIMIT 1")[1]
            or refuse "there is no delivery yet"
    end
    local rows = store.open().read("SELECT " .. from() .. "WHERE substr(inbox.id, 1, $2) = $1 LIMIT 2", text, #text)
    if #rows == 1 then
        return rows[1]
    end
    return refuse((#rows == 0 and "there is no delivery '%s'" or "'%s' may be any of several deliveries"):format(text),
        #rows == 0 and "`hostler inbox` lists them" or "give more of the id")
end

--- The next deliveries after one, newest first.
---@param filter { webhook?: string, since?: number }
---@param after { number: number, id: string }
---@param count integer
---@return table[]
function deliveries.page(filter, after, count)
    return store.open().read("SELECT " .. from() .. [[WHERE (inbox.number < $1 OR (inbox.number = $1 AND inbox.id > $2))
            AND ($3 = '' OR inbox.webhook = $3) AND ($4 < 0 OR inbox.received >= ]] .. store.now_sql "$5" .. [[ - $4)
        ORDER BY inbox.number DESC, inbox.id LIMIT $6]], after.number, after.id, filter.webhook or "",
        filter.since or -1, store.now(), count)
end

--- What was sent.
---@param row table
---@return Delivery without what a parser makes of the body
---@raise "key", "journal"
function deliveries.open(row)
    local kept = store.open().read("SELECT head, body FROM inbox WHERE id = $1", row.id)[1]
    local delivery = json.decode(sealing.unseal(kept.head))
    delivery.body, delivery.received, delivery.remote = sealing.unseal(kept.body), row.received, row.remote
    return delivery
end

--- The playbook that deliveries to a webhook have led to last.
---@param name string
---@return string?
function deliveries.usual_playbook(name)
    local row = store.open().read([[SELECT playbook FROM inbox WHERE webhook = $1 AND playbook IS NOT NULL
        ORDER BY number DESC LIMIT 1]], name)[1]
    return row and row.playbook
end

--- Forgets deliveries that came longer ago than this, but not those whose run is not over.
---@param seconds number
---@return integer count
function deliveries.prune(seconds)
    local gone = store.open().write("DELETE FROM inbox WHERE received < " .. store.now_sql "$1" .. [[ - $2
        AND (run IS NULL OR run IN (SELECT id FROM runs WHERE status IN ('done', 'failed', 'cancelled', 'undone')))
        RETURNING id]], store.now(), seconds)
    return #gone
end

-- ---- what was turned away ----

-- Counts that are not written yet, by webhook and reason: a flood of requests makes few writes.
local counts, written = {}, nil

local function count(name, reason, times)
    counts[name] = counts[name] or {}
    counts[name][reason] = (counts[name][reason] or 0) + times
end

--- Takes what was counted: { name, reason, times } each.
local function take_counts()
    local list = {}
    for name, reasons in pairs(counts) do
        for reason, times in pairs(reasons) do
            list[#list + 1] = { name, reason, times }
        end
    end
    counts, written = {}, system.monotonic()
    return list
end

--- Writes what was counted. What cannot be written is counted still.
---@param record function store.later or store.write
---@raise "journal"
local function flush(record)
    local list, problem = take_counts(), nil
    local day = os.date "!%Y-%m-%d"
    for _, one in ipairs(list) do
        local ok, err = pcall(record, [[INSERT INTO inbox_turned_away (webhook, day, reason, count)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (webhook, day, reason) DO UPDATE SET count = inbox_turned_away.count + excluded.count]],
            one[1], day, one[2], one[3])
        if not ok then
            problem = problem or err
            count(unpack(one))
        end
    end
    if problem then
        error(problem, 0)
    end
end

--- Writes what was counted, on disk when this returns.
---@raise "journal"
function deliveries.flush()
    flush(store.open().write)
end

--- Counts a request of which nothing else is kept. The counts are written every second, as far as requests come.
---@param name string the webhook's
---@param reason string a word
function deliveries.turn_away(name, reason)
    count(name, reason, 1)
    if not written or system.monotonic() - written >= FLUSH_SECONDS then
        pcall(function() flush(store.open().later) end)
    end
end

--- How many requests were turned away, newest day first.
---@param name? string only of this webhook
---@return { webhook: string, day: string, reason: string, count: integer }[]
function deliveries.turned_away(name)
    return store.open().read([[SELECT webhook, day, reason, count FROM inbox_turned_away
        WHERE $1 = '' OR webhook = $1 ORDER BY day DESC, webhook, reason LIMIT 100]], name or "")
end

return deliveries
