-- What runs in this process and what it waits for, as the tree that the tasks are.
local native = ...
local prompt_tasks = {}

--- What a task does, in the words of whoever started it: an entry of the prompt, a step, an item.
local function title_of(node)
    local own = function(name) return rawget(node.context, name) or nil end
    return own "title" or own "step" or own "path"
end

local function add(lines, node, depth)
    local title = title_of(node)
    local parts = { title and native.secret.scrub(title):gsub("%s+", " ") or "task" }
    if node.waits_for == "join" then
        parts[#parts + 1] = "waits for what it started"
    elseif node.waits_for then
        parts[#parts + 1] = "waits for " .. native.secret.scrub(node.waits_for)
    else
        parts[#parts + 1] = "runs"
    end
    parts[#parts + 1] = node.place and "at " .. node.place
    lines[#lines + 1] = ("%s%s"):format(("  "):rep(depth), table.concat(parts, "  "))
    for index = #node.children, 1, -1 do
        add(lines, node.children[index], depth + 1)
    end
end

--- The tree, a line a task, in the order in which they were started.
---@return string
function prompt_tasks.listing()
    local lines = {}
    add(lines, native.task.tree(), 0)
    return table.concat(lines, "\n")
end

return prompt_tasks
