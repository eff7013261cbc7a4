-- What must hold before an instance is made: all of it is found out before the first write, and told together.
local mail = require "mail"
local prerequisites = require "prerequisites"
local site = require "site"
local ssh = require "ssh"

local preflight = {}

--- Refuses when anything of the instance exists.
---@param new table the instance
---@param there table its survey
---@param reason string why it does not count as complete
function preflight.check_free(new, there, reason)
    local existing, missing = new:describe(there)
    if #existing == 0 then
        return
    end
    for _, part in ipairs(existing) do
        say("exists   %s", part)
    end
    for _, part in ipairs(missing) do
        say("missing  %s", part)
    end
    fail(("%s is taken: %d of %d parts exist"):format(new.name, #existing, #existing + #missing), {
        code = "taken", target = new.name, reason = reason,
        hint = (#missing == 0 and ("all parts are there, but it is not complete: %s; "):format(reason) or "")
            .. "where a run of setup stopped half-way, resume that run (`hostler runs` lists them); else choose "
            .. "another name, or delete these",
    })
end

--- Refuses an instance that is complete to somebody who asks for one of their own.
---@param new table the instance
---@raise "taken"
function preflight.refuse_complete(new)
    fail(("%s is taken: it is complete, and answers"):format(new.name), {
        code = "taken", target = new.name,
        hint = "agree on another name with the customer; `hostler inbox run ID` takes a sign-up with other arguments",
    })
end

--- A line of an instance that once had this name would make SSH refuse the new one, when all of it is there.
local function no_stale_host_key(new)
    return function()
        for _, key in ipairs(ssh.known_keys(new.name, { known_hosts = site.known_hosts })) do
            if not key.mark then
                fail(("%s:%d has a host key of an earlier %s"):format(key.file, key.line, new.name), {
                    code = "known_hosts",
                    hint = ("if that machine is gone, take the line out: ssh-keygen -R %s -f %s"):format(new.name,
                        key.file),
                })
            end
        end
    end
end

--- Raises unless the token may write: one that can only read is common.
---@param cloud table from digitalocean.account
---@param kind "droplets"|"databases"|"domains"|"projects"
---@raise "token"
function preflight.must_write(cloud, kind)
    if not cloud:can_write(kind) then
        fail(("the token %s may only read"):format(cloud:who()), {
            code = "token", hint = "make one with write access in DigitalOcean, under API, and export it",
        })
    end
end

local function token_may_write(cloud)
    return function()
        for _, kind in ipairs { "droplets", "domains", "projects" } do
            preflight.must_write(cloud, kind)
        end
    end
end

local function domain_and_project_are_there(cloud)
    return function()
        prerequisites.domain(cloud)
        prerequisites.project(cloud)
    end
end

local function droplets_have_room(cloud)
    return function()
        local limit, count = cloud:account().droplet_limit, #cloud:droplets()
        if count >= limit then
            fail(("%s has %d droplets and a limit of %d"):format(cloud:who(), count, limit), {
                code = "full", hint = "ask DigitalOcean for a higher limit, or delete an instance",
            })
        end
    end
end

local function a_team_has_room(new)
    return function()
        local names = {}
        for _, team in ipairs(new:teams()) do
            if not team.full then
                return preflight.must_write(team.cloud, "databases")
            end
            names[#names + 1] = team.name
        end
        fail("every database team is marked as full: " .. table.concat(names, ", "), {
            code = "full", hint = "make a new team and add its token to DO_DATABASE_API_TOKENS; or, "
                .. "where a team has room again, take the mark out of its name",
        })
    end
end

--- Runs every check at once, and raises all that fail as one error.
function preflight.check_all(new)
    local checks = {
        { what = "the account has a key of the ssh-agent", holds = function() prerequisites.key(new.cloud) end },
        { what = "known_hosts does not know the name", holds = no_stale_host_key(new) },
        { what = "the token for droplets may write", holds = token_may_write(new.cloud) },
        { what = "the domain and the project are there", holds = domain_and_project_are_there(new.cloud) },
        { what = "there is room for a droplet", holds = droplets_have_room(new.cloud) },
        { what = "a database team may have room", holds = a_team_has_room(new) },
        { what = "there is an image", holds = function() new:image() end },
        { what = "1Password takes items", holds = function() site.passwords():must_write() end },
        { what = "the mail server takes mail", holds = function() mail.check(site.outgoing()) end },
    }
    local ok, err = try(each, checks, { parallel = #checks, key = "what", name = "checks" }, function(check)
        check.holds()
    end)
    if not ok and err then
        fail(tostring(err) .. "; nothing has been made", {
            code = "preflight", failures = err.failures, hint = "mend these, then run it again",
        })
    end
end

return preflight
