-- hostler run: a playbook from its name to its exit status.
local native, import = ...
local run = {}

local library, manifest, params = import "library", import "manifest", import "params"
local gate, failure, talk, step = import "gate", import "failure", import "talk", import "step"
local event, system = native.event, native.system

local EXIT = { parked = 3, locked = 4 }
local EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

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

local function all_specs(book)
    local specs = {}
    for _, spec in ipairs(book.params) do
        specs[#specs + 1] = spec
    end
    for _, spec in ipairs(manifest.run_options) do
        specs[#specs + 1] = spec
    end
    return specs
end

local function choose_report(values)
    local live = system.isatty(1) and (system.env "TERM" or "dumb") ~= "dumb"
    event.report(values.json and "json" or live and "tree" or "plain", values.verbose and 1 or 0)
end

local function quoted(word)
    return word:match "^[%w@%%+=:,./_-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

local function command_line(name, argv)
    local words = { "hostler run " .. name }
    for _, word in ipairs(argv) do
        words[#words + 1] = quoted(word)
    end
    return table.concat(words, " ")
end

local function report_failure(err, name, argv, verbose)
    local lines = { "", failure.describe(err, verbose or err.code == "lua" or err.code == "internal") }
    local done = step.finished()
    if #done > 0 then
        lines[#lines + 1] = "  done      " .. (#done <= 12 and table.concat(done, ", ") or #done .. " steps")
    else
        lines[#lines + 1] = "  done      " .. (gate.performed.write == 0 and "nothing was changed" or "no step")
    end
    lines[#lines + 1] = "  command   " .. command_line(name, argv)
    system.write_error(table.concat(lines, "\n") .. "\n")
end

local function status_of(err)
    return native.task.interrupted() and EXIT_INTERRUPTED or EXIT[err.code] or EXIT_FAILED
end

--- Runs the playbook as a task of its own: what it left running ends with it, and this task lives to record how it
--- ended.
local function perform(book, values)
    local task = native.task
    local ok, err = pcall(task.join_shielded, task.spawn(nil, book.run, values))
    if ok and task.interrupted() then -- it has caught its cancellation
        ok, err = pcall(task.checkpoint)
    end
    return ok, not ok and native.error.complete(err) or nil
end

local function execute(book, name, given, argv, values)
    choose_report(values)
    gate.mode = book.effects == "read" and "read-only" or values.dry_run and "dry-run" or "normal"
    talk.assume_yes = values.yes
    local context = native.task.context()
    context.path = name
    native.journal.run_begin(name, native.json.show(values))
    context.scope = event.emit("run.begin", {
        name = name, text = command_line(given, argv), kind = gate.mode,
    })
    local started = system.monotonic()
    local ok, err = perform(book, values)
    local status = ok and "done" or err.code == "cancelled" and "cancelled" or "failed"
    native.journal.run_end(status, not ok and native.json.show(tostring(err)) or nil)
    event.emit("run.end", {
        scope = context.scope, name = name, status = status, seconds = system.monotonic() - started, kind = gate.mode,
        text = not ok and tostring(err) or nil, count = gate.performed.write,
    })
    event.report "none"
    if ok then
        return 0
    end
    report_failure(err, given, argv, values.verbose)
    return status_of(err)
end

local function print_usage(err, book, name)
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
    local ok, book, short = pcall(function() return library.load(library.find(name)) end)
    if not ok then
        return print_usage(native.error.complete(book))
    end
    for _, word in ipairs(rest) do
        if word == "--" then
            break
        elseif word == "--help" or word == "-h" then
            return import "show".main { name }
        end
    end
    local parsed, values = pcall(params.parse, all_specs(book), rest)
    if not parsed then
        return print_usage(native.error.complete(values), book, short)
    end
    return execute(book, short, name, rest, values)
end

return run
