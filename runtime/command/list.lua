-- hostler list: the playbooks, as a table of contents.
local native, import = ...
local list = {}

local manifest, own, folders = import "run/manifest", import "run/own_playbooks", import "run/folders"
local library, modules = import "run/library", import "run/modules"
local lua_source, tables = import "base/lua_source", import "report/rows"
local system = native.system

--- A file that is no playbook (a module beside them) is not listed; a broken one is, with its error.
local function describe(entry)
    local path = entry.paths[1]
    if not lua_source.seems_playbook(system.read_file(path) or "") then
        return nil
    end
    local ok, book = pcall(library.load, path)
    local row = { name = entry.name, path = path, shadows = json.array { unpack(entry.paths, 2) } }
    row.outdated = #row.shadows > 0 and own.is_outdated(own.of(entry))
    if ok and manifest.is(book) then
        row.summary, row.effects, row.handbook = book.summary, book.effects or "write", book.handbook
    else
        local err = native.error.complete(book)
        row.problem = ("line %s: %s"):format(err.line or "?", tostring(err))
    end
    return row
end

local function shadows_of(row)
    if #row.shadows == 0 then
        return ""
    end
    return (" [%s, shadows %s%s]"):format(row.path, table.concat(row.shadows, ", "), row.outdated
        and ("; that has changed since it was copied: hostler diff %s"):format(row.name) or "")
end

local function print_rows(rows)
    local cells = {}
    for index, row in ipairs(rows) do
        local text = row.summary or "does not load: " .. row.problem
        cells[index] = { "  " .. row.name, (system.visible(text .. shadows_of(row))) }
    end
    for _, line in ipairs(tables.align(cells)) do
        system.write_page(line .. "\n")
    end
    if #rows == 0 then
        system.write("no playbooks in " .. table.concat(folders.list(), ", ") .. "\n")
    end
end

---@param argv string[]
---@return integer exit status
function list.main(argv)
    if argv[1] and argv[1] ~= "--json" or argv[2] then
        system.write_error "usage: hostler list [--json]\n"
        return 2
    end
    local rows = {}
    modules.load_only_manifests()
    for _, entry in ipairs(library.playbooks()) do
        rows[#rows + 1] = describe(entry)
    end
    if argv[1] == "--json" then
        system.write_data(json.encode(json.array(rows), true) .. "\n")
    else
        print_rows(rows)
    end
    return 0
end

return list
