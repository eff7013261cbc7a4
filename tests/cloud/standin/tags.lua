-- Tags: a team's words on its droplets and clusters. Using one makes it.
local answer, teams = require "standin.answer", require "standin.teams"

local tags = {}

local function check_name(name)
    if type(name) ~= "string" or not name:match "^[%w_:-]+$" or #name > 255 then
        answer.unprocessable "Name should only contain letters, numbers, colons, dashes, and underscores"
    end
end

--- The list of tags in an order, when every one is well-formed.
function tags.check(names)
    for _, name in ipairs(names) do
        check_name(name)
    end
    return { unpack(names) }
end

function tags.remember(team, names)
    for _, name in ipairs(names) do
        if not teams.find(team.tags, "name", name) then
            team.tags[#team.tags + 1] = { name = name }
        end
    end
end

function tags.has(names, wanted)
    for _, name in ipairs(names) do
        if name:lower() == wanted:lower() then
            return true
        end
    end
    return false
end

local function count(list, name)
    return #teams.select(list, function(item)
        return tags.has(item.tags, name)
    end)
end

local function show(team)
    return function(tag)
        local in_droplets, in_clusters = count(team.droplets, tag.name), count(team.clusters, tag.name)
        return {
            name = tag.name,
            resources = {
                count = in_droplets + in_clusters, droplets = { count = in_droplets },
                databases = { count = in_clusters },
                images = { count = 0 }, volumes = { count = 0 }, volume_snapshots = { count = 0 },
            },
        }
    end
end

local function tag_of(call)
    local tag, index = teams.find(call.team.tags, "name", call.params.name)
    if not tag then
        answer.not_found()
    end
    return tag, index
end

--- The droplets that a request to tag or untag names.
local function named_droplets(call)
    local found = {}
    for _, resource in ipairs(call.body and call.body.resources or {}) do
        local droplet = resource.resource_type == "droplet"
            and teams.find(call.team.droplets, "id", tonumber(resource.resource_id))
        if not droplet then
            answer.not_found()
        end
        found[#found + 1] = droplet
    end
    return found
end

local function without(names, unwanted)
    local kept = {}
    for _, name in ipairs(names) do
        if name ~= unwanted then
            kept[#kept + 1] = name
        end
    end
    return kept
end

local function assign(call)
    local tag = tag_of(call)
    for _, droplet in ipairs(named_droplets(call)) do
        if not tags.has(droplet.tags, tag.name) then
            table.insert(droplet.tags, tag.name)
        end
    end
    return 204
end

local function unassign(call)
    local tag = tag_of(call)
    for _, droplet in ipairs(named_droplets(call)) do
        droplet.tags = without(droplet.tags, tag.name)
    end
    return 204
end

local function delete(call)
    local tag, index = tag_of(call)
    for _, list in ipairs { call.team.droplets, call.team.clusters } do
        for _, item in ipairs(list) do
            item.tags = without(item.tags, tag.name)
        end
    end
    table.remove(call.team.tags, index)
    return 204
end

function tags.routes(router)
    router:on("GET", "/v2/tags", function(call)
        return answer.page(call, "tags", call.team.tags, show(call.team))
    end)
    router:on("POST", "/v2/tags", function(call)
        local name = call.body and call.body.name
        check_name(name)
        tags.remember(call.team, { name })
        return 201, { tag = show(call.team)((teams.find(call.team.tags, "name", name))) }
    end)
    router:on("GET", "/v2/tags/:name", function(call)
        return 200, { tag = show(call.team)((tag_of(call))) }
    end)
    router:on("DELETE", "/v2/tags/:name", delete)
    router:on("POST", "/v2/tags/:name/resources", assign)
    router:on("DELETE", "/v2/tags/:name/resources", unassign)
end

return tags
