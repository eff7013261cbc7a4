-- The effects of the run, as they are recorded.
--
-- The promise is an order on disk: a step's intent and each write's intent before the write leaves the process, a
-- step's result before the step counts as done. So the first write of a step takes the step's own intent along, and a
-- step costs one flush more than it has writes. Reads change nothing and are made again by a resumed run: they, and
-- how a write ended, and the events for `hostler log`, go to disk with the next flush or a moment later.
local native, import = ...
local effects = {}

local current, store = import "journal/current", import "journal/store"
local json, now, shown = native.json.face, native.system.now, current.shown

--- An effect's intent: on disk when this returns, if it is a write.
---@return integer? number
function effects.begin(effect, context)
    if not current.run or current.collecting then
        return nil
    end
    local number = current.next_number()
    local record = effect.kind == "write" and store.open().write or store.open().later
    record([[INSERT INTO effects (run, number, attempt, parent, step, name, kind, target, summary, started, reach)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)]], current.run, number, current.attempt,
        current.in_attempt(context.scope), context.step or nil, effect.name, effect.kind, shown(effect.target),
        shown(effect.summary), now(),
        effect.kind == "write" and effect.reach and shown(json.encode(effect.reach)) or nil)
    return number
end

--- @param status "done"|"failed"|"unclear"
---@param seconds number how long it took: the clock may have jumped meanwhile
function effects.finish(number, status, err, seconds)
    if not number or not current.run then
        return
    end
    store.open().later([[UPDATE effects SET status = $1, error = $2, ended = started + $3, ended_number = $4
        WHERE run = $5 AND number = $6]],
        status, shown(err), seconds, current.next_number(), current.run, number)
end

return effects
