#!build/lua-test
-- Caddyfiles of both versions, edited byte for byte; and what Caddy's journal says of its certificate.
local import = ...
local tap = require "tap"
local caddy = require "caddy"
local caddyfile = require "caddyfile"
local caddy_journal = import "caddy/journal"
local journals = require "caddy_journals"

-- ---- the TLS mode ----

local NEW = "{\n\tskip_install_trust\n}\n\n{$HOSTNAME} {\n\ttls internal\n\t# tls admin@meltano.com\n"
    .. "\treverse_proxy localhost:5000\n}\n"
local OLD = "{$HOSTNAME} {\n    tls self_signed\n    # tls admin@meltano.com\n    proxy / localhost:5000 {\n"
    .. "        transparent\n    }\n}\n"

tap.is(caddyfile.tls_mode(NEW), "self-signed", "the image's Caddyfile is self-signed")
tap.is(caddyfile.tls_mode(OLD), "self-signed", "so is that of Caddy 1")
tap.is(caddyfile.tls_mode "{$HOSTNAME} {\n\treverse_proxy localhost:5000\n}\n", "none", "no tls line")
tap.is(caddyfile.tls_mode "{$HOSTNAME} {\n\ttls off\n}\n", "none", "tls off")
tap.is(caddyfile.tls_mode "{$HOSTNAME} {\n\ttls /a.pem /b.pem\n}\n", "files", "a certificate of its own")
tap.is(caddyfile.tls_mode "{$HOSTNAME}\ntls a@b.c\nproxy / localhost:5000\n", "acme",
    "a file that is one site, no braces")
tap.is(caddyfile.tls_mode "{$HOSTNAME} {\n\ttls {\n\t\tissuer internal\n\t}\n}\n", "self-signed", "issuer internal")
tap.is(caddyfile.tls_mode "x {\n\ttls internal\n}\nhttps://{$HOSTNAME} {\n\ttls a@b.c\n}\n", "acme",
    "of several sites the one for $HOSTNAME")
tap.is(caddyfile.tls_mode("# tls internal\n{$HOSTNAME} {\n\theader X \"tls internal {\"\n"
    .. "\tlog {\n\t\ttls internal\n\t}\n}\n"),
    "none", "quotes, comments and other blocks are no tls lines")
tap.raises("caddy.site", function() caddyfile.tls_mode "a.example {\n}\nb.example {\n}\n" end,
    "several sites, none is ours")
tap.is(caddyfile.parse(NEW), {
    { addresses = { "{$HOSTNAME}" }, line = 5, tls = { mode = "self-signed", line = 6 } },
}, "the shape of the file")

-- ---- changing it ----

local EMAIL = { version = 2, email = "admin@meltano.com" }
local EMAIL_1 = { version = 1, email = "admin@meltano.com" }
local ACME_2 = NEW:gsub("\ttls internal\n\t# tls admin@meltano.com", "\t# tls internal\n\ttls admin@meltano.com")
local ACME_1 = OLD:gsub("    tls self_signed\n    # tls admin@meltano.com",
    "    # tls self_signed\n    tls admin@meltano.com")

tap.is(caddyfile.set_tls(NEW, "acme", EMAIL), ACME_2, "Caddy 2: the comment moves")
tap.is(caddyfile.set_tls(ACME_2, "self-signed", { version = 2 }), NEW, "and back, to the same file")
tap.is(caddyfile.set_tls(OLD, "acme", EMAIL_1), ACME_1, "Caddy 1: the comment moves")
tap.is(caddyfile.set_tls(ACME_1, "self-signed", { version = 1 }), OLD, "and back")
tap.is(caddyfile.set_tls(ACME_2, "acme", EMAIL), ACME_2, "what is so already stays")
tap.is(caddyfile.set_tls(NEW, "acme", { version = 2 }), ACME_2, "without an address the file's own is taken")

local function crlf(text)
    return (text:gsub("\n", "\r\n"))
end
tap.is(caddyfile.set_tls(crlf(NEW), "acme", EMAIL), crlf(ACME_2), "CRLF stays")
local edited = "# Ada's own notes: tls is hard\n\n" .. NEW:gsub("\ttls internal",
    "\t# tls is set below, see the wiki\n\n\ttls internal")
    :gsub("}\n$", "\n\tlog { # much\n\t\toutput file /var/log/caddy.log\n\t}\n\theader /x \"a # b\"   \n}")
tap.is(caddyfile.set_tls(caddyfile.set_tls(edited, "acme", EMAIL), "self-signed", { version = 2 }), edited,
    "an edited file comes back as it was, remarks, blanks and a missing last newline too")

local authority = {
    version = 2, email = "admin@meltano.com", ca = "https://198.18.0.1:14000/dir", ca_root = "/usr/local/share/ca.crt",
}
local AUTHORITY = NEW:gsub("\ttls internal\n\t# tls admin@meltano.com", "\t# tls internal\n\ttls admin@meltano.com {\n"
    .. "\t\tca https://198.18.0.1:14000/dir\n\t\tca_root /usr/local/share/ca.crt\n\t}")
tap.is(caddyfile.set_tls(NEW, "acme", authority), AUTHORITY, "an authority of one's own")
local asleep = caddyfile.set_tls(AUTHORITY, "self-signed", { version = 2 })
tap.is(caddyfile.tls_mode(asleep), "self-signed", "a whole block becomes a comment")
tap.ok(asleep:find("\t# tls admin@meltano.com {\n\t\t# ca https://198.18.0.1:14000/dir\n", 1, true), "line by line")
tap.is(caddyfile.set_tls(asleep, "acme", authority), AUTHORITY, "and wakes again")
tap.is(caddyfile.set_tls(AUTHORITY, "acme", EMAIL), ACME_2, "back to the usual authority")
tap.is(caddyfile.set_tls(asleep, "acme", EMAIL), ACME_2, "also from the comment")
tap.is(caddyfile.set_tls("{$HOSTNAME} {\n  tls a@b.c {\n    protocols tls1.2\n  }\n}\n", "acme",
    { version = 2, email = "d@e.f", ca = "https://x/dir" }),
    "{$HOSTNAME} {\n  tls d@e.f {\n    ca https://x/dir\n    protocols tls1.2\n  }\n}\n",
        "other settings of the block stay")
tap.is(caddyfile.set_tls("{$HOSTNAME} {\n\treverse_proxy localhost:5000\n}\n", "self-signed", { version = 2 }),
    "{$HOSTNAME} {\n\ttls internal\n\treverse_proxy localhost:5000\n}\n", "a file without a tls line gets one")
tap.is(caddyfile.set_tls("{$HOSTNAME} {\n}", "acme", EMAIL), "{$HOSTNAME} {\n\ttls admin@meltano.com\n}",
    "so does an empty site")
tap.is(caddyfile.set_tls("{$HOSTNAME}\ntls a@b.c", "self-signed", { version = 1 }),
    "{$HOSTNAME}\n# tls a@b.c\ntls self_signed",
    "after a last line without an end")
tap.is(caddyfile.set_tls("{$HOSTNAME} {\n\ttls self_signed\n}\n", "self-signed", { version = 2 }),
    "{$HOSTNAME} {\n\ttls internal\n}\n", "Caddy 1's word becomes Caddy 2's")
tap.is(caddyfile.set_tls(OLD, "acme", { version = 1, email = "a@b.c", ca_root = "/x" }),
    (ACME_1:gsub("tls admin@meltano.com", "tls a@b.c")), "Caddy 1 has no ca_root")
local two = "{$HOSTNAME} {\n\ttls internal\n}\nother.example {\n\ttls internal\n}\n"
tap.is(caddyfile.set_tls(two, "acme", { version = 2, email = "a@b.c" }),
    "{$HOSTNAME} {\n\t# tls internal\n\ttls a@b.c\n}\nother.example {\n\ttls internal\n}\n", "the other site stays")
tap.raises("usage", function()
    caddyfile.set_tls("{$HOSTNAME} {\n}\n", "acme", { version = 2 })
end, "an authority needs an address")
for _, bad in ipairs { "a@b.c\n}", "a b@c", "nobody", "a@b{c" } do
    tap.raises("usage", function() caddyfile.set_tls(NEW, "acme", { version = 2, email = bad }) end,
        ("no e-mail address: %s"):format((bad:gsub("\n", "\\n"))))
end
tap.raises("usage", function() caddyfile.set_tls(NEW, "internal", { version = 2 }) end, "a mode has a name")

-- What cannot be changed safely is refused, with its line.
for text, want in pairs {
    ["{$HOSTNAME} {\n\theader X \"open\n\ttls internal\n}\n"] = "line 2 of the Caddyfile: the quote \" is never closed",
    ["{$HOSTNAME} {\n\ttls internal\n\trespond `x\n}\n"] = "line 3 of the Caddyfile: the quote ` is never closed",
    ["{$HOSTNAME} {\n\ttls internal\n\theader {\n}\n"] = "line 1 of the Caddyfile: its { is never closed",
    ["{$HOSTNAME} {\n\ttls internal\n}\n}\n"] = "line 4 of the Caddyfile: its } closes nothing",
    ["{$HOSTNAME} {\n\trespond <<END\n\ttls internal\n}\n"] =
        "line 2 of the Caddyfile: the text that begins with <<END never ends",
    ["{$HOSTNAME}\ntls internal\nrespond hi \\"] =
        "line 3 of the Caddyfile: the backslash at its end continues it, and nothing follows",
    ["(a) {\n\ttls internal\n}\n(b) {\n\timport a\n}\n{$HOSTNAME} {\n\timport b\n}\n"] =
        "line 8 of the Caddyfile: its tls line comes from the snippet (b), which other sites may share",
} do
    local err = tap.raises("caddy.unsafe", function() caddyfile.set_tls(text, "acme", EMAIL) end, want)
    tap.is(err and err.message, want, "  its words")
end
tap.is(caddyfile.set_tls("(a) {\n\theader X y\n}\n{$HOSTNAME} {\n\timport a\n\ttls internal\n}\n", "acme", EMAIL),
    "(a) {\n\theader X y\n}\n{$HOSTNAME} {\n\timport a\n\t# tls internal\n\ttls admin@meltano.com\n}\n",
    "a snippet without tls is no hindrance")

-- ---- versions, programs, certificates ----

for text, want in pairs {
    ["Caddy v1.0.3 (h1:i9gRhBgvc5ifchwWtSe7pDpsdS9+Q0Rw9oYQmYUTw1w=)"] = 1,
        ["Caddy 0.11.5 (non-commercial use only)"] = 1,
    ["Caddy (untracked dev build)"] = 1, ["v2.6.2 h1:wKoFIxpmOJLGl3QXoo6PNbYvGW4xLEgo32GPBEjWL8o="] = 2,
        ["2.6.2\n"] = 2,
} do
    tap.is(caddy.parse_version(text), want, "version: " .. text:gsub("\n", ""))
end
tap.is(caddy.parse_version "", nil, "no version")
tap.is(caddy.parse_program("ExecStart={ path=/usr/local/bin/caddy ; argv[]=/usr/local/bin/caddy -log stdout ; "
    .. "ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n"),
    "/usr/local/bin/caddy", "the program of the unit")
local certificate = caddy.parse_certificate("issuer=CN = Pebble Intermediate CA 426370\n"
    .. "subject=CN = ada.meltanodata.com\nnotBefore=Nov 22 01:00:07 2026 GMT\nnotAfter=Nov  2 01:00:06 2031 GMT\n")
tap.is(certificate, {
    issuer = "CN = Pebble Intermediate CA 426370", subject = "CN = ada.meltanodata.com", not_before = 1795309207,
    not_after = 1951347606,
}, "a certificate")
tap.ok(not caddy.is_self_signed(certificate), "from an authority")
tap.ok(caddy.is_self_signed { issuer = "CN = Caddy Local Authority - ECC Intermediate", subject = "" },
    "from Caddy itself")
tap.is(caddy.parse_certificate "unable to load certificate\n", nil, "none")

-- ---- the journal ----

local function entries_of(messages)
    local entries = {}
    for index, message in ipairs(messages) do
        entries[index] = { at = 1795309000 + index, message = message }
    end
    return entries
end

local function verdict(name, address)
    return caddy_journal.verdict(entries_of(journals[name]), { [address or "198.18.112.10"] = true })
end

local limited = verdict "limit1"
tap.is({ limited.verdict, limited.limit, limited.retry_after }, { "rate-limited", "registered domain", 1795312759 },
    "a rate limit that says when it ends")
tap.ok(limited.evidence[1]:find("urn:ietf:params:acme:error:rateLimited", 1, true), "with the authority's words")
limited = verdict "limit2"
tap.is({ limited.verdict, limited.limit, limited.retry_after }, { "rate-limited", "set of names" }, "one that does not")
tap.is(verdict("nodns").verdict, "dns", "the name has no address")
tap.is(verdict("deaddns").verdict, "dns", "the name has the address of nobody")
tap.is(verdict("otherdns").verdict, "dns", "the name has another host's address")
tap.is(verdict("portclosed").verdict, "port-closed", "ports 80 and 443 are closed")
tap.is(verdict("badfile").verdict, "bad-caddyfile", "an unknown directive")
tap.is(verdict("badfile").evidence, {
    "Error: adapting config using caddyfile: /etc/caddy/Caddyfile:2: unrecognized directive: foo",
}, "with file and line")
tap.is(verdict("noca").verdict, "authority-unreachable", "the authority does not answer")
tap.is(verdict("good").verdict, "ok", "a certificate was obtained")
limited = verdict("old-limit", "198.18.112.11")
tap.is({ limited.verdict, limited.limit, limited.retry_after }, { "rate-limited", "registered domain", 1795316462 },
    "Caddy 1: rate limit")
tap.is(verdict("old-bad", "198.18.112.11").verdict, "bad-caddyfile", "Caddy 1: unknown directive")
tap.is(verdict("old-nodns", "198.18.112.11").verdict, "dns", "Caddy 1: the name has no address")
tap.is(verdict("old-good", "198.18.112.11").verdict, "ok", "Caddy 1: a certificate was obtained")

-- The text of the operations handbook.
local handbook = caddy_journal.verdict(entries_of {
    "Activating privacy features... 2019/12/10 12:03:47 [INFO] [ada.meltanodata.com] acme: Obtaining bundled SAN "
        .. "certificate",
    "2019/12/10 12:03:48 [INFO] [ada.meltanodata.com] acme: Obtaining bundled SAN certificate",
    "2019/12/10 12:03:53 failed to obtain certificate: acme: error: 429 :: POST :: "
        .. "https://acme-v02.api.letsencrypt.org/acme/new-order :: urn:ietf:params:acme:error:rateLimited :: Error "
        .. "creating new order :: too many certificates already issued for: meltanodata.com: see "
        .. "https://letsencrypt.org/docs/rate-limits/, url:",
})
tap.is({ handbook.verdict, handbook.limit }, { "rate-limited", "registered domain" }, "the handbook's own text")
tap.is(caddy_journal.verdict(entries_of {
    '{"level":"error","ts":1.5,"logger":"tls.issuance.acme.acme_client","msg":"challenge failed",'
        .. '"identifier":"x.example","challenge_type":"http-01","problem":{"type":'
        .. '"urn:ietf:params:acme:error:connection","title":"","detail":'
        .. '"203.0.113.7: Fetching http://x.example/.well-known/acme-challenge/abc: Timeout during connect '
        .. '(likely firewall problem)","instance":"","subproblems":[]}}',
}, { ["203.0.113.7"] = true }).verdict, "port-closed", "Let's Encrypt's words, as newer versions of Caddy log them")
tap.is(caddy_journal.verdict(entries_of {
    '{"level":"error","ts":1.5,"msg":"challenge failed","problem":{"type":"urn:ietf:params:acme:error:unauthorized",'
        .. '"detail":"198.51.100.4: Invalid response from http://x.example/.well-known/acme-challenge/abc: 404"}}',
}, { ["203.0.113.7"] = true }).verdict, "dns", "another host answered the challenge")
tap.is(caddy_journal.verdict(entries_of {
    "Error: loading initial config: loading new config: http app module: start: listening on :443: listen tcp :443: "
        .. "bind: address already in use",
}).verdict, "port-taken", "another program has the port")

tap.is(caddy_journal.verdict(entries_of {
    '{"level":"info","ts":1.5,"logger":"tls.obtain","msg":"certificate obtained successfully","identifier":"x.example"}',
    '{"level":"error","ts":2.5,"logger":"http.log.error","msg":"dial tcp 127.0.0.1:5000: connect: connection refused"}',
}).verdict, "ok", "what visitors were refused is another matter")

-- A story has an order: what was mended is past.
local both = {}
for _, message in ipairs(journals.limit1) do both[#both + 1] = message end
for _, message in ipairs(journals.good) do both[#both + 1] = message end
tap.is(caddy_journal.verdict(entries_of(both)).verdict, "ok", "a limit that is over does not count")
both = {}
for _, message in ipairs(journals.good) do both[#both + 1] = message end
for _, message in ipairs(journals.limit1) do both[#both + 1] = message end
tap.is(caddy_journal.verdict(entries_of(both)).verdict, "rate-limited", "one that came after the certificate does")
tap.is(caddy_journal.verdict({}).verdict, nil, "an empty journal says nothing")
tap.is(caddy_journal.retry_after "retry after 2024-01-04T10:00:00Z", 1704362400, "the other way to write the time")
tap.done()
