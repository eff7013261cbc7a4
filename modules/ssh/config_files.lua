-- OpenSSH's configuration files, read as far as it takes to know about which hosts ssh has to be asked, and what words
-- the lists in them have, which `ssh -G` prints without their quotes.
local _, _, import = ...
local files = {}

local keywords, words = import "ssh/config_keywords", import "ssh/config_words"

local DEEPEST_INCLUDE = 16

-- Lists of paths: a path may hold blanks.
local LISTS = { userknownhostsfile = true, globalknownhostsfile = true, revokedhostkeys = true }

---@class ssh.config_files.Content
---@field blocks { patterns?: string[] }[] those in which a keyword matters: the words after Host, or none when any host
---  may be concerned
---@field set table<string, true> the keywords of all statements
---@field lists table<string, string[][]> by keyword: the words of each statement
---@field refusal? { message: string, hint?: string } why none of it may be used
---@field doubtful? { message: string, hint?: string } the same, should ssh refuse: builds of ssh differ in it

local read_file

-- What OpenSSH's readconf.c wants of the user's file and of those that are included: whoever can change them says which
-- programs are run and who is trusted. Debian's ssh takes a file that a group may change which has no other member.
local WRITERS = {
    owner = { "%s belongs to somebody else, and ssh does not read it either", "chown %s %s" },
    others = { "everybody may change %s, and ssh does not read it either", "chmod go-w %s" },
    group = { "its group may change %s, and ssh does not read it either", "chmod g-w %s" },
}

local function judge(native, content, file)
    local wording = WRITERS[file.writers]
    if not wording then
        return
    end
    local found = {
        message = wording[1]:format(("%s (mode %04o)"):format(file.path, file.mode)),
        hint = file.writers == "owner" and wording[2]:format(native.user(), file.path) or wording[2]:format(file.path),
    }
    local field = file.writers == "group" and "doubtful" or "refusal"
    content[field] = content[field] or found
end

local function include(native, content, patterns, base, home, names, depth)
    if depth == DEEPEST_INCLUDE then
        table.insert(content.blocks, {}) -- ssh says what is wrong
        return
    end
    for _, name in ipairs(names) do
        name = name:gsub("^~/", function() return home .. "/" end)
        name = name:find "^[/~$%%]" and name or base .. "/" .. name
        read_file(native, content, name, base, home, patterns, depth + 1, true)
    end
end

local function read_text(native, content, text, base, home, outer, depth)
    local patterns, counted = outer, false
    for line in text:gmatch "[^\n]+" do
        local keyword, arguments = words.statement(line)
        if keyword == "host" then
            patterns, counted = arguments, false
        elseif keyword == "match" then
            patterns, counted = outer, false
        elseif keyword == "include" then
            include(native, content, patterns, base, home, arguments, depth)
        elseif keyword and keywords.matters(keyword) and not counted then
            table.insert(content.blocks, { patterns = patterns })
            counted = true
        end
        content.set[keyword or "#"] = true
        if LISTS[keyword] then
            content.lists[keyword] = content.lists[keyword] or {}
            table.insert(content.lists[keyword], arguments)
        end
    end
end

--- `is_judged`: by who may change it.
function read_file(native, content, pattern, base, home, patterns, depth, is_judged)
    if pattern:find "^[~$%%]" then
        table.insert(content.blocks, {}) -- only ssh knows which file that is
        return
    end
    for _, file in ipairs(native.config_files(pattern)) do
        if file.is_strange then
            content.refusal = content.refusal or { message = ("cannot read %s: %s"):format(file.path, file.problem) }
        elseif file.problem then
            table.insert(content.blocks, {}) -- ssh knows whether it matters
        else
            if is_judged then
                judge(native, content, file)
            end
            read_text(native, content, file.text, base, home, patterns, depth)
        end
    end
end

--- Reads the user's and the machine's files, and those that they include.
---@param native table the ssh module's C half
---@return ssh.config_files.Content
function files.read(native)
    local content, home = { blocks = {}, lists = {}, set = {} }, native.home() or ""
    local base = home .. "/.ssh"
    read_file(native, content, base .. "/config", base, home, nil, 0, true)
    read_file(native, content, "/etc/ssh/ssh_config", "/etc/ssh", home, nil, 0, false)
    return content
end

--- "*.example.com" as a Lua pattern.
local function lua_pattern(glob)
    return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*+", ".*"):gsub("%?", ".") .. "$"
end

--- Whether the words after Host concern this name: one matches, and none with a "!" does. As ssh does it, capital
--- letters count.
---@param patterns string[]
---@param host string
---@return boolean
function files.matches(patterns, host)
    local matched = false
    for _, word in ipairs(patterns) do
        local negated, glob = word:match "^(!?)(.*)$"
        if host:find(lua_pattern(glob)) then
            if negated == "!" then
                return false
            end
            matched = true
        end
    end
    return matched
end

--- Whether the configuration may say something about this host.
---@param content ssh.config_files.Content
---@param host string
---@return boolean
function files.concern(content, host)
    for _, block in ipairs(content.blocks) do
        if not block.patterns or files.matches(block.patterns, host) then
            return true
        end
    end
    return false
end

return files
