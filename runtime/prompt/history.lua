-- What was typed at prompts, kept for the next one: without the lines that hold a secret.
local native, import = ...
local prompt_history = {}

local system = native.system
local state, tokens = import "base/state", import "prompt/tokens"

local MOST_KEPT = 1000 -- entries; the file may grow to twice as many
local LONGEST_KEPT = 4096
local SECRET_WORDS = { "password", "passwd", "secret", "token", "credential", "private", "apikey", "api_key" }

local function file()
    return state.directory() .. "/history"
end

local function names_a_secret(text)
    for _, word in ipairs(SECRET_WORDS) do
        if text:lower():find(word, 1, true) then
            return true
        end
    end
    return false
end

--- A text that looks like what services give out: of one piece, with digits and letters; no UUID, which names things.
local function looks_random(text)
    return #text >= 20 and not text:find "[^%w_+/=-]" and text:find "%d" and text:find "%a"
        and not text:find "^%x+%-%x+%-%x+%-%x+%-%x+$"
end

local function holds_a_key(text)
    return looks_random(text) or text:find "%-%-%-%-%-BEGIN" or text:find "://[^/%s@]*:[^/%s@]+@"
end

--- The last token before this place that is no bracket, and its place.
local function before(list, index)
    repeat
        index = index - 1
    until not list[index] or not list[index].text:find "^[%[%]()]$"
    return list[index] and list[index].text or "", index
end

--- Whether the text at this place is given to secret.wrap, or to a name of something secret.
local function is_given_as_secret(list, index)
    local word, place = before(list, index)
    return word == "wrap" or word == "=" and names_a_secret((before(list, place)))
end

--- Whether code has a secret written out in it: one that this process has seen, or what looks like one.
---@param source string
---@return boolean
function prompt_history.holds_secret(source)
    if native.secret.scrub(source) ~= source then
        return true
    end
    local list = tokens.of(source)
    for index, token in ipairs(list) do
        if token.kind == "string" and (is_given_as_secret(list, index) or holds_a_key(token.text:sub(2, -2))) then
            return true
        end
    end
    return false
end

local ESCAPES = { ["\\"] = "\\\\", ["\n"] = "\\n" }
local UNESCAPES = { ["\\\\"] = "\\", ["\\n"] = "\n" }

--- The entries of earlier prompts, the oldest first.
---@return string[]
function prompt_history.load()
    local entries = {}
    for line in (system.read_file(file()) or ""):gmatch "[^\n]+" do
        entries[#entries + 1] = line:gsub("\\[\\n]", UNESCAPES)
    end
    if #entries > 2 * MOST_KEPT then
        entries = { unpack(entries, #entries - MOST_KEPT + 1) }
        local lines = {}
        for index, entry in ipairs(entries) do
            lines[index] = entry:gsub("[\\\n]", ESCAPES) .. "\n"
        end
        -- A prompt that ends meanwhile loses its last lines, at worst.
        system.write_private(file(), table.concat(lines))
    end
    return entries
end

--- Keeps an entry, unless it holds a secret. Where it cannot be kept, the prompt goes on without.
---@param entry string
function prompt_history.add(entry)
    if #entry <= LONGEST_KEPT and not prompt_history.holds_secret(entry) then
        system.append_private(file(), entry:gsub("[\\\n]", ESCAPES) .. "\n")
    end
end

return prompt_history
