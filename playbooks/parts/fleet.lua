-- Working on many instances: which are meant, how many at once, and when to begin no more.
local instance = require "instance"
local exactly_one = require "exactly_one"

local fleet = {}

--- The parameters of a playbook that works on many instances.
---@param own table[] the playbook's own, as flag and opt make them
---@param defaults { parallel: integer, max_failures?: integer } max_failures: none stops it without one
---@return table[]
function fleet.params(own, defaults)
    local params = { list("tenants", "string", "which instances: names, patterns such as 'a*', or tag:NAME") }
    for _, param in ipairs(own) do
        params[#params + 1] = param
    end
    params[#params + 1] = opt("parallel", "int", "how many at once", defaults.parallel)
    params[#params + 1] = opt("batch", "int", "end this many before the next are begun (all)")
    params[#params + 1] = opt("max-failures", "int", "begin no more once more than this many have failed"
        .. (defaults.max_failures and "" or " (all are begun)"), defaults.max_failures)
    return params
end

--- The instances that are meant, those with one name together: which of them is meant nobody can tell.
local function by_tenant(patterns)
    local groups, by_name = {}, {}
    for _, one in ipairs(instance.matching(patterns)) do
        local group = by_name[one.tenant]
        if not group then
            group = { tenant = one.tenant }
            groups[#groups + 1], by_name[one.tenant] = group, group
        end
        group[#group + 1] = one
    end
    return groups
end

--- Calls fn for each instance that is meant, several at once. No other run works on it meanwhile. One failing does not
--- stop the others, unless --max-failures is passed.
---@param p table the playbook's parameters
---@param what string what is done, one word
---@param fn fun(one: table) see instance.of
---@raise "each", "usage" for a pattern that means none
function fleet.each(p, what, fn)
    each(by_tenant(p.tenants), {
        key = "tenant", name = what, parallel = p.parallel, batch = p.batch, max_failures = p.max_failures,
    }, function(group)
        lock("instance:" .. group.tenant)
        fn(exactly_one(group, {
            things = "droplets", name = group[1].name, code = "digitalocean.ambiguous",
            label = function(one) return ("%d of %s"):format(one.droplet.id, tostring(one.droplet.created_at)) end,
            hint = "keep one of them and rename or delete the others",
        }))
    end)
end

return fleet
