-- DigitalOcean's API v2, one method for each operation in use: droplets, snapshots, keys, domains, database clusters and
-- their trusted sources, projects, tags. https://docs.digitalocean.com/reference/api/
--
-- What the methods return is what the API tells, with three differences: fields that are null are left out, passwords are
-- secrets, and droplets have public_address and private_address.
local _, gate = ...
local http = require "http"

local digitalocean = {}
local cloud = {}
cloud.__index = cloud

local API = "https://api.digitalocean.com"
local PER_PAGE = 200
local MOST_PAGES = 500
local LOW_SHARE, SLOW_PAUSE = 0.05, 1 -- of the hourly limit; seconds before each request from there on
local PAUSES_BEFORE_LOOKS = { 1, 2, 4 } -- seconds; a list may lag behind an order
local PENDING_TIMEOUT = 300 -- seconds

local HINTS = {
    unauthorized = "the token is wrong, or was revoked or has expired: make a new one in the control panel, API, Tokens",
    forbidden = "this token may read but not do this: it needs write scope (or the custom scope of this operation)",
    too_many_requests = "a token has 5,000 requests an hour and 250 a minute: wait, then resume",
    not_found = "it may be gone already, or belong to another team: a token sees only its own team's resources",
}

-- ---- requests ----------------------------------------------------------------------------------------------------

local function without_nulls(value)
    if type(value) ~= "table" then
        return value
    end
    for key, item in pairs(value) do
        if item == json.null then
            value[key] = nil
        else
            without_nulls(item)
        end
    end
    return value
end

--- "Unauthorized" and "unprocessable_entity" as the last word of a code.
local function code_word(id, status)
    local word = type(id) == "string" and id:lower():gsub("[^%w]+", "_"):match "^[%w_]+$"
    return word or status >= 500 and "unavailable" or "refused"
end

--- The error that a caller sees: DigitalOcean's own words, and whose token it was.
local function raise_refusal(self, err, summary)
    local told = try(json.decode, err.body or "")
    if type(told) ~= "table" then
        told = {}
    end
    local word = code_word(told.id, err.status)
    local said = type(told.message) == "string" and told.message
        or ("it answered HTTP status %d with something that is not DigitalOcean's JSON"):format(err.status)
    fail(("DigitalOcean refused to %s: %s"):format(summary, said), {
        code = "digitalocean." .. word, status = err.status, said = said, request_id = told.request_id,
        token = self:who(), target = self.url, hint = HINTS[word], cause = err.cause,
        body = next(told) == nil and err.body or nil,
    })
end

--- Slows down before the hourly limit is reached, rather than stop at it.
local function heed_limit(self, headers)
    local limit = tonumber(headers["ratelimit-limit"])
    local remaining = tonumber(headers["ratelimit-remaining"])
    self.is_low = limit ~= nil and remaining ~= nil and remaining < limit * LOW_SHARE
    if self.is_low and not self.warned then
        self.warned = true
        warn("%s has %d of %d requests left this hour; going on slowly", self:who(), remaining, limit)
    end
end

local function same_origin(self, url)
    return url:sub(1, #self.url + 1):lower() == self.url:lower() .. "/"
end

--- One request. Returns the decoded body, or nil where there is none or the status is one of `options.expect`.
---@param summary string what it does, as a person says it: "create droplet ada"
---@param options? table query, json, expect, read, result (label of a dry run's unknown)
local function ask(self, method, path, summary, options)
    options = options or {}
    if self.is_low then
        sleep(SLOW_PAUSE)
    end
    local answer, err = try(http.request, {
        method = method, url = self.url .. path, query = options.query, json = options.json, expect = options.expect,
        headers = { Authorization = "Bearer " .. self.token, Accept = "application/json" },
        timeout = self.timeout, ca_file = self.ca_file, read = options.read, summary = summary, result = options.result,
    })
    if err and err.code == "http.status" then
        raise_refusal(self, err, summary)
    elseif err then
        error(err, 0)
    elseif unknown(answer) then
        return answer
    end
    heed_limit(self, answer.headers)
    if answer.status >= 400 or answer.status == 204 then
        return nil, answer.status
    elseif type(answer.json) ~= "table" then
        fail("DigitalOcean answered without a document to: " .. summary,
            { code = "digitalocean.answer", status = answer.status, target = self.url })
    end
    return without_nulls(answer.json), answer.status
end

--- All items of a list, page by page. The token is sent to this API only, whatever a page names as the next one.
local function list(self, path, key, summary, query)
    query = query or {}
    query.per_page = PER_PAGE
    local items = {}
    for _ = 1, MOST_PAGES do
        local page = ask(self, "GET", path, summary, { query = query, result = key })
        if unknown(page) then
            return page
        end
        for _, item in ipairs(page[key] or {}) do
            items[#items + 1] = item
        end
        local following = page.links and page.links.pages and page.links.pages.next
        if not following then
            return items
        elseif not same_origin(self, following) then
            fail(("DigitalOcean's list of %s goes on at another server: %s"):format(key, following),
                { code = "digitalocean.origin", target = self.url })
        end
        path, query = following:sub(#self.url + 1), nil
    end
    fail(("DigitalOcean's list of %s does not end"):format(key), { code = "digitalocean.answer", target = self.url })
end

--- The item called `field` of an answer; an unknown stays one.
local function item(answer, field, shape)
    if unknown(answer) then
        return answer
    end
    local value = answer and answer[field]
    return value and shape and shape(value) or value
end

local function map(items, shape)
    if not unknown(items) then
        for index, value in ipairs(items) do
            items[index] = shape(value)
        end
    end
    return items
end

--- The items that the test takes; an unknown stays one.
local function select(items, test)
    if unknown(items) then
        return items
    end
    local found = {}
    for _, value in ipairs(items) do
        if test(value) then
            found[#found + 1] = value
        end
    end
    return found
end

--- True when the failure leaves open whether the request took effect.
local function is_unclear(err)
    local refused = type(err.status) == "number" and err.status < 500
    local unreached = err.code == "http.dns" or err.code == "http.connect" or err.code == "http.tls"
    return not refused and (err.sent or not unreached) and err.code:match "^[^.]+" ~= "usage"
        and (err.status ~= nil or err.code == "timeout" or err.code:match "^http" ~= nil)
end

--- Sends an order that must not be placed twice. After a failure that leaves it open whether the order was placed, looks
--- for what was ordered, and only when that is not there sends the order again, once.
---@param send fun(): any
---@param look fun(): any returns what was ordered, or nil
local function order_once(what, send, look)
    local result, err = try(send)
    if not err then
        return result
    elseif not is_unclear(err) then
        error(err, 0)
    end
    warn("it is unclear whether DigitalOcean took the order to %s (%s); looking for it", what, tostring(err))
    for _, pause in ipairs(PAUSES_BEFORE_LOOKS) do
        sleep(pause)
        local found = look()
        if found then
            return found
        end
    end
    return send()
end

-- ---- accounts ----------------------------------------------------------------------------------------------------

--- A handle on one team's resources. Nothing is asked yet.
---@param token secret an API token; each belongs to one team
---@param options? { url?: string, ca_file?: string, timeout?: number, name?: string } url: another server that speaks this
---  API ($DIGITALOCEAN_API_URL); ca_file: its certificate authorities
---  ($HOSTLER_CA_FILE); timeout: seconds for each request (30); name: what
---  the token is called in messages ("DO_API_TOKEN")
---@return table cloud
---@raise "usage"
function digitalocean.account(token, options)
    options = options or {}
    local url = (options.url or env("DIGITALOCEAN_API_URL", API)):gsub("/+$", "")
    if not secret.is(token) then
        fail("digitalocean.account takes a secret", { code = "usage", hint = "digitalocean.account(secret \"DO_API_TOKEN\")" })
    elseif not url:match "^https://[^/]+$" then
        fail(("the DigitalOcean API must be asked over https: %s"):format(url), { code = "usage" })
    end
    return setmetatable({
        url = url, token = token, ca_file = options.ca_file or env "HOSTLER_CA_FILE", timeout = options.timeout or 30,
        name = options.name or "the DigitalOcean token",
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
    local account = item(ask(self, "GET", "/v2/account", "read the account", { result = "account" }), "account")
    self.team_name = account.team and account.team.name
    return account
end

-- What a token without write scope is refused with 403, and one with it gets 404 for: deleting what cannot exist.
local PROBES = {
    droplets = function() return "/v2/droplets/9007199254740991" end, -- the largest whole number of JSON
    databases = function() return "/v2/databases/" .. uuid() end,
    domains = function() return "/v2/domains/" .. uuid() .. ".invalid" end, -- RFC 2606: never registered
    projects = function() return "/v2/projects/" .. uuid() end,
}

--- Finds out whether the token may write, without changing anything.
---
--- The API tells nobody a token's scopes. So this asks to delete something that cannot exist, with a name made up on the
--- spot: a token that may only read is refused (403) before anything is looked up, one that may write is told that there
--- is no such thing (404). It is sent as a read since it can have no effect. A token with custom scopes may be able to
--- delete and not to create, or the other way round: this asks about deleting.
---@param what? "droplets"|"databases"|"domains"|"projects" ("droplets")
---@return boolean
---@raise "digitalocean.unauthorized"
function cloud:can_write(what)
    local probe = PROBES[what or "droplets"]
    if not probe then
        fail(("can_write does not know '%s'"):format(tostring(what)), { code = "usage" })
    end
    local _, status = ask(self, "DELETE", probe(), ("find out whether %s may write %s"):format(self:who(), what or "droplets"),
        { read = true, expect = { 400, 403, 404, 412, 422 } })
    return status ~= 403
end

-- ---- droplets ----------------------------------------------------------------------------------------------------

local function with_addresses(droplet)
    for _, network in ipairs(droplet.networks and droplet.networks.v4 or {}) do
        droplet[network.type .. "_address"] = network.ip_address
    end
    return droplet
end

--- The team's droplets. https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_list
---@param filter? { tag?: string, name?: string } one of both
---@return { id: integer, name: string, status: string, created_at: string, tags: string[], public_address?: string,
---  private_address?: string }[]
function cloud:droplets(filter)
    filter = filter or {}
    return map(list(self, "/v2/droplets", "droplets", "list droplets", { tag_name = filter.tag, name = filter.name }),
        with_addresses)
end

--- One droplet.
---@param id integer
---@return table
---@raise "digitalocean.not_found"
function cloud:droplet(id)
    local answer = ask(self, "GET", "/v2/droplets/" .. id, "read droplet " .. id, { result = "droplet" })
    return item(answer, "droplet", with_addresses)
end

--- The droplet of this name, or nil. Names need not be unique: more than one is an error that lists them.
---@param name string
---@return table?
---@raise "digitalocean.ambiguous"
function cloud:find_droplet(name)
    local found = self:droplets { name = name }
    if unknown(found) then
        return found
    elseif #found > 1 then
        local ids = {}
        for index, droplet in ipairs(found) do
            ids[index] = ("%s of %s"):format(droplet.id, droplet.created_at)
        end
        fail(("%d droplets are called %s: %s"):format(#found, name, table.concat(ids, ", ")), {
            code = "digitalocean.ambiguous", target = name, hint = "keep one of them and rename or delete the others",
        })
    end
    return found[1]
end

--- Orders a droplet; it is `new` and without address at first, see wait_active. When the answer is lost, looks whether the
--- droplet was made before ordering again.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_create
---@param order { name: string, region: string, size: string, image: integer|string, ssh_keys: integer[], tags?: string[],
---  vpc_uuid?: string, backups?: boolean, user_data?: string }
---@return table droplet
---@raise "digitalocean.unprocessable_entity" for what DigitalOcean does not accept, its droplet limit too
function cloud:create_droplet(order)
    local before = self:droplets { name = order.name }
    local function send()
        local summary = ("create droplet %s %s %s"):format(order.name, order.size, order.region)
        return item(ask(self, "POST", "/v2/droplets", summary, { json = order, result = "create droplet" }),
            "droplet", with_addresses)
    end
    return order_once("create droplet " .. order.name, send, function()
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
function cloud:delete_droplet(id, name)
    local summary = name and ("delete droplet %s (%s)"):format(name, id) or "delete droplet " .. id
    local status
    wait_until(("what is going on with droplet %s"):format(id), { timeout = PENDING_TIMEOUT }, function()
        local answered, err = try(function()
            return { ask(self, "DELETE", "/v2/droplets/" .. id, summary, { expect = { 404 }, result = "deleted" }) }
        end)
        if err and not is_pending(err) then
            error(err, 0)
        end
        status = answered and answered[2]
        return answered ~= nil
    end)
    return status ~= 404
end

--- Waits until a droplet runs and has its address.
---@param id integer
---@param options? { timeout?: number } seconds (600)
---@return table droplet
---@raise "timeout", "digitalocean.not_found"
function cloud:wait_active(id, options)
    return wait_until(("droplet %s to become active"):format(id), { timeout = options and options.timeout or 600,
        interval = 1 }, function()
        local droplet = self:droplet(id)
        return unknown(droplet) and droplet or droplet.status == "active" and droplet.public_address and droplet
    end)
end

--- Sets something going on a droplet.
--- https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplet-Actions
---@param id integer
---@param kind "reboot"|"power_cycle"|"power_on"|"power_off"|"shutdown"|"rebuild"|string
---@param details? table more fields of this action
---@return { id: integer, status: string } action
function cloud:droplet_action(id, kind, details)
    local order = { type = kind }
    for key, value in pairs(details or {}) do
        order[key] = value
    end
    return item(ask(self, "POST", ("/v2/droplets/%s/actions"):format(id), ("%s droplet %s"):format(kind:gsub("_", " "), id),
        { json = order, result = "action" }), "action")
end

--- What the team has set going, newest first.
---@return { id: integer, status: string, type: string, started_at: string, resource_id: integer }[]
function cloud:actions()
    return list(self, "/v2/actions", "actions", "list actions")
end

--- Waits until an action has ended.
---@param id integer
---@param options? { timeout?: number } seconds (600)
---@return table action
---@raise "timeout", "digitalocean.action" when it ended with an error
function cloud:wait_action(id, options)
    local action = wait_until(("action %s"):format(id), { timeout = options and options.timeout or 600, interval = 1 },
        function()
            local current = item(ask(self, "GET", "/v2/actions/" .. id, "read action " .. id, { result = "action" }), "action")
            return unknown(current) and current or current.status ~= "in-progress" and current
        end)
    if not unknown(action) and action.status == "errored" then
        fail(("action %s (%s) ended with an error"):format(id, action.type), { code = "digitalocean.action", target = self.url })
    end
    return action
end

--- Snapshots, which droplets are made of.
---@param filter? { resource_type?: "droplet"|"volume", prefix?: string } prefix: of the name
---@return { id: string, name: string, created_at: string, regions: string[], min_disk_size: integer }[] newest first
function cloud:snapshots(filter)
    filter = filter or {}
    local found = list(self, "/v2/snapshots", "snapshots", "list snapshots", { resource_type = filter.resource_type })
    found = select(found, function(snapshot)
        return not filter.prefix or snapshot.name:sub(1, #filter.prefix) == filter.prefix
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
    return list(self, "/v2/regions", "regions", "list regions")
end

---@return { slug: string, memory: integer, vcpus: integer, disk: integer, price_monthly: number, regions: string[] }[]
function cloud:sizes()
    return list(self, "/v2/sizes", "sizes", "list sizes")
end

-- ---- keys --------------------------------------------------------------------------------------------------------

--- The SSH keys of the account.
---@return { id: integer, name: string, fingerprint: string, public_key: string }[]
function cloud:keys()
    return list(self, "/v2/account/keys", "ssh_keys", "list SSH keys")
end

---@param name string
---@param public_key string a line as in authorized_keys
---@return table key
function cloud:add_key(name, public_key)
    return item(ask(self, "POST", "/v2/account/keys", "add SSH key " .. name,
        { json = { name = name, public_key = public_key }, result = "key" }), "ssh_key")
end

-- ---- domains -----------------------------------------------------------------------------------------------------

---@return { name: string, ttl: integer }[]
function cloud:domains()
    return list(self, "/v2/domains", "domains", "list domains")
end

--- The records of a domain. https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records
---@param domain string
---@param filter? { name?: string, type?: string } name: as the record has it, "ada" or "@"
---@return { id: integer, type: string, name: string, data: string, ttl: integer, priority?: integer }[]
function cloud:records(domain, filter)
    filter = filter or {}
    local full_name = filter.name and (filter.name == "@" and domain or filter.name .. "." .. domain) or nil
    return list(self, ("/v2/domains/%s/records"):format(domain), "domain_records", "list records of " .. domain,
        { name = full_name, type = filter.type })
end

local function record_summary(verb, domain, record)
    return ("%s record %s %s in %s -> %s"):format(verb, record.type, record.name, domain, tostring(record.data))
end

--- Creates a record. When the answer is lost, looks whether it was made before asking again.
---@param domain string
---@param record { type: string, name: string, data: string, ttl?: integer, priority?: integer } ttl: seconds
---@return table record
function cloud:create_record(domain, record)
    local summary = record_summary("create", domain, record)
    local function send()
        return item(ask(self, "POST", ("/v2/domains/%s/records"):format(domain), summary,
            { json = record, result = "create record" }), "domain_record")
    end
    return order_once(summary, send, function()
        return select(self:records(domain, { name = record.name, type = record.type }), function(found)
            return found.data == record.data
        end)[1]
    end)
end

--- Deletes a record; one that is gone is fine.
---@param domain string
---@param record integer|table its id, or the record
---@return boolean existed
function cloud:delete_record(domain, record)
    local id = type(record) == "table" and record.id or record
    local summary = type(record) == "table" and record_summary("delete", domain, record)
        or ("delete record %s in %s"):format(id, domain)
    local _, status = ask(self, "DELETE", ("/v2/domains/%s/records/%s"):format(domain, id), summary,
        { expect = { 404 }, result = "deleted" })
    return status ~= 404
end

-- ---- database clusters -------------------------------------------------------------------------------------------

local CONNECTIONS = { "connection", "private_connection", "standby_connection", "standby_private_connection",
    "ui_connection", "schema_registry_connection" }

local function conceal(holder, field)
    if type(holder[field]) == "string" then
        holder[field] = secret.wrap(holder[field])
    end
end

--- No password leaves this file as plain text.
local function with_secrets(cluster)
    for _, name in ipairs(CONNECTIONS) do
        if cluster[name] then
            conceal(cluster[name], "password")
            conceal(cluster[name], "uri")
        end
    end
    for _, user in ipairs(cluster.users or {}) do
        conceal(user, "password")
        conceal(user, "access_key")
    end
    return cluster
end

--- The team's database clusters. https://docs.digitalocean.com/reference/api/digitalocean/#operation/databases_list_clusters
---@param filter? { tag?: string }
---@return { id: string, name: string, status: string, engine: string, region: string, connection: { host: string,
---  port: integer, user: string, password: secret, database: string, uri: secret }, rules?: table[] }[]
function cloud:databases(filter)
    return map(list(self, "/v2/databases", "databases", "list database clusters", { tag_name = filter and filter.tag }),
        with_secrets)
end

---@param id string
---@return table cluster
---@raise "digitalocean.not_found"
function cloud:database(id)
    local answer = ask(self, "GET", "/v2/databases/" .. id, "read database cluster " .. id, { result = "database" })
    return item(answer, "database", with_secrets)
end

--- The cluster of this name, or nil. A name is unique in its team.
---@param name string
---@return table?
function cloud:find_database(name)
    local found = select(self:databases(), function(cluster)
        return cluster.name == name
    end)
    return unknown(found) and found or found[1]
end

--- Orders a database cluster; it is `creating` for some minutes, see wait_online. When the answer is lost, looks whether
--- the cluster was made before ordering again.
--- https://docs.digitalocean.com/reference/api/digitalocean/#operation/databases_create_cluster
---@param order { name: string, engine: string, num_nodes: integer, size: string, region: string, version?: string,
---  tags?: string[], rules?: table[] }
---@return table cluster
---@raise "digitalocean.team_full" when the team has no room for it; "digitalocean.unprocessable_entity" for all else that
---  DigitalOcean does not accept
function cloud:create_database(order)
    local function send()
        local summary = ("create database cluster %s %s %s"):format(order.name, order.size, order.region)
        return item(ask(self, "POST", "/v2/databases", summary, { json = order, result = "create database" }),
            "database", with_secrets)
    end
    local cluster, err = try(order_once, "create database cluster " .. order.name, send, function()
        return self:find_database(order.name)
    end)
    if err and digitalocean.is_full(err) then
        fail(("there is no room for %s: %s"):format(order.name, err.said), {
            code = "digitalocean.team_full", status = err.status, said = err.said, team = self.team_name, cause = err,
            target = self.url, hint = "go on with the next team; this one's name is to be marked (full)",
        })
    elseif err then
        error(err, 0)
    end
    return cluster
end

--- True when DigitalOcean refused an order because a limit of the team is reached. Its text is not documented, so this goes
--- by the words that its limits have in common.
---@return boolean
function digitalocean.is_full(err)
    local said = type(err.said) == "string" and err.said:lower() or ""
    return (err.status == 422 or err.status == 403)
        and (said:find "limit" or said:find "quota" or said:find "maximum number") ~= nil
end

--- Deletes a cluster and all that is in it; one that is gone is fine.
---@param id string
---@param name? string for the plan and the log
---@return boolean existed
function cloud:delete_database(id, name)
    local summary = name and ("delete database cluster %s (%s)"):format(name, id) or "delete database cluster " .. id
    local _, status = ask(self, "DELETE", "/v2/databases/" .. id, summary, { expect = { 404 }, result = "deleted" })
    return status ~= 404
end

--- Waits until a cluster is online.
---@param id string
---@param options? { timeout?: number } seconds (1800)
---@return table cluster
---@raise "timeout", "digitalocean.not_found"
function cloud:wait_online(id, options)
    return wait_until(("database cluster %s to be online"):format(id), { timeout = options and options.timeout or 1800,
        interval = 1 }, function()
        local cluster = self:database(id)
        return unknown(cluster) and cluster or cluster.status == "online" and cluster
    end)
end

--- The trusted sources of a cluster: who may connect. An empty list lets everybody in.
---@param id string
---@return { uuid: string, type: "ip_addr"|"droplet"|"tag"|"k8s"|"app", value: string }[]
function cloud:trusted_sources(id)
    return item(ask(self, "GET", ("/v2/databases/%s/firewall"):format(id), "read trusted sources of " .. id,
        { result = "rules" }), "rules")
end

--- Replaces the trusted sources of a cluster. A droplet of another team can only be named by its address.
---@param id string
---@param rules { type: string, value: string, uuid?: string }[] not empty: that would let everybody in
---@raise "usage" for an empty list
function cloud:set_trusted_sources(id, rules)
    if not unknown(rules) and #rules == 0 then
        fail("a cluster without trusted sources lets everybody in", { code = "usage", target = id })
    end
    local plain, names = {}, {}
    for index, rule in ipairs(rules) do
        plain[index] = { type = rule.type, value = rule.value, uuid = rule.uuid }
        names[index] = ("%s %s"):format(rule.type, tostring(rule.value))
    end
    ask(self, "PUT", ("/v2/databases/%s/firewall"):format(id), ("trust %s in %s"):format(table.concat(names, ", "), id),
        { json = { rules = json.array(plain) }, result = "trusted" })
end

--- The certificate authority of a cluster.
---@param id string
---@return string PEM in base64
function cloud:database_ca(id)
    local ca = item(ask(self, "GET", ("/v2/databases/%s/ca"):format(id), "read the certificate authority of " .. id,
        { result = "ca" }), "ca")
    return unknown(ca) and ca or ca.certificate
end

-- ---- projects and tags -------------------------------------------------------------------------------------------

---@return { id: string, name: string, is_default: boolean }[]
function cloud:projects()
    return list(self, "/v2/projects", "projects", "list projects")
end

--- The project of this name, or nil.
function cloud:find_project(name)
    local found = select(self:projects(), function(project)
        return project.name == name
    end)
    return unknown(found) and found or found[1]
end

---@param id string
---@return { urn: string, assigned_at: string }[]
function cloud:project_resources(id)
    return list(self, ("/v2/projects/%s/resources"):format(id), "resources", "list resources of project " .. id)
end

--- Puts resources into a project.
---@param project table as projects() returns it
---@param urns string[] "do:droplet:123", "do:dbaas:UUID", "do:domain:NAME"
---@return { urn: string, status: string }[]
function cloud:assign(project, urns)
    local words = {}
    for index, urn in ipairs(urns) do
        words[index] = tostring(urn)
    end
    return item(ask(self, "POST", ("/v2/projects/%s/resources"):format(project.id),
        ("put %s into project %s"):format(table.concat(words, ", "), project.name),
        { json = { resources = urns }, result = "assigned" }), "resources")
end

---@return { name: string, resources: table }[]
function cloud:tags()
    return list(self, "/v2/tags", "tags", "list tags")
end

--- Makes a tag; one that exists is fine.
---@param name string
function cloud:create_tag(name)
    return item(ask(self, "POST", "/v2/tags", "create tag " .. name, { json = { name = name }, result = "tag" }), "tag")
end

--- Tags droplets.
---@param name string a tag that exists
---@param ids integer[]
function cloud:tag_droplets(name, ids)
    local resources, words = {}, {}
    for index, id in ipairs(ids) do
        resources[index], words[index] = { resource_id = tostring(id), resource_type = "droplet" }, tostring(id)
    end
    ask(self, "POST", ("/v2/tags/%s/resources"):format(name), ("tag droplet %s as %s"):format(table.concat(words, ", "), name),
        { json = { resources = resources }, result = "tagged" })
end

return digitalocean
