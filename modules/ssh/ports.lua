-- Ports of this machine whose connections go on from a host.
local _, gate, import = ...

local native, options_of = import "ssh/native", import "base/options"

---@class ssh.Host
local Host = import "ssh/host".Host

local FORWARD_OPTIONS = { address = "string", port = "number" }

local function misuse(message)
    fail(message, { code = "usage" })
end

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
--- only the host can reach. It is open until it is closed, the connection to the host ends (with the item of an `each`
--- that alone used the host), or the run does; with `fn`, until that has returned or raised.
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
    options_of.check("host:forward", options, FORWARD_OPTIONS)
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

return Host
