-- Projects: folders for what a team owns. Everything new lands in the default one.
local answer, teams = require "standin.answer", require "standin.teams"

local projects = {}

--- Gives a team a project.
---@param project { name: string, default?: boolean }
function projects.add(team, project)
    project.id, project.created, project.resources = uuid(), now(), {}
    team.projects[#team.projects + 1] = project
end

--- Puts a new resource into the default project.
---@param urn string "do:droplet:123"
function projects.adopt(team, urn)
    for _, project in ipairs(team.projects) do
        if project.default then
            table.insert(project.resources, { urn = urn, at = now() })
        end
    end
end

--- Takes a resource out of whichever project holds it; true when one did.
function projects.release(team, urn)
    for _, project in ipairs(team.projects) do
        local _, index = teams.find(project.resources, "urn", urn)
        if index then
            table.remove(project.resources, index)
            return true
        end
    end
    return false
end

local function show(team)
    return function(project)
        return {
            id = project.id, owner_uuid = team.owner, owner_id = 258992, name = project.name, description = "",
            purpose = "Service or API", environment = "Production", created_at = answer.time(project.created),
            updated_at = answer.time(project.created), is_default = project.default or false,
        }
    end
end

local function show_resource(call, status)
    return function(resource)
        local kind, id = resource.urn:match "^do:(%l+):(.*)$"
        local path = kind == "dbaas" and "databases" or (kind or "resource") .. "s"
        return {
            urn = resource.urn, assigned_at = answer.time(resource.at),
            links = { self = ("%s/v2/%s/%s"):format(call.origin, path, id or "") }, status = resource.status or status,
        }
    end
end

local function project_of(call)
    return teams.find(call.team.projects, "id", call.params.id) or answer.not_found()
end

local function assign(call)
    local project, shown = project_of(call), json.array {}
    for index, urn in ipairs(call.body and call.body.resources or {}) do
        local resource = { urn = urn, at = now() }
        if teams.find(project.resources, "urn", urn) then
            resource.status = "already_assigned"
        elseif projects.release(call.team, urn) then
            table.insert(project.resources, { urn = urn, at = resource.at })
            resource.status = "assigned"
        else
            resource.status = "not_found"
        end
        shown[index] = show_resource(call)(resource)
    end
    return 200, { resources = shown }
end

function projects.routes(router)
    router:on("GET", "/v2/projects", function(call)
        return answer.page(call, "projects", call.team.projects, show(call.team))
    end)
    router:on("GET", "/v2/projects/default", function(call)
        return 200, { project = show(call.team)((teams.find(call.team.projects, "default", true))) }
    end)
    router:on("GET", "/v2/projects/:id", function(call)
        return 200, { project = show(call.team)(project_of(call)) }
    end)
    router:on("DELETE", "/v2/projects/:id", function(call)
        local project = project_of(call)
        if project.default or #project.resources > 0 then
            answer.refuse(412, "precondition_failed",
                "cannot delete a project with resources. move or remove the resources first")
        end
        table.remove(call.team.projects, select(2, teams.find(call.team.projects, "id", project.id)))
        return 204
    end)
    router:on("GET", "/v2/projects/:id/resources", function(call)
        return answer.page(call, "resources", project_of(call).resources, show_resource(call, "ok"))
    end)
    router:on("POST", "/v2/projects/:id/resources", assign)
end

return projects
