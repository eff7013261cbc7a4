-- Run by mail_servers.t with the addresses of its servers and the name of the machine that this is run on.
local tap, mail = require "tap", require "mail"
local given = json.decode((select(2, ...)))
local password = secret.wrap "correct horse battery"

local function options(url, changes)
    local all = {
        server = url, user = "postman", password = password, ca_file = given.folder .. "/server.pem", timeout = 20,
        from = "MeltanoData <hello@meltanodata.com>", to = "ada@example.com", subject = "Your login: Zürich",
        text = "Hello\n.\nfrom Zürich\n", html = "<p>Hello</p>",
    }
    for name, value in pairs(changes or {}) do
        all[name] = value ~= json.null and value or nil
    end
    return all
end

local function try_one(name, url)
    local _
    local sent, err = try(mail.send, options(url))
    tap.like(sent and sent.reply, "^250 ", ("%s takes a message: %s"):format(name, tostring(err or sent.reply)))
    local checked
    checked, err = try(mail.check, {
        server = url, user = "postman", password = password, ca_file = given.folder .. "/server.pem",
    })
    tap.ok(checked, name .. " lets one log in", tostring(err))
    _, err = try(mail.send, options(url, { password = secret.wrap "wrong" }))
    tap.is(err and err.reason, "auth", name .. " refuses a wrong password: " .. tostring(err))
    _, err = try(mail.send, options(url, { to = "nobody@example.com" }))
    tap.is(err and err.reason, "recipient", name .. " refuses a recipient: " .. tostring(err))
    return sent
end

local function try_without_login(name, url)
    local without = { user = json.null, password = json.null, starttls = "never" }
    local sent, err = try(mail.send, options(url, without))
    tap.like(sent and sent.reply, "^250 ", ("%s takes a message: %s"):format(name, tostring(err or sent.reply)))
    without.to = "nobody@example.com"
    local _
    _, err = try(mail.send, options(url, without))
    tap.is(err and err.reason, "recipient", name .. " refuses a recipient: " .. tostring(err))
end

for name, address in pairs(given.addresses) do
    local who = ("%s, from %s"):format(name, given.hostname)
    if name == "opensmtpd" then
        try_without_login(who, ("smtp://%s:2525"):format(address))
    else
        try_one(who, ("smtp://%s:2525"):format(address))
        try_one(who .. " with TLS from the start", ("smtps://%s:4650"):format(address))
    end
end

-- RFC 5321, 4.1.4: a client without a name in the DNS gives its address.
local called = given.hostname:find("%.") and given.hostname or "[127.0.0.1]"
local sent = mail.send(options(("smtp://%s:2525"):format(given.addresses.node)))
tap.ok(sent.reply:find("taken from " .. called, 1, true), "the client is called " .. called, sent.reply)
tap.done()
