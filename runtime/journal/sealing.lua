-- Values on their way to the journal and back: JSON in which secrets are sealed.
local native, import = ...
local sealing = {}

local state, store = import "base/state", import "journal/store"
local json, seal, scrub = native.json.face, native.seal, native.secret.scrub
local SEALED, WHOLE = "$sealed", "$sealed_value"

local prepared = false

local function key_file()
    return state.directory() .. "/key"
end

local function refuse(message, hint)
    error(native.error.new { code = "key", message = message, hint = hint }, 0)
end

--- The fingerprint of this machine's key.
local function need_key(create)
    if not sealing.fingerprint then
        local fingerprint, reason = seal.key(key_file(), create)
        if not fingerprint then
            refuse(("the key file %s cannot be used: %s"):format(key_file(), reason), not create
                and "put it back from a copy, or copy it from another controller that uses this journal: without it "
                .. "the secrets in the journal are lost" or nil)
        end
        sealing.fingerprint = fingerprint
    end
    return sealing.fingerprint
end

local function check(fingerprint)
    if need_key(false) ~= fingerprint then
        refuse(("the key file %s is not the one that the secrets of this journal are sealed with"):format(key_file()),
            ("put back the key with the fingerprint %s, or copy it from another controller; this one has %s"):format(
                fingerprint, sealing.fingerprint))
    end
end

--- Makes sure that the journal's key is at hand, before anything is done whose result may hold a secret. The first who
--- needs it makes it, for all who use the journal.
---@raise "key"
function sealing.prepare()
    if prepared then
        return
    end
    local handle = store.open()
    local known = handle.read("SELECT fingerprint FROM seal")[1]
    local mine = need_key(not known)
    known = known or handle.write([[INSERT INTO seal (one, fingerprint) VALUES (1, $1)
        ON CONFLICT (one) DO UPDATE SET one = 1 RETURNING fingerprint]], mine)[1]
    check(known.fingerprint)
    prepared = true
end

local function close(value)
    sealing.prepare()
    return sealing.fingerprint .. ":" .. seal.close(value)
end

local function open(text, as_secret)
    local fingerprint, box = text:match "^(%x+):(.*)$"
    check(fingerprint)
    local value = seal.open(box, as_secret)
    if value == nil then
        refuse "a sealed value of the journal has been changed"
    end
    return value
end

--- A text as the journal keeps it when nobody else may read it, whatever is in it.
---@param plain string
---@return string
---@raise "key"
function sealing.seal(plain)
    return close(plain)
end

--- The text again.
---@param sealed string
---@return string
---@raise "key"
function sealing.unseal(sealed)
    return open(sealed, false)
end

--- A copy as the journal would return it: without metatables and methods, lists marked as such. Secrets stay secrets;
--- `on_secret` may replace them.
local function copy(value, on_secret)
    if type(value) ~= "table" then
        return on_secret and native.secret.is(value) and on_secret(value) or value
    end
    local plain = json.is_array(value) and json.array {} or {}
    for key, item in pairs(value) do
        plain[key] = copy(item, on_secret)
    end
    return plain
end

--- What a resumed run would get in place of this value.
function sealing.plain(value)
    return copy(value)
end

--- JSON without a readable secret. When a secret's text is found in plain text as well, all of the value is sealed.
---@param value any what JSON can hold, and secrets
---@return string
function sealing.encode(value)
    local text = json.encode(copy(value, function(secret) return { [SEALED] = close(secret) } end))
    if scrub(text) ~= text then
        text = json.encode { [WHOLE] = close(text) }
    end
    return text
end

local function reveal(value)
    if type(value) ~= "table" then
        return value
    elseif value[SEALED] then
        return open(value[SEALED], true)
    end
    for key, item in pairs(value) do
        value[key] = reveal(item)
    end
    return value
end

--- The value again.
---@raise "key" when the key is gone or another one
function sealing.decode(text)
    local value = json.decode(text)
    if type(value) == "table" and value[WHOLE] then
        value = json.decode(open(value[WHOLE], false))
    end
    return reveal(value)
end

return sealing
