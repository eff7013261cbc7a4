#!tests/lib/with-dns build/lua-test
-- The dns module against real servers, good and bad.
local tap = require "tap"
local dns = require "dns"

local server, other, faulty = { env "DNS_SERVER" }, { env "DNS_OTHER" }, { env "DNS_FAULTY" }

local function ask(name, kind, from, more)
    local options = { type = kind, nameservers = from or server }
    for key, value in pairs(more or {}) do
        options[key] = value
    end
    return dns.resolve(name, options)
end

tap.is(ask("some.test", "A"), { "192.0.2.1" }, "an A record")
tap.is(ask("some.test.", "A"), { "192.0.2.1" }, "the same with a last dot")
tap.is(ask("some.test", "AAAA"), { "2001:db8::1" }, "an AAAA record")
tap.is(ask("some.test", "A", server, { tcp = true }), { "192.0.2.1" }, "over TCP")
tap.is(#ask "many.test", 2, "two A records")
tap.is(ask("alias.test", "CNAME"), { "some.test" }, "a CNAME record")
tap.is(ask("test", "CAA"), { { tag = "issue", value = "ca.example", critical = false } }, "a CAA record")

local records, absence = ask "unknown.test"
tap.is(#records, 0, "no such name gives an empty list")
tap.ok(absence == "nxdomain" or absence == "nodata", "and says why: " .. tostring(absence))
records, absence = ask("unknown.test", "A", faulty)
tap.is(#records, 0, "NXDOMAIN gives an empty list")
tap.is(absence, "nxdomain", "and says so")
records, absence = ask("servers.test", "A", faulty)
tap.is(#records, 0, "a name without such a record too")
tap.is(absence, "nodata", "and says so")

tap.is(ask("text.test", "TXT", faulty), { "v=spf1 " .. ("x"):rep(255) .. " -all", "" },
    "TXT: the strings of a record are joined")
tap.is(ask("servers.test", "NS", faulty), { "ns1.example.test", "ns2.example.test" }, "NS")
tap.is(ask("mail.test", "MX", faulty), { { host = "mx.example.test", preference = 10 },
    { host = "mail.test", preference = 20 } }, "MX, with a compressed name")
tap.is(#ask("truncated.test", "A", faulty), 100, "an answer too long for UDP comes over TCP")

local function raises(code, name, from, more, what)
    return tap.raises(code, function() ask(name, (more or {}).type, from, more) end,
        what or code .. " " .. name:gsub("[%z\n]", "?"))
end
raises("dns.servfail", "servfail.test", faulty)
raises("dns.refused", "refused.test", faulty)
raises("dns.answer", "lying.test", faulty)
raises("dns.answer", "short.test", faulty)
raises("dns.answer", "loop.test", faulty, { type = "CNAME" })
raises("dns.timeout", "garbage.test", faulty, { timeout = 0.3 })
raises("dns.unreachable", "some.test", { env "DNS_NOBODY" })

local began = now()
local err = raises("dns.timeout", "some.test", { env "DNS_SILENT" }, { timeout = 0.3 })
tap.ok(now() - began < 60, "a server that never answers is given up in time")
tap.like(tostring(err.target), "^127.0.0.1:", "the error names the server")
raises("dns.timeout", "some.test", { env "DNS_SILENT" }, { timeout = 0.3, tcp = true })
began = now()
tap.raises("timeout", function()
    timeout(0.2, function() ask("some.test", "A", { env "DNS_SILENT" }) end)
end, "a deadline ends a question")
tap.ok(now() - began < 60, "at once")
tap.is(ask("some.test", "A", { env "DNS_SILENT", server[1] }), { "192.0.2.1" }, "the next server is asked")

for _, name in ipairs { "", ".", "a..b", ".a", ("x"):rep(64) .. ".test", ("a."):rep(130) .. "test", "a b", "a\nb",
    "ü.test", "a\\b", "a\0b" } do
    raises("dns.name", name, server)
end
for _, address in ipairs { "localhost", "1.2.3", "1.2.3.4:99999999", "dns.example:53", "" } do
    raises("usage", "some.test", { address }, nil, "'" .. address .. "' is no nameserver")
end
tap.raises("usage", function() ask("some.test", "HTTPS") end, "an unknown type")
tap.raises("usage", function() dns.resolve("some.test", { server = "x" }) end, "an unknown option")

local function resolves_to(address, ...)
    return dns.resolves_to("some.test", address, { nameservers = { ... }, timeout = 0.5 })
end
tap.is(resolves_to("192.0.2.1", server[1]), true, "resolves_to")
tap.is(resolves_to("2001:0DB8:0::1", server[1]), true, "with IPv6, however it is written")
local agreed, reason = resolves_to("192.0.2.2", server[1])
tap.is(agreed, false, "another address")
tap.like(reason, "192.0.2.1", "and it says which")
agreed, reason = resolves_to("192.0.2.1", server[1], other[1])
tap.is(agreed, false, "all nameservers must agree")
tap.like(reason, other[1], "and it says which does not")
tap.is(dns.resolves_to("many.test", "192.0.2.1", { nameservers = server }), false,
    "one address among others is not enough")
tap.is(resolves_to("192.0.2.1", server[1], env "DNS_SILENT"), false, "a server that is silent does not agree")
tap.is(dns.resolves_to("unknown.test", "192.0.2.1", { nameservers = server }), false, "a name that is not there")
tap.is(dns.resolves_to("servfail.test", "192.0.2.1", { nameservers = faulty }), false, "a server that fails")
tap.raises("usage", function() resolves_to("some.test", server[1]) end, "an address that is none")

local names, right = {}, 0
for index = 1, 50 do
    names[index] = { name = index }
end
each(names, { parallel = 50, key = "name" }, function()
    local answer = ask "some.test"
    right = right + (answer[1] == "192.0.2.1" and 1 or 0)
end)
tap.is(right, 50, "fifty questions at the same time")

tap.done()
