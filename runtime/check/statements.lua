-- The statements of Lua, as machine.lua goes through them. Each returns how it ends, see Machine:run_block.
local _, import = ...
local statements = {}

local members, values = import "check/members", import "check/values"

local function call_statement(self, node)
    self:evaluate_call(node)
    return self.never_returns and "fail" or nil
end

statements.Call, statements.Invoke = call_statement, call_statement

function statements.Local(self, node)
    local list = self:evaluate_list(node[2])
    for index, variable in ipairs(node[1]) do
        self:declare(variable[1], list[index] or list.more and values.unknown or values.absent)
    end
end

function statements.Localrec(self, node)
    self:declare(node[1][1][1], values.unknown)
    self:find_cell(node[1][1][1]).value = self:evaluate(node[2][1])
end

local function assign(self, target, value)
    if target.tag == "Id" then
        self:assign(target, value)
    else
        local subject, key = self:evaluate(target[1]), self:evaluate(target[2])
        members.write(self, subject, key, value, subject.branch == self.branch)
    end
end

function statements.Set(self, node)
    local list = self:evaluate_list(node[2])
    for index, target in ipairs(node[1]) do
        assign(self, target, list[index] or values.unknown)
    end
end

statements.OpSet = function(self, node) assign(self, node[2], values.unknown) end

function statements.Return(self, node)
    local list, activation = self:evaluate_list(node), self.activation
    if activation.returns then
        local returns = activation.returns
        for index = 1, math.max(#list, #returns) do
            returns[index] = values.join(returns[index] or values.absent, list[index] or values.absent)
        end
        returns.more = returns.more or list.more
    else
        activation.returns = list
    end
    activation.seen = self.context.passed:union(activation.seen)
    return "return"
end

statements.Break = function() return "break" end
statements.Goto = function() return "break" end
statements.Label = function() end

--- A block with names of its own.
local function run_inner(self, block)
    return self:in_scope(self.scope, function() return self:run_block(block) end)
end

statements.Do = run_inner

--- The blocks of an "if" of which one will run; an empty one stands for none.
local function open_blocks(self, node)
    local blocks = {}
    for index = 1, #node - 1, 2 do
        local truth = values.truth(self:evaluate(node[index]))
        if truth ~= false then
            blocks[#blocks + 1] = node[index + 1]
        end
        if truth then
            return blocks
        end
    end
    blocks[#blocks + 1] = #node % 2 == 1 and node[#node] or {}
    return blocks
end

--- Each block begins with the steps passed before; behind them all, those of every block that is left at its end are
--- passed.
function statements.If(self, node)
    local blocks, passed = open_blocks(self, node), self.context.passed
    local before, after, ending = passed:copy(), nil, nil
    for _, block in ipairs(blocks) do
        passed:restore(before)
        ending = self:branch_off(function() return run_inner(self, block) end)
        after = ending and after or not ending and passed:union(after) or nil
    end
    passed:restore(after or {})
    return not after and ending or nil
end

--- Whether a loop's body surely leaves it in its first turn.
local function leaves_at_once(block)
    local last = block[#block]
    return last ~= nil and (last.tag == "Return" or last.tag == "Break")
end

--- Goes through a loop once. `run` goes through its body, in a scope of its own.
local function run_loop(self, node, block, run)
    local passed = self.context.passed
    local before = passed:copy()
    local loop = node
    if leaves_at_once(block) then
        loop = self.context.loop
    end
    self:within({ loop = loop }, function()
        self:branch_off(function() self:in_scope(self.scope, run) end)
    end)
    passed:restore(passed:union(before))
end

function statements.Forin(self, node)
    local iterator = self:evaluate_list(node[2])[1] or values.unknown
    run_loop(self, node, node[3], function()
        for index, variable in ipairs(node[1]) do
            self:declare(variable[1], iterator.kind == "iterator" and iterator.yields[index] or values.unknown)
        end
        self:run_block(node[3])
    end)
end

function statements.Fornum(self, node)
    for index = 2, #node - 1 do
        self:evaluate(node[index])
    end
    run_loop(self, node, node[#node], function()
        self:declare(node[1][1], values.some_number)
        self:run_block(node[#node])
    end)
end

function statements.While(self, node)
    self:evaluate(node[1])
    run_loop(self, node, node[2], function() self:run_block(node[2]) end)
end

function statements.Repeat(self, node)
    run_loop(self, node, node[1], function()
        self:run_block(node[1])
        self:evaluate(node[2])
    end)
end

return statements
