-- 1Password through a Connect server: find, read, create and delete items of a vault.
-- https://developer.1password.com/docs/connect/connect-api-reference/
--
-- Passwords and all other concealed fields are secrets, on the way in and on the way out.
local http = require "http"
local exactly_one = require "exactly_one"

local onepassword = {}

---@class onepassword.Connection a Connect server
---@field url string
local connection = {}
connection.__index = connection

---@class onepassword.Vault
---@field id string
---@field title string
---@field connection onepassword.Connection
local vault = {}
vault.__index = vault

local CODES = { [400] = "invalid", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found" }
local HINTS = {
    unauthorized = "the Connect token is wrong or was revoked: make a new one in the Connect server's settings",
    forbidden = "this Connect token has no access to the vault, or only to read it: make one with write access",
}
local RECIPE = { length = 32, characterSets = { "LETTERS", "DIGITS" } }

local function raise_refusal(self, err, summary)
    local told = try(json.decode, err.body or "")
    local said = type(told) == "table" and type(told.message) == "string" and told.message
        or ("it answered HTTP status %d with something that is not Connect's JSON"):format(err.status)
    -- To a token that may only read, Connect says 401 as it does to one that is wrong.
    local word = said:find "write access" and "forbidden"
        or CODES[err.status] or err.status >= 500 and "unavailable" or "refused"
    fail(("1Password refused to %s: %s"):format(summary, said), {
        code = "onepassword." .. word, status = err.status, said = said, target = self.url, hint = HINTS[word],
        body = type(told) ~= "table" and err.body or nil,
    })
end

--- One request; returns the decoded body and the status.
local function ask(self, method, path, summary, options)
    options = options or {}
    local answer, err = try(http.request, {
        method = method, url = self.url .. path, query = options.query, json = options.json, expect = options.expect,
        headers = { Authorization = "Bearer " .. self.token }, timeout = self.timeout, ca_file = self.ca_file,
        summary = summary, result = options.result, read = options.read,
    })
    if err and err.code == "http.status" then
        raise_refusal(self, err, summary)
    elseif err then
        error(err, 0)
    elseif unknown(answer) then
        return answer
    end
    return answer.status < 400 and answer.json or nil, answer.status
end

--- A filter of the Connect API: the field's whole text, in SCIM's quotes (RFC 7644, 3.4.2.2).
local function equals(field, text)
    if text:find "%c" then
        fail(("a %s cannot have control characters"):format(field), { code = "usage" })
    end
    return ("%s eq \"%s\""):format(field, (text:gsub("[\"\\]", "\\%0")))
end

--- A handle on a Connect server. Nothing is asked yet.
---@param url string https://...
---@param token secret a Connect access token
---@param options? { ca_file?: string, timeout?: number } ca_file: certificate authorities of the server
---  ($HOSTLER_CA_FILE); timeout: seconds for each request (30)
---@return onepassword.Connection
---@raise "usage"
function onepassword.connect(url, token, options)
    options = options or {}
    local origin = tostring(url):gsub("/+$", "")
    if not secret.is(token) then
        fail("onepassword.connect takes a secret",
            { code = "usage", hint = "onepassword.connect(url, secret \"OP_CONNECT_TOKEN\")" })
    elseif not origin:match "^https://[^/]+$" then
        fail(("the Connect server must be asked over https: %s"):format(origin), { code = "usage" })
    end
    return setmetatable({
        url = origin, token = token, ca_file = options.ca_file or env "HOSTLER_CA_FILE",
        timeout = options.timeout or 30,
    }, connection)
end

--- The vaults that the token may see.
---@return { id: string, name: string, items: integer }[]
---@raise "onepassword.unauthorized"
function connection:vaults()
    return (ask(self, "GET", "/v1/vaults", "list vaults", { result = "vaults" }))
end

--- The vault of this title.
---@param title string
---@return onepassword.Vault
---@raise "onepassword.not_found", "onepassword.ambiguous" when more than one has the title
function connection:vault(title)
    local found = ask(self, "GET", "/v1/vaults", "find vault " .. title,
        { query = { filter = equals("name", title) }, result = "vaults" })
    local one = exactly_one(found, {
        things = "vaults", name = title, code = "onepassword.ambiguous", target = self.url,
        label = function(item) return item.id end, hint = "give the Connect token one of them only",
    })
    if unknown(one) then
        return one
    elseif not one then
        fail(("there is no vault '%s'"):format(title), {
            code = "onepassword.not_found", target = self.url,
            hint = "a Connect token sees only the vaults that it was given",
        })
    end
    return setmetatable({ connection = self, id = one.id, title = title }, vault)
end

local function path_of(self, id)
    return "/v1/vaults/" .. self.id .. "/items" .. (id and "/" .. id or "")
end

--- Concealed fields become secrets; the usual two are also found as item.username and item.password.
local function with_secrets(item)
    if unknown(item) then
        return item
    end
    for _, field in ipairs(item.fields or {}) do
        local is_concealed = field.type == "CONCEALED" or field.purpose == "PASSWORD"
        if is_concealed and type(field.value) == "string" then
            field.value = secret.wrap(field.value)
        end
        if field.purpose == "USERNAME" then
            item.username = field.value
        elseif field.purpose == "PASSWORD" then
            item.password = field.value
        end
    end
    return item
end

---@class onepassword.Item
---@field id string
---@field title string
---@field category string "LOGIN"
---@field urls? { href: string, primary?: boolean }[]
---@field tags? string[]
---@field username? string nil where the fields were not asked for
---@field password? secret
---@field fields? { id: string, label: string, type: string, purpose?: string, value?: string|secret }[]
---@field createdAt string
---@field updatedAt string
---@field [string] any what else the API tells

--- Items of the vault, without their fields.
---@param filter? { title?: string } the whole title
---@return onepassword.Item[]
function vault:items(filter)
    local title = filter and filter.title
    local summary = title and "find item " .. title or "list items of " .. self.title
    local query = title and { filter = equals("title", title) } or nil
    return (ask(self.connection, "GET", path_of(self), summary, { query = query, result = "items" }))
end

--- The item of this title with its fields, or nil. Titles need not be unique: more than one is an error that lists
--- them.
---@param title string
---@return onepassword.Item?
---@raise "onepassword.ambiguous"
function vault:find(title)
    local one = exactly_one(self:items { title = title }, {
        things = "items in " .. self.title, name = title, code = "onepassword.ambiguous",
        label = function(item) return ("%s of %s"):format(item.id, tostring(item.createdAt)) end,
        hint = "keep the right one and rename or archive the others",
    })
    return unknown(one) and one or one and self:get(one.id)
end

--- One item with its fields.
---@param id string
---@return onepassword.Item
---@raise "onepassword.not_found"
function vault:get(id)
    return with_secrets((ask(self.connection, "GET", path_of(self, id), "read item " .. id, { result = "item" })))
end

local function fields_of(item)
    local fields = {
        { id = "username", type = "STRING", purpose = "USERNAME", label = "username", value = item.username },
        { id = "password", type = "CONCEALED", purpose = "PASSWORD", label = "password", value = item.password },
    }
    if item.generate then
        fields[2].generate, fields[2].recipe = true, type(item.generate) == "table" and item.generate or RECIPE
    end
    for _, field in ipairs(item.fields or {}) do
        fields[#fields + 1] = {
            id = field.id or uuid(), label = field.label, value = field.value,
            type = field.type or (secret.is(field.value) and "CONCEALED" or "STRING"),
        }
    end
    return fields
end

local function urls_of(item)
    local urls = {}
    for index, url in ipairs(item.urls or {}) do
        urls[index] = { href = url, primary = index == 1 }
    end
    return urls[1] and urls or nil
end

local function check(item)
    local has_password = item.password ~= nil
    if type(item.title) ~= "string" or item.title == "" then
        fail("an item needs a title", { code = "usage" })
    elseif has_password == (item.generate ~= nil and item.generate ~= false) then
        fail("an item needs a password, or generate = true", { code = "usage", target = item.title })
    elseif has_password and not secret.is(item.password) and not unknown(item.password) then
        fail("an item's password must be a secret",
            { code = "usage", target = item.title, hint = "password = secret.random()" })
    end
end

--- Creates an item. Items may have the same title: look with find first.
---@param item { title: string, username?: string, password?: secret, generate?: boolean|table, urls?: string[],
---  fields?: { label: string, value: string|secret }[], tags?: string[], category?: string } generate: let 1Password
--- make the password, by its default or this recipe { length, characterSets }; urls: the first is the primary one;
--- category: "LOGIN"
---@return onepassword.Item
---@raise "usage", "onepassword.forbidden"
---@effect write
function vault:create(item)
    check(item)
    local order = {
        title = item.title, vault = { id = self.id }, category = item.category or "LOGIN", urls = urls_of(item),
        tags = item.tags, fields = fields_of(item),
    }
    local summary = ("create item %s in %s"):format(item.title, self.title)
    return with_secrets((ask(self.connection, "POST", path_of(self), summary,
        { json = order, result = "create item" })))
end

--- Deletes an item; one that is gone is fine.
---@param id string
---@param title? string for the plan and the log
---@return boolean existed
---@effect write
function vault:delete(id, title)
    local answer, status = ask(self.connection, "DELETE", path_of(self, id),
        ("delete item %s in %s"):format(title or id, self.title), { expect = { 404 }, result = "deleted" })
    return unknown(answer) and answer or status ~= 404
end

--- Raises unless the token may write, without changing anything: it asks to delete an item that cannot be there, which
--- a token that may only read is refused before anything is looked up. Sent as a read, for it can have no effect.
---@raise "onepassword.forbidden"
function vault:must_write()
    local nothing = uuid():gsub("%W", ""):sub(1, 26) -- 26 small letters and digits, as 1Password makes them
    ask(self.connection, "DELETE", path_of(self, nothing), "find out whether the token may write in " .. self.title,
        { read = true, expect = { 400, 404 } })
end

return onepassword
