-- Lists that are too long to be read at once: the newest rows that stand as somebody asked.
local selection = {}

--- Goes through the pages, newest first, until there are enough.
---@param page fun(after: { number: number, id: string }): table[] the rows after one, `size` of them until there are no
---  more
---@param size integer
---@param stands fun(row: table): string how a row stands
---@param wanted { limit: integer, status?: string } status: only those that stand so
---@return table[] rows each with `stands`
function selection.choose(page, size, stands, wanted)
    local chosen, row = {}, { number = 1e15, id = "" }
    repeat
        local rows = page(row)
        for index = 1, #rows do
            row = rows[index]
            row.stands = stands(row)
            if #chosen < wanted.limit and (not wanted.status or row.stands == wanted.status) then
                chosen[#chosen + 1] = row
            end
        end
    until #rows < size or #chosen >= wanted.limit
    return chosen
end

return selection
