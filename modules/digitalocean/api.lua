-- How DigitalOcean's API is spoken: requests with a token, its errors in its own words, pages of lists, the rate
-- limit, and orders whose answer was lost. What can be asked for is digitalocean.lua's.
local http = require "http"

local api = {}

local PER_PAGE = 200
local MOST_PAGES = 500
local WITHOUT_PAGES = { databases = true } -- lists that come whole, and know no per_page
local LOW_SHARE, SLOW_PAUSE = 0.05, 1 -- of the hourly limit; seconds before each request from there on
local PAUSES_BEFORE_LOOKS = { 1, 2, 4 } -- seconds; a list may lag behind an order

-- What to do about a refusal; %s is the token.
local HINTS = {
    unauthorized = "%s is wrong, was revoked or has expired: make a new token in the control panel, API, Tokens",
    forbidden = "%s may read but not do this: it needs write scope (or the custom scope of this operation)",
    too_many_requests = "%s has 5,000 requests an hour and 250 a minute: wait, then try again",
    not_found = "it may be gone already, or belong to another team: %s sees only its own team's resources",
    unavailable = "DigitalOcean has trouble of its own (https://status.digitalocean.com): try again later",
}

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
    local hint = HINTS[word] or err.status >= 500 and HINTS.unavailable
    hint = hint and hint:gsub("%%s", (self:who():gsub("%%", "%%%%")))
    local said = type(told.message) == "string" and told.message
        or ("it answered HTTP status %d with something that is not DigitalOcean's JSON"):format(err.status)
    fail(("DigitalOcean refused to %s: %s"):format(summary, said), {
        code = "digitalocean." .. word, status = err.status, said = said, request_id = told.request_id,
        token = self:who(), target = self.url, hint = hint, cause = err.cause,
        body = next(told) == nil and err.body or nil, unclear = err.unclear,
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
function api.ask(self, method, path, summary, options)
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
            { code = "digitalocean.answer", status = answer.status, target = self.url, unclear = true })
    end
    return without_nulls(answer.json), answer.status
end

--- Deletes what is at a path; that it is gone already is fine.
---@return boolean existed
function api.delete(self, path, summary)
    local answer, status = api.ask(self, "DELETE", path, summary, { expect = { 404 }, result = "deleted" })
    return unknown(answer) and answer or status ~= 404
end

--- All items of a list, page by page. The token is sent to this API only, whatever a page names as the next one.
function api.list(self, path, key, summary, query)
    query = query or {}
    query.per_page = not WITHOUT_PAGES[key] and PER_PAGE or nil
    local items = {}
    for _ = 1, MOST_PAGES do
        local page = api.ask(self, "GET", path, summary, { query = query, result = key })
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
function api.item(answer, field, shape)
    if unknown(answer) then
        return answer
    end
    local value = answer and answer[field]
    return value and shape and shape(value) or value
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
    local found = {}
    for _, value in ipairs(items) do
        if test(value) then
            found[#found + 1] = value
        end
    end
    return found
end

--- True when DigitalOcean refused an order because a limit of the team is reached. Its texts are not documented, so
--- this goes by the words that its limits have in common.
---@return boolean
function api.is_full(err)
    local said = type(err.said) == "string" and err.said:lower() or ""
    return (err.status == 422 or err.status == 403)
        and (said:find "limit" or said:find "quota" or said:find "maximum number") ~= nil
end

--- Sends an order that must not be placed twice. After a failure that leaves it open whether the order was placed,
--- looks for what was ordered, and only when that is not there sends the order again, once.
---@param send fun(): any
---@param look fun(): any returns what was ordered, or nil
function api.order_once(what, send, look)
    local result, err = try(send)
    if not err then
        return result
    elseif not err.unclear then
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

return api
