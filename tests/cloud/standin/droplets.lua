-- Droplets: each is a machine of the local cloud. A new one is `new` and has no address until its sshd answers.
local answer, teams = require "standin.answer", require "standin.teams"
local account, catalogue = require "standin.account", require "standin.catalogue"
local actions, machines = require "standin.actions", require "standin.machines"
local projects, tags = require "standin.projects", require "standin.tags"

local droplets = {
    --- Networks of the local cloud: { public = "198.18.16.", private = "198.19.16." } and their gateways.
    network = nil,
}

-- A /20 of addresses; the first ones are the gateway's and kept free.
local FIRST_HOST, LAST_HOST, NETMASK = 10, 4094, "255.255.240.0"
local next_host = FIRST_HOST - 1

local function new_addresses()
    next_host = next_host + 1
    if next_host > LAST_HOST then
        answer.unprocessable "there are no more addresses in this region"
    end
    local function host_in(first_octets, third)
        return ("%s.%d.%d"):format(first_octets, third + math.floor(next_host / 256), next_host % 256)
    end
    local network = droplets.network
    return host_in(network.public, network.third), host_in(network.private, network.third)
end

local function networks_of(droplet)
    local v4 = json.array {}
    if droplet.status ~= "new" then
        local private_gateway, gateway = droplets.network.private_gateway, droplets.network.gateway
        v4[1] = { ip_address = droplet.private, netmask = NETMASK, gateway = private_gateway, type = "private" }
        v4[2] = { ip_address = droplet.public, netmask = NETMASK, gateway = gateway, type = "public" }
    end
    return { v4 = v4, v6 = json.array {} }
end

local function show(droplet)
    local size = catalogue.size(droplet.size)
    return {
        id = droplet.id, name = droplet.name, memory = size.memory, vcpus = size.vcpus, disk = size.disk,
        disk_info = size.disk_info, locked = droplet.locked or false, status = droplet.status, kernel = json.null,
        created_at = answer.time(droplet.created), features = { "droplet_agent", "private_networking" },
        backup_ids = json.array {}, next_backup_window = json.null, snapshot_ids = json.array {},
        image = catalogue.image_of(droplet.snapshot), volume_ids = json.array {}, size = size, size_slug = size.slug,
        networks = networks_of(droplet), region = catalogue.region(droplet.region), tags = json.array(droplet.tags),
        vpc_uuid = droplet.vpc,
    }
end

local function check_name(name)
    if type(name) ~= "string" or not name:match "^[a-zA-Z0-9.-]+$" or not name:match "[a-zA-Z0-9]$" or #name > 255 then
        answer.unprocessable "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
    end
end

local function keys_of(team, identifiers)
    local lines = {}
    for index, identifier in ipairs(identifiers) do
        local key = account.find_key(team, identifier)
        if not key then
            answer.unprocessable(("%s are invalid key identifiers for Droplet creation."):format(tostring(identifier)))
        end
        lines[index] = key.public_key .. "\n"
    end
    return table.concat(lines)
end

local function list_or_empty(value)
    return type(value) == "table" and value or {}
end

--- Checks a whole order before anything of it is made.
local function check_order(team, body)
    check_name(body.name)
    local order = {
        name = body.name, size = body.size, region = answer.absent(body.region) and "nyc3" or body.region,
        snapshot = catalogue.snapshot(team, body.image), tags = tags.check(list_or_empty(body.tags)),
        authorized_keys = keys_of(team, list_or_empty(body.ssh_keys)),
    }
    if not order.snapshot then
        answer.unprocessable "You specified an invalid image for Droplet creation."
    elseif not catalogue.size(order.size) then
        answer.unprocessable "You specified an invalid size for Droplet creation."
    elseif not catalogue.region(order.region) then
        answer.unprocessable "You specified an invalid region for Droplet creation."
    elseif #team.droplets >= team.droplet_limit then
        answer.unprocessable "creating this/these droplet(s) will exceed your droplet limit"
    end
    return order
end

local function create(call)
    local team = call.team
    local droplet = check_order(team, call.body or {})
    droplet.id, droplet.status, droplet.created, droplet.vpc = answer.number(), "new", now(), team.uuid
    droplet.public, droplet.private = new_addresses()
    droplet.variant = droplet.snapshot.variant
    tags.remember(team, droplet.tags)
    table.insert(team.droplets, 1, droplet)
    projects.adopt(team, "do:droplet:" .. droplet.id)
    local action = actions.begin(team, "create", droplet)
    droplet.locked = true
    machines.start_droplet(droplet, function()
        droplet.status, droplet.locked = "active", false
        actions.complete(action)
    end, function()
        droplet.locked = false
        actions.fail(action)
    end)
    return 202, {
        droplet = show(droplet),
        links = { actions = { { id = action.id, rel = "create", href = call.origin .. "/v2/actions/" .. action.id } } },
    }
end

local function list(call)
    local tag, name = call.query.tag_name, call.query.name
    if tag and name then
        answer.refuse(400, "bad_request", "name and tag_name cannot be used together")
    end
    return answer.page(call, "droplets", teams.select(call.team.droplets, function(droplet)
        return (not tag or tags.has(droplet.tags, tag)) and (not name or droplet.name:lower() == name:lower())
    end), show)
end

local function droplet_of(call)
    local droplet, index = teams.find(call.team.droplets, "id", tonumber(call.params.id))
    if not droplet then
        answer.not_found()
    end
    return droplet, index
end

local function destroy(call)
    local droplet, index = droplet_of(call)
    if droplet.locked then
        answer.unprocessable "Droplet already has a pending event."
    end
    table.remove(call.team.droplets, index)
    projects.release(call.team, "do:droplet:" .. droplet.id)
    machines.destroy_droplet(droplet.id)
    return 204
end

-- What an action runs, and the state it leaves the droplet in.
local POWER = {
    reboot = { status = "active", boots = true },
    power_cycle = { status = "active", boots = true },
    power_on = { "start", status = "active", boots = true },
    power_off = { "stop", "--now", status = "off" },
    shutdown = { "stop", status = "off" },
    rebuild = { "rebuild", status = "active", boots = true },
}

local function begin_power(call, droplet, kind)
    local power, id = POWER[kind], tostring(droplet.id)
    local action = actions.begin(call.team, kind, droplet)
    local function done()
        droplet.status, droplet.locked = power.status, false
        actions.complete(action)
    end
    local function failed()
        droplet.locked = false
        actions.fail(action)
    end
    droplet.locked = true
    if not power[1] then -- off and on again
        local off = kind == "reboot" and { "stop", id } or { "stop", "--now", id }
        machines.power(droplet.id, off, false, function() end, failed)
        machines.power(droplet.id, { "start", id }, true, done, failed)
    else
        local words = { unpack(power) }
        words[#words + 1] = id
        machines.power(droplet.id, words, power.boots, done, failed)
    end
    return action
end

local function act(call)
    local droplet, kind = droplet_of(call), call.body and call.body.type
    if not POWER[kind] then
        answer.unprocessable(("the stand-in does not know the action '%s'"):format(tostring(kind)))
    elseif droplet.locked then
        answer.unprocessable "Droplet already has a pending event."
    elseif kind == "power_on" and droplet.status == "active" then
        answer.unprocessable "Droplet is already powered on"
    end
    return 201, { action = actions.show(begin_power(call, droplet, kind)) }
end

function droplets.routes(router)
    router:on("GET", "/v2/droplets", list)
    router:on("POST", "/v2/droplets", create)
    router:on("GET", "/v2/droplets/:id", function(call)
        return 200, { droplet = show((droplet_of(call))) }
    end)
    router:on("DELETE", "/v2/droplets/:id", destroy)
    router:on("GET", "/v2/droplets/:id/actions", function(call)
        local droplet = droplet_of(call)
        return answer.page(call, "actions", teams.select(call.team.actions, function(action)
            return action.droplet == droplet.id
        end), actions.show)
    end)
    router:on("POST", "/v2/droplets/:id/actions", act)
end

return droplets
