-- What a team has set going: every change of a droplet is an action that is in progress, then completed or errored.
local answer, teams = require "standin.answer", require "standin.teams"
local catalogue = require "standin.catalogue"

local actions = {}

--- Begins an action on a droplet.
---@param team table
---@param kind string "create", "power_off" ...
---@param droplet table
function actions.begin(team, kind, droplet)
    local action = {
        id = answer.number(), kind = kind, status = "in-progress", begun = now(), droplet = droplet.id,
        region = droplet.region,
    }
    table.insert(team.actions, 1, action)
    return action
end

function actions.complete(action)
    action.status, action.ended = "completed", now()
end

function actions.fail(action)
    action.status, action.ended = "errored", now()
end

function actions.show(action)
    return {
        id = action.id, status = action.status, type = action.kind, started_at = answer.time(action.begun),
        completed_at = action.ended and answer.time(action.ended) or json.null, resource_id = action.droplet,
        resource_type = "droplet", region = catalogue.region(action.region), region_slug = action.region,
    }
end

function actions.routes(router)
    router:on("GET", "/v2/actions", function(call)
        return answer.page(call, "actions", call.team.actions, actions.show)
    end)
    router:on("GET", "/v2/actions/:id", function(call)
        local action = teams.find(call.team.actions, "id", tonumber(call.params.id)) or answer.not_found()
        return 200, { action = actions.show(action) }
    end)
end

return actions
