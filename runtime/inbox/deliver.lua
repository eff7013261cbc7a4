-- What is answered to a request for a webhook: a function of the request and of what is recorded, for whatever serves
-- HTTP. What is answered with 2xx is on disk.
--
-- Senders read answers in their own way: Typeform never comes again after a 404 or 410, and after 503 every few minutes
-- for hours; others give up on what they take for the request's own fault. So 404 is only for paths that no file names;
-- what is wrong here is 503; and what is wrong with a genuine delivery is kept, and answered like one that can be used,
-- for it would come again as it was.
local native, import = ...
local deliver = {}

local body, decision, hooks = import "inbox/body", import "inbox/decision", import "inbox/hooks"
local deliveries, text = import "inbox/deliveries", import "base/text"
local json, scrub, system = native.json.face, native.secret.scrub, native.system

local FOLDER = "/hooks/"
local MOST_BYTES = 1024 * 1024
local RETRY_SECONDS = 60
local LONGEST_PATH = 100 -- of those that are told

-- Headers that are not kept whatever proves the origin: they let somebody in.
local NOT_KEPT = { authorization = true, ["proxy-authorization"] = true, cookie = true }

---@class inbox.Answer
---@field status integer
---@field headers table<string, string>
---@field body string JSON

local function nothing() end
local on_trouble, on_record, on_turning_away = nothing, nothing, nothing

--- Why a delivery is answered and not kept.
deliver.IGNORED = "its key is nil, so it is nothing for this webhook"

--- Has fn called with what hinders a delivery and its sender is not told: for the log of whatever serves.
---@param fn fun(message: string)
function deliver.when_troubled(fn)
    on_trouble = fn
end

--- Has fn called with each request that was turned away, or asked for a path of nobody: what is the same for all like
--- it, by which a flood of them can be told once, and a line about it.
---@param fn fun(kind: string, message: string)
function deliver.when_turned_away(fn)
    on_turning_away = fn
end

--- Has fn called with each delivery that has been recorded, by the row that deliveries.find_key gives.
---@param fn fun(row: table)
function deliver.when_recorded(fn)
    on_record = fn
end

--- The most bytes that a body may have.
deliver.MOST_BYTES = MOST_BYTES

local function answer(status, message, fields, headers)
    local all = { ["Content-Type"] = "application/json", ["Cache-Control"] = "no-store" }
    for name, value in pairs(headers or {}) do
        all[name] = value
    end
    local content = fields or {}
    content.message = message
    return { status = status, headers = all, body = json.encode(content) .. "\n" }
end

--- Not now: the sender comes again.
local function later(reason)
    on_trouble(scrub(reason))
    return answer(503, "not now: try again later", nil, { ["Retry-After"] = tostring(RETRY_SECONDS) })
end

--- Turns a request away of which nothing is kept but that there was one.
local function turn_away(hook, word, status, message, headers, reason)
    deliveries.turn_away(hook.name, word)
    on_turning_away(hook.name .. " " .. word, scrub(("a request to %s was answered with %d and is not kept: %s"):format(
        hook.name, status, reason or message)))
    return answer(status, message, nil, headers)
end

--- There is nothing at a path. A sender who was told a wrong one may never come again.
local function nobody(path)
    if path:sub(1, #FOLDER) == FOLDER then
        on_turning_away("nobody", scrub(("%s was asked for, to which no webhook answers: 404"):format(
            text.beginning(path, LONGEST_PATH))))
    end
    return answer(404, "there is nothing here")
end

--- What a delivery that is on record was answered, and is again.
local function of_row(row)
    local accepted = row.outcome == "accepted"
    local message = accepted and "accepted" or "received, and left to a person"
    return answer(accepted and 202 or 200, message, { delivery = row.id })
end

--- The webhook that a path leads to, or what is to be answered.
local function hook_at(path)
    local found, unclear = hooks.at(path:sub(1, #FOLDER) == FOLDER and path:sub(#FOLDER + 1) or "")
    local hook = found[1]
    if hook and found[2] then
        return nil, later(("%s and %s both answer to %s%s"):format(hook.file, found[2].file, FOLDER, hook.path))
    elseif not hook and unclear then
        return nil, later(("%s asked for, while %s"):format(path, unclear.problem))
    elseif not hook then
        return nil, nobody(path)
    elseif not hook.webhook or hook.gone_since then
        return nil, later(("the webhook %s is out of order: %s"):format(hook.name, hook.problem))
    elseif hook.webhook.from.lacks[1] then
        return nil, later(("the webhook %s waits for the secret %s, which is not set"):format(hook.name,
            hook.webhook.from.lacks[1]))
    end
    return hook
end

--- Whether a request may be looked into: else what is to be answered.
local function turned_away(hook, request)
    if request.method ~= "POST" then
        return turn_away(hook, "method", 405, "only POST is answered here", { Allow = "POST" })
    elseif request.too_large or #request.body > MOST_BYTES then
        return turn_away(hook, "size", 413, ("a body may have %d bytes"):format(MOST_BYTES))
    end
    local proof = hook.webhook.from
    local holds, reason, kind = proof:holds(request)
    if not holds then
        local headers = { ["WWW-Authenticate"] = proof.challenge }
        return turn_away(hook, "proof", kind == "missing" and 401 or 403, reason, headers)
    end
end

--- The delivery that a genuine request is; nil, reason and status when its body cannot be read.
---@param webhook Webhook
---@param request table
---@return Delivery?, string?, integer?
function deliver.delivery(webhook, request)
    local parts, reason, status = body.read(request.headers["content-type"], request.body)
    if not parts then
        return nil, reason, status
    end
    local headers = {}
    for name, value in pairs(request.headers) do
        if not NOT_KEPT[name] and not webhook.from.headers[name] then
            headers[name] = value
        end
    end
    parts.method, parts.path, parts.headers, parts.body = request.method, request.path, headers, request.body
    parts.remote, parts.received = request.remote, request.received or system.now()
    return parts
end

--- Records a delivery and what it leads to, unless that was done before.
local function record(hook, delivery)
    local webhook = hook.webhook
    local named = { name = hook.name, scope = webhook.group or hook.name }
    local key, reason = decision.key(webhook, delivery)
    if not key then
        return turn_away(hook, "ignored", 200, "this is nothing for us", nil, deliver.IGNORED)
    end
    local row = deliveries.find_key(named.scope, key)
    if row then
        return of_row(row)
    end
    local ready, playbook, is_new
    if not reason then
        ready, reason, playbook = decision.errand(webhook, delivery)
    end
    if ready then
        row, is_new = deliveries.accept(named, delivery, key, ready)
    else
        row, is_new = deliveries.refuse(named, delivery, key, reason, playbook)
    end
    if not row then
        return later "a delivery could not be recorded: its number was taken"
    end
    if is_new then
        on_record(row)
    end
    return of_row(row)
end

local function answer_to(request)
    hooks.refresh()
    local hook, other = hook_at(request.path)
    if not hook then
        return other
    end
    other = turned_away(hook, request)
    if other then
        return other
    end
    local delivery, reason, status = deliver.delivery(hook.webhook, request)
    if not delivery then
        return turn_away(hook, "body", status, reason)
    end
    return record(hook, delivery)
end

--- Answers a request for a webhook. It may wait for the store, and raises nothing.
---@param request { method: string, path: string, headers: table<string, any>, body: string, too_large?: boolean,
---  remote?: string } path: without a query; headers: by names in lower case, a text each: what is none proves nothing;
---  body: the bytes as they came; too_large: there are more than MOST_BYTES, and they are not here
---@return inbox.Answer
function deliver.deliver(request)
    local ok, result = pcall(answer_to, request)
    if ok then
        return result
    end
    return later(tostring(native.error.complete(result)))
end

--- Writes what was only counted so far: now and then, and at the end.
function deliver.flush()
    pcall(deliveries.flush)
end

return deliver
