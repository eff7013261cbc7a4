-- The HTTP server as handlers see it: each request is a task, and an answer is a table.
local native, gate, import = ...
local crew, options_of = import "task/crew", import "base/options"
local connections = import "gate/connections"
local http_server = {}

local SERVE_OPTIONS = {
    address = "string", port = "number", path = "string", group = "string or number", fd = "number", tls = "table",
    limit = "number", memory = "number", timeout = "number", deadline = "number", connections = "number",
    per_address = "number",
}

---@class http.Server
---@field port? integer none of a unix socket
---@field url string of a unix socket its file's: unix:PATH
local Server = {}
Server.__index = Server

local ANSWER = { status = true, headers = true, json = true, body = true, stream = true, cut = true }

local function is_answer(value)
    for name in pairs(value) do
        if not ANSWER[name] then
            return false
        end
    end
    return next(value) ~= nil and (value.status == nil or type(value.status) == "number")
end

--- The { status, headers, json | body | stream, cut } that a handler's result stands for.
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
    if not typed and (answer.json ~= nil or answer.body ~= nil or answer.stream) then
        list[#list + 1] = { "Content-Type", answer.json ~= nil and "application/json" or "text/plain; charset=utf-8" }
    end
    return list
end

--- Answers within an effect: `how` calls the native function.
local function reply(request, status, how)
    return gate.perform({
        kind = "read", name = "http.answer", target = request.remote or "unix socket",
        summary = ("%s %s: %d"):format(request.method, request.path, status),
    }, how)
end

local function is_end(problem)
    return type(problem) == "table" and (problem.code == "cancelled" or problem.code == "http.gone")
end

--- An answer in parts: the client has each as soon as it is written. One that fails breaks off, for the client to see.
local function send_stream(server, request, status, answer)
    local begun = reply(request, status, function()
        return native.begin(server.handle, request.id, status, header_list(answer))
    end)
    if not begun then
        return
    end
    local ok, problem = pcall(answer.stream, function(text) native.write(server.handle, request.id, text) end)
    if ok then
        native.finish(server.handle, request.id)
    elseif is_end(problem) then
        error(problem, 0)
    else
        warn("%s %s failed: %s", request.method, request.path, tostring(problem))
    end
end

local function send(server, request, answer)
    local status = answer.status or 200
    if type(status) ~= "number" or status < 200 or status > 599 or status % 1 ~= 0 then
        fail(("%s is not a status to answer with"):format(tostring(status)), { code = "usage" })
    elseif answer.stream then
        send_stream(server, request, status, answer)
        return
    end
    reply(request, status, function()
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
    if not ok and not is_end(problem) then
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
                local path = ("http-%s/request-%d"):format(server.port or "unix", event.id)
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
---@field target string path and query as they were sent
---@field path string without percent-encoding
---@field query table<string, string> of a repeated name the last value
---@field headers table<string, string> names in lower case; of a repeated name all values, joined by ", "
---@field fields table[] the header fields as they were sent, in their order: { name, value }
---@field body string the bytes
---@field json fun(): any parses the body
---@field remote? string the client's IP address
---@field peer? { uid: integer, gid: integer, pid: integer } of a client on a unix socket the process

local function place_of(options)
    if options.path and options.address or options.path and options.fd or options.fd and options.address then
        fail("http.serve: one of address, path and fd says where to listen", { code = "usage" })
    elseif options.path or options.fd then
        return options.path and "unix:" .. options.path or "descriptor " .. options.fd
    end
    return options.address or "127.0.0.1"
end

local function native_options(options)
    local tls, most = options.tls or {}, options.connections or 4096
    return {
        address = not options.path and not options.fd and (options.address or "127.0.0.1") or nil,
        port = options.port or 0, path = options.path, fd = options.fd,
        group = options.group and tostring(options.group),
        certificate = tls.certificate, key = tls.key,
        limit = options.limit or 1024 * 1024, memory = options.memory,
        timeout = options.timeout or 30, deadline = options.deadline or 120,
        connections = most, per_address = options.per_address or math.max(1, math.floor(most / 4)),
    }
end

local function url_of(options, port)
    if port == 0 then
        return "unix:" .. (options.path or "")
    end
    local address = options.address or "127.0.0.1"
    local host = address:find ":" and "[" .. address .. "]" or address
    return ("%s://%s:%d"):format(options.tls and "https" or "http", host, port)
end

--- What http.serve does; see http.lua.
function http_server.serve(options, handler)
    if type(options) == "function" then
        options, handler = {}, options
    end
    if type(options) ~= "table" or type(handler) ~= "function" then
        fail("http.serve([options,] function(request) ... end)", { code = "usage" })
    end
    options_of.check("http.serve", options, SERVE_OPTIONS)
    gate.unrecordable "a server"
    local place = place_of(options)
    local tls = options.tls and { certificate = options.tls.certificate, key = options.tls.key }
    local server = setmetatable({ tls = tls }, Server)
    gate.perform({
        kind = "read", name = "http.serve", target = place,
        summary = options.path and "serve HTTP" or ("serve HTTP on port %d"):format(options.port or 0),
    }, function()
        local port
        server.handle, port = native.serve(native_options(options))
        server.port, server.url = port > 0 and port or nil, url_of(options, port)
    end)
    crew.spawn(accept, server, handler)
    return server
end

--- Stops listening and cancels the handlers under way.
function Server:close()
    native.close(self.handle)
end

--- Stops listening, answers the requests of those who are connected, and is closed then.
function Server:drain()
    native.drain(self.handle)
end

--- Reads the files of the certificate and its key again: who connects from now on is shown what they have now, who is
--- connected already keeps what he was shown. Files that do not do change nothing.
---@raise "http.listen" when they cannot be read or do not belong together, "usage" of a server without TLS
function Server:renew()
    local tls = self.tls or fail("server:renew(): this server has no certificate, it serves without TLS",
        { code = "usage" })
    gate.perform({
        kind = "read", name = "http.renew", target = self.url, summary = "read the certificate " .. tls.certificate,
    }, function() native.renew(self.handle, tls.certificate, tls.key) end)
end

--- How many connections there are and may be; requests that came, and that were refused because they could not be
--- understood or did not come in time; connections that gave way to others, and that were too many of their address;
--- bytes held for clients beyond 8 KiB each, and how many may be; requests and answers that gave way for that.
---@return { connections: integer, most: integer, requests: integer, refused: integer, evicted: integer,
---  turned_away: integer, held: integer, memory: integer, crowded_out: integer }
function Server:status()
    return native.status(self.handle)
end

--- Waits until the server has been closed and its last handler has ended. One task at a time.
function Server:wait()
    native.stopped(self.handle)
end

return http_server
