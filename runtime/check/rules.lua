-- What `hostler check` says of a call of hostler's own functions: writes in the wrong place, values spliced into shell
-- scripts and SQL, secrets among arguments, options that there are not.
local _, import = ...
local rules = {}

local annotations, suggest, values = import "check/annotations", import "base/suggest", import "check/values"

--- The node of an argument, where the call is written out; else the call's own.
local function argument_node(call, position)
    local first = call.node.tag == "Invoke" and 2 or 1
    return call.direct and call.node[first + position + (call.shift or 0)] or call.node
end

-- ---- options ----

--- The class of options that a parameter takes, also where it takes something else besides.
local function options_class(type)
    for _, one in ipairs(type and type.kind == "union" and type.of or { type }) do
        local class = annotations.class_of(one)
        if class and #class.order > 0 then
            return class
        end
    end
end

local function key_node(table_node, name)
    for _, part in ipairs(table_node) do
        if part.tag == "Pair" and part[1].tag == "String" and part[1][1] == name then
            return part[1]
        end
    end
end

local function check_options(machine, call, param, value)
    local class = value.kind == "table" and value.node and options_class(param.type)
    local is_manifest = class and (class.name == "Playbook" or class.name == "Webhook") -- which says so itself
    if not class or class.item or is_manifest then
        return
    end
    for name in pairs(value.fields) do
        local node = not class.members[name] and key_node(value.node, name)
        if node then
            local near = suggest.nearest(name, class.order)
            machine:find(node, "option", ("%s has no option '%s'"):format(values.shown(call.entry), name),
                near and ("did you mean '%s'?"):format(near) or "it takes " .. table.concat(class.order, ", "))
        end
    end
end

-- ---- what must not be put together ----

local SHELLS = { sh = true, bash = true, dash = true, ash = true, zsh = true, ksh = true, su = true, runuser = true }

--- The script of { "sh", "-c", script }, and its place in the list.
local function script_of(argv)
    local program = argv.array[1] and argv.array[1].const
    if type(program) ~= "string" or not SHELLS[program:match "[^/]*$"] then
        return nil
    end
    for index, word in ipairs(argv.array) do
        if type(word.const) == "string" and word.const:find "^%-%l*c$" then
            return argv.array[index + 1], index + 1
        end
    end
end

--- The node of the item at this position of a table that is written out.
local function item_node(list, position)
    local count = 0
    for _, part in ipairs(list.node or {}) do
        count = count + (part.tag ~= "Pair" and 1 or 0)
        if count == position and part.tag ~= "Pair" then
            return part
        end
    end
end

local function check_words(machine, call, list, node)
    for position, word in ipairs(list.array) do
        if word.kind == "secret" then
            local program = list.array[1].const or values.shown(call.entry)
            machine:find(item_node(list, position) or node, "secret",
                ("a secret among the arguments of `%s`"):format(tostring(program)))
        end
    end
    local script, position = script_of(list)
    if script and script.spliced and script.spliced.shell then
        machine:find(item_node(list, position) or node, "shell", "a value is spliced into a shell script")
    end
end

local checks = {}

function checks.argv(machine, call, value, node, options)
    if value.kind == "table" and not values.option(options, "allow_secret_argv") then
        check_words(machine, call, value, node)
    end
end

function checks.script(machine, call, value, node, options)
    if value.spliced and value.spliced.shell then
        machine:find(node, "shell", "a value is spliced into a shell script",
            "host:sh(\"program \\\"$1\\\"\", { args = { value } }), or host:run { \"program\", value }")
    end
    local words = options and options.kind == "table" and options.fields.args
    if words and words.kind == "table" then
        checks.argv(machine, call, words, node, options)
    end
end

function checks.sql(machine, _, value, node)
    if value.spliced and value.spliced.sql then
        machine:find(node, "sql", "a value is spliced into an SQL statement")
    end
end

-- ---- effects ----

--- Whether an option makes a read of the call: true, false, or nil when that is not known.
local function has_option(options, name)
    if not options or options.kind == "nil" then
        return false
    elseif options.kind ~= "table" or options.open then
        return nil
    end
    local value = options.fields[name]
    if value then
        return values.truth(value)
    end
    return false
end

--- Whether "read", "read_only" or "method is GET or HEAD" holds.
local function exempts(condition, subject, options)
    local name, words = condition:match "^(%l+) is (.*)$"
    if name then
        local value = options and options.kind == "table" and options.fields[name]
        if not value or value.const == nil then
            return not value or nil -- without a method it is GET
        end
        return (" " .. words .. " "):find(" " .. tostring(value.const):upper() .. " ", 1, true) ~= nil
    end
    return subject and subject[condition] or has_option(options, condition)
end

--- True when the call surely writes.
local function writes(call)
    local conditions = call.entry.effect and call.entry.effect:match "^write unless (.*)$"
    for condition in (conditions or ""):gmatch "[^,]+" do
        local name = condition:gsub("^%s*or%s+", ""):gsub("^%s+", "")
        if exempts(name, call.subject, call.options) ~= false then
            return false
        end
    end
    return call.entry.effect ~= nil
end

-- Where a write is refused, by the code of the finding.
local REFUSED = { webhook = "in a webhook", readonly = "in a playbook that only reads", probe = "inside a probe",
    write = "outside a step" }

local function check_effect(machine, call)
    local context = machine.context
    local code = context.checked ~= false and writes(call) and (context.deciding and "webhook"
        or context.reading and "readonly" or context.probe and "probe" or not context.step and "write")
    if code then
        local place = machine.file ~= machine.main_file and (" (%s:%d)"):format(machine.file, call.node.line) or ""
        machine:find_call(call.node, code, ("`%s`%s writes %s"):format(values.shown(call.entry), place, REFUSED[code]))
    end
end

--- "host.run(...)" for host:run(...), "ssh:connect(...)" for ssh.connect(...).
local function check_colon(machine, call, arguments)
    local node, entry = call.node, call.entry
    if not call.direct then
        return
    elseif node.tag == "Invoke" and entry.kind == "function" and arguments[1] and arguments[1].module then
        machine:find(node[2], "colon", ("%s is a function, and called like a method"):format(entry.path),
            ("%s(...)"):format(entry.path))
    elseif node.tag == "Call" and entry.kind == "method" and node[1].tag == "Index" then
        local first = arguments[1]
        local fits = first and (first.kind == "unknown" or first.kind == "object")
        if not fits then
            machine:find(node[1][2], "colon", ("%s is a method, and called like a function"):format(
                values.shown(entry)), ("%s(...)"):format(values.shown(entry)))
        end
    end
end

--- Looks at one call.
---@param call { entry: annotations.Entry, subject?: table, arguments: table[], node: table, direct: boolean } direct:
---  node is this very call
---@param arguments table[] with the object first, as they were given
function rules.check(machine, call, arguments)
    check_colon(machine, call, arguments)
    call.shift = call.entry.kind == "method" and call.node.tag == "Call" and 1 or 0
    call.options = nil
    for index, param in ipairs(call.entry.params or {}) do
        if param.name == "options" then
            call.options = call.arguments[index]
        end
    end
    for index, param in ipairs(call.entry.params or {}) do
        local value = call.arguments[index]
        if value then
            check_options(machine, call, param, value)
            local check = checks[param.name]
            if check then
                check(machine, call, value, argument_node(call, index), call.options)
            end
        end
    end
    check_effect(machine, call)
end

return rules
