-- Run by tests/unit/mail.t with the directory of the servers' files and their ports.
local tap = require "tap"
local mail = require "mail"
local sh = require "sh"

local _, directory, ports = ...
ports = json.decode(ports)
local password = secret.wrap "correct horse battery"

local function options(server, changes)
    local made = {
        server = ("smtp://localhost:%d"):format(ports[server]), user = "postman", password = password,
        ca_file = directory .. "/good.crt", from = "MeltanoData <hello@meltanodata.com>", to = "ada@example.com",
        subject = "Your login", text = "Hello\n",
    }
    for name, value in pairs(changes or {}) do
        made[name] = value
    end
    return made
end

local function received()
    return json.decode(sh.run({ "cat", directory .. "/last.json" }, { read = true }).stdout)
end

local function send(changes)
    mail.send(options("starttls", changes))
    return received()
end

-- what arrives
local login = secret.wrap "S3cret=with.dots\tand tab"
local text = "Hello Ada,\n\n.a line with a dot\n..two\nFrom here on: " .. ("long "):rep(60) .. "\ntrailing space \n"
    .. "Zürich – 東京 🚀\nno newline at the end"
local got = send { text = text .. login, html = "<p>Zürich &amp; " .. login .. "</p>\n" }
tap.is(got.type, "multipart/alternative", "text and HTML are alternatives")
tap.is(got.parts["text/plain"], text .. "S3cret=with.dots\tand tab", "the text arrives as it was, its secret in clear")
tap.is(got.parts["text/html"], "<p>Zürich &amp; S3cret=with.dots\tand tab</p>\n", "so does the HTML")
tap.is(#got.defects, 0, "no defects")
tap.ok(got.longest <= 78 and got.ascii and got.bare == 0, "lines are short, ASCII, and end in CR LF")
tap.ok(got.tls and got.login, "over TLS, logged in")
tap.is(got.sender, "hello@meltanodata.com", "sender")
tap.is(got.headers.From, "MeltanoData <hello@meltanodata.com>", "From")
tap.like(got.headers["Message-ID"], "^<[%x-]+@meltanodata%.com>$", "Message-ID")
tap.like(got.headers.Date, "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d %+0000$", "Date")
got = send { text = "one part" }
tap.is(got.type, "text/plain", "a text alone is one part")
tap.is(got.parts["text/plain"]:gsub("\n$", ""), "one part", "and arrives")
tap.is(send({ text = "a\r\nb\rc\n" }).parts["text/plain"], "a\nb\nc\n", "line ends of all kinds")
tap.is(send({ text = "" }).type, "text/plain", "an empty text")
local long = ("0123456789 "):rep(100000)
tap.ok(send({ text = long .. "\n" }).parts["text/plain"] == long .. "\n", "1 MB in one line")
local all = {}
for byte = 32, 126 do all[#all + 1] = string.char(byte) end
got = send({ text = table.concat(all) .. "\n" })
tap.is(got.parts["text/plain"], table.concat(all) .. "\n", "every printable character")

-- headers
got = send {
    to = { '"Lovelace, Ada \\"the first\\"" <ada@example.com>', "Jürgen Müller-Lüdenscheidt <j@example.com>",
        "李雷 <li@example.com>", "bob@example.com" },
    cc = "Carol O'Hara <carol@example.com>", reply_to = "help@meltanodata.com",
    subject = "Zürich: 東京 " .. ("ü"):rep(90),
    headers = { ["X-Tenant"] = "ada", ["Auto-Submitted"] = "auto-generated" }, message_id = "<run-1@meltanodata.com>",
}
tap.is(got.names, { 'Lovelace, Ada "the first"', "Jürgen Müller-Lüdenscheidt", "李雷", "" }, "names, quoted and encoded")
tap.is(got.recipients, { "ada@example.com", "j@example.com", "li@example.com", "bob@example.com", "carol@example.com" },
    "every recipient is in the envelope")
tap.is(got.headers.Subject, "Zürich: 東京 " .. ("ü"):rep(90), "a long subject in unicode")
tap.is(got.headers.Cc, "Carol O'Hara <carol@example.com>", "Cc")
tap.is(got.headers["Reply-To"], "help@meltanodata.com", "Reply-To")
tap.is(got.headers["X-Tenant"], "ada", "a header of one's own")
tap.is(got.headers["Message-ID"], "<run-1@meltanodata.com>", "a Message-ID of one's own")
tap.ok(got.longest <= 78, "long headers are folded")
local subjects = { ("word "):rep(40) .. "end", ("x"):rep(300), "=?utf-8?Q?not_encoded?=", " spaces  kept ", "a: b" }
for _, subject in ipairs(subjects) do
    tap.is(send({ subject = subject }).headers.Subject, subject, "subject " .. subject:sub(1, 30))
end
local sent = mail.send(options("starttls"))
tap.like(sent.reply, "queued as 4711", "the server's last words are returned")
tap.like(sent.message_id, "@meltanodata.com>$", "and the Message-ID")

-- refused before anything is sent
for _, address in ipairs { "", "ada", "ada@", "@example.com", "ada@example.com\nBcc: x@example.com", "a b@example.com",
    "Ada <ada@example.com", "ada@exa mple.com", "ada@-example.com", "ada@example..com", "ada@example.com>",
    "<ada@example.com> SIZE=1", "a..b@example.com", ("a"):rep(65) .. "@example.com", "josé@example.com",
    "Ada\r\nBcc: x@example.com <ada@example.com>" } do
    tap.raises("mail.address", function() mail.send(options("starttls", { to = address })) end,
        ("address '%s'"):format((address:gsub("%c", "?"))))
end
local function refuses(code, server, changes, name)
    return tap.raises(code, function() mail.send(options(server, changes)) end, name)
end
refuses("mail.address", "starttls", { from = "x\n@example.com" }, "a bad sender")
refuses("mail.header", "starttls", { subject = "a\r\nBcc: x" }, "a line break in the subject")
refuses("mail.header", "starttls", { headers = { X = "a\nb" } }, "a line break in a header")
refuses("mail.header", "starttls", { headers = { Bcc = "a" } }, "a reserved header")
refuses("mail.header", "starttls", { message_id = "<a b>" }, "a bad Message-ID")
refuses("usage", "starttls", { to = {} }, "no recipient")
refuses("usage", "starttls", { server = "mail.example.com" }, "no scheme")
refuses("usage", "starttls", { server = "http://localhost" }, "a wrong scheme")
refuses("usage", "starttls", { attachments = {} }, "an unknown option")
refuses("usage", "plain", { starttls = "never" }, "a password without TLS")

-- refused by the server
local function refused(server, changes, reason, pattern, name)
    local err = refuses("mail.send", server, changes, name)
    tap.is(err.reason, reason, name .. ": reason")
    tap.like(tostring(err), pattern, name .. ": message")
    return err
end
local err = refused("starttls", { to = { "ada@example.com", "nobody@example.com" } }, "recipient",
    "refused the recipient nobody@example%.com: 550 5%.1%.1 no such user here", "a refused recipient")
tap.is(err.status, 550, "its status")
tap.is(err.recipient, "nobody@example.com", "its name")
refused("starttls", { from = "blocked@example.com" }, "sender", "refused the sender blocked@example%.com: 553",
    "a refused sender")
err = refused("starttls", { subject = "spam" }, "message", "looks like spam.*ask the postmaster", "a refused message")
tap.is(err.status, 554, "its status")
err = refused("starttls", { password = secret.wrap "wrong password" }, "auth", "refused the login of postman: 535",
    "a wrong password")
tap.ok(not tostring(err.reply):find "d3Jvbmcg", "the password is not in the error")
refused("busy", {}, "greeting", "421 4%.3%.2 too busy", "a server that is busy")

-- encryption
sh.run { "rm", "-f", directory .. "/last.json" }
refused("plain", {}, "tls", "does not offer STARTTLS", "no STARTTLS")
tap.ok(not sh.try({ "cat", directory .. "/last.json" }, { read = true }), "nothing was sent in clear")
refused("wrong", { ca_file = directory .. "/wrong.crt" }, "tls", "cannot be trusted", "a certificate for another name")
refused("starttls", { ca_file = directory .. "/wrong.crt" }, "tls", "cannot be trusted", "a certificate of a stranger")
refused("starttls", { ca_file = "/no/such/file" }, "tls", "/no/such/file", "no such ca_file")
mail.send(options("smtps", { server = ("smtps://localhost:%d"):format(ports.smtps) }))
tap.is(received().tls, true, "smtps://")
local clear = options("plain", { starttls = "never" })
clear.user, clear.password = nil, nil
mail.send(clear)
tap.is(received().tls, false, "starttls = never sends in clear, without a login")

-- the connection
local closed = refuses("mail.send", "starttls", { server = "smtp://127.0.0.1:1" }, "nobody listens")
tap.is(closed.reason, "connect", "reason connect")
closed = refuses("mail.send", "starttls", { server = "smtp://no-such.invalid:25" }, "a host that does not exist")
tap.like(tostring(closed), "no%-such%.invalid", "which is named")
local started = now()
tap.raises("timeout", function() mail.send(options("silent", { timeout = 0.5 })) end, "a silent server")
tap.raises("timeout", function() timeout(0.5, function() mail.send(options("silent")) end) end, "a deadline around it")
tap.ok(now() - started < 3, "both at once")

-- the check
local function connection(server, changes)
    local made = options(server, changes)
    return {
        server = made.server, user = made.user, password = made.password, ca_file = made.ca_file,
        timeout = made.timeout,
    }
end
tap.like(mail.check(connection "starttls").server, "localhost:%d+", "check logs in")
err = tap.raises("mail.check", function()
    mail.check(connection("starttls", { password = secret.wrap "wrong password" }))
end, "check with a wrong password")
tap.is(err.reason, "auth", "says so")
err = tap.raises("mail.check", function() mail.check(connection "plain") end, "check without STARTTLS")
tap.is(err.reason, "tls", "says so")
tap.raises("timeout", function() mail.check(connection("silent", { timeout = 0.3 })) end, "check of a silent server")

tap.done()
