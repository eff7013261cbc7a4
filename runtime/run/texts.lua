-- The texts that the files of this run were loaded from: its playbook and the modules that this requires. A resumed run
-- has texts of its own, which count instead of the files.
local native, import = ...
local texts = {}

local lua_source, sandbox = import "base/lua_source", import "base/sandbox"
local sources_kept, wording = import "journal/sources", import "base/text"
local system = native.system

-- By path, and by name in the order they were loaded ("playbook", or the module's).
local by_path, loaded = {}, {}
local keeping = false
-- What the files of kept texts were when those were loaded, by path.
local beside_kept = {}
-- The hashes of functions by their places.
local codes = {}
-- The files that a resumed run keeps, by name.
local kept = {}

--- Keeps a text with the run, unless it is what the run keeps already.
local function keep(name, path, text)
    local before = kept[name]
    if not before or before.path ~= path or before.text ~= text then
        sources_kept.keep(name, path, text)
    end
end

--- The text of a file, or what is kept of it, without a first line for the shell; remembered under its name.
---@return string
---@raise "load"
function texts.read(path, name)
    local source, reason = (kept[name] or {}).text, nil
    if source then
        beside_kept[path] = system.read_file(path)
    else
        source, reason = system.read_file(path)
    end
    if not source then
        error(native.error.new { code = "load", message = ("cannot read %s: %s"):format(path, reason) }, 0)
    end
    by_path[path] = source
    if name then
        loaded[#loaded + 1] = { name = name, path = path }
        if keeping then
            keep(name, path, source)
        end
    end
    return lua_source.without_shebang(source)
end

--- Compiles a file.
---@param path string
---@param name? string what it is remembered as: "playbook", or the module's name
---@return function chunk
---@raise "load", "syntax"
function texts.load(path, name)
    local chunk, message = sandbox.compile(texts.read(path, name), "@" .. path)
    if not chunk then
        local line, text = message:match ":(%d+): (.*)$"
        error(native.error.new {
            code = "syntax", message = text or message, file = path, line = tonumber(line),
        }, 0)
    end
    return chunk
end

--- Where the file of a name was when the run that is resumed was begun.
---@param name string
---@return string?
function texts.kept_path(name)
    return kept[name] and kept[name].path
end

--- Keeps the texts of all files loaded so far with the run; later ones are kept as they are loaded.
function texts.keep()
    keeping = true
    for _, file in ipairs(loaded) do
        keep(file.name, file.path, by_path[file.path])
    end
end

--- The files that were loaded by a name, with their texts.
---@return { name: string, path: string, text: string }[]
function texts.files()
    local files = {}
    for index, file in ipairs(loaded) do
        files[index] = { name = file.name, path = file.path, text = by_path[file.path] }
    end
    return files
end

--- Uses these texts instead of the files: what a run was begun with.
---@param sources table<string, { path: string, text: string }>
function texts.use(sources)
    kept = sources
end

--- Names of the files loaded that differ from these texts.
---@return string[]
function texts.changed(sources)
    local names = {}
    for _, file in ipairs(loaded) do
        local before = sources[file.name]
        if not before or before.text ~= by_path[file.path] then
            names[#names + 1] = file.name
        end
    end
    return names
end

--- Forgets all of them: the playbook and the modules beside it are about to be loaded again.
---@return { name: string, path: string }[] files that were loaded
function texts.forget()
    local before = loaded
    by_path, loaded, kept, beside_kept, codes = {}, {}, {}, {}, {}
    keeping = false
    return before
end

--- The text that a file was loaded from, and what the file itself was then: a resumed run keeps texts of its own.
---@param path? string
---@return string? text, string? on_disk
function texts.text(path)
    local text = path and by_path[path]
    return text, text and (beside_kept[path] or text)
end

--- Keeps another text of a loaded file with the run: some of it was just taken.
function texts.keep_edited(path, text)
    for _, file in ipairs(loaded) do
        if keeping and file.path == path then
            sources_kept.keep(file.name, path, text)
        end
    end
end

--- The hash of some lines of a text.
---@return string
function texts.code_at(text, first, last)
    local lines, number = {}, 0
    for line in wording.lines(text) do
        number = number + 1
        if number >= first and number <= last then
            lines[#lines + 1] = line
        end
    end
    return system.hash(table.concat(lines, "\n"))
end

--- The hash of a function's text: it changes when the function is edited, not when it moves.
---@return string? nil for hostler's own functions
function texts.code_of(fn)
    local source, first, last = system.place_of(fn)
    local place = ("%s:%d:%d"):format(source, first, last)
    local text = by_path[source:sub(2)]
    if text and not codes[place] then
        codes[place] = texts.code_at(text, first, last)
    end
    return codes[place]
end

return texts
