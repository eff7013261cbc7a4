-- What the annotations of hostler's own Lua files say: its globals, its modules, and the classes of what these return.
-- Read from the texts in the binary when it is first asked for.
--
--     annotations.find "ssh.connect"      a function
--     annotations.find "ssh.Host:run"     a method of a class; "ssh.Host" the class, "ssh" the module, "step" a global
local native, import = ...
local annotations = {}

local lua_source, own_modules = import "base/lua_source", import "base/own_modules"
local blocks, types = import "check/annotation_blocks", import "check/annotation_types"
local system = native.system

---@class annotations.Entry one thing that has a name
---@field name string "connect"
---@field path string "ssh.connect", "ssh.Host:run", "step"
---@field kind "function"|"method"|"value"
---@field text string what it is for; paragraphs are parted by empty lines
---@field type? table of a value, see annotation_types.lua; of a function only where it is declared by @field or @type
---@field is_field? boolean declared by @field
---@field params? annotations.Field[] of a function, without self
---@field returns? annotations.Field[]
---@field raises? string
---@field effect? string "write", or "write unless read": which options make a read of it
---@field file string "modules/ssh.lua"
---@field line integer

---@class annotations.Field a parameter, a result, or a field of a table
---@field name? string
---@field optional? boolean
---@field type? table
---@field text? string

---@class annotations.Class a kind of table; a module is one too
---@field name string "ssh.Host"
---@field text string
---@field parent? string the class whose members it has besides
---@field members table<string, annotations.Entry>
---@field order string[] the members' names as they stand in the file
---@field item? table the type of what stands under other keys
---@field shown? string "secret": the global that it is the table of
---@field call? annotations.Entry where the table itself can be called
---@field file string
---@field line integer

local ANY = { kind = "name", name = "any" }

local function new_class(index, name, file, line, text)
    local class = index.classes[name] or { name = name, text = "", members = {}, order = {} }
    class.file, class.line = class.file or file, class.line or line
    class.text = class.text == "" and text or class.text
    index.classes[name] = class
    return class
end

local function add_member(class, entry)
    if not class.members[entry.name] then
        class.order[#class.order + 1] = entry.name
    elseif class.members[entry.name].text ~= "" and entry.text == "" then
        return
    end
    class.members[entry.name] = entry
end

--- "(self, path, ...)" as the parameters of a function whose annotations do not name them all.
local function params_of(block, arguments)
    local by_name, list = {}, {}
    for _, param in ipairs(block.params) do
        by_name[param.name] = param
    end
    for name in arguments:gmatch "[%w_.]+" do
        list[#list + 1] = by_name[name] or { name = name, type = ANY, text = "" }
    end
    return list
end

local function function_entry(block, file, path, name, arguments, is_method)
    local params = params_of(block, arguments)
    if params[1] and (params[1].name == "_" or params[1].name == "self") then
        table.remove(params, 1)
        is_method = true
    end
    return { name = name, path = path, kind = is_method and "method" or "function", text = block.text, params = params,
        returns = block.returns, raises = block.raises, effect = block.effect, file = file, line = block.number }
end

--- An entry for something that has a type, maybe that of a function.
local function typed_entry(type, text, file, line, path, name)
    local entry = { name = name, path = path, kind = "value", text = text, type = type, file = file, line = line }
    local present = types.present(type)
    if present.kind == "function" then
        entry.kind, entry.params, entry.returns = "function", present.params, {}
        if entry.params[1] and entry.params[1].name == "self" then
            entry.kind, entry.params = "method", { unpack(entry.params, 2) }
        end
        for index, result in ipairs(present.returns) do
            entry.returns[index] = { type = result, text = "" }
        end
    end
    return entry
end

local function type_of_literal(text)
    local name = text:find "^[\"']" and "string" or text:find "^%-?%d" and "number" or text:find "^{" and "table"
        or (text:find "^true" or text:find "^false") and "boolean" or "any"
    return { kind = "name", name = name }
end

--- The class that a block declares.
local function read_class(index, block, file)
    local class = new_class(index, block.class.name, file, block.line, block.class.text ~= "" and block.class.text
        or block.text)
    class.parent, class.item = block.class.parent, block.item
    for _, field in ipairs(block.fields) do
        local type = field.optional and types.optional(field.type or ANY) or field.type or ANY
        local entry = typed_entry(type, field.text, file, field.line, class.name .. "." .. field.name, field.name)
        entry.is_field = true
        entry.path = entry.kind == "method" and class.name .. ":" .. field.name or entry.path
        add_member(class, entry)
    end
    if block.overload then
        class.call = typed_entry(block.overload, block.overload_text, file, block.line, class.name, class.name)
    end
    return class
end

--- "function Host:run(argv, options)" where Host stands for a class or for the module's table.
local function read_function(reading, block)
    local variable, mark, name, arguments = block.statement:match "^function ([%w_]+)([.:])([%w_]+)%(([^)]*)%)"
    local class = variable and reading.variables[variable]
    if not class or name:find "^__" then
        return
    end
    local entry = function_entry(block, reading.file, "", name, arguments, mark == ":")
    entry.path = class.name .. (entry.kind == "method" and ":" or ".") .. name
    add_member(class, entry)
end

--- "meltano.PROJECT = ..." and the fields of "local meltano = {".
local function read_value(reading, block, class, name, value)
    local comment = value:match "%-%- (.*)$"
    local type = block.type or type_of_literal(value)
    local text = block.text ~= "" and block.text or comment or ""
    local entry = typed_entry(type, text, reading.file, block.number, class.name .. "." .. name, name)
    entry.effect = block.effect
    if not name:find "^__" and not (class.members[name] and not block.type) then -- else a @field says more
        add_member(class, entry)
    end
end

local function read_statement(reading, block)
    local statement = block.statement
    read_function(reading, block)
    local variable, name, value = statement:match "^([%w_]+)%.([%w_]+) = (.*)$"
    if variable and reading.variables[variable] then
        read_value(reading, block, reading.variables[variable], name, value)
    end
    name, value = statement:match "^([%w_]+) = (.*)$"
    if name and block.indent == 4 and reading.constructor then
        read_value(reading, block, reading.constructor, name, value)
    end
    variable = statement:match "^local ([%w_]+) = {"
    if block.indent == 0 and not statement:find "^ *[%a_]+ = " then
        reading.constructor = variable and not statement:find "}$" and reading.variables[variable] or nil
    end
end

--- Which class stands behind a variable of the file: from a class declared above it.
local function bind(index, reading, block)
    local variable = block.statement:match "^local ([%w_]+) = "
    if block.class then
        local class = read_class(index, block, reading.file)
        if variable then
            reading.variables[variable] = class
        end
    end
end

local function read_module(index, file, source)
    local name = file:match "([%w_]+)%.lua$"
    local reading = { file = file, variables = {} }
    local found = blocks.of(source)
    for _, block in ipairs(found) do
        bind(index, reading, block)
    end
    local returned = source:match "\nreturn ([%w_]+)\n*$"
    if returned and (own_modules.is_face(file) or not file:find "^modules/") then
        reading.variables[returned] = reading.variables[returned] or new_class(index, name, file, 1, "")
        local module = reading.variables[returned]
        index.modules[name] = { name = name, text = table.concat(lua_source.opening_comment(source), "\n"),
            class = module, file = file, line = 1 }
    end
    for _, block in ipairs(found) do
        read_statement(reading, block)
    end
end

--- What the prelude file `file` gives to the world: "NAME.globals = { step = run_step, now = function() ... }".
local function read_globals(index, file, source)
    local documented, inside = {}, false
    for _, block in ipairs(blocks.of(source)) do
        if block.class then
            read_class(index, block, file)
        elseif block.alias then
            index.aliases[block.alias.name] = block.alias.type
        end
        local statement = block.statement
        local name, arguments = statement:match "^local function ([%w_]+)%(([^)]*)%)"
        if name then
            documented[name] = { block = block, arguments = arguments }
        elseif block.type and statement:find "^local [%w_]+ =" then
            documented[statement:match "^local ([%w_]+)"] = { block = block }
        end
        inside = inside and not statement:find "^}" or statement:find "^[%w_]+%.globals = {" ~= nil
        for global, value in (inside and statement:gsub("^[%w_.]+ = {", "") or ""):gmatch "([%w_]+) = ([%w_.]+)" do
            if block.indent == 0 or block.indent == 4 then
                local from = value == "function" and { block = block, arguments = statement:match "%(([^)]*)%)" }
                    or block.type and { block = block } or documented[value]
                    or { block = { text = "", type = ANY, number = block.number } }
                local entry = from.arguments
                    and function_entry(from.block, file, global, global, from.arguments, false)
                    or typed_entry(from.block.type, from.block.text, file, from.block.number, global, global)
                index.globals[global] = entry
            end
        end
        inside = inside and not statement:find "}$"
    end
end

--- What a class has from its parent, written into the class itself.
local function inherit(index, class)
    local parent = class.parent and index.classes[class.parent]
    for _, name in ipairs(parent and parent.order or {}) do
        if not class.members[name] then
            add_member(class, parent.members[name])
        end
    end
end

--- A table among the globals: its members go by the global's name, not by that of its class.
local function name_after_global(index, global)
    local class = index.classes[global.type and global.type.name]
    if class then
        class.shown = global.name
        for name, member in pairs(class.members) do
            member.path = global.name .. "." .. name
        end
        if class.call then
            class.call.path = global.name
        end
    end
end

local index

--- All of it, read once.
---@return { globals: table<string, annotations.Entry>, modules: table<string, table>,
---  classes: table<string, annotations.Class>, aliases: table<string, table> } a module has name, text, class (whose
---  members are its functions), file
function annotations.index()
    if index then
        return index
    end
    index = { globals = {}, modules = {}, classes = {}, aliases = {} }
    for _, file in ipairs(system.embedded_names()) do
        if file:find "^modules/" then
            read_module(index, file, system.embedded(file))
        elseif file:find "^runtime/" and system.embedded(file):find "\n[%w_]+%.globals = {" then
            read_globals(index, file, system.embedded(file))
        end
    end
    for _, class in pairs(index.classes) do
        inherit(index, class)
    end
    for _, global in pairs(index.globals) do
        name_after_global(index, global)
    end
    return index
end

--- Takes in the annotations of a module that is not in the binary: one beside the playbooks.
---@param name string
---@param path string
---@param source string
function annotations.learn(name, path, source)
    local all = annotations.index()
    if not all.modules[name] then
        read_module(all, path, source)
    end
end

--- What a name stands for: "step", "secret.random", "ssh", "ssh.connect", "ssh.Host", "ssh.Host:run".
---@param path string
---@return annotations.Entry|annotations.Class|nil
function annotations.find(path)
    local all = annotations.index()
    local module = all.modules[path]
    if module or all.globals[path] or all.classes[path] then
        return module and module.class or all.globals[path] or all.classes[path]
    end
    local owner, name = path:match "^(.*)[.:]([%w_]+)$"
    local global = all.globals[owner]
    local class = all.modules[owner] and all.modules[owner].class or global and annotations.class_of(global.type)
        or all.classes[owner]
    return class and class.members[name] or nil
end

--- The class of the values of a type; for a table with known fields one is made up.
---@param type? table
---@return annotations.Class? nil when nothing is known of them, or they may be of several kinds
function annotations.class_of(type)
    local one = type and types.present(type)
    if not one then
        return nil
    elseif one.kind == "name" then
        return annotations.index().classes[one.name]
    elseif one.kind == "table" then
        local class = { name = types.shown(one), text = "", members = {}, order = {}, anonymous = true }
        for _, field in ipairs(one.fields) do
            local entry = typed_entry(field.type, field.text or "", nil, nil, field.name, field.name)
            entry.optional = field.optional
            add_member(class, entry)
        end
        class.item = one.rest and one.rest.value
        return class
    end
end

--- What a function returns first, as a class; see class_of.
---@param entry annotations.Entry
---@return annotations.Class?
function annotations.result_of(entry)
    return entry.returns and entry.returns[1] and annotations.class_of(entry.returns[1].type)
end

--- "ssh.connect(target, options?) -> ssh.Host"
---@param entry annotations.Entry
---@return string
function annotations.signature(entry)
    if entry.kind == "value" then
        return ("%s: %s"):format(entry.path, types.shown(entry.type))
    end
    local names, results = {}, {}
    for position, param in ipairs(entry.params) do
        names[position] = param.name .. (param.optional and "?" or "")
    end
    for position, result in ipairs(entry.returns) do
        results[position] = result.type and types.shown(result.type) or "?"
    end
    return ("%s(%s)%s"):format(entry.path, table.concat(names, ", "),
        #results > 0 and " -> " .. table.concat(results, ", ") or "")
end

return annotations
