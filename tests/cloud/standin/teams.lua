-- The teams of the stand-in: who a token belongs to, what it may do, and what each team owns. The other files keep
-- their resources in these tables; nothing here is on disk.
local answer = require "standin.answer"

local teams = {
    --- Every team, in the order of the settings.
    list = {},
    --- What a token that may only read is answered when it tries to change something.
    read_only = { status = 403, id = "Forbidden", message = "You are not authorized to perform this operation" },
}

local by_token = {}

local function new_team(name, limits)
    return {
        name = name,
        uuid = uuid(),
        owner = uuid(),
        droplet_limit = limits.droplets,
        cluster_limit = limits.clusters,
        --- Requests a minute and an hour that each token of the team has.
        burst = 250,
        hourly = 5000,
        keys = {}, droplets = {}, snapshots = {}, actions = {}, domains = {}, clusters = {}, projects = {}, tags = {},
    }
end

local function give_token(team, text, access)
    by_token[text] = { team = team, access = access, always_reads = access == "read", calls = {}, first = 1, last = 0 }
end

--- Makes a team that its token can read and change.
---@param name string
---@param token string
---@param limits { droplets: integer, clusters: integer }
function teams.add(name, token, limits)
    local team = new_team(name, limits)
    teams.list[#teams.list + 1] = team
    give_token(team, token, "write")
    return team
end

--- Gives a team a second token, which can only read.
function teams.add_reader(team, token)
    give_token(team, token, "read")
end

--- The token of a request's Authorization header; answers 401 where it is none of ours.
function teams.authenticate(headers)
    local text = (headers.authorization or ""):match "^[Bb]earer (%S+)$"
    local token = text and by_token[text]
    if not token then
        answer.refuse(401, "Unauthorized", "Unable to authenticate you")
    end
    return token
end

function teams.named(name)
    for _, team in ipairs(teams.list) do
        if team.name == name then
            return team
        end
    end
end

--- The first item whose field has this value, with its place in the list.
function teams.find(list, field, value)
    for index, item in ipairs(list) do
        if item[field] == value then
            return item, index
        end
    end
end

--- The items for which the test is true, as a new list.
function teams.select(list, test)
    local found = {}
    for _, item in ipairs(list) do
        if test(item) then
            found[#found + 1] = item
        end
    end
    return found
end

--- Makes every token of a team read-only, or able to write again.
function teams.set_access(team, access)
    for _, token in pairs(by_token) do
        if token.team == team and not token.always_reads then
            token.access = access
        end
    end
end

return teams
