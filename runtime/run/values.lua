-- Small values of a playbook: secrets, settings, the time, JSON.
local native, import = ...
local values = {}

local recording, recorded_values = import "gate/recording", import "gate/recorded_values"

--- The parts of a secret list, each a secret: DO_DATABASE_API_TOKENS holds several tokens with commas between them.
---@param value secret
---@param separator? string one character (",")
---@return secret[]
local function split_secret(value, separator)
    local parts = {}
    native.secret.derive(value, function(text)
        for part in text:gmatch("[^" .. (separator or ","):gsub("%W", "%%%0") .. "]+") do
            parts[#parts + 1] = native.secret.new((part:match "^%s*(.-)%s*$"))
            recorded_values.fragment(parts[#parts])
        end
        return text
    end)
    return parts
end

---@class secret a value that is never shown; `..` and string.format with one make another

---@class secretlib
---@field split fun(value: secret, separator?: string): secret[] the parts of a secret list, each a secret; they stand
---  between separators of one character (",")
---@field random fun(length?: integer): secret a random one of letters and digits, 8 to 256 of them (32)
---@field wrap fun(text: string): secret makes text a secret: it is masked wherever it would be shown
---@field is fun(value: any): boolean whether a value is a secret
---@field scrub fun(text: string): string the text without the secrets that were seen so far; for what is encoded before
---  it is written, for then nobody would know them again
---@overload fun(name: string, options?: { optional?: boolean }): secret reads a secret from the environment or from
---  systemd's $CREDENTIALS_DIRECTORY; where it is not set this raises "secret", or with `optional` gives nil

---@type secretlib
local secret = setmetatable({
    split = split_secret, random = native.secret.random, wrap = native.secret.new, is = native.secret.is,
    scrub = native.secret.scrub,
}, {
    __call = function(_, name, options)
        local value = recording.setting("secret " .. name, function()
            local variable = native.system.secret_env(name)
            local text = native.system.credential(name) or variable
            return text and text ~= "" and native.secret.new(text) or nil
        end)
        if value then
            return value
        elseif options and options.optional then
            return nil
        elseif native.task.context().secrets_may_lack then
            return native.secret.unknown(name)
        end
        error(native.error.new {
            code = "secret",
            message = ("the secret %s is not set"):format(name),
            hint = ("export %s=... , or give it to the service with LoadCredential=%s:FILE"):format(name, name),
        }, 2)
    end,
})

---@class jsonlib
---@field encode fun(value: any, pretty?: boolean): string the JSON text of a value; a table with items is a list,
---  another one an object. A secret in it raises "json"
---@field decode fun(text: string): any the value of a JSON text; null is json.null. Raises "json"
---@field array fun(list?: any[]): any[] the same table, written as [] also where it is empty
---@field is_array fun(value: any): boolean whether a table is written as a list
---@field null userdata stands for null

values.globals = {
    secret = secret,
    ---@type jsonlib
    json = native.json.face,
    --- A setting from the environment, or the default.
    ---@param name string
    ---@param default? string
    ---@return string?
    env = function(name, default)
        local text = recording.setting(name, function() return native.system.env(name) end)
        return text ~= nil and text ~= "" and text or default
    end,
    --- Seconds since 1970.
    ---@return number
    now = function() return recording.value("now", "", native.system.now, true) end,
    --- A random UUID.
    ---@return string
    uuid = function() return recording.value("uuid", "", native.system.uuid, true) end,
}
return values
