-- What `hostler check` knows of fields and methods: reading and setting them, and which of them there are not.
local _, import = ...
local members = {}

local sandbox = import "base/sandbox"
local annotations, values, suggest = import "check/annotations", import "check/values", import "base/suggest"

local function names_of(set)
    local names = {}
    for name in pairs(set) do
        names[#names + 1] = tostring(name)
    end
    return names
end

local function hint(name, set)
    local near = suggest.nearest(name, names_of(set))
    return near and ("did you mean '%s'?"):format(near) or nil
end

--- Tells of a field that there is not; nobody is told where its name was computed.
local function find(machine, node, code, message, mend)
    if node then
        machine:find(node, code, message, mend)
    end
end

--- A member of an object as a value: the same one each time. What stands in a module's source is as good as a literal.
local function member_value(owner, entry)
    owner.known = owner.known or {}
    local value = owner.known[entry.name]
    if not value then
        value = entry.kind == "value" and values.of_type(entry.type) or values.entry(entry, owner)
        value = owner.module and value.kind == "text" and values.text() or value
        owner.known[entry.name] = value
    end
    return value
end

local function of_object(machine, object, name, node)
    local class = object.class
    local member = class.members[name]
    if member then
        return member_value(object, member)
    elseif class.item then
        return values.of_type(class.item)
    elseif machine.extended[class.name] then
        return values.unknown
    end
    local shown = object.shown or class.shown or class.name
    if object.is_parameters then
        find(machine, node, "parameter", ("the playbook has no parameter '%s'"):format(name), hint(name, class.members))
    elseif class.anonymous then
        find(machine, node, "field", ("there is no field '%s' in %s"):format(name, shown), hint(name, class.members))
    else
        find(machine, node, "field", ("%s has no field '%s'"):format(shown, name), hint(name, class.members)
            or ("hostler show %s lists what there is"):format(shown))
    end
    return values.unknown
end

--- The fields that a table has from its metatable.
local function of_meta(machine, subject, name, node)
    local from = subject.meta and subject.meta.fields and subject.meta.fields.__index
    if not from then
        return nil
    elseif from.kind == "function" then
        return machine:call(from, { subject, values.text(name) }, node)[1] or values.absent
    end
    return members.read(machine, from, name, node)
end

local function of_table(machine, subject, name, node)
    local value = subject.fields[name]
    if value then
        return value
    end
    value = of_meta(machine, subject, name, node)
    if value and value.kind ~= "nil" then
        return value
    elseif subject.open then
        return values.unknown
    elseif subject.module then
        find(machine, node, "field", ("the module '%s' has no field '%s'"):format(subject.module, name),
            hint(name, subject.fields))
        return values.unknown
    end
    return subject.item or values.absent
end

local function of_native(machine, subject, name, node)
    local real = type(subject.value) == "table" and subject.value[name]
    if real == nil then
        if type(subject.value) == "table" then
            find(machine, node, "field", ("there is no '%s.%s'"):format(subject.path, name), hint(name, subject.value))
        end
        return values.unknown
    end
    return { kind = "native", path = subject.path .. "." .. name, value = real }
end

local readers = {
    object = of_object,
    table = of_table,
    native = of_native,
    text = function(machine, _, name, node)
        return of_native(machine, { path = "string", value = sandbox.globals.string }, name, node)
    end,
    list = function(_, subject, _, _) return subject.map and subject.item or values.unknown end,
}

--- The value of a field by name. Tells of fields that there are not.
---@param machine table
---@param subject table a value
---@param name string
---@param node? table where it is asked for by a name that is written out
---@return table value
function members.read(machine, subject, name, node)
    local reader = readers[subject.kind]
    return reader and reader(machine, subject, name, node) or values.unknown
end

--- The value under a key that is not a constant text.
function members.read_at(subject, key)
    if subject.kind == "table" and key.kind == "number" and key.const and subject.array[key.const] then
        return subject.array[key.const]
    elseif subject.kind == "table" and subject.array[1] and key.const then
        return values.absent
    end
    return values.item(subject)
end

--- Sets a field. To what hostler's functions return a playbook may add fields of its own; then all such may have them.
---@param certain boolean false where this may not happen
function members.write(machine, subject, key, value, certain)
    if subject.kind == "object" then
        machine.extended[subject.class.name] = true
    elseif subject.kind ~= "table" then
        return
    elseif key.kind == "text" and key.const then
        local before = not certain and subject.fields[key.const]
        subject.fields[key.const] = before and values.join(before, value) or value
    elseif key.kind == "number" then
        subject.item = subject.item and values.join(subject.item, value) or value
    else
        subject.item = subject.item and values.join(subject.item, value) or value
        subject.open = true
    end
end

--- A method that an object of the playbook's own class lacks: only its class can have it.
function members.check_method(machine, subject, name, node)
    local class = subject.kind == "table" and subject.meta
    local index = class and class.fields and class.fields.__index
    if not index or subject.open or class.open or subject.fields[name] or index.kind ~= "table" or index.open then
        return
    elseif not index.fields[name] and not index.meta then
        machine:find(node, "field", ("the object has no method '%s'"):format(name), hint(name, index.fields))
    end
end

--- The global of this name.
function members.global(machine, name, node)
    local entry = annotations.index().globals[name]
    if entry then
        return entry.kind == "value" and values.of_type(entry.type) or values.entry(entry)
    end
    local real = rawget(sandbox.globals, name)
    if real ~= nil then
        return { kind = "native", path = name, value = real }
    end
    local is_module = annotations.index().modules[name]
    machine:find(node, "global", ("there is no global '%s'"):format(name), is_module
        and ("local %s = require \"%s\""):format(name, name) or hint(name, sandbox.globals)
        or "declare it with `local`")
    return values.unknown
end

return members
