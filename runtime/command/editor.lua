-- The person's editor: $VISUAL, $EDITOR, or what there is. No shell reads the setting: it is split into words here.
local native = ...
local editor = {}

local system = native.system

local FALLBACKS = { "sensible-editor", "vi", "nano" }

--- The words of a setting as a shell would see them: quotes and backslashes are heeded, nothing is expanded.
local function words_of(variable)
    local words, word, quote, escaped = {}, nil, nil, false
    for character in system.env(variable):gmatch "." do
        if escaped then
            word, escaped = word .. character, false
        elseif character == "\\" and quote ~= "'" then
            word, escaped = word or "", true
        elseif quote then
            word, quote = character == quote and word or word .. character, character ~= quote and quote or nil
        elseif character == "'" or character == "\"" then
            word, quote = word or "", character
        elseif character:find "%s" then
            words[#words + 1], word = word, nil
        else
            word = (word or "") .. character
        end
    end
    words[#words + 1] = word
    if quote or escaped or #words == 0 then
        error(native.error.new {
            code = "usage", message = ("$%s cannot be read: %s"):format(variable, quote and "a quote is not closed"
                or "it names no program"), hint = ("%s='code --wait'"):format(variable),
        }, 0)
    end
    return words
end

local function run(words, path)
    local argv = { unpack(words) }
    argv[#argv + 1] = path
    return native.run_in_foreground(argv)
end

local function refuse(program, reason)
    error(native.error.new {
        code = "editor", message = ("cannot start the editor %s: %s"):format(program, reason),
        hint = "name yours in $EDITOR",
    }, 0)
end

--- Opens a file in the editor and waits until the editor has ended.
---@param path string
---@return integer exit status
---@raise "usage", "editor" when it cannot be started
function editor.open(path)
    for _, variable in ipairs { "VISUAL", "EDITOR" } do
        if (system.env(variable) or ""):find "%S" then
            local words = words_of(variable)
            local status, reason = run(words, path)
            return status or refuse(words[1], reason)
        end
    end
    for _, program in ipairs(FALLBACKS) do
        local status = run({ program }, path)
        if status then
            return status
        end
    end
    return refuse(table.concat(FALLBACKS, ", "), "none of them is installed")
end

return editor
