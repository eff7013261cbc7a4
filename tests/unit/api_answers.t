#!build/lua-test
-- What the clients of the two APIs believe: against a stand-in of their own here, which answers whatever a test sets.
local tap = require "tap"
local digitalocean, http, onepassword, sh = require "digitalocean", require "http", require "onepassword", require "sh"

local directory = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")
local ca = directory .. "/ca.pem"
sh.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2",
    "-subj", "/CN=stand-in", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory .. "/key.pem", "-out", ca }

local answers, asked = {}, json.array {} -- what is answered, by "METHOD path"; what was asked, and with which body

local function handler(request)
    local place = request.method .. " " .. request.path
    asked[#asked + 1] = { place = place, body = request.body, query = request.query }
    local answer = answers[place] or answers["*"]
    if type(answer) == "function" then
        answer = answer()
    end
    return answer or { status = 404, json = { id = "not_found", message = "The resource could not be found." } }
end

local server = http.serve({ tls = { certificate = ca, key = directory .. "/key.pem" } }, handler)

--- Sets what is answered from now on, and forgets what was asked.
local function answering(new)
    answers, asked = new, json.array {}
end

local function body(text)
    return { body = text, headers = { ["Content-Type"] = "application/json" } }
end

local function count(place)
    local found = 0
    for _, one in ipairs(asked) do
        found = found + (one.place == place and 1 or 0)
    end
    return found
end

local function account(lag)
    return digitalocean.account(secret.wrap "dop_v1_of_this_test", { url = server.url, ca_file = ca, lag = lag })
end
local cloud, hurried = account(300), account(0.2)
local connect = onepassword.connect(server.url, secret.wrap "connect_token_of_this_test", { ca_file = ca })

-- ---- the shape of an answer

local READS = {
    droplets = function() return cloud:droplets() end,
    droplet = function() return cloud:droplet(1) end,
    find_droplet = function() return cloud:find_droplet "ada" end,
    databases = function() return cloud:databases() end,
    database = function() return cloud:database "x" end,
    trusted_sources = function() return cloud:trusted_sources "x" end,
    database_ca = function() return cloud:database_ca "x" end,
    account = function() return cloud:account() end,
    keys = function() return cloud:keys() end,
    snapshots = function() return cloud:snapshots() end,
    records = function() return cloud:records "example.org" end,
    find_project = function() return cloud:find_project "x" end,
    tags = function() return cloud:tags() end,
    wait_active = function() return cloud:wait_active(1, { timeout = 1 }) end,
    wait_action = function() return cloud:wait_action(1, { timeout = 1 }) end,
}
local WRONG = {
    { "another document", body '{"drops":[]}' },
    { "a list", body "[1,2]" }, { "an empty list", body "[]" },
    { "null", body "null" }, { "a number", body "7" }, { "no JSON", body "so what" }, { "half of it", body '{"droplets":[' },
    { "JSON too deep", body(("["):rep(2000) .. ("]"):rep(2000)) },
    { "no document", { status = 204 } }, { "nothing at all", { status = 200 } },
    { "texts where things were to be", body(json.encode {
        droplets = "many", droplet = "one", databases = "many", database = 7, rules = "all", ca = "none", account = true,
        ssh_keys = 3, snapshots = "x", domain_records = "x", projects = "x", tags = "x", action = "done",
    }) },
    { "lists of numbers", body(json.encode {
        droplets = { 1 }, droplet = { 1 }, databases = { 1 }, database = { 1 }, rules = { 1 }, ca = { 1 }, account = { 1 },
        ssh_keys = { 1 }, snapshots = { 1 }, domain_records = { 1 }, projects = { 1 }, tags = { 1 }, action = { 1 },
    }) },
    { "things without what they are known by", body(json.encode {
        droplets = { { a = 1 } }, droplet = { a = 1 }, databases = { { a = 1 } }, database = { a = 1 }, rules = { { a = 1 } },
        ca = { a = 1 }, account = { a = 1 }, ssh_keys = { { a = 1 } }, snapshots = { { a = 1 } },
        domain_records = { { a = 1 } }, projects = { { a = 1 } }, tags = { { a = 1 } }, action = { a = 1 },
    }) },
    { "a page", { body = "<html>\n<p>Sign in</p>", headers = { ["Content-Type"] = "text/html" } } },
}
for _, wrong in ipairs(WRONG) do
    answering { ["*"] = wrong[2] }
    local others = {}
    for name, read in pairs(READS) do
        local _, err = try(read)
        if not err or err.code ~= "digitalocean.answer" then
            others[#others + 1] = ("%s: %s"):format(name, err and tostring(err) or "believed")
        end
    end
    tap.ok(#others == 0, "DigitalOcean answers " .. wrong[1], table.concat(others, "\n"))
end
answering { ["*"] = body '{"droplets":[{"id":1,"name":"ada","networks":7,"tags":"x"},{"id":2,"name":"bob"}]}' }
tap.is(#cloud:droplets(), 2, "what nobody needs may be missing")
answering { ["*"] = body '{"databases":null}' }
tap.is(#cloud:databases(), 0, "an empty list may be null")

for _, wrong in ipairs(WRONG) do
    answering { ["GET /v1/vaults"] = body '[{"id":"v","name":"site"}]', ["*"] = wrong[2] }
    local vault, others = connect:vault "site", {}
    for name, read in pairs {
        items = function() return vault:items() end, find = function() return vault:find "ada" end,
        get = function() return vault:get "i" end,
        vaults = function()
            answers["GET /v1/vaults"] = nil
            return connect:vaults()
        end,
    } do
        local _, err = try(read)
        local is_list = wrong[1] == "an empty list" and name ~= "get"
        if not is_list and (not err or err.code ~= "onepassword.answer") then
            others[#others + 1] = ("%s: %s"):format(name, err and tostring(err) or "believed")
        end
    end
    tap.ok(#others == 0, "1Password answers " .. wrong[1], table.concat(others, "\n"))
end

local SHOWN = "hunter2hunter2"
answering { ["*"] = body('{"database":{"id":"x","name":"n","connection":{"password":"' .. SHOWN .. '"') }
local err = tap.raises("digitalocean.answer", function() cloud:database "x" end, "an answer that is cut")
tap.ok(not json.encode { err.message, err.body or "", tostring(err.cause), tostring(err) }:find(SHOWN),
    "is not shown, for there may be secrets in it")
answering { ["*"] = body(("["):rep(2000) .. ("]"):rep(2000)) }
err = tap.raises("digitalocean.answer", function() cloud:account() end, "JSON that is too deep")
tap.like(tostring(err), "nested deeper than 1000 levels", "is called that")
tap.ok(not tostring(err.hint):find "page", "and no web page", err.hint)

-- ---- somebody else's things

local three = body [[{"droplets":[{"id":1,"name":"bob","tags":["x"]},{"id":2,"name":"cid","tags":["production"]},
    {"id":3,"name":"Ada","tags":["Production"]}],"databases":[{"id":"a","name":"a","tags":["x"]},{"id":"b","name":"b"}],
    "domain_records":[{"id":1,"type":"A","name":"bob","data":"192.0.2.1"},{"id":2,"type":"TXT","name":"ada","data":"x"},
    {"id":3,"type":"A","name":"ada","data":"192.0.2.3"}],"snapshots":[{"id":"1","name":"meltano-1","created_at":"2",
    "resource_type":"volume"},{"id":"2","name":"meltano-2","created_at":"1","resource_type":"droplet"}]}]]
answering { ["*"] = three }
tap.is(cloud:find_droplet("ada").id, 3, "a name is looked for among all that the server gives")
tap.is(cloud:find_droplet "dan", nil, "and may not be there")
tap.is(#cloud:droplets { tag = "production" }, 2, "so is a tag")
tap.is(#cloud:databases { tag = "x" }, 1, "of clusters too")
tap.is(#cloud:records("example.org", { name = "ada", type = "A" }), 1, "a record")
tap.is(#cloud:snapshots { resource_type = "droplet", prefix = "meltano-" }, 1, "a snapshot")
tap.is(json.encode(cloud:droplets { name = "nobody" }), "[]", "none is an empty list")
answering { ["GET /v1/vaults"] = body '[{"id":"w","name":"another"}]' }
tap.raises("onepassword.not_found", function() connect:vault "site" end, "another vault is not the one")
answering {
    ["GET /v1/vaults"] = body '[{"id":"w","name":"another"},{"id":"v","name":"site"}]',
    ["GET /v1/vaults/v/items"] = body '[{"id":"j","title":"bob"},{"id":"i","title":"ada"}]',
    ["GET /v1/vaults/v/items/i"] = body '{"id":"i","title":"ada"}',
}
local vault = connect:vault "site"
tap.is(vault:find("ada").id, "i", "nor another item")
tap.is(vault:find "cid", nil, "which may not be there")
answering { ["*"] = body '{"id":"i","title":"ada","vault":{"id":"w"}}' }
tap.raises("onepassword.answer", function() vault:get "i" end, "an item of another vault")
answering { ["*"] = body '[{"id":"i","title":"ada","vault":{"id":"w"}}]' }
tap.raises("onepassword.answer", function() vault:items() end, "nor in a list")
answering { ["*"] = body '{"id":"i","title":"x","fields":[{"id":"p","purpose":"PASSWORD","type":"CONCEALED","value":null}]}' }
tap.is(vault:get("i").password, nil, "a password that is null is none")
answering { ["*"] = body '{"id":"j","title":"bob","droplet":{"id":9,"name":"x","status":"active"},"database":{"id":"y","name":"y"}}' }
tap.raises("onepassword.answer", function() vault:get "i" end, "an item that was not asked for")
tap.raises("digitalocean.answer", function() cloud:droplet(8) end, "a droplet that was not asked for")
tap.raises("digitalocean.answer", function() cloud:database "x" end, "a cluster that was not asked for")

-- ---- another place

local visits = 0
local elsewhere = http.serve({ tls = { certificate = ca, key = directory .. "/key.pem" } }, function()
    visits = visits + 1
    return { json = { droplets = json.array {}, account = { droplet_limit = 9, team = { name = "theirs" } } } }
end)
for _, status in ipairs { 301, 302, 307, 308 } do
    answering { ["*"] = { status = status, headers = { Location = elsewhere.url .. "/" } } }
    err = tap.raises("digitalocean.answer", function() cloud:account() end, status .. " to another server")
    tap.like(tostring(err), "leads to " .. elsewhere.url, "is told")
    tap.raises("onepassword.answer", function() connect:vaults() end, "by 1Password too")
    tap.raises("digitalocean.answer", function() cloud:delete_droplet(1) end, "also of what deletes")
end
tap.is(visits, 0, "and nobody goes there")
local pages = 0
answering { ["*"] = function()
    pages = pages + 1
    return { json = { tags = { { name = "t" } }, links = { pages = { next = server.url .. "/v2/tags?page=2" } } } }
end }
tap.raises("digitalocean.answer", function() cloud:tags() end, "a list whose next page is the same one")
tap.ok(pages < 5, "is left", pages .. " pages")

-- ---- what goes into a path

answering { ["*"] = { status = 204 } }
for _, id in ipairs { "?tag_name=production", "", "1/actions", "..", "1?x", "1#x", "%2e%2e", -1, 1.5, 0 / 0, 2 ^ 60, true } do
    tap.raises("usage", function() cloud:delete_droplet(id) end, "no droplet's id: " .. tostring(id))
end
tap.raises("usage", function() cloud:delete_droplet(nil) end, "no id of a droplet")
for _, id in ipairs { "", "../projects/1", "a/b", "a?b", "a b", ".", "..", "a%2fb", "é" } do
    tap.raises("usage", function() cloud:delete_database(id) end, "no cluster's id: " .. id)
    tap.raises("usage", function() cloud:records(id) end, "no domain: " .. id)
    tap.raises("usage", function() cloud:project_resources(id) end, "no project's id: " .. id)
    tap.raises("usage", function() cloud:untag_droplets(id, { 1 }) end, "no tag: " .. id)
    tap.raises("usage", function() vault:delete(id) end, "no item's id: " .. id)
end
tap.raises("usage", function() cloud:delete_record("example.org", "1/..") end, "no record's id")
tap.raises("usage", function() cloud:delete_record("example.org", { type = "A", name = "x" }) end, "a record without one")
tap.raises("usage", function() cloud:wait_action "x" end, "no action's id")
tap.raises("usage", function() vault:delete(nil) end, "no id of an item")
tap.raises("usage", function() vault:get(nil) end, "nor one to read")
tap.is(#asked, 0, "nothing was asked for any of these")
cloud:delete_droplet(9007199254740991)
cloud:tag_droplets("a:b", { 9007199254740991 })
tap.is(asked[1].place, "DELETE /v2/droplets/9007199254740991", "sixteen digits stay sixteen digits")
tap.is(json.decode(asked[2].body).resources[1].resource_id, "9007199254740991", "in a body, too")
tap.is(asked[2].place, "POST /v2/tags/a:b/resources", "a tag may have a colon")
answering { ["*"] = body '{"droplets":[{"id":9007199254740990,"name":"ada"},{"id":9007199254740991,"name":"ada"}]}' }
err = tap.raises("digitalocean.ambiguous", function() cloud:find_droplet "ada" end, "two of a name")
tap.like(err.message, "9007199254740990 of .*9007199254740991 of", "are told apart by all digits")

-- ---- empty lists

answering {
    ["POST /v2/droplets"] = body '{"droplet":{"id":1,"name":"x"}}', ["GET /v2/droplets"] = body '{"droplets":[]}',
    ["POST /v2/databases"] = body '{"database":{"id":"1","name":"x"}}',
    ["POST /v2/projects/p/resources"] = body '{"resources":[]}',
    ["POST /v2/tags/t/resources"] = { status = 204 },
    ["POST /v1/vaults/v/items"] = body '{"id":"i","title":"x"}',
}
cloud:create_droplet { name = "x", region = "r", size = "s", image = 1, ssh_keys = {}, tags = {}, volumes = {} }
cloud:create_database { name = "x", engine = "pg", num_nodes = 1, size = "s", region = "r", tags = {}, rules = {} }
cloud:assign({ id = "p", name = "P" }, {})
cloud:tag_droplets("t", {})
vault:create { title = "x", password = secret.random(), tags = {}, urls = {} }
vault:create { title = "x", generate = { length = 20, characterSets = {} } }
tap.raises("usage", function()
    vault:create { title = "x", generate = true, fields = { { label = "seed", type = "OTP", value = "JBSWY3DP" } } }
end, "what 1Password hides is sent as a secret only")
for _, one in ipairs(asked) do
    tap.ok(not one.body:find "{}", "an empty list is sent as one by " .. one.place, one.body)
end

-- ---- an order whose answer was lost

--- A list that lags so many looks behind the order.
local function lagging(list, late)
    local looks = 0
    return function()
        looks = looks + 1
        return looks > late and list or body((list.body:gsub("%b[]", "[]")))
    end
end
local ORDERS = {
    {
        path = "/v2/droplets", list = body '{"droplets":[{"id":1,"name":"x"}]}',
        order = function(at) return at:create_droplet { name = "x", region = "r", size = "s", image = 1, ssh_keys = { 1 } } end,
    }, {
        path = "/v2/databases", list = body '{"databases":[{"id":1,"name":"x"}]}',
        order = function(at)
            return at:create_database { name = "x", engine = "pg", num_nodes = 1, size = "s", region = "r" }
        end,
    }, {
        path = "/v2/domains/example.org/records",
        list = body '{"domain_records":[{"id":1,"type":"A","name":"x","data":"192.0.2.1"}]}',
        order = function(at) return at:create_record("example.org", { type = "A", name = "x", data = "192.0.2.1" }) end,
    },
}
for lost, answer in pairs {
    ["half an answer"] = { body = ("x"):rep(1000), cut = 10 }, ["a gateway's page"] = { status = 502, body = "<html>" },
    ["another document"] = body '{"ok":true}',
} do
    for _, late in ipairs { 2, 1000 } do
        local set, orders = {}, {}
        for index, one in ipairs(ORDERS) do
            set["POST " .. one.path], set["GET " .. one.path] = answer, lagging(one.list, late)
            orders[index] = function()
                local made, problem = try(one.order, late == 2 and cloud or hurried)
                tap.is(made and made.id or problem.code, late == 2 and 1 or "digitalocean.unclear",
                    ("after %s, a list that lags %d looks, %s"):format(lost, late, one.path))
                tap.ok(made or problem.hint:find "control panel", "or there is something to do")
                return true
            end
        end
        answering(set)
        parallel(orders)
        for _, one in ipairs(ORDERS) do
            tap.is(count("POST " .. one.path), 1, "it is ordered once: " .. one.path)
        end
    end
end
local troubled = 0
answering {
    ["POST /v2/databases"] = { status = 502, body = "x" },
    ["GET /v2/databases"] = function()
        troubled = troubled + 1
        return troubled < 6 and { status = 500, json = {} } or ORDERS[2].list
    end,
}
tap.is(ORDERS[2].order(cloud).id, 1, "trouble while it is looked for passes")

-- ---- patience

local function once(status, rest, times)
    local left = times or 1
    return function()
        left = left - 1
        return left >= 0 and { status = status, json = { id = "trouble", message = "in a moment" } } or rest
    end
end
local ready = body '{"droplet":{"id":1,"name":"x","status":"active","networks":{"v4":[{"type":"public","ip_address":"192.0.2.1"}]}}}'
for _, status in ipairs { 408, 500, 502, 503, 504, 520, 522, 524 } do
    answering { ["GET /v2/droplets/1"] = once(status, ready) }
    tap.is(cloud:wait_active(1, { timeout = 30 }).public_address, "192.0.2.1", "one " .. status .. " does not end a wait")
end
answering { ["GET /v2/droplets/1"] = once(500, ready, 5) }
tap.is(cloud:wait_active(1, { timeout = 60 }).public_address, "192.0.2.1", "nor do five 500")
answering { ["*"] = { status = 500, json = { id = "trouble", message = "still down" } } }
err = tap.raises("timeout", function() cloud:wait_active(1, { timeout = 0.5 }) end, "trouble that stays")
tap.like(tostring(err.cause), "still down", "is told at the end")
answering { ["*"] = { status = 401, json = { id = "Unauthorized", message = "no" } } }
tap.raises("digitalocean.unauthorized", function() cloud:wait_active(1, { timeout = 60 }) end, "what does not pass ends it")
answering { ["*"] = { status = 429, headers = { ["Retry-After"] = "3600" }, json = { id = "too_many_requests", message = "slow" } } }
err = tap.raises("digitalocean.too_many_requests", function() cloud:wait_active(1, { timeout = 600 }) end,
    "a limit beyond its patience, too")
tap.like(tostring(err.hint), "wait 1h 00m, until %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC", "which says until when")
tap.is(#asked, 1, "at once")

elsewhere:close()
server:close()
sh.run { "rm", "-r", directory }
tap.done()
