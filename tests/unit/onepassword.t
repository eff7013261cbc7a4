#!build/lua-test
-- modules/onepassword.lua against the local cloud's stand-in for the Connect API.
local tap, standin, onepassword = require "tap", require "standin", require "onepassword"

local TITLE = "ada.meltanodata.com"

local function connect(cloud, token)
    return onepassword.connect(cloud.connect_url, secret.wrap(token), { ca_file = cloud.ca_file, timeout = 1 })
end

local function items(vault)
    tap.is(vault:find(TITLE), nil, "find: nil where there is none")
    local password = secret.random(24)
    local item = vault:create {
        title = TITLE, username = "ada", password = password, urls = { "https://ada.meltanodata.com" },
        tags = { "instance" },
        fields = { { label = "team", value = "MeltanoData DBs 2" }, { label = "recovery", value = secret.random(12) } },
    }
    tap.like(item.id, "^[%da-z]+$", "create: it has an id")
    tap.is(item.username, "ada", "create: the user's name")
    tap.ok(secret.is(item.password), "create: the password comes back as a secret")
    local found = vault:find(TITLE)
    tap.is(found.id, item.id, "find: by title")
    tap.ok(secret.is(found.password) and tostring(found.password) == "[secret]", "find: the password is a secret")
    tap.is(found.urls[1].href, "https://ada.meltanodata.com", "find: the website")
    for _, field in ipairs(found.fields) do
        if field.label == "recovery" then
            tap.ok(secret.is(field.value), "a secret field is concealed")
        end
    end
    tap.is(vault:items({ title = TITLE })[1].fields, nil, "items: without fields")

    local made = vault:create { title = "meltano@" .. TITLE, username = "meltano", generate = true }
    tap.ok(secret.is(made.password), "create: 1Password makes the password")
    tap.is(#vault:items(), 2, "items: all")
    local quoted = vault:create { title = [[O'Brien "the \ one"]], password = secret.random() }
    tap.is(vault:find([[O'Brien "the \ one"]]).id, quoted.id, "a title with quotes and a backslash")

    vault:create { title = TITLE, username = "twin", password = secret.random() }
    local err = tap.raises("onepassword.ambiguous", function() vault:find(TITLE) end, "find: two of a title")
    tap.like(err.message, item.id, "ambiguous: names them")
    tap.is(vault:delete(item.id, TITLE), true, "delete: it existed")
    tap.is(vault:delete(item.id, TITLE), false, "delete: gone is fine")
    tap.is(vault:find(TITLE).username, "twin", "find: the one that is left")
    tap.raises("onepassword.not_found", function() vault:get(item.id) end, "get: gone")
end

local function misuse(vault)
    tap.raises("usage", function() vault:create { title = "x" } end, "an item without a password")
    tap.raises("usage", function() vault:create { title = "x", password = "plain" } end, "a password that is no secret")
    tap.raises("usage", function() vault:create { title = "x", password = secret.random(), generate = true } end,
        "two passwords")
    tap.raises("usage", function() vault:find "two\nlines" end, "a title with a line break")
    tap.raises("usage", function() onepassword.connect("http://example.org", secret.wrap "x") end, "https only")
    tap.raises("usage", function() onepassword.connect("https://example.org", "plain") end, "a token must be a secret")
end

local function refusals(cloud, op, vault)
    local wrong = connect(cloud, "a_token_that_is_wrong_0123456789")
    local err = tap.raises("onepassword.unauthorized", function() wrong:vaults() end, "a wrong token")
    tap.like(err.message, "Invalid token signature", "401: the server's own words")
    tap.ok(not (tostring(err.message) .. tostring(err.hint) .. tostring(err.body)):find "a_token_that",
        "401: never the token")
    tap.raises("onepassword.not_found", function() op:vault "no such vault" end, "a vault that is not there")
    tap.raises("onepassword.invalid", function()
        vault:create { title = "x", password = secret.random(), category = "NONSENSE" }
    end, "a category that is none")
    local before = #vault:items()
    vault:must_write()
    tap.is(#vault:items(), before, "a token that may write is found out without writing")
    local asked = cloud:log()
    tap.is(asked[#asked - 1].method .. " " .. asked[#asked - 1].status, "DELETE 404", "by deleting what there is not")
    cloud:control("POST", "team", { team = "1Password", readonly = true })
    err = tap.raises("onepassword.forbidden", function() vault:must_write() end, "one that may only read")
    tap.like(err.hint, "write access", "what to do about it")
    tap.raises("onepassword.forbidden", function() vault:create { title = "x", generate = true } end, "creates nothing")
    cloud:control("POST", "team", { team = "1Password", readonly = false })
    cloud:fault { path = "/v1/vaults*", mode = "html", count = "always" }
    tap.raises("onepassword.unavailable", function() op:vaults() end, "a web page instead of JSON")
    cloud:control("DELETE", "faults")
    cloud:fault { path = "/v1/vaults*", mode = "stall", seconds = 60 }
    tap.raises("timeout", function() op:vaults() end, "a server that says nothing")
    cloud:fault { path = "/v1/vaults*", mode = "429", retry_after = 1 }
    tap.is(op:vaults()[1].name, "meltanodata.com", "429: waits as told and goes on")
end

local function secrecy(cloud)
    for _, entry in ipairs(cloud:log()) do
        for _, field in ipairs(entry.request and entry.request.fields or {}) do
            if field.purpose == "PASSWORD" and field.value ~= "[secret]" and field.value ~= nil then
                tap.ok(false, "a password in the stand-in's log: " .. tostring(field.value))
            end
        end
    end
end

standin.with(function(cloud)
    local op = connect(cloud, cloud.tokens.onepassword)
    tap.is(#op:vaults(), 1, "vaults")
    local vault = op:vault "meltanodata.com"
    items(vault)
    misuse(vault)
    refusals(cloud, op, vault)
    secrecy(cloud)
    standin.validate(cloud)
end)
tap.done()
