#!build/lua-test
-- The bodies of deliveries: JSON, forms and XML as values, and what strangers may send instead.
local import = ...
local tap = require "tap"
local body = import "inbox/body"

local function read(media_type, text)
    local parts, reason, status = body.read(media_type, text)
    return parts or { refused = reason, status = status }
end

local function refused(media_type, text, pattern, name)
    local parts, reason, status = body.read(media_type, text)
    tap.ok(not parts and status == 400 and reason:find(pattern) ~= nil, name, ("%s, %s"):format(tostring(reason),
        tostring(status)))
    tap.ok(parts or not reason:find("Lovelace", 1, true), "and nothing of it is told")
end

-- ---- JSON ----

local JSON = "application/json; charset=utf-8"
local parts = read(JSON, [[{ "name": "Ada", "age": null, "list": [1, 2.5, -3e2], "deep": { "empty": {} } }]])
tap.is(parts.json.name, "Ada", "JSON")
tap.is(parts.json.age, json.null, "null")
tap.is(parts.json.list, { 1, 2.5, -300 }, "numbers")
tap.is(parts.fields.name, "Ada", "its names at the top")
tap.is(read(nil, "[1]").fields, {}, "a list has none")
tap.is(read("application/cloudevents+json", "{}").json, {}, "what is JSON by its suffix")
tap.is(read("", "\"text\"").json, "text", "without a type it is taken for JSON")

parts = read(JSON, [[{"id":12345678901234567890,"minus":-9007199254740993,"fits":9007199254740991,"text":"12345678901234567890"}]])
tap.is(parts.json.id, "12345678901234567890", "a whole number that is too large for one keeps its digits")
tap.is(parts.json.minus, "-9007199254740993", "a negative one as well")
tap.is(parts.json.fits, 9007199254740991, "the largest that fits is a number")
tap.is(parts.json.text, "12345678901234567890", "a text is left alone")
tap.is(read(JSON, "[" .. ("1"):rep(5000) .. "]").json[1], ("1"):rep(5000), "one of 5000 digits")
tap.is(read(JSON, "[0." .. ("3"):rep(5000) .. "]").json[1], 1 / 3, "a fraction of as many")
tap.is(read(JSON, [[{"a\"b":"\\\\","c":1}]]).json, { ["a\"b"] = "\\\\", c = 1 }, "quotes and backslashes in texts")

refused(JSON, "[1e999]", "a number in it is too large", "a number beyond all")
refused(JSON, "[-1e999]", "a number in it is too large", "and below")
refused(JSON, ("["):rep(65) .. ("]"):rep(65), "nested too deeply", "deep nesting")
refused(JSON, ("{\"a\":"):rep(100000), "nested too deeply", "deep nesting without an end")
refused(JSON, "[" .. ("0,"):rep(200000) .. "0]", "too many values", "too many values")
refused(JSON, "{\"name\":\"Lovelace", "not JSON from byte %d+ on$", "a cut one")
refused(JSON, "{\"name\":\"Lovelace\"} more", "not JSON from byte %d+ on$", "more behind it")
refused(JSON, "", "not JSON", "nothing")
refused(JSON, "{\"name\":\"\255\"}", "not UTF%-8", "what is not UTF-8")
refused(JSON, "\"\\ud800\"", "not JSON", "half a surrogate")
refused(JSON, "\"\\u0000\"", "not JSON", "a NUL that is escaped")
refused(JSON, "\"\0\"", "a NUL", "and one that is not")
refused(JSON, "{\"a\":1e}", "not JSON", "half a number")
refused(JSON, "\"\\", "not JSON", "half an escape")
tap.is(#read(JSON, ("["):rep(64) .. ("]"):rep(64)).json, 1, "what is deep, and not too deep")

-- ---- forms ----

local FORM = "application/x-www-form-urlencoded"
parts = read(FORM, "full_name=Ada+Lovelace&email=ada%40example.com&empty=&alone&list=1&list=2&%C3%A9=%c3%a9")
tap.is(parts.form, { full_name = "Ada Lovelace", email = "ada@example.com", empty = "", alone = "", list = { "1", "2" },
    ["é"] = "é" }, "a form")
tap.is(parts.fields, parts.form, "its fields are the names at the top")
tap.is(read(FORM, "").form, {}, "an empty one")
tap.is(read(FORM, "a=b=c").form, { a = "b=c" }, "an equals sign in a value")
refused(FORM, "name=Lovelace%2", "percent signs", "half an escape")
refused(FORM, "name=Lovelace%zz", "percent signs", "what is none")
refused(FORM, "name=%ff", "UTF%-8", "what is not UTF-8")
refused(FORM, ("a=1&"):rep(1001), "too many fields", "too many fields")

-- ---- XML ----

local XML = "application/xml"
parts = read(XML, "<?xml version='1.0'?>\n<signup at='now'><email>ada@example.com</email><name> Ada &amp; <![CDATA[<Co>]]></name>"
    .. "<tags><tag>a</tag><tag>b</tag></tags></signup>")
tap.is(parts.xml.name, "signup", "XML: the root")
tap.is(parts.xml.attributes, { at = "now" }, "its attributes")
tap.is(parts.xml[3][2].text, "b", "elements in elements")
tap.is(parts.fields, { email = "ada@example.com", name = " Ada & <Co>" }, "its names at the top")
tap.is(read("text/xml", "<a/>").xml.text, "", "an empty element")
tap.is(read("application/soap+xml", "<a>1</a>").xml.text, "1", "what is XML by its suffix")
tap.is(read(XML, "<?xml version='1.0' encoding='iso-8859-1'?><a>\233</a>").xml.text, "é", "another encoding becomes UTF-8")
refused(XML, "<!DOCTYPE a [<!ENTITY b 'Lovelace'>]><a>&b;</a>", "document type", "entities of its own")
refused(XML, "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type", "a document type from elsewhere")
refused(XML, "<a>&b;</a>", "undefined entity", "an entity that nobody declared")
refused(XML, ("<a>"):rep(65) .. ("</a>"):rep(65), "nested too deeply", "deep nesting")
refused(XML, "<a>" .. ("<b/>"):rep(10001) .. "</a>", "too many elements", "too many elements")
refused(XML, "<a><b>Lovelace</a>", "line 1: mismatched tag", "one that does not end as it began")
refused(XML, "<a>Lovelace", "line 1: ", "a cut one")
refused(XML, "<a/><b/>", "line 1: junk", "two roots")
refused(XML, "<a>\255</a>", "invalid token", "what is not UTF-8")
refused(XML, "", "no element", "nothing")
refused(XML, "<a>\0</a>", "invalid token", "a NUL")
for _ = 1, 200 do -- what was begun when a body is refused is let go again
    read(XML, "<a><b>" .. ("text "):rep(1000))
end

-- ---- others ----

for _, media_type in ipairs { "text/plain", "multipart/form-data; boundary=x", "application/octet-stream", "json" } do
    tap.is(select(3, body.read(media_type, "{}")), 415, media_type .. " is not taken")
end
tap.is(body.guess " {\"a\":1}", "application/json", "a guess")
tap.is(body.guess "<a/>", "application/xml", "and another")
tap.is(body.guess "a=1", FORM, "and the last")
tap.is(body.guess "rubbish{", "application/json", "what is nothing is taken as what says nothing of itself")
tap.done()
