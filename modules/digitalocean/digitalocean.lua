-- DigitalOcean's API v2, one method for each operation in use: droplets, snapshots, keys, domains, projects, tags;
-- and of database clusters in databases.lua. https://docs.digitalocean.com/reference/api/
--
-- What the methods return is what the API tells, with three differences: fields that are null are left out, passwords
-- are secrets, and droplets have public_address and private_address.
local _, _, import = ...
local api = import "digitalocean/api"
local api_answer = require "api_answer"
local exactly_one = require "exactly_one"
local ask, list, map, select, order_once, shaped = api.ask, api.list, api.map, api.select, api.order_once, api.shaped
local shown, with_lists = api_answer.shown, api_answer.with_lists

local digitalocean = {}

---@class digitalocean.Cloud: digitalocean.Databases one team's resources
---@field url string
---@field name string what its token is called in messages
local cloud = {}
cloud.__index = cloud
for name, method in pairs(import "digitalocean/databases") do
    cloud[name] = method
end

local API = "https://api.digitalocean.com"
local PENDING_TIMEOUT = 300 -- seconds
local LAG = 60 -- seconds

-- ---- accounts ----------------------------------------------------------------------------------------------------

--- A handle on one team's resources. Nothing is asked yet.
---@param token secret an API token; each belongs to one team
---@param options? { url?: string, ca_file?: string, timeout?: number, name?: string, lag?: number } url: another server
---  that speaks this API ($DIGITALOCEAN_API_URL); ca_file: its certificate authorities ($HOSTLER_CA_FILE); timeout:
---  seconds for each request (30); name: what the token is called in messages ("DO_API_TOKEN"); lag: seconds for which
---  a list may not have yet what was ordered, so long is looked for it when the answer to the order was lost (60)
---@return digitalocean.Cloud
---@raise "usage"
function digitalocean.account(token, options)
    options = options or {}
    local url = (options.url or env("DIGITALOCEAN_API_URL", API)):gsub("/+$", "")
    if not secret.is(token) then
        fail("digitalocean.account takes a secret",
            { code = "usage", hint = "digitalocean.account(secret \"DO_API_TOKEN\")" })
    elseif not url:match "^https://[^/]+$" then
        fail(("the DigitalOcean API must be asked over https: %s"):format(url), { code = "usage" })
    end
    return setmetatable({
        url = url, token = token, ca_file = options.ca_file or env "HOSTLER_CA_FILE", timeout = options.timeout or 30,
        name = options.name or "the DigitalOcean token", lag = options.lag or LAG,
    }, cloud)
end

--- Whose token this is, for people: its name, and the team's once known.
---@return string
function cloud:who()
    return self.team_name and ("%s (team %s)"):format(self.name, self.team_name) or self.name
end

--- The account behind the token. https://docs.digitalocean.com/reference/api/digitalocean/#tag/Account
---@return { droplet_limit: integer, email: string, status: string, team: { uuid: string, name: string } }
---@raise "digitalocean.unauthorized"
function cloud:account()
    local account = ask(self, "GET", "/v2/account", "read the account", { gives = "account", result = "account" })
    self.team_name = account.team.name
    return account
end

--- "/v2/droplets/123" and the like: of an id that is one, see api_answer.segment.
local function droplet_path(id)
    return "/v2/droplets/" .. api_answer.segment(id, "the id of a droplet", "number")
end

local function domain_path(domain)
    return "/v2/domains/" .. api_answer.segment(domain, "the name of a domain")
end

local function project_path(id)
    return "/v2/projects/" .. api_answer.segment(id, "the id of a project")
end

-- What a token without write scope is refused with 403, and one with it gets 404 for: deleting what cannot exist.
local NOBODY = "00000000-0000-0000-0000-000000000000" -- RFC 9562: no thing's UUID
local PROBES = {
    droplets = droplet_path(9007199254740991), -- the largest whole number of JSON
    databases = "/v2/databases/" .. NOBODY,
    domains = domain_path "may-this-token-write.invalid", -- RFC 2606: never registered
    projects = project_path(NOBODY),
}

--- Finds out whether the token may write, without changing anything.
---
--- The API tells nobody a token's scopes. So this asks to delete something that cannot exist: a token that may only
--- read is refused (403) before anything is looked up, one that may write is told that there is no such thing (404).
--- It is sent as a read since it can have no effect. A token with custom scopes may be able to delete and not to
--- create, or the other way round: this asks about deleting.
---@param what? "droplets"|"databases"|"domains"|"projects" ("droplets")
---@return boolean
---@raise "digitalocean.unauthorized"
function cloud:can_write(what)
    local probe = PROBES[what or "droplets"]
    if not probe then
        fail(("can_write does not know '%s'"):format(tostring(what)), { code = "usage" })
    end
    local summary = ("find out whether %s may write %s"):format(self.name, what or "droplets")
    local _, status = ask(self, "DELETE", probe, summary, { read = true, expect = { 400, 403, 404, 412, 422 } })
    return status ~= 403
end

-- ---- droplets ----------------------------------------------------------------------------------------------------

local ADDRESSES = { public = "public_address", private = "private_address" }

local function with_addresses(droplet)
    local networks = type(droplet.networks) == "table" and droplet.networks.v4
    for _, network in ipairs(type(networks) == "table" and networks or {}) do
        local field = type(network) == "table" and ADDRESSES[network.type]
        if field and type(network.ip_address) == "string" then
            droplet[field] = network.ip_address
        end
    end
    droplet.tags = type(droplet.tags) == "table" and droplet.tags or json.array {}
    return droplet
end

---@class digitalocean.Droplet
---@field id integer
---@field name string
---@field status "new"|"active"|"off"|"archive"
---@field created_at string "2026-11-22T01:59:19Z"
---@field tags string[]
---@field public_address? string its public IPv4 address
---@field private_address? string
---@field region { slug: string, name: string }
---@field image { id: integer, name: string }
---@field size_slug string "s-2vcpu-2gb"
---@field memory integer MiB
---@field vcpus integer
---@field disk integer GiB
---@field networks table
---@field vpc_uuid? string
---@field features string[]
---@field locked boolean something is going on with it
---@field [string] any what else the API tells

--- The team's droplets. https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_list
---@param filter? { tag?: string, name?: string } one of both
---@return digitalocean.Droplet[]
function cloud:droplets(filter)
    filter = filter or {}
    local found = list(self, "/v2/droplets", "droplets", "droplet", "list droplets",
        { tag_name = filter.tag, name = filter.name })
    return map(select(found, function(droplet)
        return (not filter.name or api.same_name(droplet.name, filter.name))
            and (not filter.tag or api.has_tag(droplet, filter.tag))
    end), with_addresses)
end

--- One droplet.
---@param id integer
---@return digitalocean.Droplet
---@raise "digitalocean.not_found"
function cloud:droplet(id)
    return shaped(ask(self, "GET", droplet_path(id), "read droplet " .. shown(id),
        { gives = "droplet", id = shown(id), result = "droplet" }), with_addresses)
end

--- The droplet of this name, or nil. Names need not be unique: more than one is an error that lists them.
---@param name string
---@return digitalocean.Droplet?
---@raise "digitalocean.ambiguous"
function cloud:find_droplet(name)
    return exactly_one(self:droplets { name = name }, {
        things = "droplets", name = name, code = "digitalocean.ambiguous",
        label = function(droplet) return ("%s of %s"):format(shown(droplet.id), tostring(droplet.created_at)) end,
        hint = "keep one of them and rename or delete the others",
    })
end

--- Orders a droplet; it is `new` and without address at first, see wait_active. When the answer is lost, looks
--- whether the droplet was made; it is never ordered twice.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_create
---@param order { name: string, region: string, size: string, image: integer|string, ssh_keys: integer[], tags?:
---  string[], vpc_uuid?: string, backups?: boolean, user_data?: string }
---@return digitalocean.Droplet
---@raise "digitalocean.unprocessable_entity" for what DigitalOcean does not accept, its droplet limit too;
---  "digitalocean.unclear" when the answer was lost and no droplet is found
---@effect write
function cloud:create_droplet(order)
    local before = self:droplets { name = order.name }
    local function send()
        local summary = ("create droplet %s %s %s"):format(order.name, order.size, order.region)
        return shaped(ask(self, "POST", "/v2/droplets", summary, {
            json = with_lists(order, { "ssh_keys", "tags", "volumes" }), gives = "droplet", result = "create droplet",
        }), with_addresses)
    end
    return order_once(self, "create droplet " .. order.name, send, function()
        local known = {}
        for _, droplet in ipairs(before) do
            known[droplet.id] = true
        end
        return select(self:droplets { name = order.name }, function(droplet)
            return not known[droplet.id]
        end)[1]
    end)
end

local function is_pending(err)
    return err.code == "digitalocean.unprocessable_entity" and err.said:find "pending event" ~= nil
end

--- Deletes a droplet; one that is gone is fine, and one with which something is going on is waited for.
---@param id integer
---@param name? string for the plan and the log
---@return boolean existed
---@effect write
function cloud:delete_droplet(id, name)
    local path = droplet_path(id)
    local summary = name and ("delete droplet %s (%s)"):format(tostring(name), tostring(shown(id)))
        or "delete droplet " .. shown(id)
    local existed
    wait_until(("what is going on with droplet %s to end"):format(tostring(shown(id))), {
        timeout = PENDING_TIMEOUT,
    }, function()
        local err
        existed, err = try(api.delete, self, path, summary)
        if err and not is_pending(err) then
            error(err, 0)
        end
        return not err
    end)
    return existed
end

--- Waits until a droplet runs and has its address.
---@param id integer
---@param options? { timeout?: number } seconds (600)
---@return digitalocean.Droplet
---@raise "timeout", "digitalocean.not_found"
function cloud:wait_active(id, options)
    local patience = { timeout = options and options.timeout or 600, interval = 1 }
    return api.wait(("droplet %s to become active"):format(tostring(shown(id))), patience, function()
        local droplet = self:droplet(id)
        return unknown(droplet) and droplet or droplet.status == "active" and droplet.public_address and droplet
    end)
end

---@class digitalocean.Action
---@field id integer
---@field type string "create", "rebuild", "restore", "power_off" ...
---@field status "in-progress"|"completed"|"errored"
---@field started_at string
---@field completed_at? string
---@field resource_id integer
---@field [string] any what else the API tells

--- Sets something going on a droplet.
--- https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplet-Actions
---@param id integer
---@param kind "reboot"|"power_cycle"|"power_on"|"power_off"|"shutdown"|"rebuild"|string
---@param details? table more fields of this action
---@return digitalocean.Action
---@effect write
function cloud:droplet_action(id, kind, details)
    local order = { type = kind }
    for key, value in pairs(details or {}) do
        order[key] = value
    end
    local summary = ("%s droplet %s"):format(kind:gsub("_", " "), tostring(shown(id)))
    return (ask(self, "POST", droplet_path(id) .. "/actions", summary,
        { json = order, gives = "action", result = "action" }))
end

--- What the team has set going, newest first.
---@return digitalocean.Action[]
function cloud:actions()
    return list(self, "/v2/actions", "actions", "action", "list actions")
end

--- What was done to one droplet, newest first.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/dropletActions_list
---@param id integer
---@return digitalocean.Action[]
function cloud:droplet_actions(id)
    return list(self, droplet_path(id) .. "/actions", "actions", "action",
        "list what was done to droplet " .. shown(id))
end

--- Waits until an action has ended.
---@param id integer
---@param options? { timeout?: number } seconds (600)
---@return digitalocean.Action
---@raise "timeout", "digitalocean.action" when it ended with an error
function cloud:wait_action(id, options)
    local patience = { timeout = options and options.timeout or 600, interval = 1 }
    local path = "/v2/actions/" .. api_answer.segment(id, "the id of an action", "number")
    local action = api.wait(("action %s to end"):format(tostring(shown(id))), patience, function()
        local current = ask(self, "GET", path, "read action " .. shown(id),
            { gives = "action", id = shown(id), result = "action" })
        return unknown(current) and current or current.status ~= "in-progress" and current
    end)
    if not unknown(action) and action.status == "errored" then
        fail(("action %s (%s) ended with an error"):format(shown(id), tostring(action.type)),
            { code = "digitalocean.action", target = self.url })
    end
    return action
end

---@class digitalocean.Snapshot
---@field id string
---@field name string
---@field created_at string
---@field regions string[]
---@field min_disk_size integer GiB
---@field size_gigabytes number
---@field resource_id string
---@field resource_type string
---@field [string] any what else the API tells

--- Snapshots, which droplets are made of.
---@param filter? { resource_type?: "droplet"|"volume", prefix?: string } prefix: of the name
---@return digitalocean.Snapshot[] newest first
function cloud:snapshots(filter)
    filter = filter or {}
    local found = list(self, "/v2/snapshots", "snapshots", "snapshot", "list snapshots",
        { resource_type = filter.resource_type })
    found = select(found, function(snapshot)
        return (not filter.prefix or snapshot.name:sub(1, #filter.prefix) == filter.prefix)
            and (not filter.resource_type or snapshot.resource_type == filter.resource_type)
    end)
    if not unknown(found) then
        -- Times are all in UTC and in one form, so their order is that of their text.
        table.sort(found, function(a, b) return a.created_at > b.created_at end)
    end
    return found
end

--- The regions and the sizes of droplets that they offer.
---@return { slug: string, name: string, available: boolean, sizes: string[] }[]
function cloud:regions()
    return list(self, "/v2/regions", "regions", "region", "list regions")
end

--- The sizes of droplets.
---@return { slug: string, memory: integer, vcpus: integer, disk: integer, price_monthly: number, regions: string[] }[]
function cloud:sizes()
    return list(self, "/v2/sizes", "sizes", "size", "list sizes")
end

-- ---- keys --------------------------------------------------------------------------------------------------------

---@class digitalocean.Key
---@field id integer
---@field name string
---@field fingerprint string
---@field public_key string
---@field [string] any what else the API tells

--- The SSH keys of the account.
---@return digitalocean.Key[]
function cloud:keys()
    return list(self, "/v2/account/keys", "ssh_keys", "ssh_key", "list SSH keys")
end

--- Adds an SSH key to the account.
---@param name string
---@param public_key string a line as in authorized_keys
---@return digitalocean.Key
---@effect write
function cloud:add_key(name, public_key)
    return (ask(self, "POST", "/v2/account/keys", "add SSH key " .. name,
        { json = { name = name, public_key = public_key }, gives = "ssh_key", result = "key" }))
end

-- ---- domains -----------------------------------------------------------------------------------------------------

--- The team's domains.
---@return { name: string, ttl: integer }[]
function cloud:domains()
    return list(self, "/v2/domains", "domains", "domain", "list domains")
end

---@class digitalocean.Record
---@field id integer
---@field type string "A"
---@field name string "ada" or "@"
---@field data string
---@field ttl integer seconds
---@field priority? integer
---@field [string] any what else the API tells

--- The records of a domain. https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records
---@param domain string
---@param filter? { name?: string, type?: string } name: as the record has it, "ada" or "@"
---@return digitalocean.Record[]
function cloud:records(domain, filter)
    filter = filter or {}
    local path = domain_path(domain) .. "/records"
    local full_name = filter.name and (filter.name == "@" and domain or filter.name .. "." .. domain) or nil
    local found = list(self, path, "domain_records", "domain_record",
        "list records of " .. domain, { name = full_name, type = filter.type })
    return select(found, function(record)
        return (not filter.name or api.same_name(record.name, filter.name))
            and (not filter.type or record.type == filter.type)
    end)
end

local function record_summary(verb, domain, record)
    return ("%s record %s %s in %s -> %s"):format(verb, record.type, record.name, domain, tostring(record.data))
end

--- Creates a record. When the answer is lost, looks whether it was made; it is never ordered twice.
---@param domain string
---@param record { type: string, name: string, data: string, ttl?: integer, priority?: integer } ttl: seconds
---@return digitalocean.Record
---@raise "digitalocean.unprocessable_entity"; "digitalocean.unclear" when the answer was lost and no record is found
---@effect write
function cloud:create_record(domain, record)
    local summary = record_summary("create", domain, record)
    local function send()
        return (ask(self, "POST", domain_path(domain) .. "/records", summary,
            { json = record, gives = "domain_record", result = "create record" }))
    end
    return order_once(self, summary, send, function()
        return select(self:records(domain, { name = record.name, type = record.type }), function(found)
            return found.data == record.data
        end)[1]
    end)
end

--- Deletes a record; one that is gone is fine.
---@param domain string
---@param record integer|digitalocean.Record its id, or the record
---@return boolean existed
---@effect write
function cloud:delete_record(domain, record)
    local id = type(record) == "table" and record.id or record
    local path = domain_path(domain) .. "/records/" .. api_answer.segment(id, "the id of a record", "number")
    local summary = type(record) == "table" and record_summary("delete", domain, record)
        or ("delete record %s in %s"):format(tostring(shown(id)), tostring(domain))
    return api.delete(self, path, summary)
end

-- ---- projects and tags -------------------------------------------------------------------------------------------

---@class digitalocean.Project
---@field id string
---@field name string
---@field is_default boolean
---@field [string] any what else the API tells

--- The team's projects.
---@return digitalocean.Project[]
function cloud:projects()
    return list(self, "/v2/projects", "projects", "project", "list projects")
end

--- The project of this name, or nil. Names need not be unique: more than one is an error that lists them.
---@param name string
---@return digitalocean.Project?
---@raise "digitalocean.ambiguous"
function cloud:find_project(name)
    local found = select(self:projects(), function(project)
        return project.name == name
    end)
    return exactly_one(found, {
        things = "projects", name = name, code = "digitalocean.ambiguous",
        label = function(project) return project.id end, hint = "rename the others in DigitalOcean",
    })
end

--- What is in a project.
---@param id string
---@return { urn: string, assigned_at: string }[]
function cloud:project_resources(id)
    return list(self, project_path(id) .. "/resources", "resources", "resource", "list resources of project " .. id)
end

--- Puts resources into a project.
---@param project digitalocean.Project
---@param urns string[] "do:droplet:123", "do:dbaas:UUID", "do:domain:NAME"
---@return { urn: string, status: string }[]
---@effect write
function cloud:assign(project, urns)
    local words = {}
    for index, urn in ipairs(urns) do
        words[index] = tostring(urn)
    end
    return (ask(self, "POST", project_path(project.id) .. "/resources",
        ("put %s into project %s"):format(table.concat(words, ", "), tostring(project.name)), {
            json = { resources = json.array(urns) }, list = "resources", kind = "resource", result = "assigned",
        }))
end

---@class digitalocean.Tag
---@field name string
---@field resources table how many there are of each kind
---@field [string] any what else the API tells

--- The team's tags.
---@return digitalocean.Tag[]
function cloud:tags()
    return list(self, "/v2/tags", "tags", "tag", "list tags")
end

--- Makes a tag; one that exists is fine.
---@param name string
---@return digitalocean.Tag
---@effect write
function cloud:create_tag(name)
    return (ask(self, "POST", "/v2/tags", "create tag " .. name,
        { json = { name = name }, gives = "tag", result = "tag" }))
end

local function change_tag(self, method, name, ids, words, result)
    local resources, numbers = json.array {}, {}
    for index, id in ipairs(ids) do
        local number = api_answer.segment(id, "the id of a droplet", "number")
        resources[index], numbers[index] = { resource_id = number, resource_type = "droplet" }, tostring(number)
    end
    ask(self, method, "/v2/tags/" .. api_answer.segment(name, "the name of a tag") .. "/resources",
        words:format(table.concat(numbers, ", "), name),
        { json = { resources = resources }, result = result })
end

--- Tags droplets.
---@param name string a tag that exists
---@param ids integer[]
---@effect write
function cloud:tag_droplets(name, ids)
    change_tag(self, "POST", name, ids, "tag droplet %s as %s", "tagged")
end

--- Takes a tag off droplets.
---@param name string a tag that exists
---@param ids integer[]
---@effect write
function cloud:untag_droplets(name, ids)
    change_tag(self, "DELETE", name, ids, "take from droplet %s the tag %s", "untagged")
end

--- What a resource is called where it is put into a project: "do:droplet:123".
---@param kind "droplet"|"dbaas"|"domain"|string
---@param id integer|string
---@return string
---@raise "usage" for what is no id
function digitalocean.urn(kind, id)
    return "do:" .. kind .. ":" .. api_answer.segment(id, "the id of a resource")
end

--- True when DigitalOcean refused an order because a limit of the team is reached.
---@type fun(err: Error): boolean
digitalocean.is_full = api.is_full

return digitalocean
