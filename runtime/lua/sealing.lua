-- Values on their way to the journal and back: JSON in which secrets are sealed.
local native, import = ...
local sealing = {}

local json, seal, scrub = native.json.face, native.seal, native.secret.scrub
local SEALED, WHOLE = "$sealed", "$sealed_value"

local function key_file()
    return import "state".directory() .. "/key"
end

--- The key's fingerprint, after making sure that the key is in place.
local function need_key(create)
    if not sealing.fingerprint then
        local fingerprint, reason = seal.key(key_file(), create)
        if not fingerprint then
            error(native.error.new {
                code = "key", message = ("the key file %s cannot be used: %s"):format(key_file(), reason),
                hint = not create and "put it back from a copy: without it the secrets of this run are lost" or nil,
            }, 0)
        end
        sealing.fingerprint = fingerprint
    end
    return sealing.fingerprint
end

local function close(value)
    local fingerprint = need_key(true)
    return fingerprint .. ":" .. seal.close(value)
end

local function open(text, as_secret)
    local fingerprint, box = text:match "^(%x+):(.*)$"
    if fingerprint ~= need_key(false) then
        sealing.check(fingerprint)
    end
    local value = seal.open(box, as_secret)
    if value == nil then
        error(native.error.new { code = "key", message = "a sealed value of the journal has been changed" }, 0)
    end
    return value
end

--- Makes sure that the key file still holds the key with this fingerprint.
---@param fingerprint? string nil: nothing was sealed, so no key is needed
---@raise "key"
function sealing.check(fingerprint)
    if fingerprint and need_key(false) ~= fingerprint then
        error(native.error.new {
            code = "key",
            message = ("the key file %s is not the one this run's secrets were sealed with"):format(key_file()),
            hint = ("put back the key with the fingerprint %s; this one has %s"):format(fingerprint,
                sealing.fingerprint),
        }, 0)
    end
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
