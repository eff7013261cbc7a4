-- The account, its team's name and limits, and its SSH keys.
local answer, teams = require "standin.answer", require "standin.teams"

local account = {}

local ADDRESSED = 3 -- floating addresses a team may have

local function show_account(call)
    local team = call.team
    return 200, {
        account = {
            droplet_limit = team.droplet_limit, floating_ip_limit = ADDRESSED, email = "ops@meltanodata.com",
            name = "Operations", uuid = team.owner, email_verified = true, status = "active", status_message = "",
            team = { uuid = team.uuid, name = team.name },
        },
    }
end

local function show_key(key)
    return { id = key.id, fingerprint = key.fingerprint, public_key = key.public_key, name = key.name }
end

--- A key is named by its number or its fingerprint.
function account.find_key(team, identifier)
    return teams.find(team.keys, "id", tonumber(identifier)) or teams.find(team.keys, "fingerprint", identifier)
end

local function key_of(call)
    local key, index = account.find_key(call.team, call.params.id)
    if not key then
        answer.not_found()
    end
    return key, index
end

-- Stands in for the MD5 fingerprint, which Lua alone cannot make: it is the key's own, and looks like one.
local function fingerprint_of(id)
    return ("00:00:00:00:00:00:00:00:00:00:00:00:%02x:%02x:%02x:%02x"):format(
        math.floor(id / 2 ^ 24) % 256, math.floor(id / 2 ^ 16) % 256, math.floor(id / 2 ^ 8) % 256, id % 256)
end

--- Adds a public key to a team.
function account.add_key(team, name, public_key)
    local id = answer.number()
    local key = { id = id, name = name, public_key = public_key, fingerprint = fingerprint_of(id) }
    team.keys[#team.keys + 1] = key
    return key
end

local function create_key(call)
    local body = call.body or {}
    if type(body.name) ~= "string" or body.name == "" then
        answer.unprocessable "Name can't be blank"
    elseif type(body.public_key) ~= "string" or not body.public_key:match "^[%w@.-]+ [%w+/=]+" then
        answer.unprocessable "Key invalid, key should be of the format `ssh-rsa AAAA...`"
    elseif teams.find(call.team.keys, "public_key", body.public_key) then
        answer.unprocessable "SSH Key is already in use on your account"
    end
    return 201, { ssh_key = show_key(account.add_key(call.team, body.name, body.public_key)) }
end

function account.routes(router)
    router:on("GET", "/v2/account", show_account)
    router:on("GET", "/v2/account/keys", function(call)
        return answer.page(call, "ssh_keys", call.team.keys, show_key)
    end)
    router:on("POST", "/v2/account/keys", create_key)
    router:on("GET", "/v2/account/keys/:id", function(call)
        return 200, { ssh_key = show_key((key_of(call))) }
    end)
    router:on("DELETE", "/v2/account/keys/:id", function(call)
        local _, index = key_of(call)
        table.remove(call.team.keys, index)
        return 204
    end)
end

return account
