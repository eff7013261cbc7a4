-- The parameters of a playbook: how they are declared, read from a command line, and explained.
local native, import = ...
local params = {}

local gate, suggest = import "gate/gate", import "base/suggest"

local function printable(value)
    return not value:find "%c" and native.system.is_utf8(value)
end

--- Each type turns the text given into a value, or says what it should have been.
local types = {
    string = function(value)
        return printable(value) and value or nil, "text without control characters"
    end,
    text = function(value)
        return native.system.is_utf8(value) and value or nil, "text"
    end,
    name = function(value)
        return printable(value) and value:find "%S" and #value <= 200 and value or nil,
            "a name of 1 to 200 characters without line breaks"
    end,
    int = function(value)
        return value:match "^%-?%d+$" and #value < 16 and tonumber(value) or nil, "a whole number"
    end,
    number = function(value)
        return #value <= 30 and value:match "^%-?%d*%.?%d+$" and tonumber(value) or nil, "a number"
    end,
    -- A DNS label, RFC 1035 2.3.1 and RFC 1123 2.1, in lower case.
    subdomain = function(value)
        local fits = #value >= 1 and #value <= 63 and value:match "^[a-z0-9][a-z0-9-]*$" and not value:match "%-$"
        return fits and value or nil, "1 to 63 lower-case letters, digits and dashes, no dash first or last"
    end,
    -- What the web and mail servers agree on; no quoted local parts, no address literals.
    email = function(value)
        local mailbox, domain = value:match "^([%w.!#$&'*+/=?^_`{|}~-]+)@([%w-]+%.[%w.-]+)$"
        local fits = mailbox and #value <= 254 and #mailbox <= 64 and not mailbox:find "%.%." and not domain:find "%.%."
            and not mailbox:find "^%." and not mailbox:find "%.$" and domain:match "%w$"
        return fits and value or nil, "an e-mail address such as ada@example.com"
    end,
    -- 45s, 30m, 12h, 7d; the value is in seconds.
    duration = function(value)
        local number, unit = value:match "^(%d+)([smhd])$"
        local seconds = { s = 1, m = 60, h = 3600, d = 86400 }
        return number and #number < 10 and tonumber(number) * seconds[unit] or nil, "a time such as 45s, 30m, 12h or 7d"
    end,
    path = function(value)
        return value ~= "" and printable(value) and value or nil, "a path without control characters"
    end,
    -- A file that the playbook may write, also where it only reads: see gate.outputs.
    output = function(value)
        return value ~= "" and printable(value) and value or nil, "the path of a file to write"
    end,
}

local function convert(type_name, text)
    if type(type_name) == "table" then
        for _, choice in ipairs(type_name) do
            if choice == text then
                return text
            end
        end
        return nil, "one of " .. table.concat(type_name, ", ")
    end
    return types[type_name](text)
end

local declared = setmetatable({}, { __mode = "k" })

local function fits(value, type_name)
    return (type_name == "int" or type_name == "number") == (type(value) == "number")
        and convert(type_name, tostring(value)) ~= nil
end

local function declare(kind, name, type_name, help, default)
    local function wrong(message)
        error(native.error.new { code = "manifest", message = message }, 4)
    end
    if type(name) ~= "string" or not name:match "^[a-z][a-z0-9-]*$" then
        wrong(("%s: a parameter's name is lower-case words joined by dashes, not '%s'"):format(kind, tostring(name)))
    end
    local choices = type(type_name) == "table" and type_name or nil
    if kind ~= "flag" and not choices and not types[type_name] then
        local names = {}
        for known in pairs(types) do
            names[#names + 1] = known
        end
        table.sort(names)
        wrong(("%s \"%s\": there is no type '%s'; there are %s, or a list of choices"):format(kind, name,
            tostring(type_name), table.concat(names, ", ")))
    end
    if type(help) ~= "string" then
        wrong(("%s \"%s\" needs a text that explains it"):format(kind, name))
    end
    if default ~= nil and kind == "opt" and not fits(default, type_name) then
        wrong(("opt \"%s\": its default, %s, is not of its type"):format(name, tostring(default)))
    elseif default ~= nil and kind == "list" and type(default) ~= "table" then
        wrong(("list \"%s\": its default is a list, not %s"):format(name, tostring(default)))
    end
    local spec = { kind = kind, name = name, type = type_name, help = help, default = default,
        field = name:gsub("-", "_") }
    declared[spec] = true
    return spec
end

--- True for what arg, list, opt or flag returned.
function params.is(value)
    return declared[value] ~= nil
end

---@class Parameter what arg, list, opt and flag return, for a playbook's `params`

---@alias ParameterType "string"|"name"|"int"|"number"|"subdomain"|"email"|"duration"|"path"|"output"

--- A required positional parameter.
---@param name string lower-case words joined by dashes; p has it with underscores
---@param type_name ParameterType|string[] a type, or the choices. name: text without line breaks; duration: 45s, 30m,
---  12h or 7d, in seconds; output: a file that the playbook may write also where it only reads
---@param help string
---@return Parameter
local function arg(name, type_name, help)
    return declare("arg", name, type_name, help)
end

--- One or more positional parameters; the last of a playbook's.
---@param name string
---@param type_name ParameterType|string[] of each, as for arg
---@param help string
---@param default? any[] what it is when none is given; without it there has to be one
---@return Parameter
local function list(name, type_name, help, default)
    return declare("list", name, type_name, help, default)
end

--- An option with a value: --name VALUE.
---@param name string
---@param type_name ParameterType|string[] as for arg
---@param help string
---@param default? any its value when it is not given
---@return Parameter
local function opt(name, type_name, help, default)
    return declare("opt", name, type_name, help, default)
end

--- An option without a value: --name.
---@param name string
---@param help string
---@return Parameter
local function flag(name, help)
    return declare("flag", name, nil, help, false)
end

local function usage_error(message, hint)
    error(native.error.new { code = "usage", message = message, hint = hint }, 0)
end

local function shown(text)
    return "'" .. text:gsub("%c", function(c) return ("\\%d"):format(c:byte()) end) .. "'"
end

--- What stands for a parameter on the command line. A choice of one is the word itself.
local function label_of(spec)
    if spec.kind == "opt" or spec.kind == "flag" then
        return "--" .. spec.name
    elseif type(spec.type) == "table" and #spec.type == 1 then
        return spec.type[1]
    end
    return (spec.name:upper():gsub("-", "_"))
end

local function set(values, spec, text)
    local value, wanted = convert(spec.type, text)
    if value == nil then
        usage_error(("%s must be %s, not %s"):format(label_of(spec), wanted, shown(text)))
    end
    if spec.type == "output" then
        gate.allow_output(value)
    end
    if spec.kind == "list" then
        table.insert(values[spec.field], value)
    else
        values[spec.field] = value
    end
end

local function find_option(specs, word)
    local names = {}
    for _, spec in ipairs(specs) do
        if spec.kind == "opt" or spec.kind == "flag" then
            if word == "--" .. spec.name or (spec.short and word == "-" .. spec.short) then
                return spec
            end
            names[#names + 1] = spec.name
        end
    end
    local near = suggest.nearest(word:gsub("^%-+", ""), names)
    usage_error(("there is no option %s"):format(shown(word)), near and ("did you mean --%s?"):format(near)
        or "an argument that begins with a dash goes after --")
end

local function assign_positionals(specs, values, words)
    local next_word = 1
    for _, spec in ipairs(specs) do
        if spec.kind == "arg" then
            if not words[next_word] then
                usage_error(("%s is missing: %s"):format(label_of(spec), spec.help))
            end
            set(values, spec, words[next_word])
            next_word = next_word + 1
        elseif spec.kind == "list" then
            if words[next_word] then
                values[spec.field] = {}
            elseif not spec.default then
                usage_error(("%s is missing: %s"):format(label_of(spec), spec.help))
            end
            while words[next_word] do
                set(values, spec, words[next_word])
                next_word = next_word + 1
            end
        end
    end
    if words[next_word] then
        usage_error(("there is one argument too many: %s"):format(shown(words[next_word])),
            "quote an argument that has spaces in it")
    end
end

--- Reads a command line.
---@param specs table[] what arg, list, opt and flag returned
---@param argv string[]
---@return table values by field name (dashes become underscores)
---@raise "usage"
function params.parse(specs, argv)
    local values, words, options_end = {}, {}, false
    for _, spec in ipairs(specs) do
        values[spec.field] = spec.default
    end
    local index = 1
    while index <= #argv do
        local word = argv[index]
        if options_end or not word:match "^%-." then
            words[#words + 1] = word
        elseif word == "--" then
            options_end = true
        else
            local name, attached = word:match "^(%-%-[^=]+)=(.*)$"
            local spec = find_option(specs, name or word)
            if spec.kind == "flag" then
                if attached then
                    usage_error(("%s takes no value"):format(name))
                end
                values[spec.field] = true
            else
                index = attached and index or index + 1
                local text = attached or argv[index]
                if not text then
                    usage_error(("--%s needs a value: %s"):format(spec.name, spec.help))
                end
                set(values, spec, text)
            end
        end
        index = index + 1
    end
    assign_positionals(specs, values, words)
    return values
end

--- "SUBDOMAIN... [--parallel INT]"
---@return string
function params.usage(specs)
    local parts = {}
    for _, spec in ipairs(specs) do
        local value = type(spec.type) == "string" and spec.type:upper() or "CHOICE"
        parts[#parts + 1] = (spec.kind == "arg" and "%s" or spec.kind == "flag" and "[%s]"
            or spec.kind == "opt" and "[%s " .. value .. "]" or spec.default and "[%s ...]" or "%s ..."):format(
            label_of(spec))
    end
    return table.concat(parts, " ")
end

--- The parameters with their explanations, a line each.
---@return string[]
function params.explain(specs)
    local rows, widest = {}, 0
    for _, spec in ipairs(specs) do
        local label = label_of(spec)
        if spec.short then
            label = "-" .. spec.short .. ", " .. label
        end
        widest = math.max(widest, #label)
        local default = spec.kind == "opt" and spec.default ~= nil and (" (%s)"):format(tostring(spec.default)) or ""
        local choices = type(spec.type) == "table" and spec.type[2] and ": " .. table.concat(spec.type, ", ") or ""
        rows[#rows + 1] = { label, spec.help .. choices .. default }
    end
    local lines = {}
    for _, row in ipairs(rows) do
        lines[#lines + 1] = ("  %-" .. widest .. "s  %s"):format(row[1], row[2])
    end
    return lines
end

params.globals = { arg = arg, list = list, opt = opt, flag = flag }
return params
