#!build/lua-test
-- The corners of tasks: cancelling, nesting, misuse, many.
local tap = require "tap"

local function numbers(count)
    local list = {}
    for i = 1, count do
        list[i] = i
    end
    return list
end

tap.is(parallel {}, {}, "nothing in parallel")
each({ columns = {} }, function() error "an item" end) -- no rows
tap.is(parallel { function() return false end }[1], false, "false is a result")
local calls, went_on = 0, 0
each({}, function() calls = calls + 1 end)
tap.is(calls, 0, "each of nothing")
local function wait_and_go_on()
    sleep(0.01)
    went_on = went_on + 1
end
for name, fn in pairs {
    ["negative"] = function() timeout(-1, function() end) end, ["not a number"] = function() timeout(0 / 0, function() end) end,
    ["infinite"] = function() sleep(1 / 0) end, ["parallel = 0"] = function() each({ 1 }, { parallel = 0 }, function() end) end,
    ["batch = 0"] = function() each({ 1 }, { batch = 0 }, function() end) end,
    ["batch = 1.5"] = function() each({ 1 }, { batch = 1.5 }, function() end) end,
    ["max_failures = -1"] = function() each({ 1 }, { max_failures = -1 }, function() end) end,
    ["the same item twice"] = function() each({ 1, 1 }, function() end) end,
    ["each of names"] = function() each({ a = 1 }, function() end) end,
    ["each with a gap"] = function() each({ 1, 2, [4] = 3 }, function() end) end,
    ["tables without a key"] = function() each({ {} }, function() end) end,
    ["parallel of names"] = function() parallel { a = function() end } end, ["parallel of nothing"] = function() parallel() end,
    ["parallel with a gap"] = function() parallel { function() end, [3] = function() end } end,
    ["parallel of a number"] = function() parallel { 5 } end, ["retry without times"] = function() retry({}, function() end) end,
    ["wait_until no moment"] = function() wait_until("x", { at = "noon" }) end,
    ["wait_until without a timeout"] = function() wait_until("x", {}, function() end) end,
    ["waiting in gsub"] = function() return (("x"):gsub(".", wait_and_go_on)) end,
    ["waiting in sort"] = function() table.sort({ 2, 1, 3 }, function(a, b) wait_and_go_on() return a < b end) end,
    ["endless nesting"] = function() local function deeper() timeout(9, deeper) end deeper() end,
} do
    tap.raises("usage", fn, "misuse: " .. name)
end
sleep(0.05)
tap.is(went_on, 0, "what was refused does not go on later")

local started = now()
tap.raises("timeout", function()
    timeout(0.05, function()
        pcall(sleep, 100)
        shield(0.2, function() sleep(100) end)
    end)
end, "a shield after a deadline has a deadline of its own")
tap.ok(now() - started < 60, "and keeps it")
tap.raises("timeout", function()
    timeout(0.05, function() while true do pcall(sleep, 10) end end)
end, "a task that always catches is given up")
tap.raises("timeout", function()
    timeout(0.05, function() while true do pcall(function() while true do end end) end end)
end, "also one that computes")
tap.raises("timeout", function()
    timeout(0.1, function() parallel { function() timeout(20, function() each({ 1 }, function() sleep(9) end) end) end } end)
end, "an outer deadline goes through everything")
tap.is(tostring(select(2, try(timeout, 0.01, sleep, 5))), "timed out after 0.01 s", "a deadline is told")

local order = {}
tap.raises("late", function()
    parallel {
        function() pcall(sleep, 5) shield(1, function() sleep(0.02) order[#order + 1] = "cleaned" end) end,
        function() sleep(0.01) fail("x", { code = "late" }) end,
    }
    order[#order + 1] = "never"
end, "a failure waits for the cleanup beside it")
tap.is(order, { "cleaned" }, "which was done")

local batches, at_once, most = {}, 0, 0
each(numbers(10), { batch = 3, parallel = 5 }, function(i)
    at_once = at_once + 1
    most = math.max(most, at_once)
    sleep(0.001)
    at_once = at_once - 1
    batches[#batches + 1] = math.ceil(i / 3)
end)
tap.is(most, 3, "a batch limits the width")
local sorted = true
for i = 2, #batches do
    sorted = sorted and batches[i - 1] <= batches[i]
end
tap.ok(sorted, "and ends before the next begins")

local tries = 0
tap.raises("lua", function()
    retry({ times = 5, backoff = 10 }, function() tries = tries + 1 return undefined_name end)
end, "retry does not repeat a mistake")
tap.is(tries, 1, "not once")
local looks, begun = 0, now()
local gave_up = tap.raises("timeout", function()
    wait_until("it", { timeout = 0.2, interval = 0.15 }, function() looks = looks + 1 end)
end, "wait_until gives up")
tap.ok(now() - begun >= 0.19, "not before its time")
tap.ok(looks >= 3, "and looks a last time then", looks)
tap.like(tostring(gave_up), "gave up after .* waiting for it", "with words")

begun = now()
wait_until("a moment", { at = begun + 0.2 })
tap.ok(now() - begun >= 0.19, "wait_until a moment waits for it")
wait_until("a moment", { at = begun - 100 })
tap.ok(now() - begun < 60, "one that has passed is not waited for")

local sum = 0
each(numbers(10000), { parallel = 10000 }, function(i) sleep(0.001) sum = sum + i end)
tap.is(sum, 50005000, "ten thousand tasks at once")
sum = 0
for i = 1, 20000 do
    sum = sum + timeout(100, function() return i end)
end
tap.is(sum, 200010000, "twenty thousand one after the other")

local ticks, stop = 0, now() + 60
parallel {
    function() for _ = 1, 5 do sleep(0.001) ticks = ticks + 1 end end,
    function() while ticks < 5 and now() < stop do timeout(100, function() end) end end,
}
tap.ok(now() < stop, "a task that is always ready does not keep others waiting")

local err = select(2, try(function() error { message = "a table of its own", extra = 1 } end))
tap.is(err.message, "a table of its own", "a raised table keeps its message")
tap.is(err.value.extra, 1, "and its fields")
tap.like(tostring(select(2, try(error, nil))), "nil value was raised", "nil")
tap.is(tostring(select(2, try(error, 42))), "42", "a number")
local at = select(2, try(function() local x = nil return x.field end))
tap.like(at.file, "concurrency.t", "an error knows its file")
tap.ok(type(at.line) == "number", "and line")
tap.like(at.traceback, "concurrency.t", "and has a traceback")
tap.like(tostring(select(2, try(function() local function f() return 1 + f() end return f() end))), "stack overflow", "endless recursion")
tap.raises("lua", function() timeout(5, function() local function f() return 1 + f() end return f() end) end, "also in a task")
local long = ("x"):rep(5000)
tap.is(#tostring(select(2, try(error, long))), 5000, "a long message is whole")
tap.done()
