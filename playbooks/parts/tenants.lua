-- Which tenants are meant: by name, by pattern, by tag. A tenant is there when a droplet has its name.
local completion_names = require "completion_names"
local site = require "site"

local tenants = {}

--- The tenant of a droplet, or nil when it is none of ours: instances are called TENANT.DOMAIN.
local function tenant_of(droplet)
    local suffix = "." .. site.domain
    return droplet.name:sub(-#suffix) == suffix and droplet.name:sub(1, -#suffix - 1):match "^[a-z0-9-]+$" or nil
end

--- A test for the droplets that a pattern means.
local function matcher(pattern)
    local tag = pattern:match "^tag:(.+)$"
    if tag then
        return function(_, droplet)
            for _, name in ipairs(droplet.tags) do
                if name == tag then
                    return true
                end
            end
            return false
        end
    end
    local suffix = "." .. site.domain
    local name = pattern:sub(-#suffix) == suffix and pattern:sub(1, -#suffix - 1) or pattern
    if not name:match "^[a-z0-9*?-]+$" then
        fail(("'%s' names no instance"):format(pattern), {
            code = "usage", hint = "a tenant's short name, a pattern such as 'a*', or tag:NAME",
        })
    end
    local shape = "^" .. name:gsub("%-", "%%-"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
    return function(tenant)
        return tenant:find(shape) ~= nil
    end
end

--- The tenants that there are, by name. A pattern that means none of them is an error, for it is a slip of the pen; but
--- "*" means all there are, none too.
---@param patterns string[] tenants ("ada"), their hosts' names, patterns ("a*", "team-?") or tags ("tag:production")
---@return { tenant: string, droplet: digitalocean.Droplet }[]
---@raise "usage"
function tenants.matching(patterns)
    local tests, met, found, names = {}, {}, {}, {}
    for index, pattern in ipairs(patterns) do
        tests[index] = matcher(pattern)
    end
    for _, droplet in ipairs(site.cloud():droplets()) do
        local tenant, wanted = tenant_of(droplet), false
        names[#names + 1] = tenant
        for index, test in ipairs(tests) do
            if tenant and test(tenant, droplet) then
                wanted, met[index] = true, true
            end
        end
        if wanted then
            found[#found + 1] = { tenant = tenant, droplet = droplet }
        end
    end
    completion_names.keep("subdomain", names)
    for index, pattern in ipairs(patterns) do
        if not met[index] and pattern ~= "*" then
            fail(("no instance is meant by '%s'"):format(pattern), {
                code = "usage", hint = "hostler run instances shows what there is",
            })
        end
    end
    table.sort(found, function(a, b) return a.tenant < b.tenant end)
    return found
end

return tenants
