-- A webhook is its own manifest: the table given to webhook{} says where it is, who may use it, and which playbook a
-- delivery leads to. It is checked before anything listens.
local native, import = ...
local webhook = {}

local manifest, proof = import "run/manifest", import "inbox/proof"

local FIELDS = { summary = "string", description = "string", path = "string", from = "table", group = "string",
    key = "function", run = "function" }

local WebhookMeta = {}

---@class Webhook
---@field summary string one line, for `hostler list`
---@field description? string more, for `hostler show`
---@field path string POST /hooks/PATH: lower-case letters, digits, dashes and dots
---@field from webhook.Proof how a request proves where it comes from: webhook.typeform(secret "NAME") ...
---@field group? string webhooks of one group share their keys: what comes by two of them makes one run (its own name)
---@field key fun(delivery: Delivery): string|number|nil what makes two deliveries the same; nil: it is nothing for
---  this webhook, and not kept
---@field run fun(delivery: Delivery): string, table the playbook, and its arguments: a list, with options by name. What
---  is raised is the reason for which the delivery is refused

---@class Delivery what a webhook's functions get: a request that has proved where it comes from
---@field method string "POST"
---@field path string "/hooks/typeform"
---@field headers table<string, string> by names in lower case, without those that prove the origin
---@field body string as it came
---@field json? any of a JSON body; null is json.null, and a whole number from 2^53 up is a text of its digits
---@field form? table<string, string|string[]> of a form; a field that comes more than once is a list
---@field xml? table of XML: { name, attributes, text, and the elements in it as a list }
---@field fields table<string, any> what the body names at its top, whichever of the three it is
---@field remote? string the address that it came from
---@field received number seconds since 1970

local function check_path(fields, file)
    if not fields.path:find "^[a-z0-9][a-z0-9.-]*$" or #fields.path > 100 then
        manifest.refuse("webhook", file, "path", "the field 'path' is lower-case letters, digits, dashes and dots",
            "it is the last part of the address: with path = \"typeform\" that is POST /hooks/typeform")
    end
end

--- Declares a webhook; the file returns it.
local function declare(_, fields)
    local file = native.task.context().loading or "?"
    if type(fields) ~= "table" then
        manifest.refuse("webhook", file, nil, "webhook takes a table: webhook { summary = ..., path = ..., ... }")
    end
    manifest.check_fields("webhook", file, fields, FIELDS, { "summary", "path", "from", "key", "run" })
    check_path(fields, file)
    if not proof.is(fields.from) then
        manifest.refuse("webhook", file, "from", "the field 'from' is no proof of origin",
            "from = webhook.typeform(secret \"NAME\"), or hmac, standard, bearer, basic, header")
    elseif fields.group == "" then
        manifest.refuse("webhook", file, "group", "the field 'group' is empty")
    end
    fields.file = file
    return setmetatable(fields, WebhookMeta)
end

--- True for what webhook{} returned.
function webhook.is(value)
    return getmetatable(value) == WebhookMeta
end

---@class webhooklib
---@field typeform fun(keys: secret|secret[]): webhook.Proof Typeform's signature
---@field hmac fun(keys: secret|secret[], options: { header: string, prefix?: string, algorithm?: "sha256"|"sha512",
---  encoding?: "hex"|"base64", time?: string, time_prefix?: string, signed?: string, window?: number }): webhook.Proof
---  an HMAC of the body in a header. prefix: what the signature begins with; time: the header with the seconds since
---  1970 when it was signed, or time_prefix: what they begin with beside the signature; signed: what is signed
---  ("{time}.{body}"); window: seconds that the time may be off (300)
---@field standard fun(keys: secret|secret[], options?: { window?: number }): webhook.Proof the signature of Standard
---  Webhooks, as Svix and others send it
---@field bearer fun(keys: secret|secret[]): webhook.Proof a token behind "Bearer" in the header Authorization
---@field basic fun(user: string, keys: secret|secret[]): webhook.Proof a user and a password
---@field header fun(name: string, keys: secret|secret[]): webhook.Proof a header with a secret in it
---@overload fun(fields: Webhook): Webhook declares a webhook; the file returns it. Raises "manifest"

---@type webhooklib
local face = setmetatable({
    typeform = proof.typeform, hmac = proof.hmac, standard = proof.standard, bearer = proof.bearer, basic = proof.basic,
    header = proof.header,
}, { __call = declare })

webhook.globals = {
    webhook = face,
}
return webhook
