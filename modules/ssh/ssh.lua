-- Hosts over SSH: connecting, running commands, handling files.
--
-- A connection is made once and shared by everyone in the run who names the same user, host and port. Commands are
-- lists of arguments: no shell splits them. What a command is fed and what it says are bytes, kept in memory up to a
-- limit.
local native, gate, import = ...
local ssh = {}

local config, command = import "ssh/config", import "ssh/command"
local known_hosts_file, sh = require "known_hosts_file", require "sh"

---@class ssh.Host a host, as a user of it
---@field target string the host as the playbook named it
---@field user string who commands run as
local Host = {}
Host.__index = Host
Host.__tostring = function(self)
    return self.acting and ("%s@%s"):format(self.acting, tostring(self.target)) or tostring(self.target)
end

local DEFAULT_LIMIT = 16 * 1024 * 1024
local CONNECT_TIMEOUT = 15
local KEEPALIVE = 15
local TAIL = 4096

local CONNECT_OPTIONS = {
    user = "string", port = "number", identity = "string or table", known_hosts = "string or table",
    host_key = "string", jump = "string or table", timeout = "number", address = "string", keepalive = "number",
}
local RUN_OPTIONS = {
    read = "boolean", stdin = "any", env = "table", cwd = "string", timeout = "number", limit = "number",
    summary = "any", check = "boolean", allow_secret_argv = "boolean", args = "table",
}

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local function check_options(what, options, allowed)
    for name, value in pairs(options) do
        local wanted = allowed[name]
        if not wanted then
            local names = {}
            for known in pairs(allowed) do
                names[#names + 1] = known
            end
            table.sort(names)
            misuse(("%s has no option '%s'"):format(what, tostring(name)), "it takes " .. table.concat(names, ", "))
        elseif wanted ~= "any" and not wanted:find(type(value), 1, true) and not unknown(value) then
            misuse(("%s: %s must be a %s, not a %s"):format(what, name, wanted, type(value)))
        end
    end
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
    check_options("ssh.connect", options, CONNECT_OPTIONS)
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

--- The same host as another user: root becomes them with runuser, others with sudo, which must not ask for a password.
--- Commands then begin in that user's home, with HOME and USER set.
---@param user string
---@return ssh.Host
function Host:as(user)
    if type(user) ~= "string" or not user:find "^[%a_][%w_.-]*$" then
        misuse(("host:as: '%s' does not name a user"):format(tostring(user)))
    end
    return setmetatable({ target = self.target, user = user, acting = user, shared = self.shared }, Host)
end

--- Closes the connection for everybody in this run who shares it. A later use connects again.
function Host:close()
    if not self.shared.lazy then
        gate.perform({ kind = "read", name = "ssh.close", target = self.target, summary = "close the connection" },
            function() native.close(self.shared.connection()) end)
    end
end

-- ---- commands ----

local function tail(text)
    return text and (#text > TAIL and text:sub(-TAIL) or text)
end

local function check_argv(what, argv, options)
    if type(argv) ~= "table" or (#argv == 0 and what == "host:run") then
        misuse(what .. " takes a list of arguments: host:run { \"systemctl\", \"status\" }")
    end
    local words = {}
    for index, word in ipairs(argv) do
        if secret.is(word) and not options.allow_secret_argv then
            fail(("argument %d of %s is a secret, and everyone on the host can read arguments"):format(index - 1,
                tostring(argv[1])), {
                code = "ssh.secret",
                hint = "give it on stdin or in env; where the tool takes it only so, allow_secret_argv = true",
            })
        elseif type(word) == "number" then
            word = ("%.14g"):format(word)
        elseif type(word) ~= "string" and not secret.is(word) and not unknown(word) then
            misuse(("%s: argument %d is a %s"):format(what, index, type(word)))
        end
        if type(word) == "string" and word:find("%z") then
            misuse(("%s: argument %d holds a zero byte"):format(what, index))
        end
        words[index] = word
    end
    return words
end

local function check_run(what, options)
    check_options(what, options, RUN_OPTIONS)
    for name, value in pairs(unknown(options.env) and {} or options.env or {}) do
        if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
            misuse(("%s: '%s' cannot name a variable"):format(what, tostring(name)))
        elseif type(value) ~= "string" and type(value) ~= "number" and not secret.is(value) and not unknown(value) then
            misuse(("%s: the variable %s must be text, a number or a secret, not a %s"):format(what, name, type(value)))
        end
    end
    local input = options.stdin
    if input ~= nil and type(input) ~= "string" and not secret.is(input) and not unknown(input) then
        misuse(("%s: stdin must be text or a secret, not a %s"):format(what, type(input)))
    end
end

local function raise_ending(shown, result)
    local details = { status = result.status, signal = result.signal, stdout = tail(result.stdout),
        stderr = tail(result.stderr) }
    if result.signal then
        details.code = "ssh.signal"
        fail(("`%s` was ended by signal %s"):format(shown, result.signal), details)
    end
    details.code = "ssh.exit"
    details.hint = result.status == 127 and "the host does not find this program" or nil
    fail(("`%s` ended with status %d"):format(shown, result.status), details)
end

--- Runs what is built, inside an effect.
local function execute(self, request, options, shown, take)
    local connection = self.shared.connection()
    request.login = self.shared.login
    local line, input = command.build(request)
    local ok, result = pcall(native.exec, connection, line, input, options.limit or DEFAULT_LIMIT, options.timeout or 0)
    if not ok then
        if type(result) == "table" and result.stdout then
            result.message = ("`%s`: %s"):format(shown, result.message)
            result.stdout, result.stderr = tail(result.stdout), tail(result.stderr)
        end
        error(result, 0)
    end
    if options.check ~= false and (result.signal or result.status ~= 0) then
        raise_ending(shown, result)
    end
    if take then
        take(result)
    end
    return result
end

--- Every command and file of a host passes here.
local function perform(self, effect, request, options)
    local shown = effect.shown or command.shown(request.argv)
    request.user, request.env, request.cwd = self.acting, options.env, options.cwd
    request.stdin = options.stdin
    return gate.perform({
        kind = options.read and "read" or "write",
        name = effect.name,
        target = self.target,
        summary = options.summary or effect.summary
            or (self.acting and ("%s (as %s)"):format(shown, self.acting) or shown),
        inputs = { self.target, self.shared.options.address, request.argv, options.env, options.stdin, request.script },
        result = effect.result or tostring(request.argv[1]),
        detail = effect.detail,
    }, execute, self, request, options, shown, effect.take)
end

---@class ssh.RunOptions
---@field read? boolean it changes nothing
---@field stdin? string|secret what it reads
---@field env? table<string, string|number|secret>
---@field cwd? string the directory to run in
---@field timeout? number seconds
---@field limit? integer most bytes of either output (16 MiB)
---@field summary? string how the effect is shown
---@field check? boolean raise unless its status is 0 (true)
---@field allow_secret_argv? boolean for tools that take a secret only as an argument
---@field args? (string|number)[] of host:sh: its "$1" and so on

---@class ssh.Result
---@field status integer
---@field stdout string
---@field stderr string
---@field signal? string the one that ended it

--- Runs a program on the host and waits until it has ended.
---
--- It counts as a write unless `read = true`. Environment and standard input never appear among its arguments, which
--- all users of the host can read. Without `stdin` its input is empty.
---@param argv (string|number)[] the program and its arguments
---@param options? ssh.RunOptions
---@return ssh.Result
---@raise "ssh.exit" with status, stdout, stderr (their last 4 KiB); "ssh.signal" with signal; "ssh.output" past the
---  limit; "ssh.closed" when the connection drops; "ssh.secret" for a secret argument; "timeout"; what ssh.connect
---  raises
---@effect write unless read
function Host:run(argv, options)
    options = options or {}
    check_run("host:run", options)
    return perform(self, { name = "ssh.run" }, { argv = check_argv("host:run", argv, options) }, options)
end

--- Like host:run, but returns nil and the error instead of raising it. A cancellation is raised all the same.
---@param argv (string|number)[]
---@param options? ssh.RunOptions
---@return ssh.Result?
---@return Error? error
---@effect write unless read
function Host:try(argv, options)
    return try(self.run, self, argv, options)
end

--- Runs a shell script on the host. The script is sent on standard input, so it does not appear among arguments;
--- values go in as positional arguments: host:sh("mkdir -p \"$1\"", { args = { path } }).
---@param script string|secret for /bin/sh
---@param options? ssh.RunOptions
---@return ssh.Result
---@effect write unless read
function Host:sh(script, options)
    options = options or {}
    check_run("host:sh", options)
    if type(script) ~= "string" and not secret.is(script) and not unknown(script) then
        misuse "host:sh(script, { args = { ... } })"
    end
    local first = tostring(script):match "^%s*([^\n]*)"
    return perform(self, { name = "ssh.sh", shown = "sh: " .. (#first > 100 and first:sub(1, 97) .. "..." or first),
        result = "sh" }, { argv = check_argv("host:sh", options.args or {}, options), script = script }, options)
end

-- ---- ports ----

---@class ssh.Forward
---@field address string where it listens
---@field port integer
local Forward = {}
Forward.__index = Forward

--- Closes the port and the connections that go through it; again is fine.
function Forward:close()
    native.forward_close(self.native)
end

--- Why the last connection could not be carried on, or nil.
---@return string?
function Forward:problem()
    return native.forward_problem(self.native)
end

--- Opens a port here whose connections go on from the host (direct-tcpip, RFC 4254, section 7.2): to a service that
--- only the host can reach. It is open until it is closed, the connection to the host ends, or the run does; with `fn`,
--- until that has returned or raised.
---
--- To the gate it is a read: what is done through it has a module of its own, which passes the gate.
---@param remote_host string as the host knows it
---@param remote_port integer
---@param options? { address?: string, port?: integer } where to listen: an address of this machine ("127.0.0.1"), and
---  a port (any free one)
---@param fn? fun(forward: ssh.Forward): ... called with it
---@return ssh.Forward|any ... the forward, or what fn returns
---@raise "ssh.forward" when the port here cannot be had. A connection that cannot be carried on is closed; `problem`
---  then tells why
function Host:forward(remote_host, remote_port, options, fn)
    options = options or {}
    check_options("host:forward", options, { address = "string", port = "number" })
    for _, port in ipairs { remote_port, options.port or 1 } do
        if not unknown(port) and (type(port) ~= "number" or port < 1 or port > 65535 or port % 1 ~= 0) then
            misuse("host:forward: a port is a whole number from 1 to 65535")
        end
    end
    if not unknown(remote_host) and (type(remote_host) ~= "string" or remote_host == "" or #remote_host > 255) then
        misuse("host:forward(\"localhost\", 5432)")
    end
    local forward = gate.perform({
        kind = "read", name = "ssh.forward", target = self.target, result = "forward",
        summary = ("forward a port to %s port %s"):format(tostring(remote_host), tostring(remote_port)),
        inputs = { self.target, self.shared.options.address, remote_host, remote_port },
    }, function()
        local address = options.address or "127.0.0.1"
        local made, port = native.forward(self.shared.connection(), remote_host, remote_port, address,
            options.port or 0)
        return setmetatable({ native = made, address = address, port = port }, Forward)
    end)
    if not fn then
        return forward
    end
    local function close(ok, ...)
        if not unknown(forward) then
            forward:close()
        end
        if not ok then
            error((...), 0)
        end
        return ...
    end
    return close(pcall(fn, forward))
end

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

-- ---- files ----

import "ssh/files"(Host, perform, native)

return ssh
