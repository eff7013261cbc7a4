-- The words of every prompt: what is typed with a colon before it, and is not code.
local native, import = ...
local prompt_words = {}

local suggest = import "suggest"

local general = {}

--- The words with their help, a line each.
local function list(session)
    local names, widest = {}, 0
    for name, word in pairs(session.words) do
        names[#names + 1] = name
        widest = math.max(widest, #name + #(word.usage or "") + 2)
    end
    table.sort(names)
    local lines = {}
    for index, name in ipairs(names) do
        local word = session.words[name]
        local label = (word.plain and "" or ":") .. name .. (word.usage and " " .. word.usage or "")
        lines[index] = ("  %-" .. widest .. "s  %s"):format(label, word.help)
    end
    return table.concat(lines, "\n")
end

general.help = {
    help = "this list", run = function(session) session:say(list(session)) end,
}

general.load = {
    usage = "FILE", help = "run a file or a playbook's file here: what it declares stays",
    run = function(session, rest)
        local library, evaluate = import "library", import "evaluate"
        local path = library.find(rest)
        library.beside = path:match "^(.*)/[^/]+$" or "."
        local source = library.read(path)
        local chunk, err = evaluate.compile(source, session.scope, "@" .. path)
        if not chunk then
            err.code = "syntax"
            error(err, 0)
        elseif session:run(source, chunk, true) then
            session:say("loaded " .. path)
        end
    end,
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
