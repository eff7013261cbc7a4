-- The words of every prompt: what is typed with a colon before it, and is no code.
local native, import = ...
local prompt_words = {}

local evaluate, suggest, folders = import "prompt/evaluate", import "base/suggest", import "run/folders"
local library, modules, texts = import "run/library", import "run/modules", import "run/texts"
local keys, tables, usage = import "base/keys", import "report/rows", import "base/misuse".refuse
local annotations, page = import.later "check/annotations", import.later "check/annotation_page"
local completion, save = import.later "prompt/completion", import.later "prompt/save"
local tasks = import.later "prompt/tasks"

local general = {}

--- What a word that is switched on and off was given; without anything, whether it is on.
---@param rest string
---@param name string
---@return boolean? on nil when nothing was given
function prompt_words.switch(rest, name)
    if rest ~= "on" and rest ~= "off" and rest ~= "" then
        usage(("it is :%s on, or :%s off"):format(name, name))
    end
    if rest ~= "" then
        return rest == "on"
    end
end

--- The words with their help, a line each.
local function list(session)
    local cells = {}
    for index, name in ipairs(keys.sorted(session.words)) do
        local word = session.words[name]
        local label = (word.plain and "" or ":") .. name .. (word.usage and " " .. word.usage or "")
        cells[index] = { "  " .. label, word.help }
    end
    return table.concat(tables.align(cells), "\n")
end

local function switch_names()
    return { "on", "off" }
end

--- What :help can explain: modules, globals, and their members.
local function documented()
    local index, names = annotations.index(), {}
    for name, module in pairs(index.modules) do
        names[#names + 1] = name
        for member in pairs(module.class.members) do
            names[#names + 1] = name .. "." .. member
        end
    end
    for name in pairs(index.globals) do
        names[#names + 1] = name
    end
    for _, class in pairs(index.classes) do
        for _, member in pairs(class.name:find "%." and class.members or {}) do
            names[#names + 1] = member.path
        end
    end
    return names
end

general.help = {
    complete = documented,
    usage = "[NAME]", help = "this list; or what a function, method or module does: ssh.connect, ssh.Host:run",
    run = function(session, rest)
        if rest == "" then
            session:say(list(session))
            return
        end
        local word = session.words[rest:match "^:(.*)$" or rest]
        local lines = page.of(rest) or completion.page_of(session, rest)
        if lines then
            session:say(table.concat(lines, "\n"))
        elseif word then
            session:say(word.help)
        else
            usage(("nothing is known of '%s'"):format(rest), ":help lists the words; :help ssh explains that module")
        end
    end,
}

--- Runs a file in the session, and remembers it for :reload.
local function load_file(session, path)
    folders.stand_beside(path)
    local source = texts.read(path)
    local chunk, err = evaluate.compile(source, session.scope, "@" .. path)
    if not chunk then
        err.code = "syntax"
        error(err, 0)
    end
    session.files[path] = source
    return session:run(source, chunk, { quiet = true, file = path })
end

general.load = {
    complete = function()
        local names = {}
        for index, entry in ipairs(library.files()) do
            names[index] = entry.name
        end
        return names
    end,
    usage = "FILE", help = "run a file, or a playbook's file: what it declares stays here",
    run = function(session, rest)
        local path = library.find(rest)
        if load_file(session, path) then
            session:say("loaded " .. path)
        end
    end,
}

general.reload = {
    help = "take the modules and loaded files that were edited",
    run = function(session)
        local names = modules.reload()
        for path, source in pairs(session.files) do
            if native.system.read_file(path) ~= source and load_file(session, path) then
                names[#names + 1] = path
            end
        end
        session:say(#names > 0 and "reloaded " .. table.concat(names, ", ") or "nothing was edited")
    end,
}

general.trace = {
    complete = switch_names, usage = "on|off", help = "show every effect with its time",
    run = function(session, rest)
        local on = prompt_words.switch(rest, "trace")
        if on ~= nil then
            session.traces = on
            native.report("prompt", on and 2 or session.interactive and 0 or -1)
        end
        session:say("trace is " .. (session.traces and "on" or "off"))
    end,
}

general.tasks = {
    help = "what runs here, and what it waits for",
    run = function(session) session:say(tasks.listing()) end,
}

general.bg = {
    usage = "CODE", help = "run code beside the prompt; its values are shown when it has ended",
    run = function(session, rest)
        local chunk, err = evaluate.compile(rest, session.scope, "=background")
        if not chunk then
            err.code = "syntax"
            error(err, 0)
        end
        session:say(("[%d] %s"):format(session:start_job(rest, chunk), rest))
    end,
}

general.stop = {
    complete = function(session)
        local numbers = {}
        for number in pairs(session.jobs) do
            numbers[#numbers + 1] = number
        end
        return numbers
    end,
    usage = "NUMBER", help = "stop what runs beside the prompt",
    run = function(session, rest)
        local job = session.jobs[tonumber(rest)]
        if not job then
            usage(("nothing runs here under the number '%s'"):format(rest), ":tasks shows what runs")
        end
        native.task.cancel(job.task or job.keeper, "stopped")
    end,
}

prompt_words.switch_names = switch_names

general.mark = {
    help = "begin anew what :save saves",
    run = function(session)
        session.mark = #session.entries
        session:say "marked"
    end,
}

general.save = {
    usage = "NAME", help = "make a playbook of what was typed since :mark",
    run = function(session, rest) save.save(session, rest) end,
}

--- The words of a prompt: its own and those of all.
---@param own? table<string, table>
function prompt_words.with(own)
    local all = {}
    for _, source in ipairs { general, own or {} } do
        for name, word in pairs(source) do
            all[name] = word
        end
    end
    return all
end

--- The error for a word that there is not.
function prompt_words.unknown(name, known)
    local names = {}
    for word in pairs(known) do
        names[#names + 1] = word
    end
    local near = suggest.nearest(name, names)
    return native.error.new {
        code = "usage", message = ("there is no :%s"):format(name),
        hint = near and ("did you mean :%s?"):format(near) or ":help lists what there is",
    }
end

return prompt_words
