-- 1Password through a Connect server: find, read, create and delete items of a vault.
-- https://developer.1password.com/docs/connect/connect-api-reference/
--
-- What 1Password hides is a secret, on the way in and on the way out: see `is_hidden`.
local api_answer = require "api_answer"
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

-- The types of fields whose values anybody may see; what else there is, or comes to be, is hidden. Besides these
-- 1Password has CONCEALED, TOTP and OTP (the seed of one-time passwords), SSHKEY, CREDIT_CARD_NUMBER, FILE.
-- https://developer.1password.com/docs/connect/api-reference/#item-object and /docs/cli/item-fields
local PLAIN_TYPES = {}
for word in ("STRING EMAIL URL DATE MONTH_YEAR MENU PHONE ADDRESS GENDER REFERENCE CREDIT_CARD_TYPE"):gmatch "%S+" do
    PLAIN_TYPES[word] = true
end
local PLAIN_PURPOSES = { [""] = true, USERNAME = true }
local NOTES = "notesPlain" -- the id of the field with an item's notes, whose purpose is not always told
local USUAL = { USERNAME = "username", PASSWORD = "password" } -- what an item has of these fields by itself
local OTHER_SECRETS = { "value", "totp", "otp", "content" } -- of a field or a file; totp: the password of this moment

local ITEM, VAULT = { id = "id", title = "string" }, { id = "id", name = "string" }
local NOBODY = ("a"):rep(26) -- the shape of an item's id, and none's: 1Password draws them at random
local RECIPE = { length = 32, characterSets = { "LETTERS", "DIGITS" } }

local function raise_refusal(self, err, summary)
    local told = err.document
    local said = type(told) == "table" and type(told.message) == "string" and told.message
        or ("it answered HTTP status %d with something that is not Connect's JSON"):format(err.status)
    -- To a token that may only read, Connect says 401 as it does to one that is wrong.
    local word = said:find "write access" and "forbidden"
        or CODES[err.status] or err.status >= 500 and "unavailable" or "refused"
    fail(("1Password refused to %s: %s"):format(summary, said), {
        code = "onepassword." .. word, status = err.status, said = said, target = self.url,
        hint = HINTS[word] or err.pause and "the Connect server asks to wait " .. err.pause or nil,
        body = type(told) ~= "table" and err.body or nil, unclear = err.unclear, retry_at = err.retry_at,
    })
end

--- One request; returns the document, and the status. A redirect is no answer of this API, and would be another
--- server's.
---@param options? { query?: table, json?: table, expect?: integer[], read?: boolean, result?: string, list?: table,
---  gives?: table, id?: string } list: the fields of each item of the list that is asked for; gives: of the object; id:
---  which one that has to be; with neither list nor gives nothing is expected but the answer
local function ask(self, method, path, summary, options)
    options = options or {}
    local answer, err = try(http.request, {
        method = method, url = self.url .. path, query = options.query, json = options.json, expect = options.expect,
        headers = { Authorization = "Bearer " .. self.token }, timeout = self.timeout, ca_file = self.ca_file,
        redirects = 0, summary = summary, result = options.result, read = options.read,
    })
    if err and err.code == "http.status" then
        raise_refusal(self, err, summary)
    elseif err then
        error(err, 0)
    elseif unknown(answer) then
        return answer
    elseif answer.status >= 400 then
        return nil, answer.status
    end
    local question = {
        api = "1Password", code = "onepassword.answer", summary = tostring(summary), target = self.url,
        writes = method ~= "GET" and not options.read,
    }
    if not (options.list or options.gives) and answer.status < 300 and answer.body == "" then
        return nil, answer.status
    end
    local document = api_answer.document(answer, question)
    if options.list then
        api_answer.list(document, options.list, options.result, question)
    elseif options.gives then
        api_answer.object(document, options.gives, options.result, question)
        if options.id and document.id ~= options.id then
            api_answer.refuse(question, "it is about another one: " .. tostring(document.id))
        end
    end
    return document, answer.status
end

--- Raises for an item of another vault, where it says which it is of.
local function must_be_in(self, item)
    local id = type(item.vault) == "table" and item.vault.id
    if id and id ~= self.id then
        fail(("1Password gave item %s of vault %s in place of one of %s"):format(item.id, tostring(id), self.title),
            { code = "onepassword.answer", target = self.connection.url })
    end
    return item
end

--- The items whose field is this text, whatever the server's filter let through; an unknown stays one.
local function exactly(found, field, text)
    if unknown(found) then
        return found
    end
    local kept = json.array {}
    for _, item in ipairs(found) do
        kept[#kept + 1] = item[field] == text and item or nil
    end
    return kept
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
    return (ask(self, "GET", "/v1/vaults", "list vaults", { result = "vaults", list = VAULT }))
end

--- The vault of this title.
---@param title string
---@return onepassword.Vault
---@raise "onepassword.not_found", "onepassword.ambiguous" when more than one has the title
function connection:vault(title)
    local found = ask(self, "GET", "/v1/vaults", "find vault " .. title,
        { query = { filter = equals("name", title) }, result = "vaults", list = VAULT })
    local one = exactly_one(exactly(found, "name", title), {
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

local function items_path(self)
    return "/v1/vaults/" .. api_answer.segment(self.id, "the id of a vault") .. "/items"
end

local function item_path(self, id)
    return items_path(self) .. "/" .. api_answer.segment(id, "the id of an item")
end

--- Whether a field holds what 1Password hides, or what is for those who may open the item alone: its notes.
local function is_hidden(field)
    local value, purpose = field.value, field.purpose
    return not PLAIN_TYPES[field.type] or purpose ~= nil and purpose ~= json.null and not PLAIN_PURPOSES[purpose]
        or field.id == NOTES or type(value) == "string" and value:lower():find "^otpauth:" ~= nil
end

local function conceal(holder, name)
    local value = holder[name]
    if type(value) == "number" or type(value) == "string" and value ~= "" then
        holder[name] = secret.wrap(api_answer.shown(value))
    end
end

--- The seed in an address such as otpauth://totp/ada?secret=SEED is a secret by itself as well.
local function conceal_seed(value)
    local seed = type(value) == "string" and value:match "[?&][Ss][Ee][Cc][Rr][Ee][Tt]=([^&#]+)"
    return seed and secret.wrap(seed)
end

local function conceal_field(field)
    if is_hidden(field) then
        conceal_seed(field.value)
        for _, name in ipairs(OTHER_SECRETS) do
            conceal(field, name)
        end
    else
        conceal(field, "totp")
        conceal(field, "otp")
    end
end

--- What else an item may tell of hidden values: earlier passwords, the contents of files, and of a note its beginning.
local function conceal_rest(item)
    local details = type(item.passwordDetails) == "table" and item.passwordDetails.history
    for _, history in ipairs { item.passwordHistory or false, details or false } do
        for index, entry in ipairs(type(history) == "table" and history or {}) do
            if type(entry) == "table" then
                conceal(entry, "value")
            else
                conceal(history, index)
            end
        end
    end
    for _, file in ipairs(type(item.files) == "table" and item.files or {}) do
        if type(file) == "table" then
            conceal(file, "content")
        end
    end
    if item.category == "SECURE_NOTE" then
        conceal(item, "additionalInformation")
    end
    conceal(item, "notes")
    conceal(item, "notesPlain")
    return item
end

--- Hidden values become secrets; the usual two are also found as item.username and item.password.
local function with_secrets(item)
    if unknown(item) then
        return item
    end
    for _, field in ipairs(type(item.fields) == "table" and item.fields or {}) do
        if type(field) == "table" then
            conceal_field(field)
            local name = USUAL[field.purpose]
            if name and field.value ~= json.null then
                item[name] = field.value
            end
        end
    end
    return conceal_rest(item)
end

---@class onepassword.Item
---@field id string
---@field title string
---@field category string "LOGIN"
---@field urls? { href: string, primary?: boolean }[]
---@field tags? string[]
---@field username? string nil where the fields were not asked for
---@field password? secret
---@field fields? { id: string, label: string, type: string, purpose?: string, value?: string|secret }[] what 1Password
---  hides is a secret: passwords, concealed fields, seeds of one-time passwords, notes, keys, numbers of credit cards
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
    local found = ask(self.connection, "GET", items_path(self), summary,
        { query = query, result = "items", list = ITEM })
    found = title and exactly(found, "title", title) or found
    for _, item in ipairs(unknown(found) and {} or found) do
        with_secrets(must_be_in(self, item))
    end
    return found
end

--- The item of this title with its fields, or nil. Titles need not be unique: more than one is an error that lists
--- them.
---@param title string
---@return onepassword.Item?
---@raise "onepassword.ambiguous"
function vault:find(title)
    local one = exactly_one(self:items { title = title }, {
        things = "items in " .. self.title, name = title, code = "onepassword.ambiguous",
        label = function(item) return ("%s of %s"):format(tostring(item.id), tostring(item.createdAt)) end,
        hint = "keep the right one and rename or archive the others",
    })
    return unknown(one) and one or one and self:get(one.id)
end

--- One item with its fields.
---@param id string
---@return onepassword.Item
---@raise "onepassword.not_found"
function vault:get(id)
    local item = ask(self.connection, "GET", item_path(self, id), "read item " .. id,
        { result = "item", gives = ITEM, id = id })
    return with_secrets(unknown(item) and item or must_be_in(self, item))
end

local function fields_of(item)
    local fields = {
        { id = "username", type = "STRING", purpose = "USERNAME", label = "username", value = item.username },
        { id = "password", type = "CONCEALED", purpose = "PASSWORD", label = "password", value = item.password },
    }
    if item.generate then
        fields[2].generate, fields[2].recipe = true,
            type(item.generate) == "table" and api_answer.with_lists(item.generate, { "characterSets" }) or RECIPE
    end
    for _, field in ipairs(item.fields or {}) do
        local sent = {
            id = field.id or uuid(), label = field.label, value = field.value,
            type = field.type or (secret.is(field.value) and "CONCEALED" or "STRING"),
        }
        if type(sent.value) == "string" and is_hidden(sent) then
            fail(("the value of the field '%s' must be a secret, for 1Password hides it"):format(tostring(field.label)),
                { code = "usage", target = item.title, hint = "value = secret(\"NAME\"), or secret.wrap(text)" })
        end
        fields[#fields + 1] = sent
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
        tags = type(item.tags) == "table" and json.array(item.tags) or item.tags, fields = fields_of(item),
    }
    local summary = ("create item %s in %s"):format(item.title, self.title)
    return with_secrets((ask(self.connection, "POST", items_path(self), summary,
        { json = order, result = "create item", gives = ITEM })))
end

--- Deletes an item; one that is gone is fine.
---@param id string
---@param title? string for the plan and the log
---@return boolean existed
---@effect write
function vault:delete(id, title)
    local nothing, status = ask(self.connection, "DELETE", item_path(self, id),
        ("delete item %s in %s"):format(tostring(title or id), self.title), { expect = { 404 }, result = "deleted" })
    return unknown(nothing) and nothing or status ~= 404
end

--- Raises unless the token may write, without changing anything: it asks to delete an item that cannot be there, which
--- a token that may only read is refused before anything is looked up. Sent as a read, for it can have no effect.
---@raise "onepassword.forbidden"
function vault:must_write()
    ask(self.connection, "DELETE", item_path(self, NOBODY), "find out whether the token may write in " .. self.title,
        { read = true, expect = { 400, 404 } })
end

return onepassword
