-- The run of a prompt: what is written there is on record like the work of a playbook. It begins with the first write;
-- what was typed is a step of it.
local native, import = ...
local prompt_run = {}

local gate, journal, lock = import "gate", import "journal", import "lock"
local event, system = native.event, native.system

local NAME = "repl"
local LONGEST_NAME = 80

local context, scope, begun_at, id

--- What a step is called: the number of the entry and what was typed, on one line.
local function step_name(entry)
    local line = native.secret.scrub(entry.source):gsub("%s+", " "):gsub("^ ", "")
    if #line > LONGEST_NAME then
        line = line:sub(1, LONGEST_NAME):gsub("[\192-\255]?[\128-\191]*$", "") .. "..."
    end
    return ("%d: %s"):format(entry.number, line)
end

local function begin()
    id = journal.begin { playbook = NAME, file = "", arguments = {}, mode = gate.mode }
    begun_at = system.monotonic()
    scope = event.emit("run.begin", { name = NAME, text = "hostler repl", kind = gate.mode, target = id })
    context.scope = scope
end

--- Says whether this prompt writes. The first write begins the run.
---@param on boolean
function prompt_run.allow(on)
    gate.mode = on and "normal" or "read-only"
    gate.write_hint = "`:write on` lets this prompt write"
    journal.begin_late = on and begin or nil
end

--- Makes the running task, and what it starts, part of the run.
function prompt_run.enter()
    context = native.task.context()
    context.path = NAME
    lock.enter(context)
end

--- Called in the task of an entry, before its code.
function prompt_run.prepare(at, entry)
    entry.context = at
    at.path = ("%s/%d"):format(NAME, entry.number)
end

--- Called before each effect: a write outside of all steps opens one for the entry.
function prompt_run.on_effect(entry, effect, at)
    if effect.kind ~= "write" then
        return
    end
    journal.demand()
    if at.step then
        return
    end
    local name = step_name(entry)
    local step = { path = NAME .. "/" .. name, name = name, started = system.monotonic() }
    step.scope = event.emit("step.begin", { parent = scope, name = name, kind = "prompt" })
    journal.begin_step(step.path, nil, false)
    entry.step, entry.context.step, entry.context.scope = step, step.path, step.scope
end

--- Called when the entry's code has ended.
function prompt_run.finish(entry, ok, result)
    entry.context = nil
    local step = entry.step
    if not step then
        return
    end
    local status = ok and "done" or result.code == "cancelled" and "cancelled" or "failed"
    journal.end_step(step.path, status, nil, not ok and result or nil)
    event.emit("step.end", {
        scope = step.scope, parent = scope, name = step.name, kind = "prompt", status = status,
        text = not ok and tostring(result) or nil, seconds = system.monotonic() - step.started,
    })
end

--- Ends the run, where there is one.
---@param ok boolean whether the prompt was left as people leave it
---@return string? id
function prompt_run.leave(ok)
    lock.leave(context)
    if id then
        event.emit("run.end", {
            scope = scope, name = NAME, kind = gate.mode, target = id, count = gate.performed.write,
            status = ok and "done" or "cancelled", seconds = system.monotonic() - begun_at,
        })
        journal.finish(ok and "done" or "cancelled")
    end
    return id
end

return prompt_run
