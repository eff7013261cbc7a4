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

local read_file

local function include(native, content, patterns, base, home, names, depth)
    if depth == DEEPEST_INCLUDE then
        table.insert(content.blocks, {}) -- ssh says what is wrong
        return
    end
    for _, name in ipairs(names) do
        name = name:gsub("^~/", function() return home .. "/" end)
        name = name:find "^[/~$%%]" and name or base .. "/" .. name
        read_file(native, content, name, base, home, patterns, depth + 1)
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

function read_file(native, content, pattern, base, home, patterns, depth)
    if pattern:find "^[~$%%]" then
        table.insert(content.blocks, {}) -- only ssh knows which file that is
        return
    end
    for _, text in ipairs(native.config_files(pattern)) do
        read_text(native, content, text, base, home, patterns, depth)
    end
end

--- Reads the user's and the machine's files, and those that they include.
---@param native table the ssh module's C half
---@return ssh.config_files.Content
function files.read(native)
    local content, home = { blocks = {}, lists = {}, set = {} }, native.home() or ""
    local base = home .. "/.ssh"
    read_file(native, content, base .. "/config", base, home, nil, 0)
    read_file(native, content, "/etc/ssh/ssh_config", "/etc/ssh", home, nil, 0)
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
