-- A unified diff of two texts, for plans and for people's own playbooks.
local _, import = ...
local diff = {}

local texts = import "base/text"

local CONTEXT = 3
local MOST_WORK = 4000000 -- cells of the table that finds the common lines

local function lines_of(text)
    local lines = {}
    for line in texts.lines(text) do
        lines[#lines + 1] = line
    end
    if text:find "[^\n]$" then
        lines[#lines] = lines[#lines] .. "  (no newline at the end)"
    end
    return lines
end

--- For lines first..last_a of a and first..last_b of b, how long the longest common subsequence from (i, j) on is.
local function common_lengths(a, b, first, last_a, last_b)
    local lengths = { [last_a + 1] = setmetatable({}, { __index = function() return 0 end }) }
    for i = last_a, first, -1 do
        local row, below = { [last_b + 1] = 0 }, lengths[i + 1]
        for j = last_b, first, -1 do
            row[j] = a[i] == b[j] and below[j + 1] + 1 or math.max(below[j], row[j + 1])
        end
        lengths[i] = row
    end
    return lengths
end

--- The edit as a list of { mark, line }: " " kept, "-" removed, "+" added.
local function edits(a, b)
    local first, last_a, last_b = 1, #a, #b
    while first <= last_a and first <= last_b and a[first] == b[first] do
        first = first + 1
    end
    while last_a >= first and last_b >= first and a[last_a] == b[last_b] do
        last_a, last_b = last_a - 1, last_b - 1
    end
    local result = {}
    local function add(mark, line)
        result[#result + 1] = { mark, line }
    end
    for i = 1, first - 1 do
        add(" ", a[i])
    end
    local i, j = first, first
    if (last_a - first + 1) * (last_b - first + 1) <= MOST_WORK then
        local lengths = common_lengths(a, b, first, last_a, last_b)
        while i <= last_a and j <= last_b do
            if a[i] == b[j] then
                add(" ", a[i])
                i, j = i + 1, j + 1
            elseif lengths[i + 1][j] >= lengths[i][j + 1] then
                add("-", a[i])
                i = i + 1
            else
                add("+", b[j])
                j = j + 1
            end
        end
    end
    for k = i, last_a do
        add("-", a[k])
    end
    for k = j, last_b do
        add("+", b[k])
    end
    for k = last_a + 1, #a do
        add(" ", a[k])
    end
    return result
end

--- Where hunks begin and end in the list of edits: changes with their context, joined where they touch.
local function hunks(list)
    local found = {}
    for index, edit in ipairs(list) do
        if edit[1] ~= " " then
            local from, to = math.max(1, index - CONTEXT), math.min(#list, index + CONTEXT)
            local last = found[#found]
            if last and from <= last.to + 1 then
                last.to = to
            else
                found[#found + 1] = { from = from, to = to }
            end
        end
    end
    return found
end

--- A unified diff, or nil when the texts are the same.
---@param old string
---@param new string
---@param name string shown as the file's name
---@param new_name? string where it has another one
---@return string?
function diff.unified(old, new, name, new_name)
    if old == new then
        return nil
    end
    local list = edits(lines_of(old), lines_of(new))
    local out = { "--- " .. name, "+++ " .. (new_name or name) }
    local line_a, line_b, at = 1, 1, 1
    local function pass(mark)
        line_a = line_a + (mark ~= "+" and 1 or 0)
        line_b = line_b + (mark ~= "-" and 1 or 0)
    end
    for _, hunk in ipairs(hunks(list)) do
        for index = at, hunk.from - 1 do
            pass(list[index][1])
        end
        local start_a, start_b, body = line_a, line_b, {}
        for index = hunk.from, hunk.to do
            body[#body + 1] = list[index][1] .. list[index][2]
            pass(list[index][1])
        end
        at = hunk.to + 1
        out[#out + 1] = ("@@ -%d,%d +%d,%d @@"):format(line_a > start_a and start_a or start_a - 1, line_a - start_a,
            line_b > start_b and start_b or start_b - 1, line_b - start_b)
        out[#out + 1] = table.concat(body, "\n")
    end
    return table.concat(out, "\n")
end

return diff
