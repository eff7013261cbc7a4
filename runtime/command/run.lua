-- hostler run: a playbook from its name to its exit status.
local native, import = ...
local run = {}

local manifest, params, library = import "run/manifest", import "run/params", import "run/library"
local texts = import "run/texts"
local play, execution, failure = import "command/play", import "run/execution", import "run/failure"
local recording, current, run_record = import "gate/recording", import "journal/current", import "journal/runs"
local queue, moment = import "queue/queue", import "base/moment"
local unfinished = import "run/unfinished"
local show = import.later "command/show"
local system = native.system

local USAGE = "usage: hostler run NAME [ARGUMENTS] [--option VALUE]\n"
local EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

--- The playbook's name is the first word that is not an option, or the value of one; what is left is its command line.
local function split(argv)
    local rest, name = {}, nil
    for index, word in ipairs(argv) do
        local before = argv[index - 1]
        if not name and not word:match "^%-" and before ~= "--record" and before ~= "--replay" then
            name = word
        else
            rest[#rest + 1] = word
        end
    end
    return name, rest
end

--- Takes an option and its value out of a command line, before anything is known of the playbook's own.
---@return string? value, string[] rest
local function take_option(words, name)
    local rest, value, options = {}, nil, true
    for _, word in ipairs(words) do
        options = options and word ~= "--"
        if value == true then
            value = word
        elseif options and word == "--" .. name then
            value = true
        elseif options and word:sub(1, #name + 3) == "--" .. name .. "=" then
            value = word:sub(#name + 4)
        else
            rest[#rest + 1] = word
        end
    end
    return value ~= true and value or nil, rest
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
    system.write_page(table.concat(lines, "\n") .. "\n", true)
    return native.task.interrupted() and EXIT_INTERRUPTED or EXIT_USAGE
end

local function refuse(message, hint)
    error(native.error.new { code = "usage", message = message, hint = hint }, 0)
end

--- What tells how a run waits in the queue.
local function check_waiting(options)
    for _, name in ipairs { "key", "priority", "at", "in" } do
        if options["queue_" .. name] and not options.queue then
            refuse(("--%s is for runs that are left to the workers"):format(name), "give it together with --queue")
        end
    end
    local at = options.queue_at
    if at and options.queue_in then
        refuse("--at and --in do not go together", "leave out one")
    elseif at and not moment.parse(at, system.now()) then
        refuse(("--at must be %s, not '%s'"):format(moment.expected, at))
    end
end

--- Of --dry-run, --queue, --record and --replay a run may have one.
local function check_options(options)
    check_waiting(options)
    local given = {}
    for _, name in ipairs { "dry_run", "queue", "record", "replay" } do
        if options[name] then
            given[#given + 1] = "--" .. name:gsub("_", "-")
        end
    end
    if options.queue and options.debug then
        given = { "--queue", "--debug" }
    end
    if #given > 1 then
        refuse(table.concat(given, " and ") .. " do not go together", "leave out all but one")
    end
end

--- Begins to record the run. A dry run and a replay leave no trace; one that only reads has nothing to resume, so it
--- goes on, with a warning, where there is no journal: it may be the one that looks for the reason, as doctor does.
local function record(new)
    local mode = execution.mode(new.book, new.options)
    if mode == "dry-run" or new.options.replay then
        return
    end
    local ok, err = xpcall(function()
        unfinished.check(new, manifest.specs(new.book))
        if new.options.record then
            recording.begin(new.options.record, {
                playbook = new.given, arguments = new.arguments, yes = new.options.yes,
            })
        end
        new.id = run_record.begin { playbook = new.name, file = new.path, arguments = new.arguments, mode = mode }
        texts.keep()
    end, native.error.complete)
    if ok then
        return
    elseif mode ~= "read-only" or err.code == "recording" then
        error(err, 0)
    end
    current.set(nil)
    system.write_error(("hostler: this run is not recorded: %s\n"):format(tostring(err)))
end

--- The arguments of the run that was recorded, where a replay is given none.
local function recorded_arguments(taped, words)
    local _, given = take_option(words, "replay")
    for _, word in ipairs(given) do
        if not word:find "^%-" then
            return words
        end
    end
    local _, arguments = take_option(taped.arguments, "record")
    for index, word in ipairs(words) do
        table.insert(arguments, index, word)
    end
    return arguments
end

--- Finds the playbook and loads it; in a replay, with the settings it had.
local function load(name, words)
    local path = library.find(name)
    local file = take_option(words, "replay")
    local taped = file and recording.open(file)
    local book, short = library.load(path)
    return {
        book = book, name = short, given = name, path = path, taped = taped,
        arguments = taped and recorded_arguments(taped, words) or words,
    }
end

local function wants_help(words)
    for _, word in ipairs(words) do
        if word == "--" then
            return false
        elseif word == "--help" or word == "-h" then
            return true
        end
    end
    return false
end

--- From when on a worker may begin the run, in seconds since the epoch; nil: at once.
local function not_before(options)
    local pause = options.queue_in
    return options.queue_at and moment.parse(options.queue_at, system.now()) or pause and system.now() + pause
end

--- Leaves the run to the workers.
local function enqueue(new)
    local options = new.options
    local key = options.queue_key
    local id, is_new = key and run_record.of_key(key), false
    if not id then
        unfinished.check(new, manifest.specs(new.book))
        id, is_new = run_record.enqueue({
            playbook = new.name, file = new.path, arguments = new.arguments, mode = execution.mode(new.book, options),
            key = key, priority = options.queue_priority, not_before = not_before(options), at_most = new.book.at_most,
        }, texts.keep)
        queue.ring_written()
    end
    local later = is_new and not_before(options)
    if later and later <= system.now() then
        system.write_error(("hostler: %s has passed, so the run may begin at once\n"):format(options.queue_at))
        later = nil
    end
    system.write((is_new and "run %s is queued%s\n" or "run %s has this key, so there is no second one\n"):format(id,
        later and os.date(", to begin at %Y-%m-%d %H:%M or later", later) or ""))
end

--- What every run takes.
---@return integer exit status
local function explain()
    system.write_page(USAGE .. table.concat(params.explain(manifest.run_options), "\n")
        .. "\n\n`hostler show NAME` says what a playbook takes\n")
    return 0
end

--- argv without "run". Returns the exit status.
---@param argv string[]
---@return integer
function run.main(argv)
    local name, rest = split(argv)
    if not name then
        if wants_help(rest) then
            return explain()
        end
        system.write_error("hostler: which playbook?\n" .. USAGE .. "`hostler list` shows what there is\n")
        return EXIT_USAGE
    end
    local loaded, new = pcall(load, name, rest)
    if not loaded then
        return run.print_usage(native.error.complete(new))
    elseif wants_help(rest) then
        return show.main { name }
    end
    local parsed, values = pcall(params.parse, manifest.specs(new.book), new.arguments)
    if parsed then
        new.values, new.options = values, values
        parsed, values = pcall(check_options, values)
    end
    if not parsed then
        return run.print_usage(native.error.complete(values), new.book, new.name)
    end
    if new.taped then
        new.options.yes = new.options.yes or new.taped.yes
    end
    local recorded, err = pcall(new.options.queue and enqueue or record, new)
    if not recorded then
        system.write_page(failure.describe(native.error.complete(err)) .. "\n", true)
        return failure.exit_status_before(err)
    end
    return new.options.queue and 0 or play.run(new)
end

return run
