#!build/lua-test
-- Proofs of origin: each takes what openssl has signed, and nothing else.
local import = ...
local tap = require "tap"
local sh = require "sh"
local proof = import "inbox/proof"

local BODY = "{\"event_id\":\"one\",\0\255 not even text"
local KEY, OTHER = "a-key-for-tests", "another-key-for-tests"

local function openssl(input, ...)
    return sh.run({ "openssl", ... }, { read = true, stdin = input }).stdout
end

local function hmac(algorithm, key, text)
    return openssl(text, "dgst", "-" .. algorithm, "-hmac", key, "-binary")
end

local function hex(bytes)
    return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function base64(bytes)
    return openssl(bytes, "base64", "-A")
end

--- What a proof says of a request with these headers: true, or "missing: why", "wrong: why".
local function said(from, headers, body)
    local holds, reason, kind = from:holds { headers = headers, body = body or BODY }
    return holds or ("%s: %s"):format(kind, reason)
end

local key, other = secret.wrap(KEY), secret.wrap(OTHER)

-- ---- Typeform's ----

local typeform = proof.typeform(key)
local signature = "sha256=" .. base64(hmac("sha256", KEY, BODY))
tap.is(said(typeform, { ["typeform-signature"] = signature }), true, "Typeform's signature holds")
tap.is(said(typeform, {}), "missing: there is no Typeform-Signature", "none is missing")
tap.is(said(typeform, { ["typeform-signature"] = { signature, signature } }), "missing: there is no Typeform-Signature",
    "so is one that comes twice")
tap.is(said(typeform, { ["typeform-signature"] = signature:sub(8) }),
    "missing: Typeform-Signature is not what was expected: sha256=...", "so is one without its prefix")
tap.is(said(typeform, { ["typeform-signature"] = signature }, BODY:sub(1, -2)), "wrong: Typeform's signature is wrong",
    "that of a cut body is wrong")
tap.is(said(typeform, { ["typeform-signature"] = signature }, BODY .. "\n"), "wrong: Typeform's signature is wrong",
    "and of one with a line more")
tap.is(said(typeform, { ["typeform-signature"] = "sha256=" .. base64(hmac("sha256", OTHER, BODY)) }),
    "wrong: Typeform's signature is wrong", "and one by another key")
tap.is(said(typeform, { ["typeform-signature"] = "sha256=" .. hex(hmac("sha256", KEY, BODY)) }),
    "wrong: Typeform's signature is wrong", "and one in hexadecimal")
tap.is(said(typeform, { ["typeform-signature"] = "sha256=" .. base64(hmac("sha512", KEY, BODY)) }),
    "wrong: Typeform's signature is wrong", "and another algorithm's")
for _, odd in ipairs { "sha256=", "sha256=====", "sha256=\255\254", "sha256=" .. ("A"):rep(100000) } do
    tap.ok(said(typeform, { ["typeform-signature"] = odd }) ~= true, "and what is no signature: " .. odd:sub(1, 12))
end
tap.is(said(typeform, { ["typeform-signature"] = "sha256=" .. base64(hmac("sha256", KEY, "")) }, ""), true,
    "an empty body is signed as well")

-- ---- several secrets ----

local both = proof.typeform { secret("NOT_SET_AT_ALL", { optional = true }), other, key }
tap.is(said(both, { ["typeform-signature"] = signature }), true, "the older of two secrets holds")
tap.is(said(both, { ["typeform-signature"] = "sha256=" .. base64(hmac("sha256", OTHER, BODY)) }), true, "so does the newer")
tap.is(said(both, { ["typeform-signature"] = "sha256=" .. base64(hmac("sha256", "third", BODY)) }),
    "wrong: Typeform's signature is wrong", "a third does not")
tap.raises("usage", function() proof.typeform {} end, "no secret at all is refused")
tap.raises("usage", function() proof.typeform "plain text" end, "so is a text")

-- ---- any HMAC ----

for _, algorithm in ipairs { "sha256", "sha512" } do
    for name, encode in pairs { hex = hex, base64 = base64 } do
        local from = proof.hmac(key, { header = "X-Sign", prefix = "v1=", algorithm = algorithm, encoding = name })
        local code = encode(hmac(algorithm, KEY, BODY))
        tap.is(said(from, { ["x-sign"] = "v1=" .. code }), true, ("%s in %s"):format(algorithm, name))
        tap.is(said(from, { ["x-sign"] = "v0=xx,v1=" .. ("00"):rep(32) .. ", v1=" .. code }), true, "one of several")
        tap.ok(said(from, { ["x-sign"] = "v0=" .. code }) ~= true, "not one of another version")
    end
end

-- ---- a signed time ----

local time = tostring(math.floor(now()))
local function timed(at, signed_at)
    return { ["x-time"] = at, ["x-sign"] = "v0=" .. hex(hmac("sha256", KEY, ("v0:%s:%s"):format(signed_at or at, BODY))) }
end
local slack = proof.hmac(key, { header = "X-Sign", prefix = "v0=", time = "X-Time", signed = "v0:{time}:{body}" })
tap.is(said(slack, timed(time)), true, "a time in a header of its own")
tap.is(said(slack, timed(tostring(time - 3600))):match "wrong: it was signed %d+ seconds ago: more than 300" ~= nil, true, "an old one")
tap.is(said(slack, timed(tostring(time + 3600))):match "wrong: it was signed %d+ seconds ahead" ~= nil, true, "one of tomorrow")
tap.is(said(slack, timed(time, tostring(time - 1))), "wrong: the signature in X-Sign is wrong", "the time is signed")
tap.ok(said(slack, timed "1e9") ~= true and said(slack, timed "") ~= true, "what is no time")
local wide = proof.hmac(key, { header = "X-Sign", prefix = "v0=", time = "X-Time", signed = "v0:{time}:{body}",
    window = 7200 })
tap.is(said(wide, timed(tostring(time - 3600))), true, "the window is a setting")
local stripe = proof.hmac(key, { header = "X-Sign", prefix = "v1=", time_prefix = "t=" })
local code = hex(hmac("sha256", KEY, time .. "." .. BODY))
tap.is(said(stripe, { ["x-sign"] = ("t=%s,v1=%s,v0=00"):format(time, code) }), true, "a time beside the signature")
tap.ok(said(stripe, { ["x-sign"] = "v1=" .. code }) ~= true, "which has to be there")

local MISTAKES = {
    ["a header's name"] = { header = "X Sign" }, ["no header"] = {}, ["an algorithm"] = { header = "X", algorithm = "md5" },
    ["an encoding"] = { header = "X", encoding = "base32" }, ["an option"] = { header = "X", prefx = "v1=" },
    ["a time that is not signed"] = { header = "X", time = "T", signed = "{body}" },
    ["a time that is not there"] = { header = "X", signed = "{time}.{body}" },
    ["a body that is not signed"] = { header = "X", time = "T", signed = "{time}" },
    ["what cannot be signed"] = { header = "X", signed = "{id}.{body}" },
}
for what, options in pairs(MISTAKES) do
    tap.raises("usage", function() proof.hmac(key, options) end, what .. " is refused")
end

-- ---- Standard Webhooks ----

local STANDARD = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local standard = proof.standard(secret.wrap("whsec_" .. STANDARD))
local raw_key = openssl(STANDARD, "base64", "-A", "-d")
local function standard_headers(family, at)
    local code_of = openssl(("msg_1.%s.%s"):format(at, BODY), "dgst", "-sha256", "-mac", "HMAC", "-macopt",
        "hexkey:" .. hex(raw_key), "-binary")
    return { [family .. "id"] = "msg_1", [family .. "timestamp"] = at, [family .. "signature"] = "v1," .. base64(code_of) }
end
for _, family in ipairs { "webhook-", "svix-" } do
    local headers = standard_headers(family, time)
    tap.is(said(standard, headers), true, family .. "signature")
    headers[family .. "signature"] = "v1a,AAAA v1,AAAA " .. headers[family .. "signature"]
    tap.is(said(standard, headers), true, "one of several")
    headers[family .. "id"] = "msg_2"
    tap.is(said(standard, headers), "wrong: the signature of Standard Webhooks is wrong", "the id is signed")
    headers[family .. "id"] = nil
    tap.like(said(standard, headers), "^missing: ", "and has to be there")
    tap.like(said(standard, standard_headers(family, tostring(time - 301 - 3600))), "^wrong: it was signed", "an old one")
end
tap.raises("usage", function() proof.standard(secret.wrap "whsec_?") end, "a secret that is none of theirs")

-- ---- a word that both know ----

local bearer = proof.bearer { key, other }
tap.is(said(bearer, { authorization = "Bearer " .. KEY }), true, "a bearer token")
tap.is(said(bearer, { authorization = "bearer  " .. OTHER }), true, "the second of two")
tap.is(said(bearer, { authorization = "Bearer " .. KEY .. "x" }), "wrong: bearer token is wrong", "a longer one")
tap.is(said(bearer, { authorization = "Basic " .. KEY }), "missing: there is no bearer token", "another scheme")
tap.is(bearer.challenge, "Bearer", "what is asked for")
local basic = proof.basic("zap", key)
tap.is(said(basic, { authorization = "Basic " .. base64("zap:" .. KEY) }), true, "a user and a password")
tap.is(said(basic, { authorization = "Basic " .. base64("zip:" .. KEY) }), "wrong: user and password is wrong", "another user")
tap.is(said(basic, { authorization = "Basic " .. base64("zap:") }), "wrong: user and password is wrong", "no password")
tap.is(said(basic, { authorization = "Basic zap:" .. KEY }), "missing: there is no user and password", "not encoded")
local header = proof.header("X-Api-Key", key)
tap.is(said(header, { ["x-api-key"] = KEY }), true, "a header of its own")
tap.is(said(header, { ["x-api-key"] = KEY:upper() }), "wrong: X-Api-Key header is wrong", "with another value")
tap.is(said(header, { ["x-api-key"] = " " }), "missing: there is no X-Api-Key header", "or none")
tap.raises("usage", function() proof.basic("a:b", key) end, "no user has a colon")

tap.done()
