-- The index of annotations as LuaLS definition files: what an editor with lua-language-server completes and explains.
local _, import = ...
local stub = {}

local sandbox = import "base/sandbox"
local types, text = import "check/annotation_types", import "base/text"

local function comment(lines, words)
    if not words or words == "" then
        return
    end
    for line in text.lines(words) do
        lines[#lines + 1] = ("--- " .. line):gsub("%s+$", "")
    end
end

local function tag(lines, ...)
    lines[#lines + 1] = ("---@" .. table.concat({ ... }, " ")):gsub("%s+$", "")
end

local function shown(type)
    return type and types.shown(type) or "any"
end

--- What a function raises and writes has no tag that LuaLS knows, so it joins the text.
local function add_text(lines, entry)
    local parts = {}
    for _, part in ipairs { entry.text, entry.raises and "Raises " .. entry.raises or "",
        entry.effect and "Effect: " .. entry.effect or "" } do
        parts[#parts + 1] = part ~= "" and part or nil
    end
    comment(lines, table.concat(parts, "\n\n"))
end

--- A function under the name by which it is reached: "ssh.connect", "Host:run".
local function add_function(lines, entry, name)
    add_text(lines, entry)
    local names = {}
    for index, param in ipairs(entry.params) do
        names[index] = param.name
        tag(lines, "param", param.name .. (param.optional and "?" or ""), shown(param.type), param.text)
    end
    for _, result in ipairs(entry.returns) do
        tag(lines, "return", shown(result.type), result.text and result.text ~= "" and "# " .. result.text or "")
    end
    lines[#lines + 1] = ("function %s(%s) end"):format(name, table.concat(names, ", "))
    lines[#lines + 1] = ""
end

--- A class: its values as fields, its functions below it.
---@param variable string the local that stands for it
local function add_class(lines, class, variable)
    comment(lines, class.text)
    tag(lines, "class", class.name .. (class.parent and ": " .. class.parent or ""))
    for _, name in ipairs(class.order) do
        local member = class.members[name]
        if member.kind == "value" or member.is_field then
            local optional = types.is_optional(member.type)
            tag(lines, "field", name .. (optional and "?" or ""), shown(optional and types.present(member.type)
                or member.type), (member.text:gsub("\n", " ")))
        end
    end
    if class.item then
        tag(lines, "field", "[any]", shown(class.item))
    end
    if class.call then
        tag(lines, "overload", shown { kind = "function", params = class.call.params, returns = { class.call.returns[1]
            and class.call.returns[1].type } })
    end
    lines[#lines + 1] = ("local %s = {}"):format(variable)
    lines[#lines + 1] = ""
    for _, name in ipairs(class.order) do
        local member = class.members[name]
        local inherited = class.parent and member.path:match "^(.*)[.:]" ~= class.name
        if member.kind ~= "value" and not member.is_field and not inherited then
            add_function(lines, member, variable .. (member.kind == "method" and ":" or ".") .. name)
        end
    end
end

--- "ssh.Host" -> "Host"; a class named like its module keeps the name.
local function variable_of(class)
    return class.name:match "[%w_]+$"
end

local function sorted(set, test)
    local list = {}
    for name, value in pairs(set) do
        if test(value, name) then
            list[#list + 1] = value
        end
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

local function opening(name)
    return { "---@meta " .. name, "", "-- Written by `hostler stubs` from hostler's own annotations: edits are lost.",
        "" }
end

--- The definition file of a module.
---@param index table from annotations.index
---@param module table
---@return string
function stub.module(index, module)
    local lines = opening(module.name)
    local classes = sorted(index.classes, function(class)
        return class ~= module.class and class.name:match "^[%w_]+" == module.name
    end)
    for _, class in ipairs(classes) do
        add_class(lines, class, variable_of(class))
    end
    local own = { name = module.class.name, text = module.text, members = module.class.members,
        order = module.class.order, parent = module.class.parent }
    add_class(lines, own, module.name)
    lines[#lines + 1] = "return " .. module.name
    return table.concat(lines, "\n") .. "\n"
end

-- Lua's own globals, which LuaLS knows.
local LUAS_OWN = {}
for name in ([[_G _VERSION assert bit debug error getmetatable ipairs math next os pairs pcall rawequal rawget rawset
    select setmetatable string table tonumber tostring type unpack xpcall require]]):gmatch "%S+" do
    LUAS_OWN[name] = true
end

--- Every global that playbooks have, also one that nothing was said about.
local function all_globals(index)
    local all = {}
    for name in pairs(sandbox.globals) do
        if not LUAS_OWN[name] then
            all[name] = index.globals[name] or { name = name, kind = "value" }
        end
    end
    return all
end

--- The definition file of the globals, and of the classes that belong to no module.
---@param index table from annotations.index
---@return string
function stub.globals(index)
    local lines = opening "_"
    for name, type in pairs(index.aliases) do
        tag(lines, "alias", name, shown(type))
        lines[#lines + 1] = ""
    end
    local classes = sorted(index.classes, function(class)
        return not class.name:find "%." and not index.modules[class.name] and class.file:find "^runtime/"
    end)
    for _, class in ipairs(classes) do
        add_class(lines, class, class.name .. "_class")
    end
    for _, entry in ipairs(sorted(all_globals(index), function() return true end)) do
        if entry.kind == "value" then
            tag(lines, "type", shown(entry.type))
            lines[#lines + 1] = entry.name .. " = nil"
            lines[#lines + 1] = ""
        else
            add_function(lines, entry, entry.name)
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

return stub
