-- :mark and :save: what was typed at a prompt, as a playbook.
local native, import = ...
local prompt_save = {}

local sandbox = import "base/sandbox"
local checks, history = import "check/check", import "prompt/history"
local manifest, folders, modules = import "run/manifest", import "run/folders", import "run/modules"
local saved_entry = import "prompt/save_entry"
local refuse = import "base/misuse".refuse

local HEAD = [[
-- %s, from what was typed at a prompt on %s.
--
-- Read it through before you run it: its steps are called after what they did, and every value that was written out in
-- a call is a parameter. `hostler run %s --dry-run` shows what it would do.
]]

local BODY = [[
return playbook {
    summary = "%s, as it was done at a prompt",
%s%s    run = function(%s)
%s
    end,
}
]]

-- ---- what belongs to it ----

--- The latest entry before a number that gave a name its value.
local function find_origin(reads, name, number)
    for index = number - 1, 1, -1 do
        local names = reads[index] and reads[index].names
        if names and (names.assigned[name] or names.declared[name] or names.assigned_inside[name]) then
            return reads[index]
        end
    end
end

--- Entries before the mark that gave their values to names which the chosen ones use.
local function add_origins(session, reads, chosen)
    local open = {}
    for _, read in pairs(chosen) do
        open[#open + 1] = read
    end
    while #open > 0 do
        local read = table.remove(open)
        for name in pairs(read.names.read) do
            local origin = find_origin(reads, name, read.entry.number)
            if origin and origin.entry.file then
                refuse(("'%s' comes from %s, and a playbook cannot load that"):format(name, origin.entry.file),
                    "make a module of that file, and require it")
            elseif origin and not chosen[origin.entry.number] then
                chosen[origin.entry.number], open[#open + 1] = origin, origin
            elseif name == "_" or name == "_err" then
                refuse(("entry %d uses %s: %s"):format(read.entry.number, name, read.source),
                    "give the value a name, and type it again after :mark")
            end
        end
    end
    return session
end

--- The entries since the mark that went well, and those they build on, in their order.
local function choose(session)
    local reads, chosen, list = {}, {}, {}
    for number, entry in ipairs(session.entries) do
        if entry.ok then
            reads[number] = saved_entry.read(entry)
            chosen[number] = number > (session.mark or 0) and not entry.file and reads[number] or nil
        end
    end
    add_origins(session, reads, chosen)
    for number = 1, #session.entries do
        local read = chosen[number]
        if read and history.holds_secret(read.source) then
            refuse(("a secret is written out in entry %d"):format(number),
                "a playbook gets it by secret(\"NAME\"); type it so, after :mark")
        end
        list[#list + 1] = read
    end
    return list
end

--- The modules that are used by their names, and not assigned.
local function modules_of(list)
    local found, names, assigned = {}, {}, {}
    for _, read in ipairs(list) do
        for _, set in ipairs { read.names.assigned, read.names.declared, read.names.assigned_inside } do
            for name in pairs(set) do
                assigned[name] = true
            end
        end
    end
    for _, read in ipairs(list) do
        for name in pairs(read.names.read) do
            if not found[name] and not assigned[name] and rawget(sandbox.globals, name) == nil
                and modules.exists(name) then
                found[name], names[#names + 1] = true, name
            end
        end
    end
    table.sort(names)
    return names
end

-- ---- the text ----

local function params_text(params)
    local lines = {}
    for _, param in ipairs(params.list) do
        local default = param.type == "int" and param.default or ("%q"):format(param.default)
        lines[#lines + 1] = ("        opt(\"%s\", \"%s\", %q, %s),"):format(param.name, param.type, param.help, default)
    end
    return #lines > 0 and ("    params = {\n%s\n    },\n"):format(table.concat(lines, "\n")) or ""
end

--- The source of a playbook.
---@param session prompt.Session
---@param name string
---@return string
function prompt_save.text(session, name)
    local list = choose(session)
    if #list == 0 then
        refuse("nothing was typed since :mark that went well", "without :mark, all of the session counts")
    end
    local params = { list = {}, by_value = {}, taken = {} }
    for _, option in ipairs(manifest.run_options) do
        params.taken[option.name] = true
    end
    local state, lines, writes = { declared = { p = true }, steps = {} }, {}, false
    local required = modules_of(list)
    for _, module in ipairs(required) do
        state.declared[module] = true
    end
    for _, read in ipairs(list) do
        local edits = saved_entry.offer(session, read, params)
        for _, line in ipairs(saved_entry.lines(read, edits, state)) do
            lines[#lines + 1] = line
        end
        for _, effect in ipairs(read.entry.effects) do
            writes = writes or effect.kind == "write"
        end
    end
    local requires = {}
    for index, module in ipairs(required) do
        requires[index] = ("local %s = require \"%s\"\n"):format(module, module)
    end
    return HEAD:format(name, os.date "%Y-%m-%d", name) .. table.concat(requires) .. (#requires > 0 and "\n" or "")
        .. BODY:format(name, writes and "" or "    effects = \"read\",\n", params_text(params),
            #params.list > 0 and "p" or "", table.concat(lines, "\n"))
end

--- Writes the playbook into the person's own folder, and checks it.
---@param session prompt.Session
---@param name string
function prompt_save.save(session, name)
    if not name:find "^[a-z][a-z0-9-]*$" then
        refuse("a playbook's name is lower-case words joined by dashes: :save fix-acme")
    end
    local folder = folders.own()
    local path = folder .. "/" .. name .. ".lua"
    local text = prompt_save.text(session, name)
    local written, reason = native.user_files.make_directory(folder)
    if written then
        written, reason = native.user_files.create(path, text)
    end
    if not written then
        refuse(("%s cannot be made: %s"):format(path, reason), "take another name: :save " .. name .. "-2")
    end
    session:say("saved as " .. path)
    checks.print(checks.files { path }, 1)
end

return prompt_save
