-- "Did you mean": the nearest of some names.
local suggest = {}

--- The number of insertions, deletions, substitutions and swaps of neighbours between two words.
local function distance(a, b)
    local rows = { [0] = {} }
    for j = 0, #b do
        rows[0][j] = j
    end
    for i = 1, #a do
        rows[i] = { [0] = i }
        for j = 1, #b do
            local cost = a:byte(i) == b:byte(j) and 0 or 1
            local best = math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                best = math.min(best, rows[i - 2][j - 2] + 1)
            end
            rows[i][j] = best
        end
    end
    return rows[#a][#b]
end

--- The name nearest to `word`, or nil when none is near enough to be what was meant.
---@param word string
---@param names string[]
---@return string?
function suggest.nearest(word, names)
    local best, best_distance
    for _, name in ipairs(names) do
        local d = distance(word:lower(), name:lower())
        if name:sub(1, #word) == word and #word >= 2 then
            d = math.min(d, 1)
        end
        if not best or d < best_distance or (d == best_distance and name < best) then
            best, best_distance = name, d
        end
    end
    return best and best_distance <= math.max(1, math.floor(#word / 3)) and best or nil
end

return suggest
