-- Proofs of origin: that a request comes from whom a webhook is for. A proof is checked over the raw body, in a time
-- that tells nothing of the secret, and against each of several secrets, so that they can be rotated.
local native, import = ...
local proof = {}

local options_of, refuse = import "base/options", import "base/misuse".refuse
local inbox, system = native.inbox, native.system
local is_secret, is_unknown = native.secret.is, native.secret.is_unknown

local WINDOW_SECONDS = 300

---@class webhook.Proof what webhook.typeform and the others return, for the field `from`
---@field name string "Typeform's signature"
---@field headers table<string, true> what proves it, and is not kept: the names of headers, in lower case
---@field lacks string[] names of secrets that are not set
local Proof = {}
Proof.__index = Proof

--- True for what the functions here return.
function proof.is(value)
    return getmetatable(value) == Proof
end

--- The secrets given: one, or a list that may have holes, as secret("OLD", { optional = true }) leaves them.
local function secrets_of(what, given)
    local list, found, lacks = type(given) == "table" and given or { given }, {}, {}
    for index = 1, table.maxn(list) do
        local value = list[index]
        if is_unknown(value) then
            lacks[#lacks + 1] = tostring(value)
        elseif is_secret(value) then
            found[#found + 1] = value
        elseif value ~= nil then
            refuse(("%s takes a secret, or a list of them, not a %s"):format(what, type(value)),
                what .. "(secret \"NAME\")")
        end
    end
    if #found + #lacks == 0 then
        refuse(what .. " needs a secret", what .. "(secret \"NAME\")")
    end
    return found, lacks
end

--- A proof. `check(request, secret, stated)` says whether it holds with this secret; `stated(request)` returns what the
--- request brings, or why nothing holds: behind nil when it brings no proof, behind false when it is too old.
local function new(what, name, headers, given, stated, check)
    local secrets, lacks = secrets_of(what, given)
    local named = {}
    for _, header in ipairs(headers) do
        named[header:lower()] = true
    end
    return setmetatable({
        name = name, headers = named, secrets = secrets, lacks = lacks, stated = stated, check = check,
    }, Proof)
end

--- Whether a request proves where it comes from.
---@param request { headers: table<string, string>, body: string }
---@return boolean, string? reason, "missing"|"wrong"|nil kind
function Proof:holds(request)
    local stated, reason = self.stated(request)
    if not stated then
        return false, reason, stated == nil and "missing" or "wrong"
    end
    local holds = false
    for _, one in ipairs(self.secrets) do
        holds = self.check(request, one, stated) or holds -- all of them: the time must not tell which
    end
    if holds then
        return true
    end
    return false, ("%s is wrong"):format(self.name), "wrong"
end

--- A header's value; nil where it is not there, or more than once.
local function header_of(request, name)
    local value = request.headers[name:lower()]
    return type(value) == "string" and value or nil
end

local function name_of(what, name)
    if name == nil then
        refuse(what .. " needs the name of a header", what == "webhook.hmac"
            and "webhook.hmac(secret \"NAME\", { header = \"X-Signature\" })" or nil)
    elseif type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
        refuse(("%s: '%s' is no name of a header"):format(what, tostring(name)))
    end
    return name
end

-- ---- a signature ----

--- The parts of a header that begin with the prefix, without it: a header may hold several signatures.
local function signatures_in(value, prefix)
    local found = {}
    for part in value:gmatch "[^%s,]+" do
        if part:sub(1, #prefix) == prefix then
            found[#found + 1] = part:sub(#prefix + 1)
        end
    end
    return found
end

local function is_in_time(text, window)
    local at = text and text:match "^%d+$" and #text <= 12 and tonumber(text)
    if not at then
        return false, "its time is missing or no number of seconds"
    end
    local off = system.now() - at
    if math.abs(off) <= window then
        return true
    end
    local direction = off > 0 and "ago" or "ahead"
    return false, ("it was signed %d seconds %s: more than %d"):format(math.abs(off), direction, window)
end

--- "{time}.{body}" as a list of literal texts and of names.
local function template_of(what, text)
    local parts = {}
    for literal, name in (text .. "{}"):gmatch "([^{}]*){(%l*)}" do
        parts[#parts + 1] = literal ~= "" and { literal = literal } or nil
        parts[#parts + 1] = name ~= "" and { name = name } or nil
        if name ~= "" and name ~= "body" and name ~= "time" then
            refuse(("%s: signed names {%s}, and there are {time} and {body}"):format(what, name))
        end
    end
    return parts
end

local function fill(template, values)
    local texts = {}
    for index, part in ipairs(template) do
        texts[index] = part.literal or values[part.name]
    end
    return texts
end

local HMAC = { header = "string", prefix = "string", algorithm = "string", encoding = "string", time = "string",
    time_prefix = "string", signed = "string", window = "number", name = "string" }

local function checked(what, given)
    local o = setmetatable({}, { __index = given or {} })
    options_of.check(what, given or {}, HMAC)
    name_of(what, o.header)
    o.prefix, o.algorithm, o.encoding = o.prefix or "", o.algorithm or "sha256", o.encoding or "hex"
    o.window = o.window or WINDOW_SECONDS
    if o.algorithm ~= "sha256" and o.algorithm ~= "sha512" then
        refuse(("%s: algorithm is \"sha256\" or \"sha512\", not '%s'"):format(what, o.algorithm))
    elseif o.encoding ~= "hex" and o.encoding ~= "base64" then
        refuse(("%s: encoding is \"hex\" or \"base64\", not '%s'"):format(what, o.encoding))
    elseif o.time and o.time_prefix then
        refuse(("%s: the time stands in a header of its own (time) or beside the signature (time_prefix)"):format(what))
    end
    o.is_timed = (o.time or o.time_prefix) ~= nil
    o.signed = o.signed or o.is_timed and "{time}.{body}" or "{body}"
    o.template = template_of(what, o.signed)
    if not o.signed:find("{body}", 1, true) then
        refuse(("%s: signed = \"%s\" leaves out {body}, which anybody could then replace"):format(what, o.signed))
    elseif o.is_timed ~= (o.signed:find("{time}", 1, true) ~= nil) then
        refuse(("%s: a time counts where it is signed"):format(what),
            "name its place by time or time_prefix, and {time} in signed")
    end
    return o
end

--- The signatures and the time that a request states.
local function statement_of(o, request)
    local value = header_of(request, o.header)
    local signatures = value and signatures_in(value, o.prefix) or {}
    if #signatures == 0 then
        return nil, value and ("%s is not what was expected: %s..."):format(o.header, o.prefix)
            or ("there is no %s"):format(o.header)
    end
    local time = o.time and header_of(request, o.time) or o.time_prefix and signatures_in(value, o.time_prefix)[1]
    if o.is_timed then
        local ok, reason = is_in_time(time, o.window)
        if not ok then
            return false, reason
        end
    end
    return { signatures = signatures, time = time }
end

--- Whether one of these signatures is that of the texts.
local function is_signed(o, key, signatures, texts)
    local code, found = inbox.hmac(o.algorithm, key, unpack(texts)), false
    for _, signature in ipairs(signatures) do
        local bytes = inbox.decode(o.encoding, signature)
        found = bytes ~= nil and inbox.same(bytes, code) or found
    end
    return found
end

local function signed_proof(what, name, keys, o)
    return new(what, name, { o.header }, keys, function(request) return statement_of(o, request) end,
        function(request, key, stated)
            return is_signed(o, key, stated.signatures, fill(o.template, { time = stated.time, body = request.body }))
        end)
end

--- Typeform's signature: base64 of the HMAC-SHA256 of the body, in the header Typeform-Signature.
---@param keys secret|secret[] what the webhook is given in Typeform as its secret
---@return webhook.Proof
---@raise "usage"
function proof.typeform(keys)
    return signed_proof("webhook.typeform", "Typeform's signature", keys, checked("webhook.typeform", {
        header = "Typeform-Signature", prefix = "sha256=", encoding = "base64",
    }))
end

--- An HMAC of the body in a header.
---@param keys secret|secret[]
---@param options { header: string, prefix?: string, algorithm?: "sha256"|"sha512", encoding?: "hex"|"base64",
---  time?: string, time_prefix?: string, signed?: string, window?: number } header: where the signature stands, or
---  several, parted by commas or blanks; prefix: what each begins with; algorithm: ("sha256"); encoding: ("hex");
---  time: the header with the seconds since 1970 when it was signed; time_prefix: what they begin with where they stand
---  beside the signature; signed: what is signed ("{time}.{body}", without a time "{body}"); window: how many seconds
---  the time may be off (300)
---@return webhook.Proof
---@raise "usage"
function proof.hmac(keys, options)
    local o = checked("webhook.hmac", options)
    return signed_proof("webhook.hmac", ("the signature in %s"):format(o.header), keys, o)
end

-- ---- Standard Webhooks ----

--- What signs: the bytes behind "whsec_", which are base64.
local function standard_key(key)
    return native.secret.derive(key, function(text)
        return inbox.decode("base64", (text:gsub("^whsec_", "")))
            or refuse("webhook.standard: a secret is whsec_ and base64, as the sender shows it")
    end)
end

--- Each sender uses one family of names: those of the specification, or those of Svix from before it.
local function standard_statement(request, window)
    for _, family in ipairs { "webhook-", "svix-" } do
        local id, time = header_of(request, family .. "id"), header_of(request, family .. "timestamp")
        local value = header_of(request, family .. "signature")
        if id and time and value then
            local ok, reason = is_in_time(time, window)
            if not ok then
                return false, reason
            end
            return { id = id, time = time, signatures = signatures_in(value:gsub("%f[^%s%z]v1,", "v1="), "v1=") }
        end
    end
    return nil, "there is no webhook-id, webhook-timestamp and webhook-signature"
end

--- The signature of Standard Webhooks (standardwebhooks.com), as Svix and many others send it.
---@param keys secret|secret[] whsec_ and base64
---@param options? { window?: number } window: how many seconds the time may be off (300)
---@return webhook.Proof
---@raise "usage"
function proof.standard(keys, options)
    options_of.check("webhook.standard", options or {}, { window = "number" })
    local window = (options or {}).window or WINDOW_SECONDS
    local headers = { "webhook-signature", "svix-signature" }
    local made = new("webhook.standard", "the signature of Standard Webhooks", headers, keys, function(request)
        return standard_statement(request, window)
    end, function(request, key, stated)
        return is_signed({ algorithm = "sha256", encoding = "base64" }, key, stated.signatures,
            { stated.id, ".", stated.time, ".", request.body })
    end)
    for index, key in ipairs(made.secrets) do
        made.secrets[index] = standard_key(key)
    end
    return made
end

-- ---- a word that both know ----

local function word_proof(what, name, header, keys, word_of, challenge)
    local made = new(what, name, { header }, keys, function(request)
        local word = word_of(header_of(request, header) or "")
        return word, ("there is no %s"):format(name)
    end, function(_, key, word)
        return inbox.same(key, word)
    end)
    made.challenge = challenge
    return made
end

--- "Authorization: Bearer TOKEN".
---@param keys secret|secret[] the token
---@return webhook.Proof
---@raise "usage"
function proof.bearer(keys)
    return word_proof("webhook.bearer", "bearer token", "Authorization", keys, function(value)
        return value:match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$"
    end, "Bearer")
end

--- HTTP's Basic authentication.
---@param user string
---@param keys secret|secret[] the password
---@return webhook.Proof
---@raise "usage"
function proof.basic(user, keys)
    if type(user) ~= "string" or user == "" or user:find ":" then
        refuse("webhook.basic takes a user's name without a colon, and a secret")
    end
    return word_proof("webhook.basic", "user and password", "Authorization", keys, function(value)
        local both = inbox.decode("base64", value:match "^[Bb][Aa][Ss][Ii][Cc] +(%S+) *$" or "-")
        local given, password = (both or ""):match "^([^:]*):(.*)$"
        return given == user and password or given and "" or nil
    end, "Basic realm=\"webhook\"")
end

--- A header with a secret in it, such as X-Api-Key.
---@param name string of the header
---@param keys secret|secret[] its value
---@return webhook.Proof
---@raise "usage"
function proof.header(name, keys)
    name_of("webhook.header", name)
    return word_proof("webhook.header", name .. " header", name, keys, function(value)
        return value:match "^%s*(.-)%s*$" ~= "" and value:match "^%s*(.-)%s*$" or nil
    end)
end

return proof
