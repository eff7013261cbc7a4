-- The 1Password Connect API: one vault, its items in memory.
local answer, teams = require "standin.answer", require "standin.teams"

local onepassword = {
    --- The token that this Connect server takes.
    token = nil,
    --- "read" for a token that may change nothing.
    access = "write",
    --- What such a token is answered when it tries.
    read_only = { status = 401, message = "Unauthorized Request, token does not have write access to the Vault" },
    vault = { name = "meltanodata.com", items = {} },
}

local CATEGORIES = {}
for word in ([[LOGIN PASSWORD API_CREDENTIAL SERVER DATABASE CREDIT_CARD MEMBERSHIP PASSPORT SOFTWARE_LICENSE
    OUTDOOR_LICENSE SECURE_NOTE WIRELESS_ROUTER BANK_ACCOUNT DRIVER_LICENSE IDENTITY REWARD_PROGRAM DOCUMENT
    EMAIL_ACCOUNT SOCIAL_SECURITY_NUMBER MEDICAL_RECORD SSH_KEY CUSTOM]]):gmatch "%S+" do
    CATEGORIES[word] = true
end

local ALPHABETS = {
    LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", DIGITS = "0123456789", SYMBOLS = "!@.-_*",
}

--- Numbers that nobody can foretell: the digits of random UUIDs.
local function random_numbers(count)
    local numbers = {}
    while #numbers < count do
        for digits in (uuid():gsub("-", "")):gmatch "%x%x%x%x" do
            numbers[#numbers + 1] = tonumber(digits, 16)
        end
    end
    return numbers
end

local function pick(alphabet, count)
    local letters = {}
    for index, number in ipairs(random_numbers(count)) do
        if index <= count then
            local place = number % #alphabet + 1
            letters[index] = alphabet:sub(place, place)
        end
    end
    return table.concat(letters)
end

--- An identifier as 1Password makes them: 26 small letters and digits.
local function new_id()
    return pick("abcdefghijklmnopqrstuvwxyz0123456789", 26)
end

onepassword.vault.id = new_id()
onepassword.vault.created = now()

function onepassword.authenticate(headers)
    local text = (headers.authorization or ""):match "^[Bb]earer (%S+)$"
    if not text or text ~= onepassword.token then
        answer.refuse(401, "unauthorized", "Invalid token signature")
    end
    return { team = { name = "1Password" }, access = onepassword.access }
end

--- The body of an error.
function onepassword.problem(err)
    return { status = err.status, message = err.message }
end

local function refuse(status, message, ...)
    answer.refuse(status, "error", message:format(...))
end

local function show_vault(vault)
    return {
        id = vault.id, name = vault.name, description = "Logins of the instances", attributeVersion = 1,
        contentVersion = vault.version or 1, items = #vault.items, type = "USER_CREATED",
        createdAt = answer.time(vault.created), updatedAt = answer.time(vault.created),
    }
end

-- The list tells less of an item than the item itself: no fields.
local function show_summary(item)
    return {
        id = item.id, title = item.title, vault = { id = onepassword.vault.id }, category = item.category,
        urls = item.urls, favorite = item.favorite, tags = item.tags, version = item.version,
        createdAt = answer.time(item.created), updatedAt = answer.time(item.updated), lastEditedBy = item.editor,
    }
end

local function show_item(item)
    local shown = show_summary(item)
    shown.sections, shown.fields = item.sections, item.fields
    return shown
end

-- What a filter's operator asks of a value: SCIM's words, RFC 7644, 3.4.2.2.
local OPERATORS = {
    eq = function(value, text) return value == text end,
    co = function(value, text) return value:find(text, 1, true) ~= nil end,
    sw = function(value, text) return value:sub(1, #text) == text end,
}

--- Whether a value passes the filter of the request, such as: title eq "X"
---@param call table
---@param field string what the documents call it
---@param other? string what clients call it as well
local function filter_of(call, field, other)
    local filter = call.query.filter
    if not filter then
        return function() return true end
    end
    local name, operator, text = filter:match '^%s*(%a+) (%a+) "(.*)"%s*$'
    if not name or name ~= field and name ~= other then
        refuse(400, "invalid filter: %s", filter)
    elseif not OPERATORS[operator] then
        refuse(501, "the local cloud's stand-in does not imitate the filter: %s", filter)
    end
    text = text:gsub("\\(.)", "%1")
    return function(value) return OPERATORS[operator](value, text) end
end

local function vault_of(call)
    if call.params.vault ~= onepassword.vault.id then
        refuse(404, "vault %s not found", call.params.vault)
    end
    return onepassword.vault
end

local function item_of(call)
    local vault = vault_of(call)
    local item, index = teams.find(vault.items, "id", call.params.item)
    if not item then
        refuse(404, "item %s not found", call.params.item)
    end
    return item, index, vault
end

local function generated(recipe)
    recipe = recipe or {}
    local alphabet = {}
    for _, set in ipairs(recipe.characterSets or { "LETTERS", "DIGITS", "SYMBOLS" }) do
        alphabet[#alphabet + 1] = ALPHABETS[set] or refuse(400, "Invalid character set")
    end
    local letters = table.concat(alphabet)
    if recipe.excludeCharacters and recipe.excludeCharacters ~= "" then
        letters = letters:gsub("[" .. recipe.excludeCharacters:gsub("%W", "%%%0") .. "]", "")
    end
    return pick(letters, recipe.length or 32)
end

local function check_fields(fields)
    local kept = json.array {}
    for index, field in ipairs(fields) do
        if not answer.absent(field.id) and type(field.id) ~= "string" then
            refuse(400, "Invalid field: its id is no text")
        end
        local value = field.value
        if answer.absent(value) and field.generate == true then
            value = generated(field.recipe)
        end
        kept[index] = {
            id = not answer.absent(field.id) and field.id or new_id(),
            type = not answer.absent(field.type) and field.type or "STRING", purpose = field.purpose,
            label = field.label, section = field.section,
            value = not answer.absent(value) and value or nil,
            entropy = field.purpose == "PASSWORD" and #tostring(value or "") * 4.5 or nil,
        }
    end
    return kept
end

local function check_item(call)
    local body = call.body or {}
    if not CATEGORIES[body.category] then
        refuse(400, "Invalid item category")
    elseif type(body.vault) ~= "table" or body.vault.id ~= call.params.vault then
        refuse(400, "The item's vault is not the one of the request")
    elseif type(body.title) ~= "string" or body.title == "" then
        refuse(400, "Invalid item title")
    end
    return {
        title = body.title, category = body.category, urls = body.urls or json.array {},
        tags = body.tags or json.array {}, favorite = body.favorite == true,
        sections = body.sections or json.array {}, fields = check_fields(body.fields or {}),
        editor = "NZNBZFHEJJAHJOGJ6BTFDE3MX4",
    }
end

local function create(call)
    local vault, item = vault_of(call), check_item(call)
    item.id, item.version, item.created, item.updated = new_id(), 1, now(), now()
    vault.items[#vault.items + 1] = item
    return 200, show_item(item)
end

local function replace(call)
    local old, index, vault = item_of(call)
    local item = check_item(call)
    item.id, item.version, item.created, item.updated = old.id, old.version + 1, old.created, now()
    vault.items[index] = item
    return 200, show_item(item)
end

local function list_items(call)
    local vault, passes = vault_of(call), filter_of(call, "title")
    local shown = json.array {}
    for _, item in ipairs(vault.items) do
        if passes(item.title) then
            shown[#shown + 1] = show_summary(item)
        end
    end
    return 200, shown
end

local function list_vaults(call)
    local passes, shown = filter_of(call, "name", "title"), json.array {}
    if passes(onepassword.vault.name) then
        shown[1] = show_vault(onepassword.vault)
    end
    return 200, shown
end

function onepassword.routes(router)
    router:on("GET", "/v1/vaults", list_vaults)
    router:on("GET", "/v1/vaults/:vault", function(call)
        return 200, show_vault(vault_of(call))
    end)
    router:on("GET", "/v1/vaults/:vault/items", list_items)
    router:on("POST", "/v1/vaults/:vault/items", create)
    router:on("GET", "/v1/vaults/:vault/items/:item", function(call)
        return 200, show_item((item_of(call)))
    end)
    router:on("PUT", "/v1/vaults/:vault/items/:item", replace)
    router:on("DELETE", "/v1/vaults/:vault/items/:item", function(call)
        local _, index, vault = item_of(call)
        table.remove(vault.items, index)
        return 204
    end)
    -- Connect can only read files, so none of these items has one.
    router:on("GET", "/v1/vaults/:vault/items/:item/files", function(call)
        item_of(call)
        return 200, json.array {}
    end)
    router:on("GET", "/v1/vaults/:vault/items/:item/files/:file", function(call)
        item_of(call)
        refuse(404, "file %s not found", call.params.file)
    end)
    router:on("GET", "/health", function()
        return 200, {
            name = "1Password Connect API", version = "1.7.1",
            dependencies = { { service = "sync", status = "TOKEN_NEEDED" }, { service = "sqlite", status = "ACTIVE" } },
        }
    end)
end

return onepassword
