-- A word that is no command: the nearest command or playbook that may have been meant.
local native, import = ...
local unknown = {}

local suggest, library = import "base/suggest", import "run/library"

---@param argv string[] the word
---@param commands { name: string }[]
---@return integer exit status
function unknown.main(argv, commands)
    local word, names = argv[1] or "", {}
    for index, command in ipairs(commands) do
        names[index] = command.name
    end
    local lines = { ("hostler: there is no command '%s'"):format(word) }
    local near = suggest.nearest(word, names)
    local playbooks = {}
    for _, entry in ipairs(library.playbooks()) do
        playbooks[#playbooks + 1] = entry.name
        if entry.name == word then
            near = "run " .. word
        end
    end
    local book = not near and suggest.nearest(word, playbooks)
    lines[#lines + 1] = near and ("did you mean `hostler %s`?"):format(near)
        or book and ("did you mean `hostler run %s`?"):format(book) or "`hostler help` shows the commands"
    native.system.write_page(table.concat(lines, "\n") .. "\n", true)
    return 2
end

return unknown
