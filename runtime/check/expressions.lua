-- The expressions of Lua, as machine.lua goes through them: what is known of the value of each.
local _, import = ...
local expressions = {}

local members, values = import "check/members", import "check/values"

expressions.Nil = function() return values.null end
expressions.True = function() return values.boolean(true) end
expressions.False = function() return values.boolean(false) end
expressions.Number = function(_, node) return values.number(tonumber(node[1])) end
expressions.String = function(_, node) return values.text(node[1]) end
expressions.Dots = function(self) return (self.activation.rest or {})[1] or values.unknown end
expressions.Paren = function(self, node) return self:evaluate(node[1]) end

function expressions.Id(self, node)
    local cell = self:find_cell(node[1])
    return cell and cell.value or members.global(self, node[1], node)
end

function expressions.Index(self, node)
    local subject, key = self:evaluate(node[1]), self:evaluate(node[2])
    if key.kind == "text" and key.const then
        return members.read(self, subject, key.const, node[2].tag == "String" and node[2] or nil)
    end
    return members.read_at(subject, key)
end

function expressions.Table(self, node)
    local made, positional = values.table(), {}
    for _, part in ipairs(node) do
        if part.tag == "Pair" then
            members.write(self, made, self:evaluate(part[1]), self:evaluate(part[2]), true)
        else
            positional[#positional + 1] = part
        end
    end
    made.array = self:evaluate_list(positional)
    made.item = made.array.more and values.unknown or made.item
    made.array.more, made.node, made.branch = nil, node, self.branch
    return made
end

function expressions.Function(self, node)
    local made = { kind = "function", node = node, scope = self.scope, file = self.file }
    if not self.functions[node] then
        self.functions[node] = made
        self.functions[#self.functions + 1] = made
    end
    return made
end

expressions.Call = function(self, node) return self:evaluate_call(node)[1] or values.unknown end
expressions.Invoke = expressions.Call

local COMPARES = { eq = true, ne = true, lt = true, le = true, gt = true, ge = true }

local function compare(operator, left, right)
    if (operator == "eq" or operator == "ne") and left.const ~= nil and right.const ~= nil then
        return values.boolean((left.const == right.const) == (operator == "eq"))
    end
    return values.some_boolean
end

--- "a and b", "a or b": the second is gone through only where the first lets it.
local function short_cut(self, node)
    local left = self:evaluate(node[2])
    local truth = values.truth(left)
    if truth ~= nil and truth == (node[1] == "or") then
        return left
    end
    local right = self:branch_off(function() return self:evaluate(node[3]) end)
    if truth ~= nil or node[1] == "and" then
        return right
    end
    return values.join(left, right)
end

function expressions.Op(self, node)
    local operator = node[1]
    if operator == "and" or operator == "or" then
        return short_cut(self, node)
    end
    local left = self:evaluate(node[2])
    local right = node[3] and self:evaluate(node[3])
    if operator == "concat" then
        return values.concat { left, right }
    elseif operator == "not" then
        local truth = values.truth(left)
        return truth == nil and values.some_boolean or values.boolean(not truth)
    elseif COMPARES[operator] then
        return compare(operator, left, right)
    end
    return values.some_number
end

return expressions
