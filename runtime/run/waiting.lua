-- Waiting for something to be so, or for a moment.
local native, import = ...
local waiting = {}

local options_of = import "base/options"
local checks, concurrency, current = import "run/checks", import "run/concurrency", import "journal/current"
local gate, recording, text_of = import "gate/gate", import "gate/recording", import "base/text"
local event, task, usage = native.event, native.task, checks.usage
local sleep = concurrency.globals.sleep

local OPTIONS = { timeout = "number", interval = "number", at = "number" }

--- Waits until a moment. A dry run says so and goes on.
local function wait_for_moment(what, moment)
    if native.secret.is_unknown(moment) then
        return
    end
    checks.seconds("wait_until", "at", moment)
    local context = task.context()
    local seconds = moment - recording.value("now", "", native.system.now, true)
    local text = ("%s, at %s"):format(what, os.date("!%Y-%m-%d %H:%M:%S UTC", moment))
    if seconds <= 0 then
        return
    elseif current.collecting then
        error(native.error.new { code = "unfinished", message = "this is not so yet: " .. text }, 3)
    elseif gate.mode == "dry-run" then
        event.emit("say", { parent = context.scope, text = ("would wait for %s, for %s"):format(text,
            text_of.duration(seconds)) })
        return
    end
    event.emit("wait", { parent = context.scope, text = text, count = 0 })
    sleep(seconds)
    event.emit("wait", { parent = context.scope, text = text, count = 0, status = "done", seconds = seconds })
end

--- Calls condition until it returns something other than nil or false, and returns that. Or, with `at` and without a
--- condition, waits for a moment: one that a step has returned is the same however often the run is stopped and
--- resumed.
---@param what string what is waited for, as the person reads it: "ada.meltanodata.com to resolve"
---@param options { timeout?: number, interval?: number, at?: number } timeout: seconds; interval: seconds between two
---  looks (1), grows by half up to ten times itself; at: the moment, in seconds since 1970
---@param condition? fun(): any errors it raises end the wait
---@return any what the condition returned
---@raise "timeout"
local function wait_until(what, options, condition)
    what = tostring(what) -- it may name something unknown
    if type(options) == "table" then
        options_of.check("wait_until", options, OPTIONS)
    end
    if type(options) == "table" and options.at ~= nil and condition == nil then
        return wait_for_moment(what, options.at)
    elseif type(options) ~= "table" or type(condition) ~= "function" then
        usage "wait_until(\"what is waited for\", { timeout = seconds }, function() ... end)"
    end
    checks.seconds("wait_until", "timeout", options.timeout)
    checks.seconds("wait_until", "interval", options.interval or 1)
    local started = recording.monotonic()
    local context = task.context()
    local interval, looks = options.interval or 1, 0
    local longest = interval * 10
    local function ended(status)
        if looks > 0 then
            event.emit("wait", {
                parent = context.scope, text = what, count = looks, status = status,
                seconds = recording.monotonic() - started,
            })
        end
    end
    while true do
        local result = condition()
        if result or native.secret.is_unknown(result) then
            ended "done"
            return result
        end
        if current.collecting then
            error(native.error.new { code = "unfinished", message = "this is not so (any more): " .. what }, 2)
        end
        local waited = recording.monotonic() - started
        if waited >= options.timeout then
            ended "failed"
            error(native.error.new {
                code = "timeout",
                message = ("gave up after %s waiting for %s"):format(text_of.duration(waited), what),
                step = context.step,
            }, 2)
        end
        looks = looks + 1
        event.emit("wait", { parent = context.scope, text = what, count = looks })
        sleep(math.min(interval, options.timeout - waited))
        interval = math.min(interval * 1.5, longest)
    end
end

waiting.globals = { wait_until = wait_until }
return waiting
