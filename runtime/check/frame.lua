-- The steps that may have been passed on one path of a run: by their names, with the place of each.
local Frame = {}
Frame.__index = Frame

--- The path of a run, or of one item of an `each`.
function Frame.new()
    return setmetatable({ seen = {} }, Frame)
end

--- What has been passed so far.
function Frame:copy()
    local copy = {}
    for name, node in pairs(self.seen) do
        copy[name] = node
    end
    return copy
end

--- Goes back to what had been passed.
function Frame:restore(seen)
    self.seen = {}
    for name, node in pairs(seen) do
        self.seen[name] = node
    end
end

--- What has been passed here or there.
---@param others? table<string, table>
function Frame:union(others)
    local both = self:copy()
    for name, node in pairs(others or {}) do
        both[name] = both[name] or node
    end
    return both
end

--- Behind a function: what was passed where it returned, and at its end where that is reached.
function Frame:leave(returned, end_is_reached)
    self.seen = end_is_reached and self:union(returned) or returned
end

return Frame
