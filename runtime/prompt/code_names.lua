-- The names of some code that are no locals of it: which it reads, which it assigns, and which it declares outside of
-- all blocks.
local code_names = {}

local visit_block, visit

local function inner(scope)
    return setmetatable({}, { __index = scope })
end

local function declare(found, scope, nodes, top)
    for _, node in ipairs(nodes) do
        if node.tag == "Id" then
            scope[node[1]] = true
            if top then
                found.declared[node[1]] = true
            end
        end
    end
end

local function visit_all(found, scope, nodes)
    for _, node in ipairs(nodes or {}) do
        if type(node) == "table" then
            visit(found, scope, node)
        end
    end
end

local visitors = {}

function visitors.Id(found, scope, node)
    if not scope[node[1]] then
        found.read[node[1]] = found.read[node[1]] or node
    end
end

function visitors.Function(found, scope, node)
    local own = inner(scope)
    declare(found, own, node[1])
    visit_block(found, own, node[2])
end

function visitors.Set(found, scope, node, top)
    visit_all(found, scope, node[2])
    for _, target in ipairs(node[1]) do
        if target.tag ~= "Id" then
            visit(found, scope, target)
        elseif not scope[target[1]] then
            found[top and "assigned" or "assigned_inside"][target[1]] = true
        end
    end
end

function visitors.Local(found, scope, node, top)
    visit_all(found, scope, node[2])
    declare(found, scope, node[1], top)
end

function visitors.Localrec(found, scope, node, top)
    declare(found, scope, node[1], top)
    visit_all(found, scope, node[2])
end

function visitors.Fornum(found, scope, node)
    visit_all(found, scope, { unpack(node, 2, #node - 1) })
    local own = inner(scope)
    declare(found, own, { node[1] })
    visit_block(found, own, node[#node])
end

function visitors.Forin(found, scope, node)
    visit_all(found, scope, node[2])
    local own = inner(scope)
    declare(found, own, node[1])
    visit_block(found, own, node[3])
end

--- The condition sees the locals of the body.
function visitors.Repeat(found, scope, node)
    local own = inner(scope)
    visit_block(found, own, node[1], true)
    visit(found, own, node[2])
end

function visitors.While(found, scope, node)
    visit(found, scope, node[1])
    visit_block(found, scope, node[2])
end

function visitors.Do(found, scope, node)
    visit_block(found, scope, node)
end

--- Conditions and blocks in turn; a block at the end is that of `else`.
function visitors.If(found, scope, node)
    for index = 1, #node - 1, 2 do
        visit(found, scope, node[index])
        visit_block(found, scope, node[index + 1])
    end
    if #node % 2 == 1 then
        visit_block(found, scope, node[#node])
    end
end

function visit(found, scope, node, top)
    if visitors[node.tag] then
        visitors[node.tag](found, scope, node, top)
    else
        visit_all(found, scope, node)
    end
end

function visit_block(found, scope, block, same_scope)
    local own = same_scope and scope or inner(scope)
    for _, statement in ipairs(block) do
        visit(found, own, statement)
    end
end

--- Goes through statements as they come from lua_parser.
---@param tree table
---@return { read: table<string, table>, assigned: table<string, true>, assigned_inside: table<string, true>,
---  declared: table<string, true> } read: with the node; assigned: by a statement of its own, or inside of others;
---  declared: by `local` outside of all blocks
function code_names.of(tree)
    local found = { read = {}, assigned = {}, assigned_inside = {}, declared = {} }
    local scope = {}
    for _, statement in ipairs(tree) do
        visit(found, scope, statement, true)
    end
    return found
end

return code_names
