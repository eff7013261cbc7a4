-- Domains and their records. What is an address in the local cloud's domain is published by its DNS server.
local answer, teams = require "standin.answer", require "standin.teams"
local machines = require "standin.machines"

local domains = {
    --- The domain whose names the local cloud's DNS server answers.
    published = "meltanodata.com",
}

local SMALLEST_TTL, USUAL_TTL = 30, 1800
local KINDS = { A = true, AAAA = true, CAA = true, CNAME = true, MX = true, NS = true, SRV = true, TXT = true }
local POINTS_TO_NAME = { CNAME = true, MX = true, NS = true, SRV = true }

local function show_record(record)
    local function number(field)
        return record[field] or json.null
    end
    return {
        id = record.id, type = record.type, name = record.name, data = record.data, ttl = record.ttl,
        priority = number "priority", port = number "port", weight = number "weight", flags = number "flags",
        tag = record.tag or json.null,
    }
end

local function show_domain(domain)
    local zone_file = ("$ORIGIN %s.\n$TTL %d\n"):format(domain.name, USUAL_TTL)
    return { name = domain.name, ttl = USUAL_TTL, zone_file = zone_file }
end

local function full_name(domain, name)
    return name == "@" and domain.name or name .. "." .. domain.name
end

--- Makes the DNS server answer this name as the records have it. It knows one address a name: the newest record's.
local function publish(domain, name)
    if domain.name ~= domains.published then
        return
    end
    local address
    for _, record in ipairs(domain.records) do
        if record.type == "A" and record.name == name then
            address = record.data
        end
    end
    machines.publish(full_name(domain, name), address)
end

local function new_record(fields)
    return {
        id = answer.number(), type = fields.type, name = fields.name, data = fields.data, ttl = fields.ttl or USUAL_TTL,
        priority = fields.priority, port = fields.port, weight = fields.weight, flags = fields.flags, tag = fields.tag,
    }
end

--- Gives a team a domain with records that are already there; its addresses are published.
---@param records table[] { type, name, data, ttl }
function domains.add(team, name, records)
    local domain = { name = name, records = {} }
    team.domains[#team.domains + 1] = domain
    for index, fields in ipairs(records) do
        domain.records[index] = new_record(fields)
        if fields.type == "A" then
            publish(domain, fields.name)
        end
    end
    return domain
end

local function is_address(text)
    local numbers = { text:match "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$" }
    for _, number in ipairs(numbers) do
        if tonumber(number) > 255 then
            return false
        end
    end
    return #numbers == 4
end

local function check_name(name)
    local rest = name:gsub("^%*%.", "") -- an underscore begins the names of services
    local is_host = rest:match "^[%w_][%w_.-]*$" and not rest:match "[.-]$" and not rest:find "%.%."
    if name ~= "@" and name ~= "*" and (not is_host or #name > 253) then
        answer.unprocessable("Name Only valid hostname characters are allowed. (a-z, A-Z, 0-9, ., _ and -) "
            .. "Or a single record of '@' or '*'.")
    end
end

local function check_data(kind, data)
    if kind == "A" and not is_address(data) then
        answer.unprocessable "IP address did not match IPv4 format (e.g. 127.0.0.1)."
    elseif kind == "AAAA" and not data:match "^[%x:]+:[%x:]*$" then
        answer.unprocessable "IP address did not match IPv6 format (e.g. 2001:db8::ff00:42:8329)."
    elseif POINTS_TO_NAME[kind] and data ~= "@" and not data:match "%.$" then
        answer.unprocessable "Data needs to end with a dot (.)"
    end
end

--- A record as ordered, its nulls left out; refuses one that DigitalOcean would refuse.
local function check_record(domain, body, own_id)
    local fields = {}
    for key, value in pairs(body) do
        fields[key] = not answer.absent(value) and value or nil
    end
    if not KINDS[fields.type] then
        answer.unprocessable "Type is not included in the list"
    elseif type(fields.name) ~= "string" or fields.name == "" then
        answer.unprocessable "Name can't be blank"
    elseif type(fields.data) ~= "string" or fields.data == "" then
        answer.unprocessable "Data can't be blank"
    elseif fields.ttl and (type(fields.ttl) ~= "number" or fields.ttl < SMALLEST_TTL or fields.ttl % 1 ~= 0) then
        answer.unprocessable(("TTL must be greater than or equal to %d"):format(SMALLEST_TTL))
    end
    check_name(fields.name)
    check_data(fields.type, fields.data)
    for _, record in ipairs(domain.records) do
        local same = record.name == fields.name and record.id ~= own_id
        if same and (record.type == "CNAME" or fields.type == "CNAME") then
            answer.unprocessable "CNAME records cannot share a name with other records"
        elseif same and record.type == fields.type and record.data == fields.data then
            answer.unprocessable "Record already exists"
        end
    end
    return fields
end

local function domain_of(call)
    local domain, index = teams.find(call.team.domains, "name", call.params.name)
    if not domain then
        answer.not_found()
    end
    return domain, index
end

local function record_of(call)
    local domain = domain_of(call)
    local record, index = teams.find(domain.records, "id", tonumber(call.params.id))
    if not record then
        answer.not_found()
    end
    return record, domain, index
end

local function list_records(call)
    local domain, kind, name = domain_of(call), call.query.type, call.query.name
    if kind and not KINDS[kind] and kind ~= "SOA" then
        answer.unprocessable "invalid type"
    end
    return answer.page(call, "domain_records", teams.select(domain.records, function(record)
        return (not kind or record.type == kind) and (not name or full_name(domain, record.name) == name)
    end), show_record)
end

local function create_record(call)
    local domain = domain_of(call)
    local record = new_record(check_record(domain, call.body or {}))
    domain.records[#domain.records + 1] = record
    publish(domain, record.name)
    return 201, { domain_record = show_record(record) }
end

local function change_record(call)
    local record, domain = record_of(call)
    local wanted = show_record(record)
    for key, value in pairs(call.body or {}) do
        wanted[key] = value
    end
    local fields = check_record(domain, wanted, record.id)
    local old_name = record.name
    for _, key in ipairs { "name", "data", "ttl", "priority", "port", "weight", "flags", "tag" } do
        record[key] = fields[key]
    end
    publish(domain, old_name)
    publish(domain, record.name)
    return 200, { domain_record = show_record(record) }
end

local function delete_record(call)
    local record, domain, index = record_of(call)
    table.remove(domain.records, index)
    publish(domain, record.name)
    return 204
end

local function create_domain(call)
    local name = call.body and call.body.name
    if type(name) ~= "string" or not name:match "^[%w-]+%.[%w.-]+$" then
        answer.unprocessable "Name is not a valid domain name"
    elseif teams.find(call.team.domains, "name", name) then
        answer.unprocessable(("domain '%s': name already exists"):format(name))
    end
    return 201, { domain = show_domain(domains.add(call.team, name, {})) }
end

function domains.routes(router)
    router:on("GET", "/v2/domains", function(call)
        return answer.page(call, "domains", call.team.domains, show_domain)
    end)
    router:on("POST", "/v2/domains", create_domain)
    router:on("GET", "/v2/domains/:name", function(call)
        return 200, { domain = show_domain((domain_of(call))) }
    end)
    router:on("DELETE", "/v2/domains/:name", function(call)
        local _, index = domain_of(call)
        table.remove(call.team.domains, index)
        return 204
    end)
    router:on("GET", "/v2/domains/:name/records", list_records)
    router:on("POST", "/v2/domains/:name/records", create_record)
    router:on("GET", "/v2/domains/:name/records/:id", function(call)
        return 200, { domain_record = show_record((record_of(call))) }
    end)
    router:on("PUT", "/v2/domains/:name/records/:id", change_record)
    router:on("PATCH", "/v2/domains/:name/records/:id", change_record)
    router:on("DELETE", "/v2/domains/:name/records/:id", delete_record)
end

return domains
