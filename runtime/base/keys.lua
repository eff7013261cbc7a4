-- Tables as sets: their keys in an order that does not change from one run to the next, and sets of lists.
local keys = {}

--- The keys of a table whose keys are texts, sorted.
---@param set table<string, any>
---@param test? fun(key: string): boolean which of them; without it, all
---@return string[]
function keys.sorted(set, test)
    local list = {}
    for key in pairs(set) do
        if not test or test(key) then
            list[#list + 1] = key
        end
    end
    table.sort(list)
    return list
end

--- A set of what a list has.
---@param list any[]
---@return table<any, true>
function keys.set(list)
    local set = {}
    for _, item in ipairs(list) do
        set[item] = true
    end
    return set
end

return keys
