-- What may come next on a line. Code is looked at and never run: tables are read without their metamethods, what a
-- function returns is known from its annotations. The one thing that may be loaded is a module that the line names.
--
-- Objects help by what their metatable says:
--   __completes  { restart = fn }: what the first argument of a method may be, or of the table itself under __call;
--                fn(object, beginning) may wait, and is called beside the prompt
-- An environment says by __names() which names it has, and by __peek(name) what one stands for, without making it.
local native, import = ...
local prompt_completion = {}

local annotations, chain, tokens = import "check/annotations", import "prompt/code_chain", import "prompt/tokens"
local keys, types, modules = import "base/keys", import "check/annotation_types", import "run/modules"
local page = import.later "check/annotation_page"
local system = native.system

local LOOKUP_SECONDS, KEPT_SECONDS = 1, 20
local MOST_KEPT, MOST_LEVELS = 200, 10

local function meta_of(value)
    local meta = getmetatable(value)
    return type(meta) == "table" and meta or nil
end

-- ---- what an expression stands for ----

--- The tables in which a field of the value is looked for, one after the other. Where __index is a function, the search
--- ends with the metatable: it holds the methods of such a class.
local function levels(value)
    local list = {}
    while type(value) == "table" and #list < MOST_LEVELS do
        list[#list + 1] = value
        local meta = meta_of(value)
        local index = meta and rawget(meta, "__index")
        value = type(index) == "function" and meta or index
        if type(index) == "function" then
            list[#list + 1] = meta
            break
        end
    end
    return list
end

--- A field of a table, when it is there.
local function peek(value, key)
    for _, level in ipairs(levels(value)) do
        local found = rawget(level, key)
        if found ~= nil then
            return found
        end
    end
end

-- The annotated functions by their place, each with its class.
local by_place

local function note_places(class)
    for _, entry in pairs(class.members) do
        local file = entry.file or ""
        local source = system.embedded(file) and "=hostler:" .. file or "@" .. file
        by_place[("%s:%d"):format(source, entry.line or 0)] = { entry = entry, class = class }
    end
end

local function place_known(fn)
    if not by_place then
        by_place = {}
        local index = annotations.index()
        note_places { members = index.globals }
        for _, class in pairs(index.classes) do
            note_places(class)
        end
    end
    local source, line = system.place_of(fn)
    return by_place[("%s:%d"):format(source, line)] or {}
end

--- The class of an object, known by its methods.
local function class_of(value)
    for position, level in ipairs(levels(value)) do
        for _, field in next, position > 1 and level or {} do
            local known = type(field) == "function" and place_known(field).class
            if known then
                return known
            end
        end
    end
end

--- Takes in the annotations of a module beside the playbooks.
local function learn(name)
    local path = not annotations.index().modules[name] and modules.path(name)
    local source = path and system.read_file(path)
    if source then
        annotations.learn(name, path, source)
        by_place = nil
    end
    return annotations.index().modules[name]
end

local function from_class(class, name)
    local entry = class.members[name]
    if not entry then
        return nil
    elseif entry.kind == "value" then
        local inner = annotations.class_of(entry.type)
        return inner and { class = inner }
    end
    return { entry = entry }
end

local function from_field(thing, name)
    if thing.class then
        return from_class(thing.class, name)
    elseif thing.value == nil then
        return nil
    end
    local value = peek(thing.value, name)
    if value ~= nil then
        return { value = value, owner = thing.value, name = name }
    end
    local class = class_of(thing.value)
    return class and from_class(class, name)
end

--- The annotations of what is called.
---@param thing table from prompt_completion.resolve
---@return table? entry see annotations.lua
local function entry_of(thing)
    return thing.entry or type(thing.value) == "function" and place_known(thing.value).entry
        or thing.class and thing.class.call
end

prompt_completion.entry_of = entry_of

local function from_call(thing)
    local entry = entry_of(thing)
    local class = entry and annotations.result_of(entry)
    return class and { class = class }
end

local function from_name(session, name)
    local value = rawget(session.scope, name)
    if value ~= nil then
        return { value = value }
    end
    local meta = meta_of(session.environment)
    if meta and meta.__peek then
        value = meta.__peek(name)
    else
        value = rawget(session.environment, name)
    end
    if value ~= nil then
        return { value = value }
    end
    local module = learn(name)
    return module and { class = module.class }
end

--- What an expression stands for: a value, a class of values, or a function that is only known by its annotations.
---@param parts table[] see code_chain.ending_at
---@return { value?: any, class?: table, entry?: table, owner?: any, name?: string }?
function prompt_completion.resolve(session, parts)
    local thing
    for _, part in ipairs(parts) do
        if part.name then
            thing = from_name(session, part.name)
        elseif part.call then
            thing = from_call(thing)
        else
            thing = from_field(thing, part.field or part.method or part.key)
        end
        if not thing then
            return nil
        end
    end
    return thing
end

-- ---- what may come ----

local function sorted(set, beginning)
    return keys.sorted(set, function(name) return name:sub(1, #beginning) == beginning end)
end

--- The fields of what an expression stands for, or after a colon its methods.
local function fields_of(thing, only_methods)
    local names = {}
    local class = thing.class or class_of(thing.value)
    for name, entry in pairs(class and class.members or {}) do
        names[name] = entry.kind == "function" or (entry.kind == "method") == only_methods or nil
    end
    for _, level in ipairs(levels(thing.value)) do
        for name, value in next, level do
            if type(name) == "string" and not name:find "^__" and (not only_methods or type(value) == "function") then
                names[name] = true
            end
        end
    end
    return names
end

local function names_of(session)
    local names = {}
    local meta = meta_of(session.environment)
    for _, name in ipairs(meta and meta.__names and meta.__names() or {}) do
        names[name] = true
    end
    for _, source in ipairs { session.scope, session.environment } do
        for name in next, source do
            names[name] = type(name) == "string" or nil
        end
    end
    return names
end

--- The texts that a type allows: of "strict"|"accept-new" both.
local function literals_of(type, names)
    local present = type and types.present(type)
    for _, one in ipairs(present and present.kind == "union" and present.of or { present }) do
        if one.kind == "literal" and one.text:find '^"' then
            names[one.text:sub(2, -2)] = true
        end
    end
    return names
end

--- The parameter that a call is at, from the annotations of what is called.
local function param_at(session, call)
    local thing = prompt_completion.resolve(session, call.parts)
    local entry = thing and entry_of(thing)
    return entry and entry.params and entry.params[call.argument], thing
end

--- The options of a call in whose table the cursor is.
local function options_of(session, list)
    local call = chain.call_around(list, #list + 1)
    local param = call and call.field == true and param_at(session, call)
    local class = param and annotations.class_of(param.type)
    local names = {}
    for name in pairs(class and class.members or {}) do
        names[name] = true
    end
    return names
end

-- ---- what has to be asked for ----

local kept, kept_count = setmetatable({}, { __mode = "k" }), 0

--- The provider of what the first argument of a call may be.
local function provider_of(thing, call)
    if not thing or call.argument ~= 1 or call.field then
        return nil
    end
    local object, name = thing.value, "__call"
    if type(thing.value) == "function" then
        object, name = thing.owner, thing.name
    end
    for _, level in ipairs(levels(object)) do
        local meta = meta_of(level)
        local providers = meta and rawget(meta, "__completes")
        if providers and providers[name] then
            return providers[name], object
        end
    end
end

--- What a provider says, from memory or by a look-up that the caller makes when it has time.
local function ask(provider, object, beginning)
    local place = ("%s %s"):format(tostring(provider), beginning:match "^.*/" or "")
    local answers = kept[object] or {}
    local answer = answers[place]
    if answer and system.monotonic() - answer.at < KEPT_SECONDS then
        return answer.names
    end
    return nil, function()
        local task = native.task
        local ok, names = pcall(function()
            return task.join(task.spawn(LOOKUP_SECONDS, provider, object, beginning))
        end)
        if not ok or type(names) ~= "table" then
            return {}
        end
        kept_count = kept_count < MOST_KEPT and kept_count + 1 or 0
        if kept_count == 0 then
            kept = setmetatable({}, { __mode = "k" })
        end
        kept[object] = kept[object] or {}
        kept[object][place] = { at = system.monotonic(), names = names }
        return names
    end
end

local function as_set(names)
    local set = {}
    for _, name in ipairs(names) do
        set[tostring(name)] = true
    end
    return set
end

--- Loads the module that a call begins with: only the module itself knows what it takes.
local function load_module(session, name)
    local thing = name and from_name(session, name)
    if thing and thing.value == nil then
        pcall(modules.globals.require, name)
    end
end

--- What a string may be that has been begun.
---@return table<string, true>? names, function? lookup
local function texts_for(session, list, beginning)
    local call = chain.call_around(list, #list)
    if not call then
        return nil
    elseif #call.parts == 1 and call.parts[1].name == "require" then
        return as_set(modules.names())
    end
    load_module(session, call.parts[1].name)
    local param, thing = param_at(session, call)
    local provider, object = provider_of(thing, call)
    if provider then
        local names, lookup = ask(provider, object, beginning)
        return names and as_set(names), lookup
    end
    local type = param and param.type
    if call.field then
        local class = param and annotations.class_of(param.type)
        local field = class and class.members[call.field]
        type = field and field.type
    end
    return literals_of(type, {})
end

-- ---- a line ----

local function in_word(session, line)
    local begun = line:match "^%s*:([%w_-]*)$"
    if begun then
        local names = {}
        for name in pairs(session.words) do
            names[name .. " "] = true
        end
        return begun, sorted(names, begun)
    end
    local name, rest = line:match "^%s*:([%w_-]+)%s+(.*)$"
    local word = name and session.words[name]
    if word and word.complete then
        return rest, sorted(as_set(word.complete(session, rest)), rest)
    end
end

local function in_code(session, line)
    local list = {}
    for _, token in ipairs(tokens.of(line)) do
        list[#list + 1] = token.kind ~= "comment" and token or nil
        if token.kind == "comment" and token.to == #line then
            return "", {}
        end
    end
    local last = list[#list]
    if last and last.kind == "string" and last.unfinished then
        local beginning = last.text:match "^[\"'](.*)$" or last.text:match "^%[=*%[(.*)$"
        local names, lookup = texts_for(session, list, beginning)
        return beginning, sorted(names or {}, beginning), lookup and function()
            return sorted(as_set(lookup()), beginning)
        end
    end
    local beginning = last and last.to == #line and (last.kind == "name" or last.kind == "keyword") and last.text or ""
    if beginning ~= "" then
        list[#list] = nil
    end
    last = list[#list]
    if last and (last.text == "." or last.text == ":") then
        local parts = chain.ending_at(list, #list - 1)
        local thing = parts and prompt_completion.resolve(session, parts)
        return beginning, thing and sorted(fields_of(thing, last.text == ":"), beginning) or {}
    end
    local options = sorted(options_of(session, list), beginning)
    return beginning, options[1] and options or sorted(names_of(session), beginning)
end

--- How a line may go on.
---@param session prompt.Session
---@param line string what stands before the cursor
---@return string beginning what of the line the names begin with
---@return string[] names
---@return (fun(): string[])? lookup waits for the names, where they are not known yet
function prompt_completion.of(session, line)
    local beginning, names = in_word(session, line)
    if beginning then
        return beginning, names
    elseif line:find "^%s*:" and not line:find "^%s*:%a+%s" then
        return "", {}
    end
    local head, code = line:match "^(%s*:%a+%s+)(.*)$"
    return in_code(session, head and code or line)
end

--- The annotations' page of what an expression stands for: for `:help acme.host:run`.
---@return string[]?
function prompt_completion.page_of(session, expression)
    local module = learn(expression:match "^[%w_]+" or "")
    local lines = module and page.of(expression)
    if lines then
        return lines
    end
    local list = tokens.of(expression)
    local parts, first = chain.ending_at(list, #list)
    local thing = parts and first == 1 and prompt_completion.resolve(session, parts)
    local entry = thing and entry_of(thing)
    local path = entry and entry.path or thing and thing.class and thing.class.name
    return path and page.of(path)
end

return prompt_completion
