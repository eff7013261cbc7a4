-- What a person does at a prompt in the middle of a run, on record like the rest of it: what was typed, unless it only
-- looks, and a step for what writes where no step is open.
local _, import = ...
local by_hand = {}

local typed_step, journal_events = import "run/typed_step", import "journal/events"

local LONGEST_NAME = 60
-- Names, fields and indices, with commas between them: such a line changes nothing.
local ONLY_LOOKS = "^[%w%s_.,%[%]]*$"

-- How many lines typed in this process have become steps. The number is part of a step's name, so no two are alike.
local written = 0

--- What prompt.run needs to record what is typed there.
---@param place { path: string, scope: number } where in the run the prompt is
---@return { prepare: function, on_effect: function, finish: function }
function by_hand.recording(place)
    return {
        prepare = function(context, entry)
            entry.context = context
            if not entry.source:find(ONLY_LOOKS) then
                journal_events.note(place.scope, "by hand: " .. entry.source)
            end
        end,
        on_effect = function(entry, effect, at)
            if effect.kind == "write" and not at.step then
                written = written + 1
                typed_step.open(entry, place, ("by hand %d: %s"):format(written,
                    typed_step.in_short(entry.source, LONGEST_NAME)), { code = typed_step.CODE })
            end
        end,
        finish = function(entry, ok, result)
            entry.context = nil
            typed_step.close(entry, ok, result)
        end,
    }
end

return by_hand
