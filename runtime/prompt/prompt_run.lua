-- The run of a prompt: what is written there is on record like the work of a playbook. It begins with the first write;
-- what was typed is a step of it.
local native, import = ...
local prompt_run = {}

local gate, lock, run_record = import "gate/gate", import "run/lock", import "journal/runs"
local typed_step = import "run/typed_step"
local event, system = native.event, native.system

local NAME = "repl"
local LONGEST_NAME = 80

local context, scope, begun_at, id

local function begin()
    id = run_record.begin { playbook = NAME, file = "", arguments = {}, mode = gate.mode }
    begun_at = system.monotonic()
    scope = event.emit("run.begin", { name = NAME, text = "hostler repl", kind = gate.mode, target = id })
    context.scope = scope
end

--- Says whether this prompt writes. The first write begins the run.
---@param on boolean
function prompt_run.allow(on)
    gate.set_mode(on and "normal" or "read-only", "`:write on` lets this prompt write")
    run_record.begin_when_needed(on and begin or nil)
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
    run_record.demand()
    if at.step then
        return
    end
    local name = ("%d: %s"):format(entry.number, typed_step.in_short(entry.source, LONGEST_NAME))
    typed_step.open(entry, { path = NAME, scope = scope }, name, { kind = "prompt" })
end

--- Called when the entry's code has ended.
function prompt_run.finish(entry, ok, result)
    entry.context = nil
    typed_step.close(entry, ok, result)
end

--- Ends the run, where there is one.
---@param ok boolean whether the prompt was left as people leave it
---@return string? id
function prompt_run.leave(ok)
    lock.leave(context)
    if id then
        event.emit("run.end", {
            scope = scope, name = NAME, kind = gate.mode, target = id, count = gate.changes,
            status = ok and "done" or "cancelled", seconds = system.monotonic() - begun_at,
        })
        run_record.finish(ok and "done" or "cancelled")
    end
    return id
end

return prompt_run
