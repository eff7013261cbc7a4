-- HTTP requests: methods, JSON, retries, redirects, and what a status means. The server is server.lua.
local native, gate, import = ...
local http = {}

local http_server, options_of, text_of = import "http/server", import "base/options", import "base/text"

local DEFAULTS = { timeout = 30, retries = 3, redirects = 5, limit = 64 * 1024 * 1024 }
local READS = { GET = true, HEAD = true }
local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true }
-- Trouble of a server, or of one before it, that may be over in a moment; from 520 on in the words of Cloudflare.
local PASSING = {}
for _, status in ipairs { 408, 500, 502, 503, 504, 520, 521, 522, 523, 524 } do
    PASSING[status] = true
end
local PASSING_CODES = { ["http.connect"] = true, ["http.dns"] = true, ["http.body"] = true, timeout = true }
local OPTIONS = {
    method = "string", url = "any", query = "table", headers = "table", json = "any", form = "table",
    body = "string or secret", timeout = "number", retries = "number", redirects = "number", limit = "number",
    expect = "table", ca_file = "string", resolve = "table", summary = "any", read = "boolean", result = "any",
    insecure = "boolean",
}
local PATIENCE = 120 -- seconds, all pauses that a server asks for together; for more, its error is passed on
local BELIEVED = 3 -- so often is a pause that a server asks for thought to be enough
local LONGEST_TIME = 10 ^ 9 -- a larger ratelimit-reset is a moment, in seconds since 1970, not a number of seconds
local LONGEST_PAUSE = 366 * 86400 -- seconds; what asks for more means something else
local QUIET_PAUSE = 5
local SHOWN_BODY, SHOWN_LINE, LONGEST_LINE = 1000, 200, 65536 -- bytes of an answer in an error

local function usage(message, hint)
    fail(message, { code = "usage", hint = hint })
end

-- ---- from options to what the C half takes ----

local function check(options)
    options_of.check("http", options, OPTIONS)
    local bodies = 0
    for _, name in ipairs { "json", "form", "body" } do
        bodies = bodies + (options[name] ~= nil and 1 or 0)
    end
    if bodies > 1 then
        usage "an HTTP request has one body: json, form or body"
    end
    local method = tostring(options.method or "GET"):upper()
    if not method:match "^%u+$" or #method > 20 then
        usage(("'%s' is not an HTTP method"):format(method))
    elseif READS[method] and bodies > 0 then
        usage(("a %s request has no body"):format(method))
    end
    return method
end

--- "https://example.org:8443" and "/path" of a URL as it may be shown.
local function split(url)
    local shown = tostring(url)
    if gate.has_unknown(url) and not shown:find "^https?://" then
        return shown, ""
    end
    local scheme, host, path = shown:match "^(%a[%w+.-]*)://([^/?#]*)([^?#]*)"
    if not scheme or (scheme:lower() ~= "http" and scheme:lower() ~= "https") or host == "" then
        usage(("'%s' is not an http or https URL"):format(shown))
    elseif host:find "@" then
        usage("a name or password belongs into a header, not into the URL")
    end
    return scheme:lower() .. "://" .. host:lower(), path ~= "" and path or "/"
end

--- A list of { name, value } in the order of names; a list as value gives a pair for each.
local function pairs_of(values, what)
    local names, list = {}, {}
    for name in pairs(values or {}) do
        if type(name) ~= "string" then
            usage(("%s takes a table of names and values"):format(what))
        end
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local value = values[name]
        for _, one in ipairs(type(value) == "table" and value or { value }) do
            if type(one) == "boolean" or type(one) == "number" then
                one = tostring(one)
            elseif type(one) ~= "string" and not secret.is(one) then
                usage(("%s '%s' must be text, a number, a boolean or a secret"):format(what, name))
            end
            list[#list + 1] = { name, one }
        end
    end
    return list
end

local function has_header(headers, name)
    for _, pair in ipairs(headers) do
        if pair[1]:lower() == name then
            return true
        end
    end
    return false
end

local function headers_of(options)
    local headers = pairs_of(options.headers, "header")
    if not has_header(headers, "accept") then
        headers[#headers + 1] = { "Accept", "application/json, */*;q=0.5" }
    end
    local content_type = options.json ~= nil and "application/json"
        or options.form and "application/x-www-form-urlencoded" or options.body and "application/octet-stream"
    if content_type and not has_header(headers, "content-type") then
        headers[#headers + 1] = { "Content-Type", content_type }
    end
    return headers
end

--- libcurl's "HOST:PORT:ADDRESS:PORT" for each entry of { ["host:port"] = address }.
local function addresses_of(resolve)
    local list = {}
    for place, address in pairs(resolve or {}) do
        local host, port = tostring(place):match "^(.-):?(%d*)$"
        if tostring(address):find ":" and not tostring(address):find "^%[" then
            address = "[" .. address .. "]"
        end
        list[#list + 1] = ("%s:%s:%s:%s"):format(host, port, address, port)
    end
    return list
end

-- ---- what an answer means ----

local function header(response, name)
    return response.headers[name]
end

local function is_json(response)
    return (header(response, "content-type") or ""):lower():find("json", 1, true) ~= nil
end

local function first_line(text)
    local line = text_of.beginning(text, LONGEST_LINE):match "^%s*([^\r\n]*)"
    return text_of.beginning(line, SHOWN_LINE)
end

local function is_page(response)
    return (header(response, "content-type") or ""):lower():find("html", 1, true) ~= nil
        or response.body:find "^%s*<" ~= nil
end

--- Why a body is not taken for JSON, and what to do about it.
local function problem_with_json(response, problem)
    if is_page(response) then
        return header(response, "content-type") or "a page",
            "look at the URL: a proxy or a web page may have answered instead of the API"
    elseif is_json(response) then
        local what = tostring(problem):match "^JSON nested.*" or "broken JSON"
            .. (tostring(problem):match " from byte %d+ on" or "")
        return what, "whoever runs the server may know why: what it calls JSON cannot be read as such"
    end
    return header(response, "content-type") or "text without a type", "look at the URL: is it that of the API?"
end

local function decode(response)
    if response.body == "" then
        return nil
    end
    local ok, value = pcall(json.decode, response.body)
    if ok then
        return value
    end
    local problem, hint = problem_with_json(response, value)
    fail(("the answer of %s is not JSON but %s"):format(response.url, problem), {
        code = "http.json", status = response.status, body = first_line(response.body), target = response.url,
        cause = is_json(response) and value or nil, unclear = true, hint = hint, problem = problem,
    })
end

--- Answers parse their JSON when it is first asked for.
local Response = {
    __index = function(response, name)
        if name == "json" then
            local value = decode(response)
            rawset(response, "json", value)
            return value
        end
    end,
}

--- What an API says about its error, in one of the usual fields; and the document it says that in.
local function explanation(response)
    local ok, document = pcall(json.decode, response.body)
    if not ok or type(document) ~= "table" then
        return first_line(response.body)
    end
    local nested = type(document.error) == "table" and document.error or {}
    for _, text in ipairs { document.message or false, document.detail or false, nested.message or false,
        document.error or false, document.title or false, document.error_description or false } do
        if type(text) == "string" and text ~= "" then
            return text_of.beginning(text, SHOWN_BODY), document
        end
    end
    return first_line(response.body), document
end

--- The time at the server, by which it names moments.
local function time_there(response)
    local date = header(response, "date")
    return date and native.date(date) or now()
end

--- Seconds that an answer names as a pause, or nil: by Retry-After (RFC 9110, 10.2.3), or where a limit is used up by
--- RateLimit-Reset, which is seconds with some (draft-polli-ratelimit-headers) and a moment with others (DigitalOcean).
local function named_seconds(response)
    local value = header(response, "retry-after")
    if value and value:find "^%d+$" and #value < 10 then
        return tonumber(value)
    end
    local moment = value and native.date(value)
    if moment then
        return math.max(0, moment - time_there(response))
    elseif response.status ~= 429 then
        return nil
    end
    local function limit(name)
        return tonumber((header(response, "ratelimit-" .. name) or header(response, "x-ratelimit-" .. name) or "")
            :match "^(%d+)%f[^%w.]")
    end
    local reset, remaining = limit "reset", limit "remaining"
    if not reset or remaining and remaining > 0 then
        return nil
    end
    return reset > LONGEST_TIME and math.max(0, reset - time_there(response)) or reset
end

--- Seconds that a server asks to wait, or nil.
local function asked_pause(response)
    local seconds = named_seconds(response)
    return seconds and seconds <= LONGEST_PAUSE and seconds or nil
end

local HINTS = {
    [401] = "the server does not accept the credentials: is the token set, whole and not expired?",
    [403] = "the credentials are known but not allowed to do this: a token that can only read?",
    [404] = "a wrong URL, or the thing is gone; expect = { 404 } takes this as an answer",
    [407] = "a proxy on the way wants a name and a password: http_proxy = http://NAME:PASSWORD@HOST:PORT",
    [429] = "the server asks to slow down: try again later, or do fewer at once",
}

--- When the server wants to be asked again: the moment, and words for it.
local function named_pause(response)
    local pause = asked_pause(response)
    if pause and pause > 0 then
        local moment = now() + pause
        return moment, ("%s, until %s"):format(text_of.duration(pause), os.date("!%Y-%m-%d %H:%M:%S UTC", moment))
    end
end

local function raise_status(response, method, target)
    local said, document = explanation(response)
    local retry_at, pause = named_pause(response)
    local hint = HINTS[response.status]
    if pause then
        hint = ("the server asks to wait %s%s"):format(pause, response.status == 429 and ", or do fewer at once" or "")
    end
    fail(("%s %s answered %d%s"):format(method, response.url, response.status, said ~= "" and ": " .. said or ""), {
        code = "http.status", status = response.status, body = text_of.beginning(response.body, SHOWN_BODY),
        reason = said ~= "" and said or nil, headers = response.headers, target = target, hint = hint,
        retry_at = retry_at, pause = pause, document = document,
        unclear = response.status >= 500, -- a gateway's words, or those of a server that broke off in the middle
    })
end

local function expected(response, expect)
    if response.status < 400 then
        return true
    end
    for _, status in ipairs(type(expect) == "table" and expect or { expect }) do
        if status == response.status then
            return true
        end
    end
    return false
end

-- ---- trying again ----

--- Some number from 0 to 1.
local function chance()
    return tonumber(uuid():sub(1, 8), 16) / 0xffffffff
end

--- Half a second, doubled with each try, spread so that many clients do not come back at once.
local function backoff(attempt)
    return 0.5 * 2 ^ (attempt - 1) * (0.75 + chance() / 2)
end

--- Why this attempt may be followed by another, or nil.
local function reason_to_retry(request, response, err)
    if response then
        return PASSING[response.status] and request.repeatable and "answered " .. response.status or nil
    elseif request.repeatable and (err.code == "http.connect" and not err.unclear) then
        return "did not accept the connection"
    elseif request.repeatable and err.temporary then
        return "broke the connection off"
    elseif READS[request.method] and err.code == "http.body" then
        return "broke the answer off"
    end
end

local function attempt_once(request)
    local response, err = try(native.request, request)
    if response then
        response.url = request.shown_url
    elseif request.led_by then
        err.code = err.code == "usage" and "http.redirect" or err.code
        err.target, err.message = request.target, ("%s (%s leads there)"):format(err.message, request.led_by)
    end
    return response, err
end

--- The pause after a 429: as the server asks, and more than that when it says so again and again.
local function limited_pause(response, times)
    local asked = asked_pause(response)
    local more = (not asked or times > BELIEVED) and backoff(math.min(asked and times - BELIEVED or times, 6)) or 0
    return (asked or 0) * (1 + chance() / 10) + more
end

--- How long to wait before the next attempt, and why there may be one; nil when this was the last one. A 429 says that
--- nothing was done: it is waited out as long as all pauses stay within PATIENCE. Other trouble has its number of
--- tries.
---@param spent { tries: integer, limits: integer, seconds: number } so far
local function next_pause(request, response, err, spent)
    local pause, reason
    if request.retries == 0 then
        return nil
    elseif response and response.status == 429 then
        spent.limits = spent.limits + 1
        pause, reason = limited_pause(response, spent.limits), "answered 429"
    else
        reason = reason_to_retry(request, response, err)
        if not reason or spent.tries >= request.retries then
            return nil
        end
        spent.tries = spent.tries + 1
        pause = response and asked_pause(response) or backoff(math.min(spent.tries, 6))
    end
    spent.seconds = spent.seconds + pause
    return spent.seconds <= PATIENCE and pause or nil, reason
end

local function attempt(request)
    local spent = { tries = 0, limits = 0, seconds = 0 }
    while true do
        local response, err = attempt_once(request)
        if response and expected(response, request.expect) then
            return response
        end
        local pause, reason = next_pause(request, response, err, spent)
        if not pause then
            return response or error(err, 0)
        end
        if pause > QUIET_PAUSE then
            warn("%s %s; trying again in %d s", request.target, reason, math.ceil(pause))
        end
        sleep(pause)
    end
end

-- ---- redirects ----

--- What may follow to another origin: no credentials, and no header that is a secret.
local function without_secrets(headers)
    local kept = {}
    for _, pair in ipairs(headers) do
        local name = pair[1]:lower()
        if not secret.is(pair[2]) and name ~= "authorization" and name ~= "cookie" then
            kept[#kept + 1] = pair
        end
    end
    return kept
end

local function follow(request, response)
    local first = request.target
    for _ = 1, request.redirects do
        local redirect = response.redirect
        if not redirect then
            return response
        elseif not (redirect.origin or ""):find(redirect.from:find "^https:" and "^https:" or "^https?:") then
            fail(("%s leads to %s, which is not safe to follow"):format(request.shown_url, redirect.url),
                { code = "http.redirect", status = response.status })
        end
        if redirect.origin ~= redirect.from then
            request.headers = without_secrets(request.headers)
        end
        request.led_by = request.shown_url
        request.url, request.query, request.shown_url = redirect.url, nil, redirect.url
        request.target = redirect.url:match "^%a[%w+.-]*://[^/?#]*" or request.target
        response = attempt(request)
    end
    if response.redirect and request.redirects > 0 then
        fail(("%s was followed through %d redirects without an end"):format(first, request.redirects),
            { code = "http.redirect", status = response.status })
    end
    return response
end

local function perform(request)
    local response = follow(request, attempt(request))
    response.redirect = nil
    if not expected(response, request.expect) then
        raise_status(response, request.method, request.target)
    end
    return response
end

---@class http.Request
---@field method? string "GET" and so on ("GET")
---@field url? string|secret http or https
---@field query? table { name = value or list of values }, appended to the URL
---@field headers? table { name = value }
---@field json? any what to send, as JSON. Values may be secrets, at any depth, here and in form and body
---@field form? table what to send, as { name = value }
---@field body? string|secret what to send, as it is
---@field expect? integer[] statuses from 400 up that are answers rather than errors: { 404 }
---@field timeout? number seconds for one try, at most a day (30); the task's deadline ends it too
---@field retries? integer how often to try again (3): after 408, 500, 502 to 504, 520 to 524 and a connection that is
---  refused or broken off if the method is idempotent or `retries` is given; after an answer that broke off if it is
---  GET or HEAD. A 429 is waited out whatever the method, as the server asks by Retry-After or RateLimit-Reset, for two
---  minutes in all, unless `retries` is 0
---@field redirects? integer how many to follow (5 for GET and HEAD, else 0); never from https to http, and neither
---  secret headers nor Authorization and Cookie go to another host
---@field limit? integer bytes of the answer's body (64 MiB)
---@field ca_file? string PEM file with the only authorities to trust, in place of the system's ($SSL_CERT_FILE)
---@field insecure? boolean true takes any certificate, a self-signed one too: to see whether a server answers, never
---  with secrets
---@field resolve? table<string, string> { ["host:port"] = address }: connect there; name and certificate are still
---  checked for host
---@field summary? string what the effect is called for people, e.g. "create droplet ada s-2vcpu-2gb nyc3"
---@field read? boolean true marks a request of another method that changes nothing as a read
---@field result? string labels the unknown that a dry run returns

---@class http.Response
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string
---@field json any the parsed body, nil without one
---@field url string where the answer came from, without the query given

--- Sends a request and returns its answer. The gate treats GET and HEAD as reads, other methods as writes.
---@param options http.Request
---@return http.Response
---@raise "http.status" (fields status, headers, body: its beginning, document: what JSON it is, reason: what it says;
---  where the server says when to ask again, retry_at, in seconds since 1970, and pause, in words), "http.dns",
---  "http.connect", "http.tls", "timeout", "http.body" (broken off, or garbled), "http.json" when `json` is read and
---  the body is none, "http.limit", "http.redirect", "http" for what is none of these, "usage"
---@effect write unless read, or method is GET or HEAD
function http.request(options)
    local method = check(options)
    local target, path = split(options.url)
    local reading = READS[method] or options.read == true
    local request = {
        method = method, url = options.url, shown_url = target .. path, target = target,
        timeout = options.timeout or DEFAULTS.timeout, limit = options.limit or DEFAULTS.limit,
        retries = options.retries or DEFAULTS.retries, expect = options.expect,
        repeatable = IDEMPOTENT[method] or options.retries ~= nil,
        redirects = options.redirects or READS[method] and DEFAULTS.redirects or 0,
        ca_file = options.ca_file or env "SSL_CERT_FILE", insecure = options.insecure == true,
    }
    local response = gate.perform({
        kind = reading and "read" or "write", name = "http." .. method:lower(), target = target,
        summary = options.summary or method .. " " .. path, result = options.result,
        inputs = { options.url, options.query, options.headers, options.json, options.form, options.body,
            options.resolve },
        detail = not options.summary and options.json ~= nil and function()
            return native.shown(options.json)
        end or nil,
    }, function()
        request.query, request.headers = pairs_of(options.query, "query"), headers_of(options)
        request.json, request.body = options.json, options.body
        request.form = options.form and pairs_of(options.form, "form field")
        request.connect_to = addresses_of(options.resolve)
        return perform(request)
    end)
    if type(response) == "table" then
        setmetatable(response, Response)
    end
    return response
end

local function with_method(method)
    return function(url, options)
        local request = { method = method, url = url }
        for name, value in pairs(options or {}) do
            request[name] = value
        end
        return http.request(request)
    end
end

--- http.request with the method GET.
---@type fun(url: string|secret, options?: http.Request): http.Response
http.get = with_method "GET"

--- http.request with the method HEAD.
---@type fun(url: string|secret, options?: http.Request): http.Response
http.head = with_method "HEAD"

--- http.request with the method POST.
---@type fun(url: string|secret, options?: http.Request): http.Response
---@effect write unless read
http.post = with_method "POST"

--- http.request with the method PUT.
---@type fun(url: string|secret, options?: http.Request): http.Response
---@effect write unless read
http.put = with_method "PUT"

--- http.request with the method PATCH.
---@type fun(url: string|secret, options?: http.Request): http.Response
---@effect write unless read
http.patch = with_method "PATCH"

--- http.request with the method DELETE.
---@type fun(url: string|secret, options?: http.Request): http.Response
---@effect write unless read
http.delete = with_method "DELETE"

--- Whether what went wrong may be over when one asks later: the server or the way to it is in trouble, or a rate limit
--- is reached.
---@param err Error of a request, or of a module that makes them
---@return boolean
function http.is_temporary(err)
    if err.status then
        return err.status == 429 or PASSING[err.status] == true
    end
    return err.temporary == true or PASSING_CODES[err.code] == true
end

--- Looks at the certificate that a host shows. A certificate that does not verify is an answer here.
---@param host string
---@param options? { port?: integer, address?: string, ca_file?: string, timeout?: number } port 443; address: connect
---  there instead of where the name leads; ca_file as in http.request; timeout in seconds (10)
---@return { subject: string, issuer: string, names: string[], not_before: number, not_after: number, verified: boolean,
---  problem?: string } # times in seconds since 1970; problem says why it is not verified
---@raise "http.dns", "http.connect", "http.tls" when there is no TLS at all, "timeout"
function http.probe_tls(host, options)
    options = options or {}
    local port = options.port or 443
    local place = ("%s:%d"):format(tostring(host), port)
    return gate.perform({
        kind = "read", name = "http.probe_tls", target = place, summary = "look at the certificate of " .. place,
        inputs = { host, options.address },
    }, function()
        return native.probe {
            host = host, url = "https://" .. place .. "/", timeout = options.timeout or 10,
            ca_file = options.ca_file or env "SSL_CERT_FILE",
            connect_to = addresses_of(options.address and { [place] = options.address }),
        }
    end)
end

--- Starts an HTTP/1.1 server. It belongs to the running task, which ends only after the server has been closed; when
--- that task fails or is cancelled the server ends with it.
---
--- handler(request) runs as a task of its own for each request. It returns
---   { status =, headers =, json = or body = }   (200), or a table that is sent as JSON, text, or nothing (204);
---   stream = function(write) ... end in place of a body sends what write(text) is given, as it is given: write waits
---   while the client does not read, and raises "http.gone" when it has left;
---   cut = BYTES breaks the body off after so many, for tests of clients.
--- An error in it is answered with 500 and a warning. It is cancelled when the client closes the connection, or its
--- sending half. Steps in it have paths that begin with http-PORT/request-ID, on a unix socket http-unix/request-ID.
---
--- A request that can be read in two ways, as one with two lengths can, is answered with 400, one that does not come in
--- time with 408, and its connection is closed: handlers see neither. When as many clients are connected as may be,
--- those give way to new ones that are idle, then those that are slow to say what they want. When more than `memory` is
--- held, those give way who have sent a large request, or read a large answer in parts, for the longest: a request that
--- is not complete is answered with 503 and Retry-After, an answer in parts breaks off.
---@param options? { address?: string, port?: integer, path?: string, group?: string|integer, fd?: integer,
---  tls?: { certificate: string, key: string }, limit?: integer, memory?: integer, timeout?: number,
---  deadline?: number, connections?: integer, per_address?: integer } address: an IP address (127.0.0.1); port: 0 takes
---  a free one (0); path: a unix socket's file instead, for its owner and group (mode 0660), in place of one that
---  nobody listens on; group: whose that file is, by name or number (the process's); fd: an inherited descriptor that
---  listens, as systemd's 3; tls: PEM files; limit: bytes of a request's body (1 MiB), more is answered with 413;
---  memory: bytes held for all clients together (64 MiB, or limit), of what has come of requests until they are
---  answered and of what waits in answers in parts, 8 KiB of each not counted; timeout: seconds a client may be silent
---  (30); deadline: for a whole request (120); connections: most at once (4096), fewer where the process may not have
---  the descriptors; per_address: most of one IPv4 address or IPv6 /64 network (a quarter of connections), more are
---  answered with 429
---@param handler fun(request: http.ServerRequest): any
---@return http.Server
---@raise "http.listen" when the port or socket cannot be had, "usage"
function http.serve(options, handler)
    return http_server.serve(options, handler)
end

return http
