-- The step that stands for what a person typed at a prompt: opened by its first write outside of all steps, ended when
-- the code has ended.
local native, import = ...
local typed_step = {
    --- What the journal has in place of the hash of a function, where a person did it in the middle of a run.
    CODE = "typed",
}

local step_record, text = import "journal/steps", import "base/text"
local event, system = native.event, native.system

--- A line as part of a step's name: on one line, without secrets.
---@param longest integer bytes
---@return string
function typed_step.in_short(source, longest)
    return text.in_short(native.secret.scrub(source):gsub("%s+", " "):gsub("^ ", ""), longest)
end

--- Opens a step for an entry; what its code does from now on belongs to it.
---@param entry table context: that of the task which runs its code; gets `step`
---@param place { path: string, scope: number } where in the run the prompt is
---@param name string
---@param options? { code?: string, kind?: string } code: for the journal, in place of a function's hash; kind: of its
---  events
function typed_step.open(entry, place, name, options)
    options = options or {}
    local step = {
        path = place.path .. "/" .. name, name = name, started = system.monotonic(), parent = place.scope,
        kind = options.kind,
    }
    step.scope = event.emit("step.begin", { parent = place.scope, name = name, kind = step.kind })
    step_record.begin(step.path, options.code, false)
    entry.step, entry.context.step, entry.context.scope = step, step.path, step.scope
end

--- Ends the step of an entry, where it has one.
---@param entry table
---@param ok boolean whether its code ended well
---@param result any else its error
function typed_step.close(entry, ok, result)
    local step = entry.step
    if not step then
        return
    end
    local status = ok and "done" or result.code == "cancelled" and "cancelled" or "failed"
    step_record.finish(step.path, status, nil, not ok and result or nil)
    event.emit("step.end", {
        scope = step.scope, parent = step.parent, name = step.name, kind = step.kind, status = status,
        text = not ok and tostring(result) or nil, seconds = system.monotonic() - step.started,
    })
end

return typed_step
