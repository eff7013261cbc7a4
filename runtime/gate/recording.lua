-- Recordings: what a run asked of the outside and was answered, kept in a file; and a run that gets the same answers
-- from the file, without the outside.
--
-- The file has one JSON object a line: the run, then what it asked, in the order it asked; in the last line a digest of
-- all before it, so that a file that is damaged is not taken for what the outside said. Besides effects that is what
-- else comes from outside and decides what a playbook does: settings, the time, answers of a person. It is written when
-- the run has ended, for only then all secrets are known that have to be left out.
--
-- A replay looks an effect up by the place that asks (its step, else the item or the run) and by what it is; of equal
-- ones the next. So tasks side by side may come in any order. What is not found is where an edited playbook first does
-- something else.
local native, import = ...
local recording = {
    --- "record" or "replay" while a run is one of these.
    mode = nil,
}

local places, values = import "base/place", import "gate/recorded_values"
local json, system, task = native.json.face, native.system, native.task

local VERSION = 2
local MOST_BYTES = 128 * 1024 * 1024 -- what a replay is ready to read
local READER_SECONDS = 10 -- what the reader of a pipe has for the recording of a run that is cancelled
local path, header, reader
-- What keeps a pipe open while the run goes on.
local held
-- What the environment said, by name; json.null for nothing.
local settings = {}
-- Recording: the entries in their order. Replaying: the same, and by place and identity those that are still to come.
local entries, waiting = {}, {}
local difference

local function problem(message, hint)
    error(native.error.new { code = "recording", message = message, hint = hint }, 0)
end

-- ---- entries ----

local function place_of(context)
    return context.step or context.path or ""
end

local function entry_of(effect, context)
    return {
        place = place_of(context), kind = effect.kind, name = effect.name,
        target = effect.target ~= nil and tostring(effect.target) or nil, summary = tostring(effect.summary),
        inputs = effect.inputs ~= nil and values.digest(effect.inputs) or nil, at = places.innermost(),
    }
end

local function key_of(entry)
    return table.concat({ entry.place, entry.kind, entry.name, entry.target or "", entry.summary, entry.inputs or "" },
        "\n")
end

local function in_words(entry)
    return ("%s %s on %s: %s"):format(entry.kind, entry.name, entry.target or "?", entry.summary)
end

-- ---- recording ----

--- The fields of an error that say what happened; where and in which step it is raised comes anew.
local function copy_error(err)
    local fields = {}
    for name, value in pairs(err) do
        if name == "cause" and native.error.is(value) then
            fields.cause = copy_error(value)
        elseif name ~= "traceback" and name ~= "file" and name ~= "line" and name ~= "step" then
            local ok, copied = pcall(values.copy, value)
            fields[name] = ok and copied or nil
        end
    end
    return fields
end

local function keep(entry, started, ok, ...)
    entry.seconds = math.floor((system.monotonic() - started) * 1000) / 1000
    if not ok then
        local err = native.error.complete((...))
        entry.error = copy_error(err)
        error(err, 0)
    end
    entry.count = select("#", ...)
    entry.results = values.copy { ... }
    return ...
end

local function record(entry, run, ...)
    entries[#entries + 1] = entry
    return keep(entry, system.monotonic(), pcall(run, ...))
end

--- Writes the recording: a whole file, or what a pipe carries. When the run is cancelled nobody waits for long any more
--- for whoever reads the pipe.
local function save(text)
    if not held then
        return system.write_private(path, text)
    elseif pcall(task.checkpoint) then
        return task.write_stream(path, text)
    end
    local writing = task.spawn_shielded(READER_SECONDS, task.write_stream, path, text)
    local ok, written, reason = pcall(task.join_shielded, writing)
    return ok and written, not ok and tostring(written) or reason
end

--- Begins to record into the file, which must be writable. A pipe carries only a recording that is whole.
---@param file string
---@param run { playbook: string, arguments: string[], yes: boolean }
---@raise "recording"
function recording.begin(file, run)
    path, recording.mode = file, "record"
    header = {
        recording = VERSION, version = system.version(), playbook = run.playbook, arguments = json.array(run.arguments),
        yes = run.yes, status = "running", started = system.now(),
    }
    local ok, reason
    if task.is_stream(path) then
        ok, reason = task.hold_stream(path)
        held = ok
    else
        ok, reason = system.write_private(path, json.encode { recording = VERSION, status = "running" } .. "\n")
    end
    if not ok then
        problem(("the recording %s cannot be written: %s"):format(path, reason))
    end
end

--- An entry as it is written: with `result`, or `results` where there are several, or `error`.
local function line_of(entry, writer)
    local results, count = entry.results, entry.count
    entry.results, entry.count = nil, nil
    local line = writer:value(entry)
    if count == 1 and results[1] ~= nil then
        line.result = writer:value(results[1])
    elseif count and count > 1 then
        line.results = json.array {}
        for index = 1, count do
            line.results[index] = results[index] == nil and { ["$nil"] = true } or writer:value(results[index])
        end
    end
    return line
end

local function write()
    local writer, lines = values.writer(), {}
    for index, entry in ipairs(entries) do
        lines[index + 1] = json.encode(line_of(entry, writer))
    end
    header.settings = writer:value(settings)
    header.playbook, header.arguments = writer:value(header.playbook), writer:value(header.arguments)
    header.secrets = writer.lengths
    lines[1] = json.encode(header)
    local text = table.concat(lines, "\n") .. "\n"
    text = text .. json.encode { digest = system.hash(text) } .. "\n"
    if #text > MOST_BYTES then
        return nil, ("it would be larger than the %d MiB that a replay reads"):format(MOST_BYTES / 1024 / 1024)
    end
    return save(text)
end

--- Writes the recording of a run that has ended.
---@raise "recording"
function recording.finish(status)
    if recording.mode ~= "record" then
        return
    end
    recording.mode, header.status = nil, status
    local ok, reason = write()
    held = nil
    if not ok then
        problem(("the recording %s cannot be written: %s"):format(path, reason))
    end
end

-- ---- replaying ----

local function read_line(file, number, line)
    local ok, value = pcall(json.decode, line)
    if not ok or type(value) ~= "table" then
        problem(("line %d of %s is not one of a recording"):format(number, file), "record it again")
    end
    return value
end

local function read_header(file, line)
    local found = read_line(file, 1, line)
    if found.recording ~= VERSION then
        problem(("%s is not a recording, or one of another version"):format(file), "record it again")
    elseif found.status == "running" then
        problem(("the run that was to be recorded in %s did not end"):format(file), "record it again")
    end
    return found
end

-- The lines of a recording that is whole and as it was written.
local function read_lines(file, text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    if #lines == 0 then
        problem(("%s is empty"):format(file), "record it again")
    end
    header = read_header(file, lines[1])
    local last = table.remove(lines)
    local digest = #lines > 0 and text:find "\n$" and read_line(file, #lines + 1, last).digest
    if type(digest) ~= "string" then
        problem(("%s is cut off after its line %d"):format(file, #lines), "record it again")
    elseif digest ~= system.hash(text:sub(1, #text - #last - 1)) then
        problem(("%s is not as it was recorded: its text has changed since"):format(file), "record it again")
    end
    return lines
end

--- Reads a recording, so that the playbook finds the settings that it had. To be called before it is loaded.
---@return { arguments: string[], yes: boolean, status: string }
---@raise "recording" also for a file that is cut off, or that has changed since it was written
function recording.open(file)
    local text, reason = task.read_stream(file, MOST_BYTES)
    if not text then
        problem(("the recording %s cannot be read: %s"):format(file, reason))
    end
    local lines = read_lines(file, text)
    for number = 2, #lines do
        entries[number - 1] = read_line(file, number, lines[number])
    end
    reader = values.reader(header.secrets)
    settings = reader:value(header.settings)
    for _, entry in ipairs(entries) do
        for _, field in ipairs { "place", "target", "summary" } do
            entry[field] = reader:value(entry[field])
        end
        local key = key_of(entry)
        waiting[key] = waiting[key] or { next = 1 }
        table.insert(waiting[key], entry)
    end
    recording.mode = "replay"
    return { arguments = reader:value(header.arguments), yes = header.yes, status = header.status }
end

--- The first entry that has not been asked for: of this place, else of all.
local function expected(place)
    local first
    for _, entry in ipairs(entries) do
        if not entry.answered and entry.kind ~= "value" then
            if entry.place == place then
                return entry
            end
            first = first or entry
        end
    end
    return first
end

local function differ(entry)
    local other = expected(entry.place)
    local words = "nothing more"
    if other and in_words(other) == in_words(entry) then
        words = "the same with other inputs"
    elseif other then
        words = in_words(other)
    end
    local err = native.error.new {
        code = "replay", message = "the recording has no such effect: " .. in_words(entry), target = entry.target,
        hint = ("recorded here is: %s%s"):format(words, other and other.at and (" (%s)"):format(other.at) or ""),
        expected = other and in_words(other), actual = in_words(entry),
    }
    difference = difference or native.error.complete(err)
    error(err, 0)
end

local function raise_recorded(fields)
    local function build(written)
        local err = {}
        for name, value in pairs(written) do
            local is_error = name == "cause" and type(value) == "table" and value.code
            err[name] = is_error and build(value) or reader:value(value)
        end
        return native.error.new(err)
    end
    error(build(fields), 0)
end

local function answer(entry, context, spare, ...)
    local queue = waiting[key_of(entry)]
    local found = queue and queue[queue.next]
    if not found then
        if spare then
            return spare(...)
        end
        differ(entry)
    end
    queue.next, found.answered = queue.next + 1, true
    context.skipped_seconds = (context.skipped_seconds or 0) + (found.seconds or 0)
    if found.error then
        raise_recorded(found.error)
    end
    local results, count = {}, 0
    for index, written in ipairs(found.results or { found.result }) do
        count = index
        if not (type(written) == "table" and written["$nil"]) then
            results[index] = reader:value(written)
        end
    end
    return unpack(results, 1, count)
end

--- What makes a replay a failure although the playbook has ended well: the first effect that the recording does not
--- have, whatever the playbook made of it; or effects that it has and that nobody asked for.
---@return table? err
function recording.difference()
    if recording.mode ~= "replay" then
        return nil
    elseif difference or header.status ~= "done" then
        return difference
    end
    local left = expected()
    return left and native.error.new {
        code = "replay", message = "the playbook has ended without an effect that was recorded: " .. in_words(left),
        target = left.target, step = left.place ~= "" and left.place or nil,
        hint = left.at and "it was asked for in " .. left.at or nil, expected = in_words(left),
    }
end

-- ---- what the gate and the prelude ask ----

--- Performs an effect, and records it; or answers it from the recording.
---@param effect table as gate.perform takes it
---@param nested boolean whether it is part of another effect: that one has the answer
function recording.perform(effect, context, nested, run, ...)
    if not recording.mode or nested then
        return run(...)
    end
    local entry = entry_of(effect, context)
    if recording.mode == "record" then
        return record(entry, run, ...)
    end
    return answer(entry, context)
end

--- What else comes from outside, is no effect, and may be different at each look: the time, the state of a connection.
---@param name string
---@param label string which of them
---@param run function what looks
---@param repeatable? boolean whether a replay that has no more of them may look by itself
function recording.value(name, label, run, repeatable)
    local context = recording.mode and task.context()
    if not recording.mode or context.effect_kind then
        return run()
    end
    local entry = { place = place_of(context), kind = "value", name = name, summary = label }
    if recording.mode == "record" then
        return record(entry, run)
    end
    return answer(entry, context, repeatable and run or nil)
end

--- What the environment says: the same for all of a run.
---@param name string
---@param look fun(): string|secret|nil
function recording.setting(name, look)
    if settings[name] == nil then
        local value = look()
        settings[name] = value == nil and json.null or value
    end
    if settings[name] ~= json.null then
        return settings[name]
    end
end

--- How long a pause of so many seconds takes: none in a replay.
function recording.pause(seconds)
    if recording.mode ~= "replay" then
        return seconds
    end
    local context = task.context()
    context.skipped_seconds = (context.skipped_seconds or 0) + seconds
    return 0
end

--- A clock that goes on while a replay skips time.
function recording.monotonic()
    local skipped = recording.mode == "replay" and task.context().skipped_seconds or 0
    return system.monotonic() + skipped
end

--- Refuses what a recording cannot hold.
---@raise "recording"
function recording.refuse(what)
    if recording.mode then
        problem(("%s cannot be recorded or replayed"):format(what))
    end
end

return recording
