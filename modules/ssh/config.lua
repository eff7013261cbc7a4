-- What OpenSSH's configuration says about a host.
--
-- `ssh -G` knows all of ssh_config(5), but costs a process. So the files are looked at first, and ssh is asked only
-- about hosts that a block with a keyword that matters here may concern: a fan-out over plain hosts starts no process.
local _, gate = ...
local config = {}

local USER_FILE, SYSTEM_FILE = "~/.ssh/config", "/etc/ssh/ssh_config"
local DEEPEST_INCLUDE = 16

local MATTERS = {}
for _, keyword in ipairs { "hostname", "user", "port", "identityfile", "identityagent", "identitiesonly", "proxyjump",
    "proxycommand", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "stricthostkeychecking",
    "connecttimeout", "serveraliveinterval", "canonicalizehostname" } do
    MATTERS[keyword] = true
end

--- The words of a line: quoted ones may hold spaces; an equals sign may follow the keyword.
local function words_of(line)
    local words = {}
    local rest = line:gsub("^%s*([%w]+)%s*=%s*", "%1 ")
    for quoted, plain in rest:gsub('"([^"]*)"', function(text) return "\1" .. text:gsub(" ", "\2") end)
        :gmatch "(\1?)(%S+)" do
        words[#words + 1] = quoted == "\1" and plain:gsub("\2", " ") or plain
    end
    return words
end

--- Adds the file's blocks to `blocks`: { patterns = words after Host, or nil when any host may be concerned }, for
--- each block in which a keyword matters.
local function read_file(native, pattern, base, outer, blocks, depth)
    for _, text in ipairs(native.config_files(pattern)) do
        local patterns, counted = outer, false
        for line in text:gmatch "[^\r\n]+" do
            local words = words_of(line:match "^%s*(.-)%s*$")
            local keyword = words[1] and words[1]:lower() or "#"
            if keyword == "host" then
                patterns, counted = { unpack(words, 2) }, false
            elseif keyword == "match" then
                patterns, counted = outer, false
            elseif keyword == "include" and depth < DEEPEST_INCLUDE then
                for index = 2, #words do
                    local file = words[index]
                    file = file:find "^[/~]" and file or base .. "/" .. file
                    read_file(native, file, base, patterns, blocks, depth + 1)
                end
            elseif MATTERS[keyword] and not counted then
                blocks[#blocks + 1] = { patterns = patterns }
                counted = true
            end
        end
    end
end

--- "*.example.com" as a Lua pattern.
local function lua_pattern(glob)
    return "^" .. glob:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

--- Whether the words after Host concern this name: one matches, and none with a "!" does.
function config.matches(patterns, host)
    local matched = false
    for _, word in ipairs(patterns) do
        local negated, glob = word:match "^(!?)(.*)$"
        if host:lower():find(lua_pattern(glob)) then
            if negated == "!" then
                return false
            end
            matched = true
        end
    end
    return matched
end

--- True when the configuration may say something about this host.
function config.concerns(native, host)
    if not config.blocks then
        local blocks = {}
        read_file(native, USER_FILE, "~/.ssh", nil, blocks, 0)
        read_file(native, SYSTEM_FILE, "/etc/ssh", nil, blocks, 0)
        config.blocks = blocks
    end
    for _, block in ipairs(config.blocks) do
        if not block.patterns or config.matches(block.patterns, host) then
            return true
        end
    end
    return false
end

local function expand(native, path)
    return (path:gsub("^~/", function() return (native.home() or "") .. "/" end))
end

local function expand_all(native, paths)
    local expanded = {}
    for index, path in ipairs(paths) do
        expanded[index] = expand(native, path)
    end
    return expanded
end

local function defaults(native, host)
    return {
        address = host,
        user = native.user(),
        port = 22,
        agent = native.environment "SSH_AUTH_SOCK",
        identities = expand_all(native, { "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa" }),
        known_hosts = expand_all(native, { "~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts",
            "/etc/ssh/ssh_known_hosts2" }),
    }
end

local function split(text)
    local parts = {}
    for part in (text or ""):gmatch "%S+" do
        parts[#parts + 1] = part
    end
    return parts
end

--- `ssh -G`'s lines as lists by keyword.
local function parse(text)
    local values = {}
    for line in text:gmatch "[^\n]+" do
        local keyword, value = line:match "^(%S+) (.*)$"
        if keyword then
            values[keyword] = values[keyword] or {}
            table.insert(values[keyword], value)
        end
    end
    return values
end

local function agent_of(native, value)
    if value == "none" then
        return nil
    elseif not value or value == "SSH_AUTH_SOCK" then
        return native.environment "SSH_AUTH_SOCK"
    elseif value:find "^%$" then
        return native.environment(value:match "^%${?([%w_]+)}?$" or "")
    end
    return expand(native, value)
end

local function none(value)
    return value ~= "none" and value or nil
end

local function ask_ssh(native, host, wanted)
    local arguments = {}
    if wanted.user then
        arguments[#arguments + 1] = "-l"
        arguments[#arguments + 1] = wanted.user
    end
    if wanted.port then
        arguments[#arguments + 1] = "-p"
        arguments[#arguments + 1] = tostring(wanted.port)
    end
    arguments[#arguments + 1] = "--"
    arguments[#arguments + 1] = host
    local text, status = native.resolve(arguments)
    if status ~= 0 then
        fail(("ssh -G %s ended with status %d"):format(host, status), {
            code = "ssh.config", hint = ("run it yourself to see what is wrong in %s"):format(USER_FILE),
        })
    end
    local values = parse(text)
    local function one(keyword)
        return values[keyword] and values[keyword][1]
    end
    if none(one "proxycommand") and not none(one "proxyjump") then
        fail(("the OpenSSH configuration reaches %s through a ProxyCommand, which is not supported"):format(host), {
            code = "ssh.config", hint = "ProxyJump is: it needs no program in between",
        })
    end
    local known_hosts = split(one "userknownhostsfile")
    for _, file in ipairs(split(one "globalknownhostsfile")) do
        known_hosts[#known_hosts + 1] = file
    end
    local strict = one "stricthostkeychecking"
    return {
        address = one "hostname" or host,
        user = one "user",
        port = tonumber(one "port"),
        agent = agent_of(native, one "identityagent"),
        identities = expand_all(native, values.identityfile or {}),
        only_identities = one "identitiesonly" == "yes",
        known_hosts = expand_all(native, known_hosts),
        host_key = strict == "accept-new" and "accept-new" or nil,
        host_key_alias = none(one "hostkeyalias"),
        jump = none(one "proxyjump"),
        timeout = tonumber(none(one "connecttimeout")),
    }
end

--- How to reach a host. Only inside an effect: it may run ssh.
---@param native table the ssh module's C half
---@param host string as the playbook names it
---@param wanted { user?: string, port?: integer } what is decided already
---@return table settings address, user, port, agent, identities, only_identities, known_hosts, host_key,
---  host_key_alias, jump, timeout
function config.resolve(native, host, wanted)
    assert(gate)
    if config.concerns(native, host) then
        return ask_ssh(native, host, wanted)
    end
    return defaults(native, host)
end

return config
