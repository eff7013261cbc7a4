#!build/lua-test
-- The HTTP client against hostler's own server, over HTTP and over TLS with a certificate authority made here.
local tap = require "tap"
local http = require "http"
local sh = require "sh"

local seen = {} -- how often each path was asked
local gone = {} -- handlers whose client left
local in_flight, most_in_flight = 0, 0

local routes = {
    ["/echo"] = function(request)
        return { method = request.method, path = request.path, query = request.query, body = request.body,
            headers = request.headers, remote = request.remote }
    end,
    ["/json"] = function(request)
        return { got = request.json() }
    end,
    ["/back"] = function(request)
        return { body = request.method .. request.body, headers = { ["X-Type"] = request.headers["content-type"] } }
    end,
    ["/html"] = function()
        return { body = "<html>\n<p>Sign in</p>", headers = { ["Content-Type"] = "text/html" } }
    end,
    ["/empty"] = function() end,
    ["/boom"] = function()
        fail "this handler is broken"
    end,
    ["/cut"] = function()
        return { body = ("x"):rep(100000), cut = 5000 }
    end,
    ["/big"] = function(request)
        return { body = ("0123456789abcdef"):rep(tonumber(request.query.size) / 16) }
    end,
    ["/stall"] = function(request)
        gone[request.query.name] = "here"
        local ok, err = pcall(sleep, 60)
        gone[request.query.name] = not ok and err.code
        return {}
    end,
    ["/slow"] = function(request)
        in_flight = in_flight + 1
        most_in_flight = math.max(most_in_flight, in_flight)
        sleep(0.1)
        in_flight = in_flight - 1
        return { number = request.query.number }
    end,
    ["/limited"] = function(request)
        if seen[request.path] % 2 == 1 then
            return { status = 429, headers = { ["Retry-After"] = 1 }, json = { message = "slow down" } }
        end
        return { body = request.method }
    end,
    ["/limited-by-date"] = function(request)
        if seen[request.path] == 1 then
            local soon = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 1)
            return { status = 429, headers = { ["Retry-After"] = soon } }
        end
        return "done"
    end,
    ["/limited-for-hours"] = function()
        return { status = 429, headers = { ["Retry-After"] = 7200 }, json = { message = "come back later" } }
    end,
    ["/trouble"] = function(request)
        local status = seen[request.path] <= tonumber(request.query.times or 1) and tonumber(request.query.status) or 200
        return { status = status, json = { tries = seen[request.path] } }
    end,
    ["/slow-down"] = function(request)
        local again = seen[request.path] <= tonumber(request.query.times or 1)
        return {
            status = again and 429 or 200, json = { tries = seen[request.path] },
            headers = {
                ["Retry-After"] = request.query.after, ["RateLimit-Reset"] = request.query.reset,
                ["RateLimit-Remaining"] = request.query.remaining, ["X-RateLimit-Reset"] = request.query.x_reset,
            },
        }
    end,
    ["/json-of"] = function(request)
        local kinds = { deep = ("["):rep(1500) .. ("]"):rep(1500), cut = '{"a":', page = "<html>" }
        return { body = kinds[request.query.kind], headers = { ["Content-Type"] = "application/json" } }
    end,
    ["/unavailable-once"] = function(request)
        return { status = seen[request.path] == 1 and 503 or 200, json = { tries = seen[request.path] } }
    end,
    ["/unavailable"] = function()
        return { status = 503, json = { error = { message = "down for maintenance" } } }
    end,
    ["/forbidden"] = function()
        return { status = 403, json = { id = "forbidden", message = "your token can only read" } }
    end,
    ["/mirror"] = function(request)
        return { status = 400, body = request.body }
    end,
    ["/moved"] = function()
        return { status = 302, headers = { Location = "/echo?moved=yes" } }
    end,
    ["/around"] = function()
        return { status = 302, headers = { Location = "/around" } }
    end,
    ["/secret-header"] = function()
        return { headers = { ["X-Bad"] = "a\r\nSet-Cookie: evil=1" }, body = "x" }
    end,
}

local function handler(request)
    seen[request.path] = (seen[request.path] or 0) + 1
    local route = routes[request.path]
    return route and route(request) or not route and { status = 404, json = { message = "no such page" } } or nil
end

local plain = http.serve(handler)
local url = plain.url

-- ---- requests and answers

local answer = http.get(url .. "/echo", { query = { text = "a b&c=d/é", list = { "x" }, number = 7, yes = true } })
tap.is(answer.status, 200, "a GET is answered")
tap.is(answer.json.query, { text = "a b&c=d/é", list = "x", number = "7", yes = "true" }, "query values arrive whole")
tap.is(answer.headers["content-type"], "application/json", "header names are in lower case")
tap.is(answer.url, url .. "/echo", "the answer says where it is from")
tap.like(answer.json.headers["user-agent"], "^hostler/%d", "the client says who it is")
tap.is(answer.json.remote, "127.0.0.1", "a handler knows its client")
answer = http.get(url .. "/echo?a=1", { query = { b = 2 } })
tap.is(answer.json.query, { a = "1", b = "2" }, "query is added to the URL's")

answer = http.post(url .. "/json", { json = { name = "Ada", list = json.array {}, deep = { 1, 2 } } })
tap.is(answer.body, '{"got":' .. json.encode(answer.json.got) .. "}", "JSON goes there and back")
tap.is(answer.json.got.deep, { 1, 2 }, "with its lists")
answer = http.put(url .. "/echo", { form = { ["a b"] = "c&d", e = "é" } })
tap.is(answer.json.body, "a%20b=c%26d&e=%C3%A9", "a form is percent-encoded")
tap.is(answer.json.headers["content-type"], "application/x-www-form-urlencoded", "and says so")
for _, method in ipairs { "post", "put", "patch", "delete" } do
    answer = http[method](url .. "/back", { body = "bytes\0\255", headers = { ["Content-Type"] = "a/b" } })
    tap.is(answer.body, method:upper() .. "bytes\0\255", method .. " sends bytes as they are")
    tap.is(answer.headers["x-type"], "a/b", "with the type given")
end
tap.is(http.delete(url .. "/echo").json.body, "", "a DELETE needs none")
tap.is(http.head(url .. "/echo").body, "", "HEAD has no body")
answer = http.get(url .. "/empty")
tap.ok(answer.status == 204 and answer.json == nil, "an answer without a body has no JSON")
answer = http.get(url .. "/big", { query = { size = 8000000 } })
tap.is(#answer.body, 8000000, "a body of 8 MB arrives")
tap.is(#http.post(url .. "/echo", { body = ("y"):rep(1000000) }).json.body, 1000000, "and one of 1 MB is sent")

-- ---- statuses

local err = tap.raises("http.status", function() http.get(url .. "/nowhere") end, "404 raises")
tap.is(err.status, 404, "with its status")
tap.like(tostring(err), "answered 404: no such page", "and the API's own words")
tap.is(http.get(url .. "/nowhere", { expect = { 404 } }).status, 404, "unless it is expected")
err = tap.raises("http.status", function() http.post(url .. "/forbidden") end, "403 raises")
tap.like(err.hint, "token", "with a hint")
tap.is(err.reason, "your token can only read", "and what the server said as a field")
err = tap.raises("http.status", function() http.post(url .. "/mirror", { body = ("z"):rep(5000) }) end, "400 raises")
tap.is(#err.body, 1000, "with the beginning of the body")
err = tap.raises("http.status", function() http.post(url .. "/json", { body = "{broken" }) end,
    "a body that is no JSON")
tap.is(err.status, 400, "is the client's fault")
err = tap.raises("http.status", function() http.get(url .. "/boom") end, "a handler that fails")
tap.ok(err.status == 500 and not tostring(err):find "broken", "answers 500 and keeps the reason to itself")
tap.is(http.get(url .. "/echo").status, 200, "and the server goes on")
tap.raises("http.status", function() http.get(url .. "/secret-header") end, "a handler cannot smuggle a header in")

answer = http.get(url .. "/html")
err = tap.raises("http.json", function() return answer.json end, "HTML in place of JSON raises when it is looked at")
tap.is(err.body, "<html>", "and shows its first line")

-- ---- misuse

for name, options in pairs {
    ["a line break in a header"] = { url = url, headers = { ["X-A"] = "a\r\nX-B: c" } },
    ["a line break in a header's name"] = { url = url, headers = { ["X-A\nB"] = "a" } },
    ["an empty header name"] = { url = url, headers = { [""] = "a" } },
    ["a password in the URL"] = { url = "http://ada:pw@127.0.0.1/" },
    ["another scheme"] = { url = "file:///etc/passwd" },
    ["no host"] = { url = "http:///x" },
    ["a port that is none"] = { url = "http://127.0.0.1:99999/" },
    ["a space in the URL"] = { url = url .. "/a b" },
    ["an unknown option"] = { url = url, verify = false },
    ["two bodies"] = { url = url, method = "POST", json = {}, body = "" },
    ["a body with GET"] = { url = url, body = "x" },
    ["a method with a space"] = { url = url, method = "GET /" },
    ["a timeout of nothing"] = { url = url, timeout = 0 },
} do
    tap.raises("usage", function() http.request(options) end, name .. " is refused")
end

-- ---- trying again

tap.is(http.get(url .. "/limited").body, "GET", "429 is tried again after Retry-After")
tap.is(http.post(url .. "/limited").body, "POST", "also a POST, for nothing was done")
tap.is(http.get(url .. "/limited-by-date").body, "done", "Retry-After may be a date")
err = tap.raises("http.status", function() http.get(url .. "/limited-for-hours") end, "two hours are not waited for")
tap.is(seen["/limited-for-hours"], 1, "but passed on at once")
tap.is(err.headers["retry-after"], "7200", "with the header")
tap.is(http.get(url .. "/unavailable-once").json.tries, 2, "503 is tried again")
seen["/unavailable-once"] = 0
tap.raises("http.status", function() http.post(url .. "/unavailable-once") end, "but not for a POST")
seen["/unavailable-once"] = 0
tap.is(http.post(url .. "/unavailable-once", { retries = 1 }).json.tries, 2, "unless it is asked for")
err = tap.raises("http.status", function() http.get(url .. "/unavailable", { retries = 1 }) end, "tries come to an end")
tap.is(seen["/unavailable"], 2, "after as many as asked for")
tap.is(err.reason, "down for maintenance", "a nested message is found")

local function from(path, query, options)
    seen[path] = 0
    options = options or {}
    options.method, options.url, options.query = options.method or "GET", url .. path, query
    return http.request(options)
end
for _, status in ipairs { 408, 500, 502, 503, 504, 520, 521, 522, 523, 524 } do
    tap.is(from("/trouble", { status = status }).json.tries, 2, status .. " is tried again")
end
tap.is(from("/trouble", { status = 500 }, { method = "DELETE" }).json.tries, 2, "by what may be done twice, too")
tap.raises("http.status", function() from("/trouble", { status = 500 }, { method = "POST" }) end, "but not by a POST")
tap.is(seen["/trouble"], 1, "which is sent once")
tap.raises("http.status", function() from("/trouble", { status = 501 }) end, "what stays as it is")
tap.is(seen["/trouble"], 1, "is not tried again")

tap.is(from("/slow-down", { after = 0, times = 5 }).json.tries, 6, "a limit is waited out by time, not by number")
tap.is(from("/slow-down", { after = 0, times = 3 }, { method = "POST", retries = 1 }).json.tries, 4, "by a POST, too")
tap.raises("http.status", function() from("/slow-down", { after = 0 }, { retries = 0 }) end, "unless nothing is to be")
tap.is(seen["/slow-down"], 1, "tried again")
local hour = "^the server asks to wait 1h 00m, until %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC"
local later = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 3630)
for what, query in pairs {
    ["Retry-After in seconds"] = { after = 3600 }, ["Retry-After with a date"] = { after = later },
    ["a reset in seconds"] = { reset = 3600, remaining = 0 }, ["a reset at a moment"] = { reset = os.time() + 3630 },
    ["a reset by the older name"] = { x_reset = os.time() + 3630 },
} do
    err = tap.raises("http.status", function() from("/slow-down", query) end, what .. " that is far away")
    tap.is(seen["/slow-down"], 1, "is not waited for")
    tap.like(err.hint, hour, "but named")
    tap.ok(math.abs(err.retry_at - now() - 3600) < 300, "as a field, too", tostring(err.retry_at))
end
for what, query in pairs {
    ["nonsense"] = { after = "soon" }, ["a number that is none"] = { after = "nan" }, ["what has passed"] = { reset = 10 ^ 9 + 1 },
    ["a limit with requests left"] = { reset = os.time() + 3600, remaining = 12 }, ["nothing"] = {},
} do
    tap.is(from("/slow-down", query).json.tries, 2, what .. " in place of a time is as good as none")
end

for kind, words in pairs {
    deep = "JSON nested deeper than 1000 levels, at byte 1001", cut = "broken JSON from byte %d+ on", page = "application/json",
} do
    err = tap.raises("http.json", function() return from("/json-of", { kind = kind }).json end, "a body that is " .. kind)
    tap.like(tostring(err), "not JSON but " .. words, "is called that")
    tap.is(err.hint:find "page" ~= nil, kind == "page", "and a page only where it is one")
end

for what, err_with in pairs {
    ["500"] = { status = 500 }, ["429"] = { status = 429 }, ["no connection"] = { code = "http.connect" },
    ["a stall"] = { code = "timeout" },
} do
    tap.ok(http.is_temporary(err_with), what .. " may pass")
end
for what, err_with in pairs {
    ["404"] = { status = 404, code = "http.status" }, ["a certificate"] = { code = "http.tls" }, ["Ctrl-C"] = { code = "cancelled" },
    ["a wrong document"] = { status = 200, code = "http.json" },
} do
    tap.ok(not http.is_temporary(err_with), what .. " does not pass")
end

-- ---- faults on the way

local free = http.serve(handler)
local refused = free.url
free:close()
free:wait()
err = tap.raises("http.connect", function() http.get(refused, { retries = 0 }) end, "a closed port")
tap.like(tostring(err), "Connection refused", "is named as such")
tap.raises("http.dns", function() http.get "http://no-such-host.invalid/" end, "an unknown name")
err = tap.raises("http.body", function() http.get(url .. "/cut", { retries = 0 }) end, "half a body")
tap.like(tostring(err), "broke off after 5000 of 100000 bytes", "says how much came")
seen["/cut"] = 0
tap.raises("http.body", function() http.get(url .. "/cut", { retries = 1 }) end, "is tried again by a GET")
tap.is(seen["/cut"], 2, "as often as asked for")
err = tap.raises("timeout", function()
    http.get(url .. "/stall", { query = { name = "try" }, timeout = 0.2 })
end, "a stall")
tap.like(tostring(err), "no answer from 127.0.0.1:%d+ within 0.2", "says what was waited for")
tap.raises("timeout", function() timeout(0.2, http.get, url .. "/stall", { query = { name = "deadline" } }) end,
    "the task's deadline counts too")
wait_until("the handlers to notice", { timeout = 5, interval = 0.01 }, function()
    return gone.try == "cancelled" and gone.deadline == "cancelled"
end)
tap.is(gone.try, "cancelled", "a handler whose client left is cancelled")
err = tap.raises("http.limit", function() http.get(url .. "/big", { query = { size = 16000 }, limit = 1000 }) end,
    "an answer beyond the limit")
tap.like(err.hint, "limit", "says how to raise it")
err = tap.raises("http.status", function()
    http.post(url .. "/echo", { body = ("y"):rep(2 ^ 20 + 1) })
end, "a body too large")
tap.is(err.status, 413, "is refused by the server")

-- ---- redirects

answer = http.get(url .. "/moved")
tap.is(answer.json.query.moved, "yes", "a GET follows a redirect")
tap.is(answer.url, url .. "/echo?moved=yes", "and says where it ended")
tap.is(http.post(url .. "/moved").status, 302, "a POST does not")
answer = http.get(url .. "/moved", { redirects = 0 })
tap.is(answer.headers.location, "/echo?moved=yes", "nor a GET that does not want to")
tap.raises("http.redirect", function() http.get(url .. "/around") end, "circles are left")
local crossing = http.serve(function() return { status = 307, headers = { Location = url .. "/echo" } } end)
local credentials = { Authorization = "Bearer abcdefgh", ["X-Key"] = secret.wrap "keykeykey", ["X-Plain"] = "p" }
local headers = http.get(crossing.url, { headers = credentials }).json.headers
tap.ok(not headers.authorization and not headers["x-key"], "credentials do not follow to another server")
tap.is(headers["x-plain"], "p", "other headers do")
crossing:close()

-- ---- secrets

local token = secret.wrap "hunter2-hunter2"
answer = http.post(url .. "/echo", { headers = { Authorization = "Bearer " .. token }, json = { deep = { token } },
    query = { key = token } })
tap.is(#answer.json.headers.authorization, #"Bearer hunter2-hunter2", "a secret arrives in a header")
tap.is(#answer.json.query.key, 15, "in the query")
tap.is(#json.decode(answer.json.body).deep[1], 15, "and inside JSON")
err = tap.raises("http.status", function() http.get(url .. "/nowhere", { query = { key = token } }) end, "a failure")
tap.ok(not tostring(err):find "hunter2" and not err.target:find "hunter2", "does not tell it")
tap.raises("usage", function() http.get(url, { headers = { A = secret.wrap "abcdef\r\nB: c" } }) end,
    "a secret cannot smuggle a header in either")

-- ---- many at once

local numbers, sum = {}, 0
for number = 1, 100 do
    numbers[number] = number
end
each(numbers, { parallel = 100 }, function(number)
    local own = http.get(url .. "/slow", { query = { number = number } }).json.number
    sum = sum + tonumber(own)
end)
tap.is(sum, 5050, "100 requests at once get each its own answer")
tap.ok(most_in_flight > 20, "at the same time", most_in_flight .. " at most")
tap.raises("failed", function()
    parallel {
        function() http.get(url .. "/stall", { query = { name = "sibling" } }) end,
        function() http.get(url .. "/echo") fail "stop" end,
    }
end, "a request is cancelled with its task")
wait_until("the handler to notice", { timeout = 5, interval = 0.01 }, function() return gone.sibling ~= "here" end)
tap.is(gone.sibling, "cancelled", "and the server hears of it")

-- ---- garbage on the server's socket

local SEND = [[
use IO::Socket::INET; use strict; my ($port, $text) = @ARGV; $text =~ s/\\x(..)/chr hex $1/ge;
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 5) or die $!;
print $socket $text; $socket->flush; shutdown $socket, 1; local $/; my $answer = <$socket>;
]]
local patient = http.serve({ timeout = 1 }, handler)
for _, bytes in ipairs {
    "\\x00\\x01\\xff\\xfe", "\\x16\\x03\\x01\\x02", "GET\\x0d\\x0a\\x0d\\x0a", "GET / HTTP/9.9\\x0d\\x0a\\x0d\\x0a",
    "POST /echo HTTP/1.1\\x0d\\x0aHost: a\\x0d\\x0aContent-Length: -5\\x0d\\x0a\\x0d\\x0ax",
    "POST /echo HTTP/1.1\\x0d\\x0aHost: a\\x0d\\x0aContent-Length: 99999999999999999999\\x0d\\x0a\\x0d\\x0ax",
    "POST /echo HTTP/1.1\\x0d\\x0aHost: a\\x0d\\x0aTransfer-Encoding: chunked\\x0d\\x0a\\x0d\\x0azz\\x0d\\x0a",
    "GET /" .. ("%00"):rep(20) .. " HTTP/1.1\\x0d\\x0aHost: a\\x0d\\x0a\\x0d\\x0a",
    "GET / HTTP/1.1\\x0d\\x0aHost: a\\x0d\\x0aX: " .. ("y"):rep(100000) .. "\\x0d\\x0a\\x0d\\x0a",
} do
    sh.try({ "perl", "-e", SEND, patient.port, bytes }, { timeout = 10 })
end
tap.is(http.get(patient.url .. "/echo").status, 200, "garbage does not stop the server")
patient:close()

-- ---- TLS

local directory = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")

local function openssl(command)
    local argv = { "openssl" }
    for word in command:gmatch "%S+" do
        argv[#argv + 1] = word
    end
    sh.run(argv, { cwd = directory })
end

local KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl("req -x509 " .. KEY .. " -keyout ca.key -out ca.pem -subj /CN=Test-CA -days 2")
for name, days in pairs { good = 2, expired = -1 } do
    openssl(("req %s -keyout %s.key -out %s.csr -subj /CN=good.test -addext subjectAltName=DNS:good.test")
        :format(KEY, name, name))
    openssl(("x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days %d -copy_extensions copy -out %s.pem")
        :format(name, days, name))
end
local ca = directory .. "/ca.pem"

local function serve_tls(name)
    local file = directory .. "/" .. name
    return http.serve({ tls = { certificate = file .. ".pem", key = file .. ".key" } }, handler)
end

local good, expired = serve_tls "good", serve_tls "expired"
local place = "https://good.test:" .. good.port
local resolve = { ["good.test:" .. good.port] = "127.0.0.1", ["bad.test:" .. good.port] = "127.0.0.1",
    ["good.test:" .. expired.port] = "127.0.0.1" }
answer = http.post(place .. "/json", { json = { 1 }, ca_file = ca, resolve = resolve })
tap.is(answer.json.got, { 1 }, "a request over TLS, with a CA file and a given address")
err = tap.raises("http.tls", function() http.get(place, { resolve = resolve }) end, "an unknown authority")
tap.like(tostring(err), "unable to get local issuer certificate", "is said")
tap.like(err.hint, "ca_file", "with what to do")
err = tap.raises("http.tls", function()
    http.get("https://bad.test:" .. good.port, { ca_file = ca, resolve = resolve })
end, "a certificate for another name")
tap.like(tostring(err), "bad.test", "names it")
err = tap.raises("http.tls", function()
    http.get("https://good.test:" .. expired.port, { ca_file = ca, resolve = resolve })
end, "an expired certificate")
tap.like(tostring(err), "expired", "is said to be")
tap.raises("http.tls", function() http.get(place, { ca_file = directory .. "/nothing", resolve = resolve }) end,
    "a CA file that is not there")
tap.raises("http.tls", function() http.get("https://127.0.0.1:" .. plain.port, { ca_file = ca }) end, "no TLS at all")
tap.raises("http.dns", function() http.get("https://bad.test:" .. good.port) end,
    "a given address is for its request only")

local shown = http.probe_tls("good.test", { port = good.port, address = "127.0.0.1", ca_file = ca })
tap.ok(shown.verified and shown.problem == nil, "probe_tls verifies a good certificate", tostring(shown.problem))
tap.is(shown.issuer, "CN=Test-CA", "and tells who issued it")
tap.is(shown.names, { "good.test" }, "and for which names")
tap.ok(math.abs(shown.not_after - now() - 2 * 86400) < 300, "and until when")
shown = http.probe_tls("good.test", { port = expired.port, address = "127.0.0.1", ca_file = ca })
tap.ok(not shown.verified, "an expired one is an answer")
tap.like(shown.problem, "expired", "with the problem")
shown = http.probe_tls("bad.test", { port = good.port, address = "127.0.0.1", ca_file = ca })
tap.ok(not shown.verified and shown.problem:find "hostname", "so is one for another name")
shown = http.probe_tls("good.test", { port = good.port, address = "127.0.0.1" })
tap.ok(not shown.verified, "and one of an unknown authority")
tap.raises("http.tls", function() http.probe_tls("127.0.0.1", { port = plain.port }) end, "but no TLS at all raises")
for _, server in ipairs { good, expired } do
    server:close()
    server:wait()
end

-- ---- the server's own errors

err = tap.raises("http.listen", function() http.serve({ port = plain.port }, handler) end, "a port that is taken")
tap.like(err.hint, "port 0 is any free one", "says what else to do")
tap.raises("http.listen", function() http.serve({ tls = { certificate = ca, key = ca } }, handler) end,
    "a key that is none")
tap.raises("http.listen", function() http.serve({ tls = { certificate = "/nowhere", key = ca } }, handler) end,
    "a missing file")
tap.raises("usage", function() http.serve({ address = "no address" }, handler) end, "an address that is none")
local stalled = http.serve(handler)
parallel {
    function()
        tap.raises("http.body", function()
            http.get(stalled.url .. "/stall", { query = { name = "closed" }, retries = 0 })
        end, "closing a server breaks off what is under way")
    end,
    function()
        wait_until("the request to arrive", { timeout = 5, interval = 0.01 }, function()
            return gone.closed == "here"
        end)
        stalled:close()
        stalled:wait()
    end,
}
tap.is(gone.closed, "cancelled", "and cancels its handlers")

sh.run { "rm", "-r", directory }
plain:close()
plain:wait()
tap.raises("http.connect", function() http.get(url, { retries = 0 }) end, "a closed server listens no more")
tap.done()
