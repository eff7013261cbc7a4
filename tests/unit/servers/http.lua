-- Run by http_servers.t with the addresses of its servers.
local tap, http = require "tap", require "http"
local given = json.decode((select(2, ...)))
local ca_file = given.folder .. "/server.pem"

local LARGE = ("0123456789"):rep(100000)

--- What hostler may ask of any server, by name: the request, and what has to arrive.
local requests = {
    { "GET", { query = { name = "Zürich & more" } }, body = "" },
    { "HEAD", {} },
    { "POST", { json = { a = 1 } }, body = '{"a":1}', type = "application/json" },
    { "POST", { form = { a = "b c" } }, body = "a=b%20c", type = "application/x-www-form-urlencoded" },
    { "POST", {}, body = "", length = "0" },
    { "POST", { body = LARGE }, body = "01234567890123456789", length = tostring(#LARGE) },
    { "PUT", { body = "text" }, body = "text", length = "4" },
    { "PUT", {}, body = "", length = "0" },
    { "PATCH", { json = { a = 1 } }, body = '{"a":1}' },
    { "DELETE", {}, body = "" },
    { "DELETE", { json = { tag = "x" } }, body = '{"tag":"x"}' },
    { "OPTIONS", {}, body = "" },
    { "POST", { body = LARGE, headers = { Expect = "100-continue" } }, body = "01234567890123456789" },
    { "GET", { headers = { ["X-Long"] = ("x"):rep(6000), ["X-Empty"] = "" } }, body = "" },
}

local function ask(url, method, options)
    local all = { method = method, url = url .. "/a/path%20with", ca_file = ca_file, timeout = 20, retries = 0 }
    for name, value in pairs(options) do
        all[name] = value
    end
    return try(http.request, all)
end

local function check(name, request, response, err)
    local arrived = response and request[1] ~= "HEAD" and response.json or {}
    local headers = arrived.headers or {}
    local right = response and response.status == 200
        and (request[1] == "HEAD" or arrived.method == request[1] and arrived.body == request.body)
        and (not request.type or headers["content-type"] == request.type)
        and (not request.length or headers["content-length"] == request.length)
        and (headers.expect == nil or request[2].headers ~= nil)
    tap.ok(right, name, err and tostring(err) or json.encode(arrived))
end

--- One after the other, so that all but the first go over a connection that has been used.
local function try_all(name, url)
    for _, request in ipairs(requests) do
        local words = {}
        for option in pairs(request[2]) do
            words[#words + 1] = option
        end
        local response, err = ask(url, request[1], request[2])
        check(("%s: %s %s"):format(name, request[1], table.concat(words, " ")), request, response, err)
    end
end

--- A server that has read enough answers, and hangs up while the body is still on its way.
local function refuse_body(url)
    local _, err = try(http.post, url .. "/small", { body = LARGE, ca_file = ca_file })
    tap.is(err and err.status, 413, url .. ": an answer before all of the body was read")
end

refuse_body(("http://%s:8080"):format(given.addresses.nginx))
refuse_body(("https://%s:8443"):format(given.addresses.nginx))
for name, address in pairs(given.addresses) do
    try_all(name, ("http://%s:8080"):format(address))
    if name ~= "node" and name ~= "python" then
        try_all(name .. " with TLS", ("https://%s:8443"):format(address))
    end
end
tap.done()
