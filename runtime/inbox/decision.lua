-- What a webhook's own functions say of a delivery. They decide, and touch nothing: whatever they raise is the reason
-- for which a delivery cannot be used, and not a failure of the server.
local native, import = ...
local decision = {}

local errand, loading = import "inbox/errand", import "inbox/loading"
local folders = import "run/folders"
local json, system, task = native.json.face, native.system, native.task

local LONGEST_KEY = 400 -- bytes; of a longer one the hash counts
-- What says something of this machine, and nothing of the delivery: the sender has to come again.
local OURS = { journal = true, ["journal.away"] = true, key = true, cancelled = true, fenced = true }

--- Calls one of a webhook's functions.
---@return any ... what it returns
local function call(hook, name, delivery)
    return loading.within(function()
        task.context().deciding = true
        folders.stand_beside(hook.file)
        return hook[name](delivery)
    end)
end

--- What the body was, for whoever looked for something else in it.
local function kind_of(delivery)
    return delivery.form and "a form" or delivery.xml and "XML" or "JSON"
end

--- Why a delivery cannot be used.
local function reason_of(err, name, delivery)
    err = native.error.complete(err)
    if OURS[err.code] then
        error(err, 0)
    elseif err.code == "timeout" then
        return ("the webhook's %s takes longer than %d seconds"):format(name, loading.LONGEST_SECONDS)
    end
    local where = err.code == "lua" and err.file and ("%s:%s: "):format(err.file, err.line or "?") or ""
    local looked_for = tostring(err):match "^attempt to index field '(%l+)' %(a nil value%)"
    local is_of_another_kind = looked_for == "json" or looked_for == "form" or looked_for == "xml"
    return where .. tostring(err) .. (is_of_another_kind and (": the body is %s"):format(kind_of(delivery)) or "")
end

--- What makes a delivery the same as another one. One whose key cannot be told is known by its body.
---@param hook Webhook
---@param delivery Delivery
---@return string? key nil: the webhook says that it is nothing for it
---@return string? reason why it cannot be told
function decision.key(hook, delivery)
    local ok, key = pcall(call, hook, "key", delivery)
    if ok and key == nil then
        return nil
    elseif ok and type(key) == "number" then
        key = ("%.17g"):format(key)
    end
    if ok and type(key) == "string" and key ~= "" then
        local is_short = #key <= LONGEST_KEY and system.is_utf8(key) and not key:find "%z"
        return is_short and key or "hash " .. system.hash(key)
    end
    local returned = key == json.null and "a null" or key == "" and "an empty text" or "a " .. type(key)
    local reason = ok and ("the webhook's key returned %s, and no text"):format(returned)
        or reason_of(key, "key", delivery)
    return "body " .. system.hash(delivery.body), "the key cannot be told: " .. reason
end

--- The playbook and the arguments that a delivery leads to.
---@param hook Webhook
---@param delivery Delivery
---@return inbox.Errand? ready
---@return string? reason why it cannot be used
---@return string? playbook where that much is known
---@raise "journal", "key"
function decision.errand(hook, delivery)
    local playbook
    local ok, result = pcall(function()
        local values
        playbook, values = call(hook, "run", delivery)
        return errand.of_values(playbook, values)
    end)
    if ok then
        return result, nil, playbook
    end
    return nil, reason_of(result, "run", delivery), type(playbook) == "string" and playbook or nil
end

return decision
