-- hostler run: a playbook from its name to its exit status.
local native, import = ...
local run = {}

local library, manifest, params = import "library", import "manifest", import "params"
local execution, failure, journal = import "execution", import "failure", import "journal"
local unfinished = import "unfinished"
local system = native.system

local EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

--- The playbook's name is the first word that is not an option; what is left is its command line.
local function split(argv)
    local rest, name = {}, nil
    for _, word in ipairs(argv) do
        if not name and not word:match "^%-" then
            name = word
        else
            rest[#rest + 1] = word
        end
    end
    return name, rest
end

--- What the command line of a playbook may hold: its parameters and the options of every run.
---@return table[] specs for params.parse
function run.specs(book)
    local specs = {}
    for _, spec in ipairs(book.params) do
        specs[#specs + 1] = spec
    end
    for _, spec in ipairs(manifest.run_options) do
        specs[#specs + 1] = spec
    end
    return specs
end

--- Says what is wrong with the command line or the playbook.
---@return integer exit status
function run.print_usage(err, book, name)
    local lines = { "hostler: " .. tostring(err) }
    if err.file then
        lines[1] = ("hostler: %s:%s: %s"):format(err.file, err.line or "?", tostring(err))
    end
    if err.hint then
        lines[#lines + 1] = err.hint
    end
    if book then
        lines[#lines + 1] = ("usage: hostler run %s %s"):format(name, params.usage(book.params))
        for _, line in ipairs(params.explain(book.params)) do
            lines[#lines + 1] = line
        end
    end
    system.write_error(table.concat(lines, "\n") .. "\n")
    return native.task.interrupted() and EXIT_INTERRUPTED or EXIT_USAGE
end

--- Begins to record the run. A dry run leaves no trace; one that only reads has nothing to resume, so it goes on,
--- with a warning, where there is no journal: it may be about to find out why.
local function record(new, path)
    local mode = execution.mode(new.book, new.options)
    if mode == "dry-run" then
        return
    end
    local ok, err = xpcall(function()
        unfinished.check(new, run.specs(new.book))
        new.id = journal.begin { playbook = new.name, file = path, arguments = new.arguments, mode = mode }
        library.keep()
    end, native.error.complete)
    if ok then
        return
    elseif mode ~= "read-only" then
        error(err, 0)
    end
    journal.run = nil
    system.write_error(("hostler: this run is not recorded: %s\n"):format(tostring(err)))
end

--- argv without "run". Returns the exit status.
---@param argv string[]
---@return integer
function run.main(argv)
    local name, rest = split(argv)
    if not name then
        if rest[1] == "--help" or rest[1] == "-h" then
            return import "help".main {}
        end
        system.write_error "hostler: which playbook?\nusage: hostler run NAME [ARGUMENTS] [--option VALUE]\n"
        system.write_error "`hostler list` shows what there is\n"
        return EXIT_USAGE
    end
    local found, path = pcall(library.find, name)
    local ok, book, short = pcall(library.load, found and path or "")
    if not found or not ok then
        return run.print_usage(native.error.complete(not found and path or book))
    end
    for _, word in ipairs(rest) do
        if word == "--" then
            break
        elseif word == "--help" or word == "-h" then
            return import "show".main { name }
        end
    end
    local parsed, values = pcall(params.parse, run.specs(book), rest)
    if not parsed then
        return run.print_usage(native.error.complete(values), book, short)
    end
    local new = { book = book, name = short, given = name, arguments = rest, values = values, options = values }
    local recorded, err = pcall(record, new, path)
    if not recorded then
        system.write_error(failure.describe(native.error.complete(err)) .. "\n")
        return failure.exit_status_before(err)
    end
    return execution.run(new)
end

return run
