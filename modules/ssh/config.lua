-- What OpenSSH's configuration says about a host.
--
-- `ssh -G` knows all of ssh_config(5), but costs a process. So the files are looked at first, and ssh is asked only
-- about hosts that a block with a keyword that matters here may concern: a fan-out over plain hosts starts no process.
-- config_keywords.lua says what becomes of each keyword.
local _, _, import = ...
local config = {}

local native, texts = import "ssh/native", import "base/text"
local files, keywords, tokens = import "ssh/config_files", import "ssh/config_keywords", import "ssh/config_tokens"

local USER_FILE = "~/.ssh/config"
local USER_KNOWN_HOSTS = { "~/.ssh/known_hosts", "~/.ssh/known_hosts2" }
local SYSTEM_KNOWN_HOSTS = { "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2" }

-- Without a statement libssh2 chooses, since it has other ones than OpenSSH.
local ALGORITHMS = { key_exchanges = { "kexalgorithms" }, host_key_algorithms = { "hostkeyalgorithms" },
    ciphers = { "ciphers" }, macs = { "macs" },
    login_algorithms = { "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes" } } -- the second is its old name

local content

local function refuse(host, problem, hint)
    fail(("the OpenSSH configuration of %s %s"):format(host, problem), { code = "ssh.config", hint = hint })
end

--- For every host, as ssh does. The files are read again for the next connection: they may have been mended.
local function refuse_file(refusal)
    content.refusal = refusal
    fail("the OpenSSH configuration cannot be used: " .. refusal.message, { code = "ssh.config", hint = refusal.hint })
end

local function expand_all(paths)
    local expanded = {}
    for index, path in ipairs(paths) do
        expanded[index] = tokens.tilde(native, path)
    end
    return expanded
end

local function joined(first, second)
    local all = {}
    for _, list in ipairs { first, second } do
        for _, item in ipairs(list) do
            all[#all + 1] = item
        end
    end
    return all
end

local function defaults(host)
    return {
        host = host,
        address = host,
        user = native.user(),
        port = 22,
        agent = native.environment "SSH_AUTH_SOCK",
        identities = expand_all { "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa" },
        known_hosts = expand_all(joined(USER_KNOWN_HOSTS, SYSTEM_KNOWN_HOSTS)),
    }
end

-- ---- `ssh -G` ----

--- Its lines as lists by keyword.
local function parse(text)
    local values = {}
    for line in text:gmatch "[^\n]+" do
        local keyword, value = line:match "^(%S+) (.*)$"
        if keyword then
            keyword = keyword:lower()
            values[keyword] = values[keyword] or {}
            table.insert(values[keyword], value)
        end
    end
    return values
end

local function ask(host, wanted)
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
    if status ~= 0 and content.doubtful then
        refuse_file(content.doubtful)
    elseif status ~= 0 then
        fail(("ssh -G %s ended with status %d"):format(host, status), {
            code = "ssh.config", hint = ("run it yourself to see what is wrong in %s"):format(USER_FILE),
        })
    end
    return parse(text)
end

-- ---- values ----

local function none(value)
    return value and value:lower() ~= "none" and value or nil
end

local function one(values, keyword)
    return none(values[keyword] and values[keyword][1])
end

local function agent_of(value, expansions)
    if not value or value == "SSH_AUTH_SOCK" then
        return native.environment "SSH_AUTH_SOCK"
    elseif value:lower() == "none" then
        return nil
    elseif value:find "^%$[%a_][%w_]*$" then
        return native.environment(value:sub(2))
    end
    return tokens.path(native, "IdentityAgent", value, expansions)
end

local function paths_of(keyword, values, expansions)
    local paths = {}
    for _, path in ipairs(values or {}) do
        paths[#paths + 1] = none(path) and tokens.path(native, keyword, path, expansions)
    end
    return paths
end

local function has_blank(list)
    for _, word in ipairs(list) do
        if word:find "[ \t]" then
            return true
        end
    end
    return false
end

--- A list of paths, which `ssh -G` prints with a blank between them: the words of the statement that it comes from.
---@param usual string[] what ssh takes without a statement
local function list_of_paths(host, keyword, values, usual, expansions)
    local printed, blanks = values[keyword] and values[keyword][1], false
    if not none(printed) then
        return {}
    end
    for _, written in ipairs(joined(content.lists[keyword] or {}, { usual })) do
        local paths = paths_of(keyword, written, expansions)
        if printed == table.concat(paths, " ") or printed == table.concat(written, " ")
            or printed == table.concat(expand_all(written), " ") then
            return paths
        end
        blanks = blanks or has_blank(paths)
    end
    if blanks then
        refuse(host, ("has paths with blanks in %s, which cannot be told apart: %s"):format(keyword, printed),
            "name files without blanks")
    end
    return expand_all(texts.words(printed))
end

local function check_jump(host, jump)
    if jump:find "[$`]" then
        refuse(host, ("has a ProxyJump for the shell: %s"):format(jump), "write the name out; %h, %n, %p and %r can be "
            .. "used")
    end
    return jump
end

local function settings_of(host, values)
    for _, refused in ipairs(keywords.given(values, "refused")) do
        if refused.keyword ~= "proxycommand" or not one(values, "proxyjump") then
            refuse(host, ("says `%s %s`, which is not supported"):format(refused.keyword, refused.value), refused.hint)
        end
    end
    local settings = {
        host = host,
        address = one(values, "hostname") or host,
        user = one(values, "user"),
        port = tonumber(one(values, "port")),
        host_key_alias = one(values, "hostkeyalias"),
    }
    local expansions, strict = tokens.of(native, settings), one(values, "stricthostkeychecking")
    local function list(keyword, usual)
        return list_of_paths(host, keyword, values, usual, expansions)
    end
    settings.agent = agent_of(values.identityagent and values.identityagent[1], expansions)
    settings.identities = paths_of("IdentityFile", values.identityfile, expansions)
    settings.certificates = paths_of("CertificateFile", values.certificatefile, expansions)
    settings.only_identities = one(values, "identitiesonly") == "yes"
    settings.known_hosts = joined(list("userknownhostsfile", USER_KNOWN_HOSTS),
        list("globalknownhostsfile", SYSTEM_KNOWN_HOSTS))
    settings.revoked_keys = list("revokedhostkeys", {})
    settings.host_key = strict == "accept-new" and "accept-new" or nil
    settings.check_address = one(values, "checkhostip") == "yes"
    local jump = one(values, "proxyjump")
    settings.jump = jump and tokens.percent("ProxyJump", check_jump(host, jump), expansions, "hknpr")
    settings.timeout = tonumber(one(values, "connecttimeout"))
    settings.family = one(values, "addressfamily")
    settings.bind_address = one(values, "bindaddress")
    for field, names in pairs(ALGORITHMS) do
        for _, keyword in ipairs(names) do
            if content.set[keyword] then
                settings[field] = one(values, names[1]) or one(values, names[2])
            end
        end
    end
    settings.lenient = keywords.given(values, "lenient")
    if strict == "no" or strict == "off" or strict == "false" then
        table.insert(settings.lenient, { keyword = "stricthostkeychecking", value = strict })
    end
    settings.login = keywords.given(values, "login")
    return settings
end

---@class ssh.Settings
---@field host string as the playbook names it
---@field address string
---@field user string
---@field port integer
---@field agent? string its socket
---@field identities string[] files
---@field certificates? string[] files; those beside the identities when there are none
---@field only_identities? boolean
---@field known_hosts string[] files
---@field revoked_keys? string[] files
---@field host_key? "accept-new"
---@field host_key_alias? string
---@field check_address? boolean the address's own lines in known_hosts count as well
---@field jump? string
---@field timeout? number seconds
---@field family? "any"|"inet"|"inet6"
---@field bind_address? string
---@field key_exchanges? string this and the next three: algorithms with commas, where the configuration speaks of them
---@field host_key_algorithms? string
---@field ciphers? string
---@field macs? string
---@field login_algorithms? string by which keys and certificates may be offered, best first
---@field lenient? { keyword: string, value: string }[] what would trust more hosts
---@field login? { keyword: string, value: string }[] what would give more ways to log in

--- How to reach a host. Only inside an effect: it may run ssh.
---@param host string as the playbook names it
---@param wanted { user?: string, port?: integer } what is decided already
---@return ssh.Settings
---@raise "ssh.config" for what ssh would do and hostler cannot, and for files that ssh would not read
function config.resolve(host, wanted)
    if not content or content.refusal then
        content = files.read(native)
    end
    if content.refusal then
        refuse_file(content.refusal)
    end
    local is_concerned = files.concern(content, host)
    local values = (is_concerned or content.doubtful) and ask(host, wanted)
    content.doubtful = nil -- ssh takes the file
    return is_concerned and settings_of(host, values) or defaults(host)
end

return config
