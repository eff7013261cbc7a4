-- The keys of a table in an order that does not change from one run to the next.
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

return keys
