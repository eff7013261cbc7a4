-- The steps that may have been passed on one path of a run: by their names, with the place of each.
local PassedSteps = {}
PassedSteps.__index = PassedSteps

--- Nothing is passed yet: the beginning of a run, or of one item of an `each`.
function PassedSteps.new()
    return setmetatable({ seen = {} }, PassedSteps)
end

--- What has been passed so far.
function PassedSteps:copy()
    local copy = {}
    for name, node in pairs(self.seen) do
        copy[name] = node
    end
    return copy
end

--- Goes back to what had been passed.
function PassedSteps:restore(seen)
    self.seen = {}
    for name, node in pairs(seen) do
        self.seen[name] = node
    end
end

--- What has been passed on this path or on another one.
---@param others? table<string, table>
function PassedSteps:union(others)
    local both = self:copy()
    for name, node in pairs(others or {}) do
        both[name] = both[name] or node
    end
    return both
end

--- Goes on behind a function: with what was passed where it returned, and also with what was passed at its end where
--- the end is reached.
function PassedSteps:leave(returned, end_is_reached)
    self.seen = end_is_reached and self:union(returned) or returned
end

return PassedSteps
