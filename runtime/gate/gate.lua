-- The one gate: every effect of every module passes through gate.perform.
-- Modes, the journal's effect rows, progress and the error's context are added here, once. A prompt watches effects by
-- a function in the task's context, `on_effect`, which may open a step for a write. The C halves of modules refuse
-- to work while no effect is open (task_in_effect), so a module cannot forget it.
local native, import = ...
local gate = {
    --- "normal", "dry-run" or "read-only"; see gate.set_mode.
    mode = "normal",
    --- How many writes changed something, or may have: all but those that surely have not.
    changes = 0,
}

-- The files that the person named on the command line for output, by their paths: writing these is what they asked for,
-- also of a run that only reads, as if they had redirected what it prints.
local outputs = {}

-- How a person lets a run write that only reads.
local write_hint = "remove `effects = \"read\"`"

local task, event = native.task, native.event
local crash, recording, effect_record = import "gate/crash", import "gate/recording", import "journal/effects"
local connections, outliving = import "gate/connections", import "gate/outliving"
local is_unknown = native.secret.is_unknown

--- Says what becomes of writes from now on.
---@param mode "normal"|"dry-run"|"read-only"
---@param hint? string how a person lets it write when it only reads
function gate.set_mode(mode, hint)
    gate.mode, write_hint = mode, hint or write_hint
end

--- Lets this file be written by an effect of the kind "output".
---@param path string as the person named it
function gate.allow_output(path)
    outputs[path] = true
end

--- True when the value is an unknown or a table that holds one, at any depth.
---@return boolean
function gate.has_unknown(value, depth)
    if is_unknown(value) then
        return true
    end
    if type(value) ~= "table" or (depth or 0) > 8 then
        return false
    end
    for _, item in pairs(value) do
        if gate.has_unknown(item, (depth or 0) + 1) then
            return true
        end
    end
    return false
end

--- A value that only the real run will know.
---@param label string shown as <label>
function gate.unknown(label)
    return native.secret.unknown("<" .. label .. ">")
end

--- A text without the secrets that the process has seen, for what leaves by other ways than events and errors.
---@param text string
---@return string
function gate.scrub(text)
    return native.secret.scrub(text)
end

--- What `fn` makes of a value's text: a secret again where the value is one. For quoting and encoding.
---@param value string|userdata
---@param fn fun(text: string): string must neither keep nor show the text
function gate.derive(value, fn)
    if is_unknown(value) then
        return value
    end
    return native.secret.derive(value, fn)
end

local function refuse(effect, code, message, hint)
    error(native.error.new {
        code = code,
        message = ("%s: %s"):format(message, tostring(effect.summary)),
        hint = hint,
        target = tostring(effect.target),
        effect = effect.name,
    }, 3)
end

local function plan(effect, context)
    local detail = effect.detail
    if type(detail) == "function" then
        detail = detail()
    end
    event.emit("plan", {
        parent = context.scope, name = effect.name, kind = "write",
        target = effect.target, text = effect.summary, detail = detail,
    })
    return gate.unknown(effect.result or tostring(effect.summary))
end

-- Codes with which a task is cancelled in the middle of something.
local STOPPED = { cancelled = true, timeout = true, fenced = true, journal = true, ["journal.away"] = true }

--- Whether a failed effect may have happened all the same: its module says, unless the wait for its end was cut short.
local function is_unclear(err)
    if err.unclear ~= nil then
        return err.unclear
    end
    return STOPPED[err.code] or false
end

local function finish(effect, context, outer_kind, scope, number, started, ok, ...)
    task.effect_end()
    context.effect_kind = outer_kind
    local err = not ok and native.error.complete((...)) or nil
    local status = ok and "done" or err.code == "cancelled" and "cancelled" or "failed"
    local seconds = native.system.monotonic() - started
    if effect.kind == "write" and recording.mode ~= "replay" and (ok or err.unclear ~= false) then
        gate.changes = gate.changes + 1
    end
    effect_record.finish(number, err and is_unclear(err) and "unclear" or ok and "done" or "failed", err, seconds)
    event.emit("effect.end", {
        scope = scope, parent = context.scope, name = effect.name, kind = effect.kind, target = effect.target,
        text = err and tostring(err) or effect.summary, status = status, seconds = seconds,
    })
    if ok then
        return ...
    end
    err.target = err.target or tostring(effect.target)
    err.effect = err.effect or effect.name .. " " .. tostring(effect.summary)
    err.step = err.step or context.step
    error(err, 0)
end

--- Records the intent. A run that is cancelled while its journal writes that begins nothing any more.
local function intend(effect, context)
    local number = effect_record.begin(effect, context)
    local goes_on, stopped = pcall(task.checkpoint)
    if not goes_on then
        effect_record.finish(number, "failed", stopped, 0)
        error(stopped, 0)
    end
    return number
end

-- How many writes have begun: crash points count them.
local begun = 0

local function count_write()
    begun = begun + 1
    return begun
end

--- Passes on how the effect ended.
local function after(write, ...)
    crash.at("effect", write)
    return ...
end

--- Performs one effect and returns what `run` returns.
---@param effect { kind: "read"|"write"|"output", name: string, target: any, summary: any, inputs?: any,
---  result?: string, detail?: string|function, reach?: table } kind "output" writes a file of gate.allow_output, its
---  target; name is "module.verb"; target is whom it reaches; summary is one line for people; inputs are searched for
---  unknowns; result labels the unknown a dry run returns; detail is more for the plan: a diff; reach, of a write that
---  may go on when this process is gone, is what gate/outliving.lua says (JSON-able): `run` finds its mark in
---  effect.mark, if there is one
---@param run function called with the remaining arguments
---@raise "readonly" for a write in read-only mode, "step" for a write outside a step, "output" for a file that nobody
---  named on the command line, and whatever `run` raises
function gate.perform(effect, run, ...)
    local context = task.context()
    if context.loading then
        refuse(effect, "load", "a playbook that is being loaded touches nothing", "do it in run = function(p) ... end")
    elseif context.deciding then
        refuse(effect, "load", "a webhook touches nothing", "do it in the playbook that it names")
    end
    if effect.kind == "write" and gate.mode == "read-only" then
        refuse(effect, "readonly", "this run only reads, and this writes", write_hint
            .. ", or mark a command that changes nothing with read = true")
    end
    if context.on_effect then
        context.on_effect(effect, context)
    end
    if effect.kind == "write" then
        if not context.step then
            refuse(effect, "step", "a write outside a step", "put it in step(\"name\", function() ... end)")
        end
        if context.effect_kind == "read" then
            refuse(effect, "step", "a write inside an effect that is marked as a read", "mark the outer one as a write")
        end
        if gate.mode == "dry-run" then
            return plan(effect, context)
        end
    elseif effect.kind == "output" and not outputs[effect.target] then
        refuse(effect, "output", "nobody named this file on the command line", "a playbook names the parameter "
            .. "`opt(\"report\", \"output\", ...)`, and writes what the person gave for it")
    elseif gate.mode == "dry-run" and (gate.has_unknown(effect.inputs) or is_unknown(effect.target)) then
        return gate.unknown(effect.result or tostring(effect.summary))
    end
    if gate.has_unknown(effect.inputs) then
        refuse(effect, "unknown", "an unknown value reached a real effect")
    end
    task.checkpoint()
    local number = intend(effect, context)
    effect.mark = number and effect.reach and effect.kind == "write" and outliving.mark(number) or nil
    local scope = event.emit("effect.begin", {
        parent = context.scope, name = effect.name, kind = effect.kind, target = effect.target, text = effect.summary,
    })
    local outer_kind = context.effect_kind
    context.effect_kind = effect.kind
    local write = recording.mode ~= "replay" and effect.kind == "write" and count_write()
    crash.at("intent", write)
    task.effect_begin()
    return finish(effect, context, outer_kind, scope, number, native.system.monotonic(),
        after(write, pcall(recording.perform, effect, context, outer_kind, run, ...)))
end

--- Tells of a connection that stays open between effects, for those who count them and those who give them back.
gate.hold = connections.hold

--- What a module learns from outside without an effect: a file of this machine, the state of a connection. In a
--- recording it is kept, and a replay gets it from there.
---@param name string "module.what"
---@param label string which of them
---@param look function what looks
gate.value = recording.value

--- Refuses, while a run is recorded or replayed, what a recording cannot hold.
---@param what string
gate.unrecordable = recording.refuse

--- True for a value that only the real run will know. In a dry run such values stand for what writes would return.
---@param value any
---@return boolean
local function unknown(value)
    return is_unknown(value)
end

gate.globals = { unknown = unknown }
return gate
