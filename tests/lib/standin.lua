-- Starts the stand-in for the DigitalOcean and 1Password APIs for one test, on a loopback address of its own and with
-- nothing real behind it: tests/cloud/api with CLOUD_MACHINES=none.
local http, sh, tap = require "http", require "sh", require "tap"

local standin = {}

local START_TIMEOUT = 120
local DONE = "standin.done"

local TEAMS = {
    droplets = { { team = "Meltano", token = "dop_v1_droplets_team" } },
    databases = {
        { team = "MeltanoData DBs 1 (full)", token = "dop_v1_first_databases_team", limit = 50 },
        { team = "MeltanoData DBs 2", token = "dop_v1_second_databases_team", limit = 3 },
    },
    readonly = "dop_v1_token_that_reads",
    onepassword = "connect_token_of_the_test",
}

local function write(path, text)
    sh.run({ "sh", "-c", "cat >\"$1\"", "sh", path }, { stdin = text })
end

--- Any address of 127.0.0.0/8 is this machine's: tests that run side by side meet at different ones.
local function loopback()
    local a, b, c = uuid():match "^(%x%x)(%x%x)(%x%x)"
    local function octet(digits)
        return tonumber(digits, 16) % 254 + 1
    end
    return ("127.%d.%d.%d"):format(octet(a), octet(b), octet(c))
end

local function make_state(address)
    local folder = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")
    sh.run { "mkdir", folder .. "/tls", folder .. "/agent" }
    sh.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
        "-days", "2", "-subj", "/CN=stand-in", "-addext", "subjectAltName=IP:" .. address,
        "-keyout", folder .. "/tls/server.key", "-out", folder .. "/ca.pem" }
    sh.run { "cp", folder .. "/ca.pem", folder .. "/tls/server.pem" }
    sh.run { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", folder .. "/agent/id_ed25519" }
    write(folder .. "/tokens.json", json.encode(TEAMS))
    return folder
end

--- The cloud as the test sees it: its addresses, tokens, and the control API.
local function cloud_at(address, folder)
    local cloud = {
        folder = folder, ca_file = folder .. "/ca.pem", tokens = TEAMS,
        url = ("https://%s:8443"):format(address), connect_url = ("https://%s:8444"):format(address),
    }
    --- Orders a fault; see tests/cloud/standin/faults.lua.
    function cloud:fault(order)
        self:control("POST", "faults", order)
    end
    function cloud:control(method, path, order)
        local url = self.url .. "/_cloud/" .. path
        return http.request({ method = method, url = url, json = order, ca_file = self.ca_file }).json
    end
    --- Every exchange with the imitated APIs so far.
    function cloud:log()
        local entries = {}
        for line in http.get(self.url .. "/_cloud/log", { ca_file = self.ca_file }).body:gmatch "[^\n]+" do
            entries[#entries + 1] = json.decode(line)
        end
        return entries
    end
    return cloud
end

local function is_healthy(cloud)
    return (try(cloud.control, cloud, "GET", "health"))
end

--- Runs the test against a fresh stand-in, and stops it afterwards.
---@param test fun(cloud: table)
function standin.with(test)
    local address = loopback()
    local folder = make_state(address)
    local cloud = cloud_at(address, folder)
    local _, err = try(parallel, {
        function()
            -- A test that is killed takes its stand-in along.
            sh.run({ "setpriv", "--pdeathsig", "TERM", "tests/cloud/api" }, {
                env = {
                    CLOUD_STATE = folder, CLOUD_GATEWAY = address, CLOUD_MACHINES = "none", CLOUD_CLUSTER_DELAY = "0.2",
                },
            })
            fail "the stand-in ended"
        end,
        function()
            wait_until("the stand-in to answer", { timeout = START_TIMEOUT, interval = 0.05 }, function()
                return is_healthy(cloud)
            end)
            test(cloud)
            fail("done", { code = DONE })
        end,
    })
    shield(10, sh.run, { "rm", "-rf", folder })
    if err and err.code ~= DONE then
        error(err, 0)
    end
end

--- Asserts that every exchange so far fits the APIs' OpenAPI documents, where $HOSTLER_OPENAPI names their folder.
function standin.validate(cloud)
    if not env "HOSTLER_OPENAPI" then
        tap.ok(true, "every exchange fits the OpenAPI documents # SKIP HOSTLER_OPENAPI is not set")
        return
    end
    local path = cloud.folder .. "/exchanges.jsonl"
    write(path, http.get(cloud.url .. "/_cloud/log", { ca_file = cloud.ca_file }).body)
    local result = sh.run({ "tests/openapi/validate", path }, { read = true, check = false })
    tap.ok(result.status == 0, "every exchange fits the OpenAPI documents", result.stdout .. result.stderr)
end

return standin
