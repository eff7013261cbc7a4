#!build/lua-test
-- Tasks: structure, cancellation, deadlines.
local tap = require "tap"

tap.is(timeout(5, function(a, b) return a + b end, 2, 3), 5, "a function with a deadline returns its results")
local started = now()
local err = tap.raises("timeout", function() timeout(0.05, sleep, 100) end, "a deadline ends a sleep")
tap.ok(now() - started < 60, "and at once")
tap.like(tostring(err), "timed out", "and says so")

tap.raises("timeout", function()
    timeout(0.1, function() while true do end end)
end, "a deadline ends a loop that never waits")

tap.raises("timeout", function()
    timeout(0.1, function()
        while true do
            pcall(sleep, 10)
            sleep(0)
        end
    end)
end, "pcall does not swallow a deadline")

local cleaned = false
tap.raises("timeout", function()
    timeout(0.05, function()
        local ok, reason = pcall(sleep, 10)
        tap.is(ok, false, "the wait raises")
        shield(1, function() sleep(0.01) cleaned = true end)
        error(reason, 0)
    end)
end, "a shielded scope runs after the deadline")
tap.ok(cleaned, "and to its end")

started = now()
tap.raises("timeout", function()
    timeout(0.05, function()
        pcall(sleep, 100)
        shield(0.1, sleep, 100)
    end)
end, "a shielded scope has a deadline of its own")
tap.ok(now() - started < 60, "and ends at it")

local log = {}
local boom = tap.raises("boom", function()
    parallel {
        function() local ok = pcall(sleep, 10) log[#log + 1] = ok and "slept" or "cancelled" end,
        function() sleep(0.01) fail("it broke", { code = "boom" }) end,
    }
end, "parallel raises the first failure")
tap.is(log, { "cancelled" }, "after cancelling the others")
tap.like(boom.traceback, "task.t", "the traceback names the file")
tap.is(parallel { function() sleep(0.02) return 1 end, function() return 2 end }, { 1, 2 }, "parallel keeps the order")

local inner_deadline = now()
tap.raises("timeout", function()
    timeout(0.1, function() timeout(100, sleep, 100) end)
end, "a child's deadline is never later than its parent's")
tap.ok(now() - inner_deadline < 60, "and is met")

local widest, running = 0, 0
local items = {}
for i = 1, 20 do items[i] = i end
local each_error = tap.raises("each", function()
    each(items, { parallel = 4 }, function(i)
        running = running + 1
        widest = math.max(widest, running)
        sleep(0.005)
        running = running - 1
        if i == 7 or i == 9 then fail("bad " .. i) end
    end)
end, "each raises at its end")
tap.is(widest, 4, "each keeps to its width")
tap.is(#each_error.failures, 2, "each lists the failures")
tap.is(each_error.failures[1].key, "7", "with their keys")

local begun = 0
tap.raises("each", function()
    each(items, { parallel = 1, max_failures = 2 }, function() begun = begun + 1 fail "no" end)
end, "each stops after max_failures")
tap.is(begun, 3, "having begun no more")

local tries = 0
tap.is(retry({ times = 3, backoff = 0.001 }, function()
    tries = tries + 1
    return tries < 3 and fail "not yet" or "third"
end), "third", "retry tries again")
tap.raises("lua", function() return undefined_thing end, "an unknown global is an error")
tap.raises("lua", function() undefined_thing = 1 end, "so is making one")

local many = {}
for i = 1, 2000 do many[i] = i end
local sum = 0
each(many, { parallel = 2000 }, function(i) sleep(0.001) sum = sum + i end)
tap.is(sum, 2001000, "two thousand tasks at once")
tap.done()
