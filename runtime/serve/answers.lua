-- What is answered at which path: webhooks below /hooks/, and whether hostler serves at /healthz, for proxies and
-- watchers. Nothing else is here.
local native, import = ...
local answers = {}

local deliver, store = import "inbox/deliver", import "journal/store"
local json = native.json.face

-- SQL that only a store grants which can be written.
local CHANGES_NOTHING = "UPDATE inbox SET id = id WHERE id IS NULL"

local function plain(status, fields, headers)
    headers = headers or {}
    headers["Content-Type"], headers["Cache-Control"] = "application/json", "no-store"
    return { status = status, headers = headers, body = json.encode(fields) .. "\n" }
end

--- Whether a delivery could be recorded now. Anybody may ask, so there are no particulars.
local function health(request)
    if request.method ~= "GET" and request.method ~= "HEAD" then
        return plain(405, { message = "only GET is answered here" }, { Allow = "GET, HEAD" })
    end
    local there = pcall(function() store.open().write(CHANGES_NOTHING) end)
    return there and plain(200, { status = "ok" }) or plain(503, { status = "the journal is away" },
        { ["Retry-After"] = "60" })
end

local function is_address(text)
    return text:find "^%d+%.%d+%.%d+%.%d+$" ~= nil or text:find "^%x*:[%x:.]*:[%x:.]*$" ~= nil
end

--- Who asked, as the proxy on this machine tells; it adds its client's address last, whatever stood there before.
local function remote_of(request)
    local is_near = not request.remote or request.remote:find "^127%." or request.remote == "::1"
    local told = is_near and (request.headers["x-forwarded-for"] or ""):match "([^%s,]*)%s*$" or ""
    return is_address(told) and told or request.remote
end

--- The answer to a request. It may wait for the store, and raises nothing.
---@param request table as of native.web.next
---@return { status: integer, headers: table<string, string>, body: string }
function answers.to(request)
    if request.path == "/healthz" then
        return health(request)
    end
    return deliver.deliver {
        method = request.method, path = request.path, headers = request.headers, body = request.body,
        too_large = request.too_large, remote = remote_of(request),
    }
end

return answers
