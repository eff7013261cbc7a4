-- How DigitalOcean's API is spoken: requests with a token, its errors in its own words, pages of lists, the rate
-- limit, and orders whose answer was lost. What can be asked for is digitalocean.lua's.
local api_answer = require "api_answer"
local http = require "http"

local api = {}

local PER_PAGE = 200
local MOST_PAGES = 500
local WITHOUT_PAGES = { databases = true } -- lists that come whole, and know no per_page
local LOW_SHARE, SLOW_PAUSE = 0.05, 1 -- of the hourly limit; seconds before each request from there on

-- What each thing that an answer may hold has at least, one of it or a list.
local FIELDS = {
    account = { droplet_limit = "number", team = "table" },
    action = { id = "number", status = "string" },
    ca = { certificate = "string" },
    database = { id = "id", name = "string" },
    domain = { name = "string" },
    domain_record = { id = "number", type = "string", name = "string", data = "string" },
    droplet = { id = "number", name = "string" },
    project = { id = "id", name = "string" },
    region = { slug = "string" },
    resource = { urn = "string" },
    rule = { type = "string", value = "string" },
    size = { slug = "string" },
    snapshot = { id = "id", name = "string", created_at = "string" },
    ssh_key = { id = "number", public_key = "string" },
    tag = { name = "string" },
}

-- What to do about a refusal; %s is the token, %t the time that the API asks for.
local HINTS = {
    unauthorized = "%s is wrong, was revoked or has expired: make a new token in the control panel, API, Tokens",
    forbidden = "%s may read but not do this: it needs write scope (or the custom scope of this operation)",
    too_many_requests = "%s has 5,000 requests an hour and 250 a minute: wait%t, then try again",
    not_found = "it may be gone already, or belong to another team: %s sees only its own team's resources",
    unavailable = "DigitalOcean has trouble of its own (https://status.digitalocean.com): try again later",
}

local function without_nulls(value)
    if type(value) ~= "table" then
        return value
    end
    for key, item in pairs(value) do
        if item == json.null and type(key) == "string" then
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
    local told = err.document
    if type(told) ~= "table" then
        told = {}
    end
    local word = code_word(told.id, err.status)
    local hint = HINTS[word] or err.status >= 500 and HINTS.unavailable
    local words = { s = self:who(), t = err.pause and " " .. err.pause or "" }
    hint = hint and hint:gsub("%%([st])", words)
    local said = type(told.message) == "string" and told.message
        or ("it answered HTTP status %d with something that is not DigitalOcean's JSON"):format(err.status)
    fail(("DigitalOcean refused to %s: %s"):format(summary, said), {
        code = "digitalocean." .. word, status = err.status, said = said,
        request_id = type(told.request_id) == "string" and told.request_id or nil,
        token = self:who(), target = self.url, hint = hint, cause = err.cause,
        body = next(told) == nil and err.body or nil, unclear = err.unclear, retry_at = err.retry_at,
        pause = err.pause,
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

--- One request. A redirect is no answer of this API, and would be another server's.
---@return http.Response? answer an unknown in a dry run
---@return api_answer.Question
local function send(self, method, path, summary, options)
    if self.is_low then
        sleep(SLOW_PAUSE)
    end
    local answer, err = try(http.request, {
        method = method, url = self.url .. path, query = options.query, json = options.json, expect = options.expect,
        headers = { Authorization = "Bearer " .. self.token, Accept = "application/json" }, redirects = 0,
        timeout = self.timeout, ca_file = self.ca_file, read = options.read, summary = summary, result = options.result,
    })
    if err and err.code == "http.status" then
        raise_refusal(self, err, summary)
    elseif err then
        error(err, 0)
    elseif not unknown(answer) then
        heed_limit(self, answer.headers)
    end
    return answer, {
        api = "DigitalOcean", code = "digitalocean.answer", summary = tostring(summary), target = self.url,
        writes = method ~= "GET" and not options.read,
    }
end

--- What an answer holds of this kind, with its shape checked.
local function taken(document, options, question)
    local key = options.list or options.gives
    local value, fields = document[key], FIELDS[options.kind or options.gives]
    if options.list then
        -- An empty list may be null: some of the services behind the API write it so.
        value = value == json.null and json.array {} or value
        return without_nulls(api_answer.list(value, fields, key, question))
    end
    return without_nulls(api_answer.object(value, fields, key, question))
end

--- One request, and what its answer holds.
---@param path any begins with /v2; what stands in it is a segment of api_answer
---@param summary any what it does, as a person says it: "create droplet ada"
---@param options? { gives?: string, list?: string, kind?: string, id?: string, query?: table, json?: table, expect?:
---  integer[], read?: boolean, result?: string } gives: the field with the one thing that is asked for, whose kind of
---  FIELDS it names; id: which one that has to be; list: the field with a list of `kind`; with neither nothing is
---  expected but the answer; result labels a dry run's unknown
---@return any thing nil where nothing is asked for, or the status is one of `expect`
---@return integer status
---@return table document the whole of it
function api.ask(self, method, path, summary, options)
    options = options or {}
    local answer, question = send(self, method, path, summary, options)
    if unknown(answer) then
        return answer
    elseif answer.status >= 400 then
        return nil, answer.status
    elseif not (options.gives or options.list) and answer.status < 300 and answer.body == "" then
        return nil, answer.status
    end
    local document = api_answer.document(answer, question)
    if not (options.gives or options.list) then
        return nil, answer.status
    elseif json.is_array(document) then
        api_answer.refuse(question, "a list, where an object was to come")
    end
    local thing = taken(document, options, question)
    if options.id and thing.id ~= nil and api_answer.shown(thing.id) ~= options.id then
        api_answer.refuse(question, ("it is about another one: %s"):format(api_answer.shown(thing.id)))
    end
    return thing, answer.status, document
end

--- Deletes what is at a path; that it is gone already is fine.
---@return boolean existed
function api.delete(self, path, summary)
    local nothing, status = api.ask(self, "DELETE", path, summary, { expect = { 404 }, result = "deleted" })
    return unknown(nothing) and nothing or status ~= 404
end

--- The address of the page that comes next, or nil.
local function following(document)
    local links = document.links
    local pages = type(links) == "table" and links.pages
    local address = type(pages) == "table" and pages.next
    return type(address) == "string" and address or nil
end

--- All items of a list, page by page. The token is sent to this API only, whatever a page names as the next one.
---@param key string the field that holds the list
---@param kind string of FIELDS
function api.list(self, path, key, kind, summary, query)
    query = query or {}
    query.per_page = not WITHOUT_PAGES[key] and PER_PAGE or nil
    local items, seen = json.array {}, {}
    for _ = 1, MOST_PAGES do
        local page, _, document = api.ask(self, "GET", path, summary,
            { query = query, list = key, kind = kind, result = key })
        if unknown(page) then
            return page
        end
        for _, item in ipairs(page) do
            items[#items + 1] = item
        end
        local address = following(document)
        if not address then
            return items
        elseif not same_origin(self, address) then
            fail(("DigitalOcean's list of %s goes on at another server: %s"):format(key, address),
                { code = "digitalocean.origin", target = self.url })
        elseif seen[address] then
            break
        end
        seen[address], path, query = true, address:sub(#self.url + 1), nil
    end
    fail(("DigitalOcean's list of %s does not end"):format(key), { code = "digitalocean.answer", target = self.url })
end

--- What `shape` makes of a thing; an unknown and nil stay what they are.
function api.shaped(thing, shape)
    if thing == nil or unknown(thing) then
        return thing
    end
    return shape(thing)
end

function api.map(items, shape)
    if not unknown(items) then
        for index, value in ipairs(items) do
            items[index] = shape(value)
        end
    end
    return items
end

--- The items that the test takes; an unknown stays one.
function api.select(items, test)
    if unknown(items) then
        return items
    end
    local found = json.array {}
    for _, value in ipairs(items) do
        if test(value) then
            found[#found + 1] = value
        end
    end
    return found
end

--- Whether two names are the same to DigitalOcean, which does not tell A from a in names of droplets, records and tags.
function api.same_name(one, other)
    return type(one) == "string" and type(other) == "string" and one:lower() == other:lower()
end

--- Whether a thing has this tag.
function api.has_tag(thing, tag)
    for _, name in ipairs(type(thing.tags) == "table" and thing.tags or {}) do
        if api.same_name(name, tag) then
            return true
        end
    end
    return false
end

--- True when DigitalOcean refused an order because a limit of the team is reached. Its texts are not documented, so
--- this goes by the words that its limits have in common.
---@return boolean
function api.is_full(err)
    local said = type(err.said) == "string" and err.said:lower() or ""
    return (err.status == 422 or err.status == 403)
        and (said:find "limit" or said:find "quota" or said:find "maximum number") ~= nil
end

--- wait_until, through what passes by itself: no connection, a server in trouble, a rate limit that ends in time.
---@param what any as for wait_until
---@param patience { timeout: number, interval: number } seconds
---@param look fun(): any
---@raise "timeout" whose cause is the trouble, where there was some at the end; what `look` raises
function api.wait(what, patience, look)
    local ends, trouble
    local found, err = try(wait_until, what, patience, function()
        ends = ends or now() + patience.timeout
        local result, problem = try(look)
        if problem and (not http.is_temporary(problem) or (problem.retry_at or 0) > ends) then
            error(problem, 0)
        elseif problem and problem.retry_at then
            sleep(math.max(0, problem.retry_at - now()))
        end
        trouble = problem
        return result
    end)
    if err and err.code == "timeout" then
        err.cause = err.cause or trouble
    end
    if err then
        error(err, 0)
    end
    return found
end

--- Sends an order that must not be placed twice. After a failure that leaves it open whether the order was placed,
--- looks for what was ordered, as long as a list may lag behind. It is not sent again: nobody could say that the first
--- one will not come.
---@param what string "create droplet ada"
---@param send_order fun(): any
---@param look fun(): any returns what was ordered, or nil
---@raise "digitalocean.unclear" when it is not found
function api.order_once(self, what, send_order, look)
    local result, err = try(send_order)
    if not err then
        return result
    elseif not err.unclear then
        error(err, 0)
    end
    warn("it is unclear whether DigitalOcean took the order to %s (%s); looking for it", what, tostring(err))
    local found, late = try(api.wait, "what was ordered", { timeout = self.lag, interval = 1 }, look)
    if late and late.code ~= "timeout" then
        error(late, 0)
    end
    return found or fail(("it is unclear whether DigitalOcean took the order to %s: %s; it was not found within %d s")
        :format(what, tostring(err), self.lag), {
        code = "digitalocean.unclear", cause = err, target = self.url, unclear = true,
        hint = "it was not ordered again, for it may still come: look in the control panel, and go on when it is "
            .. "there, or when some minutes have shown that it is not",
    })
end

return api
