#!build/lua-test
-- JSON: what goes in comes out, and what JSON cannot hold is refused.
local tap = require "tap"

for _, text in ipairs {
    "null", "true", "0", "-1.5", '"x"', "[]", "{}", "[[],{}]", '{"a":{"b":[1,2,{"c":null}]}}', '"\\u00e9\\n\\t\\"\\\\"',
    "9007199254740991", "9007199254740992", "1234567890123456", "1700000000123", "0.1", "1e-300", "1.7976931348623157e+308",
} do
    local value = json.decode(text)
    tap.is(json.decode(json.encode(value)), value, "round trip of " .. text)
end
tap.is(json.encode(9007199254740991), "9007199254740991", "2^53 - 1 keeps its digits")
tap.is(json.decode(json.encode(0.1 + 0.2)), 0.1 + 0.2, "so does a sum of fractions")
tap.is(json.encode(json.decode "[]"), "[]", "an empty list stays one")
tap.is(json.encode(json.array {}), "[]", "also one that was marked")
local rows_with_fields = json.array { 1 }
rows_with_fields.columns = { "a" }
tap.is(json.encode(rows_with_fields), "[1]", "a marked list is written without its fields")
tap.is(json.encode {}, "{}", "an empty table is an object")
tap.is(json.encode { 1, 2 }, "[1,2]", "1..n is a list")
tap.is(json.decode '"\\ud83d\\ude00"', "\240\159\152\128", "surrogate pairs")

local cycle = {}
cycle.itself = cycle
for name, value in pairs {
    ["a cycle"] = cycle, ["not a number"] = 0 / 0, ["infinity"] = 1 / 0, ["a function"] = say,
    ["mixed keys"] = { 1, 2, x = 3 }, ["number keys with holes"] = { [5] = 1 }, ["a boolean key"] = { [true] = 1 },
    ["a NUL"] = "a\0b", ["a key with a NUL"] = { ["a\0b"] = 1 }, ["text that is not UTF-8"] = "\255",
    ["a key that is not UTF-8"] = { ["\255"] = 1 }, ["a secret"] = secret.wrap "hunter2hunter2",
    ["a secret inside"] = { a = { secret.wrap "hunter2hunter2" } },
} do
    tap.raises("json", function() json.encode(value) end, "refused: " .. name)
end
for _, text in ipairs { "", " ", "{", "[1,", '{"a"}', "nul", "1 2", "[1]x", '"abc', "{a:1}", "'x'", '"\\u0000"', '"\\x"', "\0",
    "-", "[" .. ("["):rep(5000) } do
    tap.raises("json", function() json.decode(text) end, "not JSON: " .. text:sub(1, 10))
end
tap.like(tostring(tap.raises("json", function() json.decode '{"a": nope}' end, "a wrong word")), "byte 7 on: nope", "its place is told")
tap.is(json.decode '"\\\\u0000"', "\\u0000", "an escaped backslash before u0000 is no NUL")
local deep = ("["):rep(90) .. ("]"):rep(90)
tap.is(json.encode(json.decode(deep)), deep, "ninety lists in lists")
tap.raises("json", function() json.encode(json.decode(("["):rep(500) .. ("]"):rep(500))) end, "five hundred are refused")

secret.wrap "12345abcdefgh"
local err = tap.raises("json", function() json.decode '{"token": 12345abcdefgh}' end, "a secret that is broken off")
tap.ok(not tostring(err):find "abc", "is not shown by the error", tostring(err))

local rows = {}
for i = 1, 20000 do
    rows[i] = { id = i, name = "row " .. i }
end
tap.is(#json.decode(json.encode(rows)), 20000, "a long list")
tap.done()
