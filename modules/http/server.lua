-- The HTTP server as handlers see it: each request is a task, and an answer is a table.
local native, gate, import = ...
local crew, options_of = import "task/crew", import "base/options"
local connections = import "gate/connections"
local http_server = {}

local SERVE_OPTIONS = { address = "string", port = "number", tls = "table", limit = "number", timeout = "number" }

---@class http.Server
---@field port integer
---@field url string
local Server = {}
Server.__index = Server

local ANSWER = { status = true, headers = true, json = true, body = true, cut = true }

local function is_answer(value)
    for name in pairs(value) do
        if not ANSWER[name] then
            return false
        end
    end
    return next(value) ~= nil and (value.status == nil or type(value.status) == "number")
end

--- The { status, headers, json | body, cut } that a handler's result stands for.
local function answer_of(result)
    if result == nil then
        return { status = 204 }
    elseif type(result) == "string" or secret.is(result) then
        return { body = result }
    elseif type(result) ~= "table" then
        fail(("a handler returned a %s"):format(type(result)),
            { code = "usage", hint = "return a table, text or nothing" })
    elseif is_answer(result) then
        return result
    end
    return { json = result }
end

local function header_list(answer)
    local list, typed = {}, false
    for name, value in pairs(answer.headers or {}) do
        list[#list + 1] = { name, type(value) == "number" and tostring(value) or value }
        typed = typed or name:lower() == "content-type"
    end
    if not typed and (answer.json ~= nil or answer.body ~= nil) then
        list[#list + 1] = { "Content-Type", answer.json ~= nil and "application/json" or "text/plain; charset=utf-8" }
    end
    return list
end

local function send(server, request, answer)
    local status = answer.status or 200
    if type(status) ~= "number" or status < 200 or status > 599 or status % 1 ~= 0 then
        fail(("%s is not a status to answer with"):format(tostring(status)), { code = "usage" })
    end
    gate.perform({
        kind = "read", name = "http.answer", target = request.remote,
        summary = ("%s %s: %d"):format(request.method, request.path, status),
    }, function()
        return native.answer(server.handle, request.id, {
            status = status, headers = header_list(answer), json = answer.json, body = answer.body, cut = answer.cut,
        })
    end)
end

--- Reads the request's body as JSON. A body that is none is answered with 400 unless the handler catches the error.
local function json_reader(request)
    return function()
        local document, problem = try(json.decode, request.body)
        if problem then
            fail("the request's body is not JSON", { code = "http.json", cause = problem, request = request.id })
        end
        return document
    end
end

local function failure_answer(request, err)
    if type(err) == "table" and err.code == "http.json" and err.request == request.id then
        return { status = 400, json = { message = err.message } }
    end
    warn("%s %s failed: %s", request.method, request.path, tostring(err))
    return { status = 500, json = { message = "the handler failed", request = request.id } }
end

local function handle(server, request, handler)
    connections.enter()
    request.json = json_reader(request)
    local ok, problem = pcall(function()
        local answered, result = try(function() return { handler(request) } end)
        send(server, request, answered and answer_of(answered[1]) or failure_answer(request, result))
    end)
    if not ok and problem.code ~= "cancelled" then
        pcall(send, server, request, failure_answer(request, problem))
    end
    connections.leave()
    native.drop(server.handle, request.id)
end

--- Takes requests until the server is closed or its owner cancelled; then ends what is under way.
local function accept(server, handler)
    local handlers = crew.new()
    local ok, problem = pcall(function()
        while true do
            local event = native.next(server.handle)
            if not event then
                return
            elseif type(event) == "table" then
                local path = ("http-%d/request-%d"):format(server.port, event.id)
                handlers:start(event.id, path, handle, server, event, handler)
            elseif event ~= true then
                handlers:cancel(event, "the client closed the connection")
            end
        end
    end)
    native.close(server.handle)
    handlers:close("the server was closed")
    native.stop(server.handle)
    if not ok then
        error(problem, 0)
    end
end

---@class http.ServerRequest
---@field id integer
---@field method string
---@field path string
---@field query table<string, string>
---@field headers table<string, string> names in lower case
---@field body string
---@field json fun(): any parses the body
---@field remote string the client's IP address

--- Starts an HTTP/1.1 server. It belongs to the running task, which ends only after the server has been closed; when
--- that task fails or is cancelled the server ends with it.
---
--- handler(request) runs as a task of its own for each request. It returns
---   { status =, headers =, json = or body = }   (200), or a table that is sent as JSON, text, or nothing (204);
---   cut = BYTES breaks the body off after so many, for tests of clients.
--- An error in it is answered with 500 and a warning. It is cancelled when the client closes the connection, or its
--- sending half. Steps in it have paths that begin with http-PORT/request-ID.
---@param options? { address?: string, port?: integer, tls?: { certificate: string, key: string }, limit?: integer,
---  timeout?: number } address: an IP address (127.0.0.1); port: 0 takes a free one (0); tls: PEM files; limit: bytes
---  of a request's body (1 MiB), more is answered with 413; timeout: seconds a client may be silent (30)
---@param handler fun(request: http.ServerRequest): any
---@return http.Server
---@raise "http.listen" when the port cannot be had, "usage"
function http_server.serve(options, handler)
    if type(options) == "function" then
        options, handler = {}, options
    end
    if type(options) ~= "table" or type(handler) ~= "function" then
        fail("http.serve([options,] function(request) ... end)", { code = "usage" })
    end
    options_of.check("http.serve", options, SERVE_OPTIONS)
    gate.unrecordable "a server"
    local address, tls = options.address or "127.0.0.1", options.tls or {}
    local server = setmetatable({}, Server)
    gate.perform({
        kind = "read", name = "http.serve", target = address,
        summary = ("serve HTTP on port %d"):format(options.port or 0),
    }, function()
        server.handle, server.port = native.serve {
            address = address, port = options.port or 0, certificate = tls.certificate, key = tls.key,
            limit = options.limit or 1024 * 1024, timeout = options.timeout or 30,
        }
    end)
    local host = address:find ":" and "[" .. address .. "]" or address
    server.url = ("%s://%s:%d"):format(options.tls and "https" or "http", host, server.port)
    crew.spawn(accept, server, handler)
    return server
end

--- Stops listening and cancels the handlers under way.
function Server:close()
    native.close(self.handle)
end

--- Waits until the server has been closed and its last handler has ended. One task at a time.
function Server:wait()
    native.stopped(self.handle)
end

return http_server
