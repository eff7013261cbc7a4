-- DNS: what chosen servers answer. The system's hosts file, search list and cache take no part.
local native, gate, import = ...
local dns = {}

local options_of = import "base/options"

local SECONDS = 5
local OPTIONS = { type = "string", nameservers = "table", timeout = "number", tcp = "boolean" }

--- Checked here, because c-ares takes "1.2.3" and port 65537 too.
local function check_nameserver(server)
    local text = tostring(server)
    local address, port = text:match "^%[(.*)%]:?(%d*)$"
    if not address then
        address, port = text:match "^([%d.]+):?(%d*)$"
    end
    port = tonumber(port) or 53
    if not native.normal(address or text) or port < 1 or port > 65535 then
        fail(("a nameserver is an address, perhaps with a port; '%s' is not"):format(text), { code = "usage",
            hint = '"192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:53"' })
    end
    return text
end

local function list_servers(nameservers)
    if not nameservers or unknown(nameservers) then
        return nameservers
    end
    local texts = {}
    for index, server in ipairs(nameservers) do
        texts[index] = check_nameserver(server)
    end
    if #texts == 0 then
        fail("dns: the list of nameservers is empty", { code = "usage" })
    end
    return table.concat(texts, ",")
end

--- c-ares goes on to the next server after a failure or a refusal, and in the end has forgotten why none served; asking
--- once more, and taking the first answer as it is, tells.
local function look_up(...)
    local results = { pcall(native.lookup, ...) }
    if not results[1] and results[2].code == "dns.unreachable" then
        local name, kind, servers, seconds, tcp = ...
        return native.lookup(name, kind, servers, seconds, tcp, true)
    elseif not results[1] then
        error(results[2], 0)
    end
    return results[2], results[3]
end

---@class dns.Options
---@field type? "A"|"AAAA"|"CNAME"|"TXT"|"NS"|"MX"|"CAA" ("A")
---@field nameservers? string[] "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53" (the system's)
---@field timeout? number seconds in all (5)
---@field tcp? boolean do not try UDP first

--- Asks for the records of a name. The servers are asked one after the other, until one answers.
---@param name string
---@param options? dns.Options
---@return string[]|table[] records in the answer's order: addresses, names or texts; MX: { host, preference };
---  CAA: { tag, value, critical }
---@return "nxdomain"|"nodata"|nil absence why the list is empty: no such name, or no such record of it
---@raise "dns.timeout", "dns.servfail", "dns.refused", "dns.unreachable", "dns.answer" (not a DNS message),
---  "dns.name" (cannot be a name)
function dns.resolve(name, options)
    options = options or {}
    options_of.check("dns.resolve", options, OPTIONS)
    local kind = options.type or "A"
    local servers = list_servers(options.nameservers)
    local label = kind .. " " .. name
    return gate.perform({
        kind = "read", name = "dns.resolve", target = servers or "the system's nameservers", summary = label,
        inputs = { name, options }, result = tostring(label),
    }, look_up, name, kind, servers, options.timeout or SECONDS, options.tcp)
end

local NOT_YET = { ["dns.timeout"] = true, ["dns.servfail"] = true, ["dns.refused"] = true, ["dns.unreachable"] = true,
    ["dns.answer"] = true }

--- Whether one server (or the system's) answers with this address alone; else false and what it said.
local function agrees(name, address, options)
    local records, absence = try(dns.resolve, name, options)
    if unknown(records) then
        return records
    elseif not records then
        local err = absence
        if not NOT_YET[err.code] then
            error(err, 0)
        end
        return false, tostring(err)
    elseif #records == 0 then
        return false, absence == "nxdomain" and "there is no such name" or "the name has no address"
    elseif #records > 1 or records[1] ~= address then
        return false, "it resolves to " .. table.concat(records, ", ")
    end
    return true
end

--- Whether every nameserver given answers with this address and no other: while one still tells an old address, some
--- visitors are sent there. A server that does not answer makes it false, for use in wait_until.
---@param name string
---@param address string IPv4 or IPv6; may be unknown in a dry run, and so is the result then
---@param options? dns.Options without type; all nameservers are asked at the same time
---@return boolean
---@return string? reason what the first server that disagrees says
---@raise "dns.name", "usage"
function dns.resolves_to(name, address, options)
    options = options or {}
    options_of.check("dns.resolves_to", options, OPTIONS)
    if unknown(address) or unknown(name) or unknown(options.nameservers) then
        return gate.unknown(("whether %s resolves to %s"):format(tostring(name), tostring(address)))
    end
    local wanted, kind = native.normal(address)
    if not wanted then
        fail(("'%s' is not an address"):format(address), { code = "usage" })
    end
    local questions = {}
    for index, server in ipairs(options.nameservers or { false }) do
        questions[index] = function()
            return { agrees(name, wanted, { type = kind, nameservers = server and { server } or nil,
                timeout = options.timeout, tcp = options.tcp }) }
        end
    end
    for index, answer in ipairs(parallel(questions)) do
        if not answer[1] then
            local server = options.nameservers and options.nameservers[index]
            return false, (server and server .. ": " or "") .. answer[2]
        end
    end
    return true
end

return dns
