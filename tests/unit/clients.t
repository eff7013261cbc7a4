#!build/lua-test
-- Clients that others wrote, against the local cloud's stand-in for the APIs: what they ask of the real ones, it answers.
-- Then once more with Prism between them, which holds every answer against the APIs' OpenAPI documents.
local tap, standin, http, sh = require "tap", require "standin", require "http", require "sh"

local FIRST_PORT = 4010
local DONE = "clients.done"

local node_path = sh.run({ "tests/npm/install" }, { timeout = 600 }).stdout:gsub("%s+$", "")

local function environment(cloud, more)
    local env = { NODE_PATH = node_path, NODE_EXTRA_CA_CERTS = cloud.ca_file, NO_PROXY = "*" }
    for name, value in pairs(more or {}) do
        env[name] = value
    end
    return env
end

--- Runs a script of tests/npm, whose lines are checks.
local function run(cloud, script, env)
    local result = sh.run({ "node", "tests/npm/" .. script },
        { env = environment(cloud, env), check = false, timeout = 120 })
    for line in result.stdout:gmatch "[^\n]+" do
        local check = json.decode(line)
        tap.ok(check.ok, ("%s: %s"):format(script, check.name), check.detail)
    end
    tap.is(result.status, 0, script .. " came to its end: " .. result.stderr:sub(1, 1000):gsub("\n", " "))
end

local function run_clients(cloud, digitalocean_url, connect_url, through)
    run(cloud, "onepassword.js", { OP_CONNECT_HOST = connect_url, OP_CONNECT_TOKEN = cloud.tokens.onepassword })
    run(cloud, "digitalocean.js", {
        DIGITALOCEAN_API_URL = digitalocean_url, DO_API_TOKEN = cloud.tokens.droplets[1].token, THROUGH = through,
    })
end

--- Prism in front of a server, until it is cancelled; what it says goes into a file.
local function prism(cloud, document, url, port, log)
    local address = url:match "^https://([^:]+)"
    return function()
        sh.run({ "sh", "-c", 'exec "$@" >"$0" 2>&1', log, "setpriv", "--pdeathsig", "TERM", "node",
            node_path .. "/.bin/prism", "proxy", document, url, "--host", address, "--port", tostring(port) },
            { env = environment(cloud) })
        fail "Prism ended"
    end, ("http://%s:%d"):format(address, port)
end

local function wait_for(url)
    wait_until(url .. " to answer", { timeout = 120, interval = 0.1 }, function()
        local _, err = try(http.get, url .. "/", { retries = 0 })
        return not err or err.code == "http.status"
    end)
end

--- What Prism finds wrong in answers, and how many it has seen. A path with a slash at its end, as 1Password's client asks
--- for, it takes for another operation.
local function findings(log)
    local request, seen, wrong = "", 0, {}
    for line in sh.run({ "cat", log }, { read = true }).stdout:gmatch "[^\n]+" do
        request = line:match "%[HTTP SERVER%] (%l+ %S+)" or request
        seen = seen + (line:find("Received forward response", 1, true) and 1 or 0)
        local violation = line:match "Violation: (response.*)"
        if violation and not request:find "/$" then
            wrong[#wrong + 1] = request .. ": " .. violation
        end
    end
    return wrong, seen
end

local function with_prism(cloud, folder)
    local logs = { cloud.folder .. "/prism-digitalocean.log", cloud.folder .. "/prism-onepassword.log" }
    -- Prism takes no note of the path in the document's own address.
    local document = cloud.folder .. "/onepassword.yaml"
    sh.run { "sh", "-c", [[sed 's#^  /\(vaults\|activity\)#  /v1/\1#' "$0" >"$1"]],
        folder .. "/onepassword-connect-openapi.yaml", document }
    local first, digitalocean_url = prism(cloud, folder .. "/digitalocean-openapi.json", cloud.url, FIRST_PORT, logs[1])
    local second, connect_url = prism(cloud, document, cloud.connect_url, FIRST_PORT + 1, logs[2])
    local _, err = try(parallel, { first, second, function()
        wait_for(digitalocean_url)
        wait_for(connect_url)
        run_clients(cloud, digitalocean_url, connect_url, "prism")
        fail("done", { code = DONE })
    end })
    if err.code ~= DONE then
        error(err, 0)
    end
    for _, log in ipairs(logs) do
        local wrong, seen = findings(log)
        tap.is(wrong, {}, ("Prism finds each of %d answers right: %s"):format(seen, log:match "[^/]+$"))
        tap.ok(seen > 10, "which it has seen")
    end
end

standin.with(function(cloud)
    run_clients(cloud, cloud.url, cloud.connect_url)
    local answered = http.get(cloud.url .. "/v2/snapshots", {
        query = { color = "red" }, ca_file = cloud.ca_file, expect = { 501 },
        headers = { Authorization = "Bearer " .. cloud.tokens.droplets[1].token },
    })
    tap.like(answered.json.message, "stand%-in does not imitate the parameter 'color'", "a filter that is not imitated")
    local folder = env "HOSTLER_OPENAPI"
    if folder then
        with_prism(cloud, folder)
    else
        tap.ok(true, "Prism finds every answer right # SKIP HOSTLER_OPENAPI is not set")
    end
end)
tap.done()
