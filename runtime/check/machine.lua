-- Goes through a playbook the way Lua would, with what is known of its values in place of the values: every branch is
-- taken, a loop's body once, and a function's body at each call with what is known of its arguments.
--
-- What it does not follow: values that come out of tables under computed keys, recursion, metamethods other than
-- __index, and functions that are called by something unknown. Of such values it knows nothing, and says nothing.
local _, import = ...
local Machine = {}
Machine.__index = Machine

local findings, members, values = import "check/findings", import "check/members", import "check/values"
local expressions, statements = import "check/expressions", import "check/statements"
local calls, PassedSteps = import "check/calls", import "check/passed_steps"

local DEEPEST, MOST_CALLS = 50, 20000

--- A machine without a playbook in it.
---@param found table see findings.lua
---@param main_file string the file that is checked; others come in by require
---@param open_module fun(machine: table, name: string, node: table): table what a module returns
function Machine.new(found, main_file, open_module)
    return setmetatable({
        found = found,
        main_file = main_file,
        require_module = open_module,
        file = main_file,                     -- the one being gone through
        scope = nil,                          -- the innermost: cells by name, and the scope around it
        branch = {},                          -- which branch of the code this is; another table in each
        context = { passed = PassedSteps.new() }, -- see within
        activation = {},                      -- of the function being gone through: what it returns
        never_returns = false,                -- whether the last call surely raised
        calls = {}, running = {},             -- the calls that lead here, and the functions under way
        call_count = 0,
        functions = {}, visited = {},         -- all functions met, and those that were called
        extended = {},                        -- classes to whose objects the playbook adds fields
        passed_by_item = {},                  -- by the items of an `each`: the steps on their path
        playbook = nil,                       -- what playbook{} was given
        webhook = nil,                        -- what webhook{} was given
    }, Machine)
end

-- ---- names ----

--- Goes into a scope of its own, and out of it again behind fn.
function Machine:in_scope(parent, fn)
    local outer = self.scope
    self.scope = { cells = {}, parent = parent }
    local result = fn()
    self.scope = outer
    return result
end

--- The place of a local variable, or nil.
function Machine:find_cell(name)
    local scope = self.scope
    while scope do
        if scope.cells[name] then
            return scope.cells[name]
        end
        scope = scope.parent
    end
end

--- Makes a local variable.
function Machine:declare(name, value)
    self.scope.cells[name] = { value = value, branch = self.branch, loop = self.context.loop }
end

--- Sets a variable: for sure where it was declared in this branch, else it may still be what it was.
function Machine:assign(node, value)
    local cell = self:find_cell(node[1])
    if not cell then
        self:find(node, "global", ("'%s' would become a global"):format(node[1]), "declare it with `local`")
    elseif cell.branch == self.branch then
        cell.value = value
    else
        cell.value, cell.loop = values.join(cell.value, value), cell.loop or self.context.loop
    end
end

-- ---- findings ----

--- Adds a finding at a node of the file being gone through.
function Machine:find(node, code, message, mend)
    findings.add(self.found, { file = self.file, line = node.line, column = node.column }, code, message, mend)
end

--- Adds a finding about an effect where the playbook asks for it: at the call in the checked file that leads there.
function Machine:find_call(node, code, message, mend)
    local place = { file = self.file, line = node.line, column = node.column }
    for index = #self.calls, 1, -1 do
        if place.file == self.main_file then
            break
        end
        place = self.calls[index]
    end
    findings.add(self.found, place, code, message, mend)
end

-- ---- contexts ----

--- Calls fn with some fields of the context replaced: `step` (writes may happen), `probe` (they may not), `reading`
--- (the playbook only reads), `deciding` (in a webhook, which touches nothing), `loop` (the plain loop around),
--- `passed` (the steps on this path), `checked` (false where it is not known what calls this).
function Machine:within(changes, fn)
    local outer = self.context
    self.context = setmetatable(changes, { __index = outer })
    local result = fn()
    self.context = outer
    return result
end

--- Goes through code that may not be reached.
function Machine:branch_off(fn)
    local outer = self.branch
    self.branch = {}
    local result = fn()
    self.branch = outer
    return result
end

-- ---- values ----

--- What is known of the value of an expression.
---@return table value see values.lua
function Machine:evaluate(node)
    return expressions[node.tag](self, node)
end

--- The values of an expression: several where it is the last of a list, and a call.
local function evaluate_all(self, node)
    if node.tag == "Call" or node.tag == "Invoke" then
        return self:evaluate_call(node)
    elseif node.tag == "Dots" then
        return self.activation.rest or { values.unknown, more = true }
    end
    return { self:evaluate(node) }
end

--- The values of a list of expressions; `more` says that there may be others behind them.
function Machine:evaluate_list(nodes)
    local list = {}
    for index, node in ipairs(nodes or {}) do
        if index < #nodes then
            list[index] = self:evaluate(node)
        else
            local last = evaluate_all(self, node)
            for _, value in ipairs(last) do
                list[#list + 1] = value
            end
            list.more = last.more
        end
    end
    return list
end

-- ---- calls ----

--- Goes through a call that is written out.
---@return table[] results
function Machine:evaluate_call(node)
    local callee, arguments
    if node.tag == "Invoke" then
        local subject = self:evaluate(node[1])
        members.check_method(self, subject, node[2][1], node[2])
        callee = members.read(self, subject, node[2][1], node[2])
        arguments = self:evaluate_list { unpack(node, 3) }
        table.insert(arguments, 1, subject)
    else
        callee = self:evaluate(node[1])
        arguments = self:evaluate_list { unpack(node, 2) }
    end
    return self:call(callee, arguments, node, true)
end

--- Calls a value.
---@param callee table
---@param arguments table[] of a method, the object first
---@param node table the call that leads to it
---@param direct? boolean the node is this very call
---@return table[] results
function Machine:call(callee, arguments, node, direct)
    self.never_returns = false
    if callee.kind == "function" then
        return self:call_function(callee, arguments, node)
    elseif callee.kind == "entry" or callee.kind == "native" or callee.kind == "object" then
        return calls.call(self, callee, arguments, node, direct)
    end
    return { values.unknown, more = true }
end

--- Binds the parameters of a function, and what is left for "...".
local function bind(self, parameters, arguments)
    for index, parameter in ipairs(parameters) do
        if parameter.tag == "Dots" then
            self.activation.rest = { unpack(arguments, index) }
            self.activation.rest.more = arguments.more
        else
            self:declare(parameter[1], arguments[index] or (arguments.more and values.unknown or values.absent))
        end
    end
end

--- Goes through the body of a function. Returns how it ends; its results are in the activation.
local function run_body(self, callee, arguments)
    return self:branch_off(function()
        return self:in_scope(callee.scope, function()
            bind(self, callee.node[1], arguments)
            return self:run_block(callee.node[2])
        end)
    end)
end

--- Calls one of the playbook's functions.
---@return table[] results
function Machine:call_function(callee, arguments, node)
    self.visited[callee.node] = true
    self.call_count = self.call_count + 1
    if #self.calls >= DEEPEST or self.call_count > MOST_CALLS or self.running[callee.node] then
        return { values.unknown, more = true }
    end
    local outer_file, outer_activation, activation = self.file, self.activation, {}
    self.calls[#self.calls + 1] = { file = self.file, line = node.line, column = node.column }
    self.running[callee.node], self.file, self.activation = true, callee.file, activation
    local ending = run_body(self, callee, arguments)
    self.running[callee.node], self.file, self.activation = nil, outer_file, outer_activation
    self.calls[#self.calls] = nil
    self.never_returns = ending == "fail" and not activation.returns
    if activation.seen then
        self.context.passed:leave(activation.seen, ending == nil)
    end
    return activation.returns or { values.absent }
end

--- Goes through statements. Returns how they end: "return", "break", "fail" (an error), or nil when they are left at
--- their end.
function Machine:run_block(block)
    for _, statement in ipairs(block) do
        self.never_returns = false
        local ending = statements[statement.tag](self, statement)
        if ending then
            return ending
        end
    end
end

--- Goes through a file, from its first line.
---@param tree table from lua_parser.lua
---@return table value what it returns
function Machine:run_file(file, tree)
    local chunk = { kind = "function", node = { {}, tree }, file = file }
    return self:call_function(chunk, {}, { line = 1, column = 1 })[1] or values.absent
end

return Machine
