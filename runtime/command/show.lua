-- hostler show: what a playbook or a webhook does and takes, from its manifest and its opening comment; what a module
-- or a function does, from its annotations.
local native, import = ...
local show = {}

local hooks, params, library = import "inbox/hooks", import "run/params", import "run/library"
local page = import.later "check/annotation_page"
local lua_source, text = import "base/lua_source", import "base/text"
local system = native.system

local function shadowed(name, path)
    for _, entry in ipairs(library.files()) do
        if entry.name == name and entry.paths[1] == path then
            return unpack(entry.paths, 2)
        end
    end
end

--- What a module, a function or a global is, when the name is that of one.
local function print_reference(name)
    local lines = page.of(name)
    if lines then
        system.write_page(table.concat(lines, "\n") .. "\n")
        return true
    end
end

--- What the file says of itself before its manifest, and how the manifest goes on.
local function opening_of(name, book, path)
    local lines = { ("%s — %s"):format(name, book.summary), "" }
    local comment = lua_source.opening_comment(system.read_file(path) or "")
    if #comment > 0 then
        lines[#lines + 1] = "  " .. table.concat(comment, "\n  ") .. "\n"
    end
    if book.description then
        for _, line in ipairs(text.wrap(book.description, 96)) do
            lines[#lines + 1] = "  " .. line
        end
        lines[#lines + 1] = ""
    end
    return lines
end

local function add_place(lines, name, path)
    lines[#lines + 1] = "  file      " .. path
    for _, other in ipairs { shadowed(name, path) } do
        lines[#lines + 1] = "  shadows   " .. other
    end
end

local function playbook_page(name, book, path)
    local lines = opening_of(name, book, path)
    lines[#lines + 1] = ("usage: hostler run %s %s"):format(name, params.usage(book.params))
    for _, line in ipairs(params.explain(book.params)) do
        lines[#lines + 1] = line
    end
    lines[#lines + 1] = ""
    lines[#lines + 1] = "  effects   " .. (book.effects == "read" and "only reads" or "reads and writes")
    if book.handbook then
        lines[#lines + 1] = "  handbook  " .. book.handbook
    end
    add_place(lines, name, path)
    return lines
end

local function webhook_page(name, found, path)
    local lines = opening_of(name, found, path)
    local proof = found.from
    lines[#lines + 1] = ("usage: hostler webhook test %s --file BODY"):format(name)
    lines[#lines + 1] = ""
    lines[#lines + 1] = "  answers   POST /hooks/" .. found.path
    lines[#lines + 1] = "  proof     " .. proof.name
    for _, missing in ipairs(proof.lacks) do
        lines[#lines + 1] = ("            the secret %s is not set here: it answers with 503"):format(missing)
    end
    if found.group then
        lines[#lines + 1] = "  group     " .. found.group
    end
    add_place(lines, name, path)
    return lines
end

---@param argv string[]
---@return integer exit status
function show.main(argv)
    if #argv ~= 1 then
        system.write_error "usage: hostler show NAME\n"
        return 2
    end
    local path, lines, is_one
    local ok, problem = pcall(function()
        path = library.find(argv[1])
        local source = system.read_file(path) or ""
        is_one = lua_source.seems_webhook(source) or lua_source.seems_playbook(source)
        if lua_source.seems_webhook(source) then
            lines = webhook_page(path:match "([^/]+)%.lua$" or path, hooks.load(path).value, path)
        else
            local book, name = library.load(path)
            lines = playbook_page(name, book, path)
        end
    end)
    if not is_one and print_reference(argv[1]) then
        return 0
    elseif not ok then
        local err = native.error.complete(problem)
        local place = err.file and ("%s:%s: "):format(err.file, err.line or "?") or ""
        system.write_error(("hostler: %s%s\n%s"):format(place, tostring(err), err.hint and err.hint .. "\n" or ""))
        return 2
    end
    system.write_page(table.concat(lines, "\n") .. "\n")
    return 0
end

return show
