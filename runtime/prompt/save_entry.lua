-- One entry of a prompt as the lines of a playbook's `run`: what it writes stands in a named step, what it assigns is a
-- local, and the values written out in its calls are parameters.
local native, import = ...
local saved_entry = {}

local sandbox = import "base/sandbox"
local completion, parser = import "prompt/completion", import "check/lua_parser"
local keys = import "base/keys"
local texts, tokens, modules = import "base/text", import "prompt/tokens", import "run/modules"
local names_of = import "prompt/code_names".of
local scrub = native.secret.scrub

local LONGEST_NAME, LONGEST_VALUE = 60, 100
local MARGIN = (" "):rep(8)

-- ---- reading ----

--- The place in bytes of every character: lua_parser counts characters.
local function byte_places(source)
    local places = {}
    for at in source:gmatch "()[^\128-\191][\128-\191]*" do
        places[#places + 1] = at
    end
    places[#places + 1] = #source + 1
    return places
end

--- Gives every node the bytes that it begins and ends with.
local function add_bytes(node, places, shift)
    if node.offset then
        node.from, node.to = places[node.offset] - shift, places[(node.end_offset or node.offset) + 1] - 1 - shift
    end
    for _, child in ipairs(node) do
        if type(child) == "table" then
            add_bytes(child, places, shift)
        end
    end
end

--- An entry as a tree: the expressions of one that is an expression, else its statements.
---@return { entry: prompt.Entry, source: string, expressions?: table[], statements: table[], names: table,
---  writes?: boolean, summary?: string }
function saved_entry.read(entry)
    local shift, source = 7, "return " .. entry.source
    local tree = parser.parse(source)
    if not tree then
        shift, source = 0, entry.source
        tree = parser.parse(source)
    end
    add_bytes(tree, byte_places(source), shift)
    local read = { entry = entry, source = entry.source, statements = tree, names = names_of(tree) }
    read.expressions = shift > 0 and tree[1] or nil
    for _, effect in ipairs(entry.effects) do
        if effect.kind == "write" and not effect.step then
            read.writes, read.summary = true, read.summary or scrub(tostring(effect.summary))
        end
    end
    return read
end

-- ---- parameters ----

--- The parts of what is called, as code_chain gives them; nil for what begins with no name.
local function parts_of(node)
    if node.tag == "Id" then
        return { { name = node[1] } }
    elseif node.tag ~= "Index" and node.tag ~= "Call" and node.tag ~= "Invoke" then
        return nil
    end
    local parts = parts_of(node[1])
    if parts and node.tag == "Index" then
        parts[#parts + 1] = node[2].tag == "String" and { field = node[2][1] } or { key = false }
    elseif parts and node.tag == "Invoke" then
        parts[#parts + 1] = { method = node[2][1] }
    end
    if parts and node.tag ~= "Index" then
        parts[#parts + 1] = { call = true }
    end
    return parts
end

--- "acme.systemd:restart"
local function shown(parts)
    local words = {}
    for index, part in ipairs(parts) do
        words[index] = part.name or part.field and "." .. part.field or part.method and ":" .. part.method
            or part.call and "()" or "[]"
    end
    return table.concat(words)
end

local function is_offered(node)
    local text = node[1]
    return node.tag == "String" and #text > 0 and #text <= LONGEST_VALUE and not text:find "[%s%c]"
        or node.tag == "Number" and text:find "^%d+$" and #text < 10
end

--- A function of a module or of an object. What the prelude is given, or a function of the prompt, is no parameter.
local function takes_parameters(parts)
    return parts and (#parts > 1 or modules.exists(parts[1].name))
        and rawget(sandbox.globals, parts[1].name) == nil
end

--- What a value in a call is: the name that the function gives it where it is known, else that of the function.
local function describe(session, parts, position)
    local thing = completion.resolve(session, parts)
    local entry = thing and completion.entry_of(thing)
    local param = entry and entry.params and entry.params[position]
    local last = parts[#parts]
    local name = param and param.name or last.method or last.field or last.name or "value"
    return name, param and ("%s of %s"):format(name, shown(parts)) or "for " .. shown(parts)
end

--- Calls fn(node, name, help) for every value that is written out: given to a name, or to a function.
local function each_value(session, node, fn)
    local first = node.tag == "Call" and 2 or node.tag == "Invoke" and 3
    local parts = first and parts_of(node)
    if parts then
        parts[#parts] = nil
    end
    for index = first or 1, first and takes_parameters(parts) and #node or 0 do
        if is_offered(node[index]) then
            fn(node[index], describe(session, parts, index - first + 1))
        end
    end
    local values = (node.tag == "Set" or node.tag == "Local") and node[2] or {}
    for index, value in ipairs(values) do
        local target = node[1][index]
        if target and target.tag == "Id" and value.tag == "String" and is_offered(value) then
            fn(value, target[1], target[1])
        end
    end
    for _, child in ipairs(node) do
        if type(child) == "table" then
            each_value(session, child, fn)
        end
    end
end

--- The parameter for a value: one for each value, whatever it is given to.
local function param_for(params, node, name, help)
    local key = node.tag .. node[1]
    if not params.by_value[key] then
        local base = name:lower():gsub("[^%w]+", "-"):gsub("^[^%a]+", ""):gsub("%-+$", "")
        base = base ~= "" and base or "value"
        local unique, number = base, 1
        while params.taken[unique] do
            number = number + 1
            unique = ("%s-%d"):format(base, number)
        end
        params.taken[unique] = true
        params.by_value[key] = {
            name = unique, type = node.tag == "Number" and "int" or "string", default = node[1], help = help,
        }
        table.insert(params.list, params.by_value[key])
    end
    return params.by_value[key]
end

--- Offers the values of an entry as parameters: adds them to `params`, and returns the edits that put these in.
---@param params { list: table[], by_value: table<string, table>, taken: table<string, true> }
function saved_entry.offer(session, read, params)
    local edits = {}
    each_value(session, read.statements, function(node, name, help)
        local field = param_for(params, node, name, help).name:gsub("-", "_")
        local before, gap = read.source:sub(1, node.from - 1):match "(%S)(%s*)$"
        local called = not (before or "="):find "[(,=]" -- f "text"
        edits[#edits + 1] = {
            from = called and node.from - #gap or node.from, to = node.to,
            text = (called and "(p.%s)" or "p.%s"):format(field),
        }
    end)
    return edits
end

-- ---- writing ----

local function apply(source, from, to, edits)
    local inside = {}
    for _, edit in ipairs(edits) do
        if edit.from >= from and edit.from <= to + 1 then
            inside[#inside + 1] = edit
        end
    end
    table.sort(inside, function(a, b) return a.from > b.from end)
    local text = source:sub(from, to)
    for _, edit in ipairs(inside) do
        text = text:sub(1, edit.from - from) .. edit.text .. text:sub(edit.to - from + 2)
    end
    return text
end

--- Lines with a margin; but not those that begin inside a text.
local function indent(code, margin)
    local inside = {}
    for _, token in ipairs(tokens.of(code)) do
        for at in token.kind == "string" and token.text:gmatch "()\n" or function() end do
            inside[token.from + at - 1] = true
        end
    end
    return margin .. code:gsub("()\n", function(at) return inside[at] and "\n" or "\n" .. margin end)
end

local function step_name(summary, taken)
    local name = texts.beginning(summary:gsub("%s+", " "), LONGEST_NAME)
    local unique, number = name, 1
    while taken[unique] do
        number = number + 1
        unique = ("%s (%d)"):format(name, number)
    end
    taken[unique] = true
    return ("%q"):format(unique)
end

local function sorted(set, without)
    return keys.sorted(set, function(name) return not without[name] end)
end

--- The one statement that gives names the values of one expression, or nil.
local function single_assignment(read)
    local statement = #read.statements == 1 and read.statements[1]
    if not statement or (statement.tag ~= "Set" and statement.tag ~= "Local") or #(statement[2] or {}) ~= 1 then
        return nil
    end
    return statement[1][1].tag == "Id" and #statement[1] == 1 and statement or nil
end

--- Statements with `local` before what is assigned for the first time, or without any where it is declared before.
local function with_locals(read, edits, state, predeclared)
    for _, statement in ipairs(read.statements) do
        local target = statement[1] and statement[1][1]
        local name = type(target) == "table" and target.tag == "Id" and target[1]
        if statement.tag == "Set" and name and not state.declared[name] then
            edits[#edits + 1] = { from = statement.from, to = statement.from - 1, text = "local " }
            state.declared[name] = true
        elseif predeclared and (statement.tag == "Local" or statement.tag == "Localrec") then
            local bare = statement.tag == "Local" and #(statement[2] or {}) == 0
            edits[#edits + 1] = { from = statement.from, to = statement.from + 5, text = "" }
            if bare then
                edits[#edits + 1] = { from = statement.to + 1, to = statement.to, text = " = nil" }
            end
        end
    end
end

local function declare(lines, names, state)
    if #names > 0 then
        lines[#lines + 1] = MARGIN .. "local " .. table.concat(names, ", ")
    end
    for _, name in ipairs(names) do
        state.declared[name] = true
    end
end

local function as_step(read, body, state)
    return ("step(%s, function()\n%s\nend)"):format(step_name(read.summary, state.steps), indent(body, "    "))
end

--- What was only looked at stays as a remark.
local function as_remark(source)
    return MARGIN .. "-- looked at: " .. source:gsub("%s+", " ")
end

local function expression_lines(read, edits, state)
    local node = #read.expressions == 1 and read.expressions[1]
    local body = apply(read.source, 1, #read.source, edits)
    if not node or (node.tag ~= "Call" and node.tag ~= "Invoke") then
        return { as_remark(read.source) }
    end
    return { indent(read.writes and as_step(read, body, state) or body, MARGIN) }
end

local function statement_lines(read, edits, state)
    local lines = {}
    declare(lines, sorted(read.names.assigned_inside, state.declared), state)
    local single = read.writes and single_assignment(read)
    if single then
        local name = single[1][1][1]
        local value = apply(read.source, single[2][1].from, single[2][1].to, edits)
        local prefix = (single.tag == "Local" or not state.declared[name]) and "local " or ""
        lines[#lines + 1] = indent(("%s%s = %s"):format(prefix, name, as_step(read, "return " .. value, state)), MARGIN)
        state.declared[name] = true
        return lines
    end
    if read.writes then
        declare(lines, sorted(read.names.assigned, state.declared), state)
        declare(lines, sorted(read.names.declared, {}), state)
    end
    with_locals(read, edits, state, read.writes)
    for name in pairs(read.names.declared) do
        state.declared[name] = true
    end
    local body = apply(read.source, 1, #read.source, edits)
    lines[#lines + 1] = indent(read.writes and as_step(read, body, state) or body, MARGIN)
    return lines
end

--- The lines of an entry.
---@param read table from saved_entry.read
---@param edits table[] from saved_entry.offer
---@param state { declared: table<string, true>, steps: table<string, true> } what earlier entries have declared, and
---  the names of their steps
---@return string[]
function saved_entry.lines(read, edits, state)
    return (read.expressions and expression_lines or statement_lines)(read, edits, state)
end

return saved_entry
