-- What a person does at a prompt in the middle of a run, on record like the rest of it: what was typed, unless it only
-- looks, and a step for what writes where no step is open.
local native, import = ...
local by_hand = {}

local journal = import "journal"
local event, system = native.event, native.system

--- What the journal has in place of the hash of a function.
by_hand.CODE = "typed"

local LONGEST_NAME = 60
-- Names, fields and indices, with commas between them: nothing is done.
local ONLY_LOOKS = "^[%w%s_.,%[%]]*$"

-- How many lines of this process have had steps, so that no two have one name.
local written = 0

--- A line as part of a step's name.
local function in_short(source)
    local line = native.secret.scrub(source):gsub("%s+", " "):gsub("^ ", "")
    if #line <= LONGEST_NAME then
        return line
    end
    return line:sub(1, LONGEST_NAME):gsub("[\192-\255]?[\128-\191]*$", "") .. "..."
end

local function open_step(entry, place)
    written = written + 1
    local name = ("by hand %d: %s"):format(written, in_short(entry.source))
    local step = { path = place.path .. "/" .. name, name = name, started = system.monotonic() }
    step.scope = event.emit("step.begin", { parent = place.scope, name = name })
    journal.begin_step(step.path, by_hand.CODE, false)
    entry.step, entry.context.step, entry.context.scope = step, step.path, step.scope
end

local function close_step(step, place, ok, result)
    local status = ok and "done" or result.code == "cancelled" and "cancelled" or "failed"
    journal.end_step(step.path, status, nil, not ok and result or nil)
    event.emit("step.end", {
        scope = step.scope, parent = place.scope, name = step.name, status = status,
        text = not ok and tostring(result) or nil, seconds = system.monotonic() - step.started,
    })
end

--- What prompt.run needs to record what is typed there.
---@param place { path: string, scope: number } where in the run the prompt is
---@return { prepare: function, on_effect: function, finish: function }
function by_hand.recording(place)
    return {
        prepare = function(context, entry)
            entry.context = context
            if not entry.source:find(ONLY_LOOKS) then
                journal.note(place.scope, "by hand: " .. entry.source)
            end
        end,
        on_effect = function(entry, effect, at)
            if effect.kind == "write" and not at.step then
                open_step(entry, place)
            end
        end,
        finish = function(entry, ok, result)
            entry.context = nil
            if entry.step then
                close_step(entry.step, place, ok, result)
            end
        end,
    }
end

return by_hand
