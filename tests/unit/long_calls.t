#!build/lua-test
-- Calls that compute for long in C hear a deadline, as they would Ctrl-C; or they refuse what is too much.
local tap = require "tap"
local base64 = require "base64"

local function cpu(fn)
    local began = os.clock()
    local ok, err = pcall(fn)
    return os.clock() - began, not ok and err or nil
end

local function hears(name, fn)
    local whole, err = cpu(fn)
    tap.ok(not err, name .. " ends by itself", tostring(err))
    local part, stopped = cpu(function() timeout(0.01, fn) end)
    tap.is(type(stopped) == "table" and stopped.code, "timeout", name .. " is stopped")
    tap.ok(part < whole / 2, "  at once", ("%.3f s of %.3f s"):format(part, whole))
end

local function list(count, make)
    local made = {}
    for index = 1, count do
        made[index] = make(index)
    end
    return made
end

local alike = list(60000, function(index) return ("a"):rep(5000) .. index % 7 end)
hears("table.sort", function() table.sort(list(#alike, function(index) return alike[index] end)) end)
alike = nil
local function copied(values)
    return { unpack(values) }
end
local numbers = list(2000000, function(index) return index + 0.5 end)
hears("table.concat", function() table.concat(numbers, ",") end)
hears("json.encode of numbers", function() json.encode(numbers) end)
local text = json.encode(numbers)
numbers = nil
hears("json.decode", function() json.decode(text) end)
local objects = "[" .. ('{"a":[1]},'):rep(300000) .. "1]"
hears("json.decode of objects", function() json.decode(objects) end)
local keys = {}
for index = 1, 500000 do
    keys["key " .. index * 7919 % 500009] = true
end
hears("json.encode of many keys", function() json.encode(keys) end)
keys = nil
local doubled = {}
for _ = 1, 20 do
    doubled = { doubled, doubled }
end
hears("json.encode of what is in it again and again", function() json.encode(doubled) end)
text = ("a"):rep(200 * 1024 * 1024)
local absent = "b" .. ("a"):rep(250)
hears("string.find of a plain text", function() return text:find(absent, 1, true) end)
tap.is(text:find(("a"):rep(70000) .. "b", 1, true), nil, "one that is longer than a piece is not there")
secret.wrap "hunter2hunter2"
hears("secret.scrub", function() secret.scrub(text) end)
local lines = table.concat(list(8000, function(index) return "line number " .. index .. " of them" end), "\n")
hears("secret.wrap", function()
    lines = lines .. "x\n" -- another one each time
    secret.wrap(lines:gsub("of", "of" .. #lines))
end)

-- hostler's own Lua code, where it goes through people's lists.
local items = list(200000, function(index) return "item " .. index end)
hears("each", function() each(items, function() end) end)
items = list(20000, function(index) return "item " .. index end)
local unhurried = cpu(function() each(items, { parallel = #items }, function() sleep(0.5) end) end)
local cut = cpu(function() timeout(0.5, each, items, { parallel = #items }, function() sleep(100) end) end)
tap.ok(cut < 5 * unhurried, "each with 20000 at once is wound up", ("%.3f s, by themselves %.3f s"):format(cut, unhurried))

-- Where pieces meet.
for _, length in ipairs { 1, 2, 1000, 65535, 65536, 65537, 200000 } do
    local pattern = ("x"):rep(length - 1) .. "y"
    for _, before in ipairs { 0, 1, 65535 - length, 65536 - length, 65537 - length, 65536, 131072 - length, 131073 } do
        if before >= 0 then
            local first, last = (("z"):rep(before) .. pattern .. "y"):find(pattern, 1, true)
            tap.ok(first == before + 1 and last == before + length, ("%d bytes at %d"):format(length, before))
        end
    end
end

-- Sorted and joined as by the interpreter's own.
local values = list(50, function(index) return index * 7919 % 53 end)
local sorted = copied(values)
table.sort(sorted, function(a, b) return a > b end)
tap.ok(sorted[1] == 52 and sorted[25] > sorted[26], "sorted by a function")
tap.like(tostring(select(2, pcall(table.sort, copied(values), function() return true end))), "invalid order function",
    "an order that is none")
tap.like(tostring(select(2, pcall(table.sort, { 1, "a" }))), "attempt to compare", "what has no order")
tap.like(tostring(select(2, pcall(table.concat, { "a", {} }))), "invalid value %(table%) at index 2 in table for 'concat'",
    "a list that cannot be joined")
local long = list(70001, function(index) return index end)
tap.is(#table.concat(long, ", "), #table.concat(long) + 2 * 70000, "joined in pieces")
tap.is(table.concat({ 1, 2, 3 }, "-", 2), "2-3", "from the second on")
tap.is(table.concat({}, "-"), "", "nothing joined")
local hidden = table.concat({ "a", "b", secret.wrap "tokentoken1", "c", "d", secret.wrap "tokentoken2" }, ",", 2)
tap.ok(hidden == secret.wrap "b,tokentoken1,c,d,tokentoken2", "joined with secrets")
tap.is(tostring(hidden), "b,[secret],c,d,[secret]", "  which are not shown")

-- Refused.
tap.raises("usage", function() os.date(("%c"):rep(100000)) end, "a date of a hundred thousand parts")
tap.raises("usage", function() base64.decode(text) end, "base64 of 200 MiB")
tap.raises("json", function() json.decode(text) end, "JSON of 200 MiB")
tap.raises("json", function() json.encode { text } end, "also to be written")
tap.raises("usage", function() secret.wrap(text) end, "a secret of 200 MiB")
for _ = 1, 8 do
    doubled = { doubled, doubled }
end
tap.raises("json", function() json.encode(doubled) end, "a list of 2^28 lists")
tap.done()
