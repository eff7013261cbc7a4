#!build/lua-test
-- modules/digitalocean/digitalocean.lua against the local cloud's stand-in for the API.
local tap, standin, digitalocean = require "tap", require "standin", require "digitalocean"

local NAME = "ada.meltanodata.com"

local function account(cloud, token, name)
    local options = { url = cloud.url, ca_file = cloud.ca_file, timeout = 1, name = name }
    return digitalocean.account(secret.wrap(token), options)
end

local function order(meltano)
    local keys = {}
    for index, key in ipairs(meltano:keys()) do
        keys[index] = key.id
    end
    return {
        name = NAME, region = "nyc3", size = "s-2vcpu-2gb",
        image = tonumber(meltano:snapshots { prefix = "meltano-" }[1].id),
        ssh_keys = keys, tags = { "production" },
    }
end

local function count(cloud, method, path)
    local found = 0
    for _, entry in ipairs(cloud:log()) do
        found = found + (entry.method == method and entry.path == path and 1 or 0)
    end
    return found
end

local function reading(cloud, meltano)
    local told = meltano:account()
    tap.is(told.team.name, "Meltano", "account: the team's name")
    tap.is(meltano:who(), "DO_API_TOKEN (team Meltano)", "who: the token by name and team")
    local snapshots = meltano:snapshots { prefix = "meltano-", resource_type = "droplet" }
    tap.is(#snapshots, 2, "snapshots: of droplets, by prefix")
    tap.ok(snapshots[1].created_at > snapshots[2].created_at, "snapshots: newest first")
    tap.is(#meltano:keys(), 1, "keys")
    tap.is(meltano:find_project("Meltano").is_default, false, "find_project")
    tap.is(meltano:find_project "none", nil, "find_project: nil where there is none")
    tap.ok(#meltano:regions() > 1 and #meltano:sizes() > 1, "regions and sizes")
    tap.is(meltano:find_droplet(NAME), nil, "find_droplet: nil where there is none")

    cloud:control("POST", "records", { count = 450 })
    local records = meltano:records "meltanodata.com"
    tap.is(#records, 456, "records: all of three pages")
    tap.is(count(cloud, "GET", "/v2/domains/meltanodata.com/records"), 3, "records: 200 a page")
    tap.is(#meltano:records("meltanodata.com", { name = "controller.int", type = "A" }), 1, "records: by name and type")
    tap.is(#meltano:records("meltanodata.com", { name = "@", type = "MX" }), 1, "records: of the domain itself")
end

local function droplets(cloud, meltano)
    local wanted = order(meltano)
    local droplet = meltano:create_droplet(wanted)
    tap.is(droplet.status, "new", "create_droplet: it is new")
    tap.is(droplet.public_address, nil, "create_droplet: without address")
    local active = meltano:wait_active(droplet.id, { timeout = 10 })
    tap.like(active.public_address, "^127%.", "wait_active: it has its address")
    tap.is(meltano:find_droplet(NAME).id, droplet.id, "find_droplet")
    tap.is(#meltano:droplets { tag = "production" }, 1, "droplets: by tag")
    tap.is(#meltano:droplets { tag = "other" }, 0, "droplets: none with another tag")
    meltano:create_tag "blue"
    meltano:tag_droplets("blue", { droplet.id })
    tap.is(#meltano:droplets { tag = "blue" }, 1, "tag_droplets")
    tap.is(#meltano:tags(), 2, "tags")
    local assigned = meltano:assign(meltano:find_project "Meltano", { "do:droplet:" .. droplet.id })
    tap.is(assigned[1].status, "assigned", "assign")
    tap.is(#meltano:project_resources(meltano:find_project("Meltano").id), 1, "project_resources")
    local action = meltano:droplet_action(droplet.id, "power_off")
    tap.is(meltano:wait_action(action.id, { timeout = 10 }).status, "completed", "droplet_action and wait_action")
    tap.is(meltano:droplet(droplet.id).status, "off", "the action took effect")
    tap.ok(#meltano:actions() >= 2, "actions")

    cloud:fault { method = "POST", path = "/v2/droplets", mode = "drop" }
    wanted.name = "lost." .. NAME
    local lost = meltano:create_droplet(wanted)
    tap.is(#meltano:droplets { name = wanted.name }, 1, "create_droplet: an answer that is lost does not make two")
    tap.is(lost.name, wanted.name, "create_droplet: and the droplet is found")
    cloud:fault { method = "POST", path = "/v2/droplets", mode = "html" }
    wanted.name = "again." .. NAME
    local hurried = digitalocean.account(secret.wrap(cloud.tokens.droplets[1].token),
        { url = cloud.url, ca_file = cloud.ca_file, lag = 0.2 })
    tap.raises("digitalocean.unclear", function() hurried:create_droplet(wanted) end,
        "create_droplet: whether an order was taken may stay unclear")
    tap.is(#meltano:droplets { name = wanted.name }, 0, "create_droplet: it is not sent again")
    tap.is(meltano:create_droplet(wanted).name, wanted.name, "create_droplet: until somebody does")

    meltano:wait_active(lost.id, { timeout = 10 })
    local twin = order(meltano)
    meltano:wait_active(meltano:create_droplet(twin).id, { timeout = 10 })
    local err = tap.raises("digitalocean.ambiguous", function() meltano:find_droplet(NAME) end,
        "find_droplet: two of a name")
    tap.like(err.message, tostring(droplet.id), "ambiguous: names them")

    local brief = meltano:create_droplet(twin)
    tap.is(meltano:delete_droplet(brief.id, NAME), true, "delete_droplet: one that is still being made is waited for")
    tap.is(meltano:delete_droplet(droplet.id, NAME), true, "delete_droplet: it existed")
    tap.is(meltano:delete_droplet(droplet.id, NAME), false, "delete_droplet: gone is fine")
    tap.raises("digitalocean.not_found", function() meltano:droplet(droplet.id) end, "droplet: gone")
    wanted.name = "under_score"
    err = tap.raises("digitalocean.unprocessable_entity", function() meltano:create_droplet(wanted) end,
        "a name that cannot be")
    tap.like(err.message, "Only valid hostname characters are allowed", "422: DigitalOcean's own words")
    tap.like(err.request_id, "^%x+%-", "422: the request's id")
    cloud:control("POST", "team", { team = "Meltano", limit = 1 })
    wanted.name = "one-too-many." .. NAME
    err = tap.raises("digitalocean.unprocessable_entity", function() meltano:create_droplet(wanted) end,
        "the droplet limit")
    tap.like(err.message, "will exceed your droplet limit", "the droplet limit: in words")
    tap.ok(digitalocean.is_full(err), "is_full: it is a limit")
end

local function records(cloud, meltano)
    local wanted = { type = "A", name = "ada", data = "198.51.100.7", ttl = 3600 }
    local record = meltano:create_record("meltanodata.com", wanted)
    tap.is(record.ttl, 3600, "create_record")
    tap.is(record.priority, nil, "what is null is left out")
    tap.raises("digitalocean.unprocessable_entity", function()
        meltano:create_record("meltanodata.com", { type = "A", name = "x", data = "nowhere" })
    end, "create_record: an address that is none")
    tap.is(meltano:delete_record("meltanodata.com", record), true, "delete_record: it existed")
    tap.is(meltano:delete_record("meltanodata.com", record), false, "delete_record: gone is fine")
    cloud:fault { method = "POST", path = "/v2/domains/*/records", mode = "stall", seconds = 60, effect = true }
    record = meltano:create_record("meltanodata.com", wanted)
    tap.is(#meltano:records("meltanodata.com", { name = "ada" }), 1,
        "create_record: after a stall it is found, not made twice")
    tap.is(record.data, wanted.data, "create_record: and returned")
    tap.is(meltano:domains()[1].name, "meltanodata.com", "domains")
end

local function clusters(cloud)
    local full = account(cloud, cloud.tokens.databases[1].token)
    local roomy = account(cloud, cloud.tokens.databases[2].token)
    tap.is(full:account().team.name, "MeltanoData DBs 1 (full)", "each token has its team")
    roomy:account()
    local function wanted(name)
        return {
            name = name, engine = "pg", num_nodes = 1, size = "db-s-1vcpu-1gb", region = "nyc3",
            tags = { "production" },
            version = "15",
        }
    end
    local cluster = roomy:create_database(wanted "meltano-ada")
    tap.is(cluster.status, "creating", "create_database: it is creating")
    local online = roomy:wait_online(cluster.id, { timeout = 10 })
    tap.ok(secret.is(online.connection.password) and secret.is(online.connection.uri)
        and secret.is(online.private_connection.password) and secret.is(online.users[1].password),
        "passwords are secrets")
    tap.is(tostring(online.connection.password), "[secret]", "and show as such")
    tap.is(online.connection.port, 25060, "the rest of the connection is plain")
    tap.is(roomy:find_database("meltano-ada").id, cluster.id, "find_database")
    tap.is(full:find_database "meltano-ada", nil, "find_database: not in another team")
    roomy:set_trusted_sources(cluster.id, { { type = "ip_addr", value = "198.51.100.7" } })
    local rules = roomy:trusted_sources(cluster.id)
    tap.is(rules[1].value, "198.51.100.7", "trusted sources are set and read")
    tap.raises("usage", function() roomy:set_trusted_sources(cluster.id, {}) end, "an empty list of sources is refused")
    tap.raises("digitalocean.unprocessable_entity", function()
        roomy:set_trusted_sources(cluster.id, { { type = "droplet", value = "3164001" } })
    end, "another team's droplet cannot be trusted by id")
    tap.like(roomy:database_ca(cluster.id), "^%-%-%-%-%-BEGIN CERTIFICATE", "database_ca: PEM")
    tap.raises("digitalocean.unprocessable_entity", function() roomy:create_database(wanted "meltano-ada") end,
        "a cluster's name is unique")
    roomy:create_database(wanted "meltano-bob")
    cloud:fault { method = "POST", path = "/v2/databases", mode = "half" }
    tap.is(roomy:create_database(wanted "meltano-cid").name, "meltano-cid",
        "create_database: half an answer, found again")
    local err = tap.raises("digitalocean.team_full", function() roomy:create_database(wanted "meltano-dan") end,
        "a full team")
    tap.is(err.team, "MeltanoData DBs 2", "team_full: says which")
    tap.is(#roomy:databases { tag = "production" }, 3, "databases: by tag")
    tap.is(roomy:delete_database(cluster.id, cluster.name), true, "delete_database: it existed")
    tap.is(roomy:delete_database(cluster.id, cluster.name), false, "delete_database: gone is fine")
end

local function refusals(cloud, meltano)
    local wrong = account(cloud, "dop_v1_wrong_token_0123456789", "DO_API_TOKEN")
    local err = tap.raises("digitalocean.unauthorized", function() wrong:account() end, "a wrong token")
    tap.like(err.message, "Unable to authenticate you", "401: DigitalOcean's own words")
    tap.is(err.token, "DO_API_TOKEN", "401: which token, by name")
    tap.like(err.hint, "revoked", "401: what to do")
    tap.ok(not json.encode({ err.message, err.hint, err.body, err.traceback, tostring(err.cause) }):find "wrong_token",
        "401: never the token")
    local reader = account(cloud, cloud.tokens.readonly, "DO_API_TOKEN")
    tap.is(reader:account().team.name, "Meltano", "a read-only token reads")
    err = tap.raises("digitalocean.forbidden", function() reader:create_tag "blue" end,
        "a read-only token cannot write")
    tap.like(err.hint, "write scope", "403: what it needs")
    tap.raises("digitalocean.unauthorized", function() wrong:can_write() end, "can_write: a wrong token raises")
    for _, what in ipairs { "droplets", "databases", "domains", "projects" } do
        tap.is(reader:can_write(what), false, "can_write: a read-only token cannot write " .. what)
        tap.is(meltano:can_write(what), true, "can_write: this one can write " .. what)
    end
    for _, entry in ipairs(cloud:log()) do
        if entry.team and entry.method == "DELETE" and entry.path:find "9007199254740991" then
            tap.ok(entry.status == 403 or entry.status == 404, "can_write changes nothing: " .. entry.status)
        end
    end
    tap.raises("usage", function() digitalocean.account("dop_v1_plain", { url = cloud.url }) end,
        "a token must be a secret")
    tap.raises("usage", function() digitalocean.account(secret.wrap "dop_v1_x", { url = "http://example.org" }) end,
        "https only")
end

local function faults(cloud, meltano)
    cloud:fault { path = "/v2/account", mode = "429", retry_after = 1 }
    tap.is(meltano:account().team.name, "Meltano", "429: waits as told and goes on")
    cloud:fault { path = "/v2/account", mode = "html", count = "always" }
    local err = tap.raises("digitalocean.unavailable", function() meltano:account() end, "a web page instead of JSON")
    tap.is(err.status, 502, "a web page: its status")
    cloud:control("DELETE", "faults")
    cloud:fault { path = "/v2/account", mode = "half", count = "always" }
    tap.raises("http.body", function() meltano:account() end, "half a body")
    cloud:control("DELETE", "faults")
    cloud:fault { path = "/v2/account", mode = "stall", seconds = 60 }
    tap.raises("timeout", function() meltano:account() end, "a server that says nothing")
    cloud:fault { path = "/v2/account", mode = "fail", status = 500 }
    tap.is(meltano:account().team.name, "Meltano", "500: asked again")
    cloud:fault { path = "/v2/account", mode = "fail", status = 500, count = "always" }
    tap.raises("digitalocean.server_error", function() meltano:account() end, "500: not for ever")
    cloud:control("DELETE", "faults")
    cloud:fault {
        path = "/v2/tags", mode = "fail", status = 200,
        body = {
            tags = json.array {}, links = { pages = { next = "https://elsewhere.example/v2/tags" } },
            meta = { total = 1 },
        },
    }
    tap.raises("digitalocean.origin", function() meltano:tags() end,
        "a list that goes on at another server is not followed")
    cloud:control("POST", "team", { team = "Meltano", burst = 1 })
    timeout(5, function()
        tap.raises("timeout", function()
            timeout(3, function() meltano:account() end)
        end, "the real rate limit: 429 with Retry-After")
    end)
    local last = cloud:log()
    tap.is(last[#last].status, 429, "the real rate limit: counted by the stand-in")
    tap.is(#cloud:log(), #last, "two long answers, one right after the other")
end

local function secrecy(cloud)
    local text = json.encode(cloud:log())
    tap.ok(not text:find "AVNS_", "no password in the stand-in's log")
    tap.ok(not text:find "dop_v1_", "no token in the stand-in's log")
end

standin.with(function(cloud)
    local meltano = account(cloud, cloud.tokens.droplets[1].token, "DO_API_TOKEN")
    reading(cloud, meltano)
    records(cloud, meltano)
    refusals(cloud, meltano)
    droplets(cloud, meltano)
    clusters(cloud)
    secrecy(cloud)
    faults(cloud, meltano)
    standin.validate(cloud)
end)
tap.done()
