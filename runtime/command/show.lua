-- hostler show: what a playbook or a webhook does and takes, from its manifest and its opening comment; what a module
-- or a function does, from its annotations.
local native, import = ...
local show = {}

local commandline, hooks = import "command/commandline", import "inbox/hooks"
local params, library = import "run/params", import "run/library"
local page = import.later "check/annotation_page"
local lua_source, text = import "base/lua_source", import "base/text"
local system = native.system

local SPECS = { params.globals.arg("name", "string", "a playbook, a webhook, a module, a global, "
    .. "a function such as ssh.connect, a method such as ssh.Host:run") }

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

--- Whether lines, a little further right, can be shown as they are.
local function fits(lines)
    local room = system.isatty(1) and system.width() - 2 or math.huge
    for _, line in ipairs(lines) do
        if text.characters(line) > room then
            return false
        end
    end
    return true
end

--- What the file says of itself before its manifest, and how the manifest goes on.
local function opening_of(name, book, path)
    local lines = { ("%s — %s"):format(name, book.summary), "" }
    local comment = lua_source.opening_comment(system.read_file(path) or "")
    if not fits(comment) then
        comment = text.unwrapped(comment)
    end
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

--- The page of a playbook or a webhook.
---@return boolean is_one whether the file is one, also when it is broken
---@return string[]? lines
---@return table? problem
local function page_of_file(name)
    local is_one = false
    local ok, result = xpcall(function()
        local path = library.find(name)
        local source = system.read_file(path) or ""
        local is_webhook = lua_source.seems_webhook(source)
        is_one = is_webhook or lua_source.seems_playbook(source)
        if is_webhook then
            return webhook_page(path:match "([^/]+)%.lua$" or path, hooks.load(path).value, path)
        end
        local book, short = library.load(path)
        return playbook_page(short, book, path)
    end, native.error.complete)
    return is_one, ok and result or nil, not ok and result or nil
end

---@param argv string[]
---@return integer exit status
function show.main(argv)
    return commandline.call("show", SPECS, argv, function(values)
        local is_one, lines, err = page_of_file(values.name)
        if not is_one and print_reference(values.name) then
            return 0
        elseif err then
            local place = err.file and ("%s:%s: "):format(err.file, err.line or "?") or ""
            system.write_error(("hostler: %s%s\n%s"):format(place, tostring(err),
                err.hint and err.hint .. "\n" or ""))
            return 2
        end
        system.write_page(table.concat(lines, "\n") .. "\n")
    end)
end

return show
