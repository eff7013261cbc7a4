-- Hosts over SSH: connecting, running commands, handling files.
--
-- A connection is made once and shared by everyone in the run who names the same user, host and port. Commands are
-- lists of arguments: no shell splits them. What a command is fed and what it says are bytes, kept in memory up to a
-- limit.
local _, gate, import = ...
local ssh = {}

local native, config, options_of = import "ssh/native", import "ssh/config", import "base/options"
local known_hosts_file, sh = require "known_hosts_file", require "sh"
local Host = import "ssh/host".Host
import "ssh/file_text"
import "ssh/file_transfer"
import "ssh/files"
import "ssh/ports"
local commands_left, outliving = import "ssh/outliving", import "gate/outliving"

local CONNECT_TIMEOUT = 15
local KEEPALIVE = 15

local CONNECT_OPTIONS = {
    user = "string", port = "number", identity = "string or table", known_hosts = "string or table",
    host_key = "string", jump = "string or table", timeout = "number", address = "string", keepalive = "number",
}
local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

-- ---- connecting ----

--- "user@host:port", "user@[2001:db8::1]:22" or any part of it.
local function parse_target(text)
    local user, rest = text:match "^([^@]+)@(.+)$"
    rest = rest or text
    local host, port = rest:match "^%[(.-)%]:(%d+)$"
    if not host then
        host, port = rest:match "^([^:]+):(%d+)$"
    end
    host = host or rest:match "^%[(.*)%]$" or rest
    if not host:find "^[%w:_.%%][%w:_.%%-]*$" then
        misuse(("'%s' does not name a host"):format(text), "\"host\", \"user@host\" or \"user@host:port\"")
    end
    return user, host, tonumber(port)
end

local function list_of(value)
    return type(value) == "string" and { value } or value
end

local connect_now

--- The jump hosts, nearest first: "a,b", a list of such, or a host.
local function connect_jump(jump, options)
    if not jump then
        return nil, ""
    elseif getmetatable(jump) == Host then
        return jump.shared.connection(), tostring(jump)
    end
    local via, path = nil, ""
    for _, hops in ipairs(list_of(jump)) do
        for hop in hops:gmatch "[^,%s]+" do
            path = path .. hop .. ">"
            via = connect_now(hop, { known_hosts = options.known_hosts, identity = options.identity,
                timeout = options.timeout, host_key = options.host_key }, via, path)
        end
    end
    return via, path
end

--- Resolves and connects; only inside an effect.
function connect_now(target, options, via, path)
    local user, host, port = parse_target(target)
    user, port = options.user or user, options.port or port
    local settings = config.resolve(native, host, { user = user, port = port })
    user, port = user or settings.user, port or settings.port
    if not via then
        via, path = connect_jump(options.jump or settings.jump, options)
    end
    local address = options.address or settings.address
    local identities = options.identity and list_of(options.identity) or settings.identities
    local known_hosts = options.known_hosts and list_of(options.known_hosts) or settings.known_hosts
    local policy = options.host_key or settings.host_key or "strict"
    local name = settings.host_key_alias or (options.address and host) or settings.address
    local key = table.concat({ user, address, port, name, policy, settings.agent or "", path or "",
        table.concat(identities, " "), table.concat(known_hosts, " ") }, "|")
    local connection = native.connect({
        key = key,
        label = ("%s@%s%s"):format(user, host, port ~= 22 and ":" .. port or ""),
        user = user,
        address = address,
        port = port,
        agent = settings.agent,
        host_key_name = name,
        known_hosts = known_hosts,
        identities = identities,
        identities_given = options.identity ~= nil,
        only_identities = options.identity ~= nil or settings.only_identities,
        accept_new = policy == "accept-new",
        remember = gate.mode == "normal",
        timeout = options.timeout or settings.timeout or CONNECT_TIMEOUT,
        keepalive = options.keepalive or KEEPALIVE,
    }, via)
    gate.hold(connection, "ssh " .. key, native.is_open)
    return connection, user
end

---@class ssh.Options
---@field user? string
---@field port? integer
---@field identity? string|string[] private key files, and then only these keys are tried
---@field known_hosts? string|string[] the files that tell host keys
---@field host_key? "strict"|"accept-new" whether the key of a host that known_hosts does not know is refused or written
---  down (a changed one is always refused)
---@field jump? string|string[]|ssh.Host the hosts to go through, nearest first
---@field timeout? number seconds for each of resolving, dialling, shaking hands and logging in (15)
---@field address? string connect to this one, but check the host key under the target's name
---@field keepalive? number seconds between signs of life (15), three without an answer close the connection

--- Connects to a host, or shares the connection that this run has already.
---
--- User, port, address, keys, jump hosts and known_hosts come from the options, else from OpenSSH's configuration,
--- else are OpenSSH's defaults. Keys are the agent's and those in files. In a dry run on a host that does not exist
--- yet the result has not connected: reads give unknowns and writes are planned.
---@param target string "host", "user@host" or "user@host:port"; may be unknown in a dry run
---@param options? ssh.Options
---@return ssh.Host
---@raise "ssh.resolve", "ssh.unreachable", "ssh.refused", "ssh.timeout", "ssh.closed", "ssh.protocol" (not an SSH
---  server), "ssh.auth" with user, tried and agent; "ssh.host_key_unknown", "ssh.host_key_changed",
---  "ssh.host_key_revoked" with fingerprint, known_hosts_file, known_hosts_line; "ssh.config"
function ssh.connect(target, options)
    options = options or {}
    if type(target) ~= "string" and not unknown(target) then
        misuse "ssh.connect(\"host\", { user = ..., ... })"
    end
    options_of.check("ssh.connect", options, CONNECT_OPTIONS)
    if options.host_key and options.host_key ~= "strict" and options.host_key ~= "accept-new" then
        misuse(("ssh.connect: host_key is \"strict\" or \"accept-new\", not '%s'"):format(tostring(options.host_key)))
    end
    local kept = {}
    for name, value in pairs(options) do
        kept[name] = value
    end
    local host = setmetatable({ target = target, user = options.user, shared = { options = kept } }, Host)
    local connection
    function host.shared.connection()
        if not connection or not native.is_open(connection) then
            connection, host.shared.login = connect_now(target, kept)
        end
        return connection
    end
    if gate.mode == "dry-run" and gate.has_unknown { target, options.address, options.jump and
        getmetatable(options.jump) == Host and options.jump.target } then
        host.shared.lazy, host.shared.login = true, options.user or "root"
        return host
    end
    host.user = gate.perform({
        kind = "read", name = "ssh.connect", target = target, summary = "connect to " .. tostring(target),
    }, function()
        host.shared.connection()
        return host.shared.login
    end)
    host.shared.login = host.user
    return host
end

outliving.register("ssh", function(...) return commands_left.look(ssh.connect, ...) end)

-- ---- known_hosts ----

--- The known_hosts lines of a target, and its name in them; only inside an effect.
local function known_keys(target, options)
    local _, host, port = parse_target(target)
    port = options.port or port
    local settings = config.resolve(native, host, { port = port })
    local files = options.known_hosts and list_of(options.known_hosts) or settings.known_hosts
    return native.known_keys(files, settings.host_key_alias or settings.address, port or settings.port)
end

--- What known_hosts says of a host.
---@param target string as for ssh.connect
---@param options? { port?: integer, known_hosts?: string|string[] }
---@return { file: string, line: integer, type: string, fingerprint: string, mark?: "revoked"|"authority" }[]
function ssh.known_keys(target, options)
    return gate.perform({
        kind = "read", name = "ssh.known_keys", target = target, inputs = { target },
        summary = "look for " .. tostring(target) .. " in known_hosts",
    }, function() return (known_keys(target, options or {})) end)
end

--- Forgets a host's keys: its name is taken out of known_hosts, and lines that name nobody else go. A copy of each file
--- that changes stays beside it as FILE.old. Patterns that match the host, and marked lines, stay.
---@param target string as for ssh.connect
---@param options? { port?: integer, known_hosts?: string|string[] }
---@return integer changed how many lines
---@raise "ssh.known_hosts" when a file cannot be written
---@effect write
function ssh.forget(target, options)
    return gate.perform({
        kind = "write", name = "ssh.forget", target = target, inputs = { target },
        summary = "forget the host keys of " .. tostring(target),
    }, function()
        local keys, name = known_keys(target, options or {})
        local files, total = {}, 0
        for _, key in ipairs(keys) do
            files[key.file] = (files[key.file] or 0) + 1
        end
        for path in pairs(files) do
            local text = native.read_file(path) or ""
            local edited = known_hosts_file.replace(text, { name }, {})
            local reason = edited ~= text and (native.write_file(path .. ".old", text, 384)
                or native.write_file(path, edited, 384))
            if reason then
                fail(("cannot write %s: %s"):format(path, reason), { code = "ssh.known_hosts" })
            end
            total = total + files[path] - #known_hosts_file.concerning(edited, { name })
        end
        return total
    end)
end

-- ---- the agent ----

--- The keys that the ssh-agent has, in its order.
---@return { type: string, comment: string, fingerprint: string }[] type: "ED25519", "RSA" ...; fingerprint:
---  "SHA256:..."
---@raise "ssh.agent" when there is no agent, or it does not answer
function ssh.agent_keys()
    return gate.perform({
        kind = "read", name = "ssh.agent_keys", target = "ssh-agent", summary = "list the agent's keys",
    }, function()
        local path = native.environment "SSH_AUTH_SOCK"
        if not path then
            fail("there is no ssh-agent: SSH_AUTH_SOCK is not set", {
                code = "ssh.agent",
                hint = "start one (eval $(ssh-agent); ssh-add), or come in with yours forwarded (ssh -A)",
            })
        end
        return native.agent_keys(path)
    end)
end

-- ---- host keys ----

--- The keys that a host shows to anybody who connects, without trusting any of them.
---@param address string
---@param options? { port?: integer, timeout?: number } port: 22; timeout: seconds (10)
---@return { type: string, key: string }[] keys one of each type, in the order of their types' names; key: in base64
---@raise "ssh.unreachable" when no SSH server answers there
function ssh.host_keys(address, options)
    local port = options and options.port or 22
    if type(address) ~= "string" or not address:find "^[%x:.]+$" then
        misuse(("ssh.host_keys takes an address, not '%s'"):format(tostring(address)))
    end
    local limit = options and options.timeout or 10
    local result = sh.run({ "ssh-keyscan", "-T", limit, "-p", port, "--", address }, {
        read = true, check = false, timeout = limit * 3,
    })
    local keys = {}
    for kind, key in ("\n" .. result.stdout):gmatch "\n[^#%s]%S* (%S+) (%S+)" do
        keys[#keys + 1] = { type = kind, key = key }
    end
    if #keys == 0 then
        fail(("no SSH server shows a key at %s, port %d"):format(address, port), {
            code = "ssh.unreachable", target = address, stderr = result.stderr,
        })
    end
    table.sort(keys, function(a, b) return a.type < b.type end)
    return keys
end

--- How ssh reaches a host and knows it again, as OpenSSH's configuration says.
---@param target string "host", as for ssh.connect
---@return { port: integer, name: string, known_hosts: string[] } settings name: what known_hosts calls it, without the
---  port; known_hosts: the file that new keys are written to comes first; not all of them need exist
function ssh.settings(target)
    return gate.perform({
        kind = "read", name = "ssh.settings", target = target, summary = "how ssh reaches " .. target,
    }, function()
        local settings = config.resolve(native, target, {})
        return {
            port = settings.port, name = settings.host_key_alias or settings.address,
            known_hosts = settings.known_hosts,
        }
    end)
end

return ssh
