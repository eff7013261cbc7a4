-- Hosts over SSH: connecting, running commands, handling files.
--
-- A connection is made once and shared by everyone in the run who names the same user, host and port, until the last
-- item of an `each` that uses it has ended. Commands are lists of arguments: no shell splits them. What a command is
-- fed and what it says are bytes, kept in memory up to a limit.
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
    password = "string or secret",
}
local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

-- ---- connecting ----

--- The parts of "ssh://user@host:port", where a "%40" is an "@"; nil for anything else.
local function parse_uri(text)
    local rest = text:match "^ssh://(.*)$"
    if not rest then
        return nil
    end
    local user, host = rest:match "^([^@]+)@(.*)$"
    user = user and user:gsub(";.*", ""):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    return user, (host or rest):gsub("/$", "")
end

--- "user@host:port", "user@[2001:db8::1]:22", "ssh://user@host:port" or any part of it.
local function parse_target(text)
    local user, rest = parse_uri(text)
    if not rest then
        user, rest = text:match "^(.+)@([^@]+)$"
        rest = rest or text
    end
    local host, port = rest:match "^%[(.-)%]:(%d+)$"
    if not host then
        host, port = rest:match "^([^:]+):(%d+)$"
    end
    host = host or rest:match "^%[(.*)%]$" or rest
    if not host:find "^[%w:_.%%][%w:_.%%-]*$" then
        misuse(("'%s' does not name a host"):format(text), "\"host\", \"user@host\", \"user@host:port\" or "
            .. "\"ssh://user@host:port\"")
    end
    return user, host, tonumber(port)
end

local function list_of(value)
    return type(value) == "string" and { value } or value
end

local connect_now

--- Tells that the running item uses the connection; only inside an effect. With the last that does it closes.
local function hold(connection, name)
    gate.hold(connection, name, native.is_open, native.release)
end

--- The jump hosts, nearest first: "a,b", a list of such, or a host. `trail` has those who are on the way already.
local function connect_jump(jump, options, trail)
    if not jump then
        return nil, ""
    elseif getmetatable(jump) == Host then
        return jump.shared.connection(), tostring(jump)
    end
    local via, path = nil, ""
    for _, hops in ipairs(list_of(jump)) do
        for hop in hops:gmatch "[^,%s]+" do
            path = path .. hop .. ">"
            local _, name
            via, _, name = connect_now(hop, { known_hosts = options.known_hosts, identity = options.identity,
                timeout = options.timeout, host_key = options.host_key }, { via = via, path = path, trail = trail })
            hold(via, name)
        end
    end
    return via, path
end

--- The trail with one host more; refuses one that is on it already.
local function extended(trail, place, host)
    local longer = {}
    for index, passed in ipairs(trail or {}) do
        longer[index] = passed
    end
    longer[#longer + 1] = place
    for index = 1, #longer - 1 do
        if longer[index] == place then
            fail("ProxyJump leads back to where it began: " .. table.concat(longer, ", which is reached through "), {
                code = "ssh.config", target = host,
                hint = ("leave the jump host itself out: Host * !%s, or ProxyJump none for it"):format(host),
            })
        end
    end
    return longer
end

--- The names under which known_hosts may have a host: the first is the one that new keys get. As ssh does it, an alias
--- stands for every port, and a name without a port vouches for the host's other ports.
local function known_names(settings, name, port)
    if settings.host_key_alias then
        return { settings.host_key_alias:lower() }
    end
    local plain = known_hosts_file.name(name)
    return port == 22 and { plain } or { known_hosts_file.name(name, port), plain }
end

--- Adds to the error of a connection that failed what the configuration says about that and hostler does not do.
local function explain(err, settings)
    local code = type(err) == "table" and err.code or ""
    local passed_over = ({ ["ssh.host_key_unknown"] = settings.lenient, ["ssh.auth"] = settings.login })[code]
    local words = {}
    for index, entry in ipairs(passed_over or {}) do
        words[index] = ("%s %s"):format(entry.keyword, entry.value)
    end
    if #words > 0 then
        err.message = ("%s (the OpenSSH configuration says `%s`, which hostler does not do)"):format(err.message,
            table.concat(words, "`, `"))
    end
    error(err, 0)
end

--- Resolves and connects; only inside an effect.
---@param way? { via?: userdata, path?: string, trail?: string[] } the connection to go through, and its hosts; those
---  that wait for this one
function connect_now(target, options, way)
    way = way or {}
    local user, host, port = parse_target(target)
    user, port = options.user or user, options.port or port
    local settings = config.resolve(host, { user = user, port = port })
    user, port = user or settings.user, port or settings.port
    local address = options.address or settings.address
    local via, path = way.via, way.path
    if not via then
        local trail = extended(way.trail, ("%s@%s:%d"):format(user, address, port), host)
        via, path = connect_jump(options.jump or settings.jump, options, trail)
    end
    local identities = options.identity and list_of(options.identity) or settings.identities
    local policy = options.host_key or settings.host_key or "strict"
    local wanted = {
        user = user,
        address = address,
        port = port,
        agent = settings.agent,
        host_key_names = known_names(settings, options.address and host or settings.address, port),
        known_hosts = options.known_hosts and list_of(options.known_hosts) or settings.known_hosts,
        revoked_keys = settings.revoked_keys or {},
        check_address = settings.check_address and not via,
        identities = identities,
        certificates = not options.identity and settings.certificates or {},
        identities_given = options.identity ~= nil,
        only_identities = options.identity ~= nil or settings.only_identities,
        accept_new = policy == "accept-new",
        family = settings.family,
        bind_address = settings.bind_address,
        key_exchanges = settings.key_exchanges,
        host_key_algorithms = settings.host_key_algorithms,
        ciphers = settings.ciphers,
        macs = settings.macs,
        login_algorithms = settings.login_algorithms,
    }
    local key = json.encode { wanted, path or "", options.password and "password" or "" }
    wanted.key = key
    wanted.label = ("%s@%s%s"):format(user, host, port ~= 22 and ":" .. port or "")
    wanted.password = options.password
    wanted.remember = gate.mode == "normal"
    wanted.timeout = options.timeout or settings.timeout or CONNECT_TIMEOUT
    wanted.keepalive = options.keepalive or KEEPALIVE
    local ok, connection = pcall(native.connect, wanted, via)
    if not ok then
        explain(connection, settings)
    end
    return connection, user, "ssh " .. key
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
---@field password? secret for servers that take no keys, or want a password as well; of the host itself, not of jump
---  hosts: one that wants its own is connected first, and given as jump
---@field keepalive? number seconds between signs of life (15), three without an answer close the connection

--- Connects to a host, or shares the connection that this run has already.
---
--- User, port, address, keys, jump hosts and known_hosts come from the options, else from OpenSSH's configuration,
--- else are OpenSSH's defaults. Keys are the agent's and those in files, each also with its certificate, which is
--- PATH-cert.pub or in the agent. In a dry run on a host that does not exist yet the result has not connected: reads
--- give unknowns and writes are planned.
---@param target string "host", "user@host", "user@host:port" or "ssh://user@host:port"; may be unknown in a dry run
---@param options? ssh.Options
---@return ssh.Host
---@raise "ssh.resolve", "ssh.unreachable", "ssh.refused", "ssh.timeout", "ssh.closed", "ssh.protocol" (not an SSH
---  server), "ssh.limit" when too many connections are in use, "ssh.auth" with user, tried, agent and methods (what the
---  server takes); "ssh.host_key_unknown", "ssh.host_key_changed", "ssh.host_key_revoked" with fingerprint,
---  known_hosts_file, known_hosts_line; "ssh.config"
function ssh.connect(target, options)
    options = options or {}
    if type(target) ~= "string" and not unknown(target) then
        misuse "ssh.connect(\"host\", { user = ..., ... })"
    end
    options_of.check("ssh.connect", options, CONNECT_OPTIONS)
    if options.host_key and options.host_key ~= "strict" and options.host_key ~= "accept-new" then
        misuse(("ssh.connect: host_key is \"strict\" or \"accept-new\", not '%s'"):format(tostring(options.host_key)))
    end
    if options.password and not secret.is(options.password) then
        misuse("ssh.connect: a password must not stand in a playbook as it is", "password = secret(\"NAME\")")
    end
    local kept = {}
    for name, value in pairs(options) do
        kept[name] = value
    end
    local host = setmetatable({ target = target, user = options.user, shared = { options = kept } }, Host)
    local connection, name
    function host.shared.connection()
        if not connection or not native.is_open(connection) then
            connection, host.shared.login, name = connect_now(target, kept)
        end
        hold(connection, name)
        return connection
    end
    function host.shared.close()
        if connection then
            native.close(connection)
        end
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

--- The known_hosts files of a target, and its names in them; only inside an effect.
local function known_places(target, options)
    local _, host, port = parse_target(target)
    port = options.port or port
    local settings = config.resolve(host, { port = port })
    local files = options.known_hosts and list_of(options.known_hosts) or settings.known_hosts
    return files, known_names(settings, settings.address, port or settings.port)
end

--- What known_hosts says of a host, under each of its names: that with the port comes first.
---@param target string as for ssh.connect
---@param options? { port?: integer, known_hosts?: string|string[] }
---@return { file: string, line: integer, type: string, fingerprint: string, mark?: "revoked"|"authority" }[]
function ssh.known_keys(target, options)
    return gate.perform({
        kind = "read", name = "ssh.known_keys", target = target, inputs = { target },
        summary = "look for " .. tostring(target) .. " in known_hosts",
    }, function()
        local files, names = known_places(target, options or {})
        local keys = {}
        for _, name in ipairs(names) do
            for _, key in ipairs(native.known_keys(files, name)) do
                keys[#keys + 1] = key
            end
        end
        return keys
    end)
end

--- Forgets a host's keys: its name (with its port, as ssh-keygen -R does) is taken out of known_hosts, and lines that
--- name nobody else go. A copy of each file that changes stays beside it as FILE.old. Patterns that match the host, and
--- marked lines, stay.
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
        local files, names = known_places(target, options or {})
        local name, counts, total = names[1], {}, 0
        for _, key in ipairs(native.known_keys(files, name)) do
            counts[key.file] = (counts[key.file] or 0) + 1
        end
        for path, count in pairs(counts) do
            local text = native.read_file(path) or ""
            local edited = known_hosts_file.replace(text, { name }, {})
            local reason = edited ~= text and (native.write_file(path .. ".old", text, 384)
                or native.write_file(path, edited, 384))
            if reason then
                fail(("cannot write %s: %s"):format(path, reason), { code = "ssh.known_hosts" })
            end
            total = total + count - #known_hosts_file.concerning(edited, { name })
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
---@param options? { port?: integer } port: instead of the configured one
---@return { port: integer, name: string, names: string[], known_hosts: string[] } settings name: what known_hosts calls
---  it, without the port; names: all that known_hosts may call it, with the port where there is one, the one for new
---  keys first; known_hosts: the file that new keys are written to comes first; not all of them need exist
function ssh.settings(target, options)
    options = options or {}
    options_of.check("ssh.settings", options, { port = "number" })
    return gate.perform({
        kind = "read", name = "ssh.settings", target = target, summary = "how ssh reaches " .. target,
    }, function()
        local settings = config.resolve(target, { port = options.port })
        local port = options.port or settings.port
        return {
            port = port, name = settings.host_key_alias or settings.address,
            names = known_names(settings, settings.address, port), known_hosts = settings.known_hosts,
        }
    end)
end

return ssh
