-- hostler list: the playbooks and the webhooks, as a table of contents.
local native, import = ...
local list = {}

local commandline, params = import "command/commandline", import "run/params"
local hooks, own, folders = import "inbox/hooks", import "run/own_playbooks", import "run/folders"
local library, modules = import "run/library", import "run/modules"
local lua_source, tables = import "base/lua_source", import "report/rows"
local system = native.system

local SPECS = { params.globals.flag("json", "print a JSON array") }

local function load_webhook(path)
    return hooks.load(path).value
end

--- A file that is neither (a module beside them) is not listed; a broken one is, with its error.
local function describe(entry)
    local path = entry.paths[1]
    local text = system.read_file(path) or ""
    local is_webhook = lua_source.seems_webhook(text)
    if not is_webhook and not lua_source.seems_playbook(text) then
        return nil
    end
    local ok, found = pcall(is_webhook and load_webhook or library.load, path)
    local row = { name = entry.name, path = path, shadows = json.array { unpack(entry.paths, 2) },
        kind = is_webhook and "webhook" or "playbook" }
    row.outdated = #row.shadows > 0 and own.is_outdated(own.of(entry))
    if ok and is_webhook then
        row.summary, row.answers = found.summary, "/hooks/" .. found.path
    elseif ok then
        row.summary, row.effects, row.handbook = found.summary, found.effects or "write", found.handbook
    else
        local err = native.error.complete(found)
        row.problem = ("line %s: %s"):format(err.line or "?", tostring(err))
    end
    return row
end

--- Says of a webhook which other one keeps it from being heard: one of a folder that comes first, or of the same.
local function add_rivals(rows)
    local ranks, nearest = {}, {}
    for rank, folder in ipairs(folders.list()) do
        ranks[folder] = rank
    end
    local function rank_of(row)
        return ranks[row.path:match "^(.*)/"] or math.huge
    end
    for _, row in ipairs(rows) do
        local other = row.answers and nearest[row.answers]
        local is_nearer = other and rank_of(row) < rank_of(other)
        if other and (is_nearer or rank_of(row) == rank_of(other)) then
            other.rival = row.name
        end
        if other and not is_nearer then
            row.rival = other.name
        elseif row.answers then
            nearest[row.answers] = row
        end
    end
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
        local rival = row.rival and ("; not heard: %s answers there too"):format(row.rival) or ""
        text = row.answers and ("%s (POST %s%s)"):format(text, row.answers, rival) or text
        cells[index] = { "  " .. row.name, (system.visible(text .. shadows_of(row))) }
    end
    for _, line in ipairs(tables.align(cells)) do
        system.write_page(line .. "\n")
    end
end

local function print_all(rows)
    local playbooks, webhooks = {}, {}
    for _, row in ipairs(rows) do
        table.insert(row.kind == "webhook" and webhooks or playbooks, row)
    end
    print_rows(playbooks)
    if #playbooks == 0 then
        system.write("no playbooks in " .. table.concat(folders.list(), ", ") .. "\n")
    end
    if #webhooks > 0 then
        system.write "\nwebhooks\n"
        print_rows(webhooks)
    end
end

---@param argv string[]
---@return integer exit status
function list.main(argv)
    return commandline.call("list", SPECS, argv, function(values)
        local rows = {}
        modules.load_only_manifests()
        for _, entry in ipairs(library.playbooks()) do
            rows[#rows + 1] = describe(entry)
        end
        add_rivals(rows)
        if values.json then
            system.write_data(json.encode(json.array(rows), true) .. "\n")
        else
            print_all(rows)
        end
    end)
end

return list
