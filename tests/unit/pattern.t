#!build/lua-test
-- Patterns: what they match is what Lua's own do, and a match that takes long hears a deadline.
local tap = require "tap"

local function shown(...)
    local values = { n = select("#", ...), ... }
    for index = 1, values.n do
        values[index] = type(values[index]) == "string" and ("%q"):format(values[index]) or tostring(values[index])
    end
    return table.concat(values, " ", 1, values.n)
end

local function is(wanted, fn, ...)
    local arguments = shown(...)
    tap.is(shown(fn(...)), wanted, arguments)
end

-- What Lua 5.1's manual says, and the corners where matchers differ.
is('1 5', string.find, "hello", "hello")
is('3 4', string.find, "hello", "l+")
is('nil', string.find, "hello", "x")
is('1 0', string.find, "", "")
is('6 5', string.find, "hello", "", 10)
is('3 3', string.find, "a.b.c", "b")
is('2 2', string.find, "a.b.c", ".", 2, true)
is('4 4', string.find, "a.b.c", ".", -2, true)
is('2 3 "b"', string.find, "abc", "(b)c")
is('"key" "value"', string.match, "key = value", "^(%w+)%s*=%s*(%w+)$")
is('"llo"', string.match, "hello", "l.*")
is('"l"', string.match, "hello", "l.-")
is('"lo"', string.match, "hello", "l.?", -2)
is('"hello"', string.match, "hello", ".-$")
is('3', string.match, "hello", "()ll")
is('nil', string.match, "hello", "^ello")
is('"ello"', string.match, "hello", "^ello", 2)
is('""', string.match, "a$b", "$")
is('"$b"', string.match, "a$b", "$b")
is('"a]"', string.match, "xa]", "[]a]+$")
is('"-"', string.match, "a-b", "[a%-]", 2)
is('"b-"', string.match, "ab-", "[b-]+")
is('"^"', string.match, "^", "[%^]")
is('"xyz"', string.match, "123xyz", "[^%d]+")
is('"(a(b)c)"', string.match, "x(a(b)c)d)", "%b()")
is('nil', string.match, "(((", "%b()")
is('"THE (quick) fox"', string.match, "THE (quick) fox", ".*")
is('1 3', string.find, "THE (quick) fox", "%f[%a]%a+%f[%A]")
is('"fox"', string.match, "THE (quick) fox", "%f[%a]%l+$")
is('"\'" "it"', string.match, "say 'it'", "(['\"])(.-)%1")
is('"a\\0b"', string.match, "xa\0by", "a%zb")
is('"\195\164"', string.match, "x\195\164", "[\128-\255]+")
is('"FF"', string.match, "0xFF", "%x+$")
is('"_"', string.match, "a_b", "%p")
is('"ab" 0', string.gsub, "ab", "c", "d")
is('"-a-b-" 3', string.gsub, "ab", "", "-")
is('"xbc" 1', string.gsub, "abc", "^.", "x")
is('"xxc" 2', string.gsub, "abc", "%w", "x", 2)
is('"world hello" 1', string.gsub, "hello world", "(%w+) (%w+)", "%2 %1")
is('"hello hello world world" 2', string.gsub, "hello world", "%w+", "%0 %0")
is('"50%" 1', string.gsub, "50x", "x", "%%")
is('"$x ada" 2', string.gsub, "$x $name", "%$(%w+)", { name = "ada" })
is('"A-b" 2', string.gsub, "a-b", "%w", function(c) return c == "a" and "A" end)
is('"7" 1', string.gsub, "x", "x", 7)

local pairs_found = {}
for key, value in ("a=1, b=2"):gmatch "(%w+)=(%w+)" do
    pairs_found[#pairs_found + 1] = key .. value
end
tap.is(table.concat(pairs_found, " "), "a1 b2", "gmatch")
local count = 0
for _ in ("abc"):gmatch "" do
    count = count + 1
end
tap.is(count, 4, "gmatch of what is empty")

local function fails(pattern, words, ...)
    local ok, err = pcall(string.match, "text", pattern, ...)
    tap.ok(not ok and tostring(err):find(words, 1, true), ("%s: %s"):format(pattern, words))
end
fails("%", "malformed pattern (ends with '%')")
fails("[a", "malformed pattern (missing ']')")
fails("[]", "malformed pattern (missing ']')")
fails("[%", "malformed pattern (missing ']')")
fails("(t", "unfinished capture")
fails("t)", "invalid pattern capture")
fails("%1", "invalid capture index")
fails("%f", "missing '[' after '%f' in pattern")
fails("%b", "unbalanced pattern")
fails(("t-"):rep(300) .. "x", "pattern too complex")
fails(("()"):rep(40), "too many captures")
tap.ok(not pcall(string.gsub, "x", "x", function() return {} end), "a replacement that is none")
tap.ok(not pcall(string.gsub, "x", "x", "%2"), "a capture that there is not")

-- A match that would take years.
local text, pattern = ("a"):rep(3000), (".-"):rep(12) .. "b"
for name, fn in pairs {
    find = function() return text:find(pattern) end,
    match = function() return text:match(pattern) end,
    gsub = function() return (text:gsub(pattern, "")) end,
    gmatch = function() return text:gmatch(pattern)() end,
} do
    local ok, err = pcall(timeout, 0.2, fn)
    tap.ok(not ok and err.code == "timeout", name .. " hears a deadline")
end
local _, err = try(function() return timeout(0.2, function() return try(function() return text:find(pattern) end) end) end)
tap.is(err and err.code, "timeout", "as does one that own code has called")
tap.done()
