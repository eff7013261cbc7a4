-- From a request to its answer: the table of routes, and what happens around every handler - faults, the bearer token,
-- the rate limit, read-only tokens, the log. One router for each API that is imitated.
local faults, log = require "standin.faults", require "standin.log"

local router = {}
router.__index = router

local NO_BODY = { [204] = true }
local CHANGES = { POST = true, PUT = true, PATCH = true, DELETE = true }

--- A router for one API.
---@param api { name: string, authenticate: fun(headers: table): table, problem: fun(err: table, request_id: string):
---  table, read_only: { status: integer, id?: string, message: string }, limit?: fun(token: table): table, integer?,
---  server: string, open?: table<string, boolean> } problem: the body of an error; read_only: the answer to a change by
---  a token that may only read; limit: counts a request; open: paths that need no token
function router.new(api)
    return setmetatable({ api = api, routes = {} }, router)
end

--- Adds a route.
---@param method string
---@param path string segments that begin with a colon are parameters: "/v2/droplets/:id"
---@param handler fun(call: table): integer, table? status and JSON body. `call` has method, path, params, query,
---  whole_query, body, team, token and origin; what a handler does not look up in `query` is not imitated
function router:on(method, path, handler)
    local names = {}
    local pattern = "^" .. path:gsub("[%.%-]", "%%%0"):gsub(":([%a_]+)", function(name)
        names[#names + 1] = name
        return "([^/]+)"
    end) .. "$"
    self.routes[#self.routes + 1] = { method = method, pattern = pattern, names = names, handler = handler }
end

--- Ends the handling of what the API knows, or may know, and the stand-in does not: nobody must take its answer for one
--- of the API's.
local function not_imitated(what)
    fail(("the local cloud's stand-in does not imitate %s: add it in tests/cloud/standin"):format(what),
        { code = "answer", status = 501, id = "not_imitated" })
end

local function match(self, method, path)
    for _, route in ipairs(self.routes) do
        local found = { path:match(route.pattern) }
        if found[1] and route.method == method then
            local params = {}
            for index, name in ipairs(route.names) do
                params[name] = found[index]
            end
            return route.handler, params
        end
    end
    not_imitated(("%s %s"):format(method, path))
end

--- The query as handlers read it, and what they have read.
local function watched(query)
    local read = { page = true, per_page = true }
    return setmetatable({}, {
        __index = function(_, name)
            read[name] = true
            return query[name]
        end,
    }), read
end

--- A filter that nobody looked at would give more than was asked for.
local function refuse_unread(call, read)
    for name in pairs(call.whole_query) do
        if not read[name] then
            not_imitated(("the parameter '%s' of %s %s"):format(name, call.method, call.path))
        end
    end
end

local function decode(request)
    if (request.body or "") == "" then
        return nil
    end
    local body = try(json.decode, request.body)
    if type(body) ~= "table" then
        fail("Request body is not valid JSON.", { code = "answer", status = 400, id = "bad_request" })
    end
    return body
end

--- Checks who asks and whether they may, then handles the call.
local function handle(self, call, headers)
    if not (self.api.open or {})[call.path] then
        call.token = self.api.authenticate(call.headers)
        call.team = call.token.team
        if self.api.limit then
            local told, retry_after = self.api.limit(call.token)
            for name, value in pairs(told) do
                headers[name] = value
            end
            if retry_after then
                headers["Retry-After"] = tostring(retry_after)
                fail("API rate limit exceeded.", { code = "answer", status = 429, id = "too_many_requests" })
            end
        end
        if CHANGES[call.method] and call.token.access == "read" then
            local refusal = self.api.read_only
            fail(refusal.message, { code = "answer", status = refusal.status, id = refusal.id })
        end
    end
    local handler, params = match(self, call.method, call.path)
    local read
    call.params, call.body = params, decode(call)
    call.query, read = watched(call.whole_query)
    local answered = { handler(call) }
    if not CHANGES[call.method] then
        refuse_unread(call, read)
    end
    return answered
end

local function answer_for(self, call, request_id)
    local headers = {}
    local result, err = try(handle, self, call, headers)
    if err and err.code ~= "answer" then
        warn("%s %s: %s\n%s", call.method, call.path, tostring(err), err.traceback or "")
        err = { status = 500, id = "server_error", message = "Server was unable to give you a response." }
    end
    local status = err and err.status or result[1]
    local body = err and self.api.problem(err, request_id) or not err and result[2]
    return { status = status, headers = headers, json = not NO_BODY[status] and body or nil }
end

--- A spoilt answer is logged as what it would have been, where there was one.
local function record(self, call, response, fault)
    local shown = (call.headers["content-type"] or ""):find("json", 1, true) and try(json.decode, call.original or "")
    log.add {
        api = self.api.name, team = call.team and call.team.name, method = call.method, path = call.path,
        query = call.whole_query, request = shown or nil, status = response.status,
        response = response.json, fault = fault and fault.mode,
    }
end

--- Answers one request.
---@param request { method: string, path: string, query: table, headers: table, body: string } header names in lower
---  case
---@return table response { status, headers, json | body, cut? }
function router:answer(request)
    local request_id = uuid()
    local call = {
        method = request.method, whole_query = request.query, headers = request.headers,
        path = request.path:gsub("(.)/+$", "%1"), -- both APIs take one with a slash at its end for the one without
        body = request.body, original = request.body, origin = "https://" .. (request.headers.host or "localhost"),
    }
    local fault = faults.take(call.method, call.path)
    local response
    if not fault or fault.effect then
        response = answer_for(self, call, request_id)
    end
    if fault then
        say("fault: %s %s meets %s", call.method, call.path, fault.mode)
        local spoilt = faults.spoil(fault, response)
        record(self, call, response or spoilt, fault)
        faults.hold_back(fault)
        response = spoilt
    else
        record(self, call, response)
    end
    response.headers["Server"] = self.api.server
    response.headers["X-Request-Id"] = request_id
    return response
end

return router
