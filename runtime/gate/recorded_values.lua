-- Values on their way to a recording and back: plain JSON, in which secrets are numbers.
--
-- What JSON cannot say is said with a table of one "$" key. Text that holds secrets is {"$text": [text, number]}; a
-- secret value is {"$secret": [number]} in the same way. A number stands for one secret text; of that the recording
-- keeps the length only, so a replay makes a fresh secret of as many letters.
local native = ...
local values = {}

local json, scrub = native.json.face, native.secret.scrub
local is_secret, is_unknown = native.secret.is, native.secret.is_unknown

local DEEPEST = 64
local LEAST_SECRET = 6 -- shorter ones are not searched for
local LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

local function refuse(what)
    error(native.error.new {
        code = "recording", message = ("%s cannot be recorded"):format(what),
        hint = "an effect returns plain values: text, numbers, true and false, tables of these",
    }, 0)
end

--- A copy that stays as it is while others go on with the value.
function values.copy(value, depth)
    depth = depth or 0
    if type(value) == "table" then
        if depth > DEEPEST then
            refuse "a table within itself"
        end
        local copied = {}
        for key, item in pairs(value) do
            copied[key] = values.copy(item, depth + 1)
        end
        return json.is_array(value) and json.array(copied) or copied
    elseif type(value) == "function" or (type(value) == "userdata" and value ~= json.null and not is_secret(value)) then
        refuse("a " .. type(value))
    end
    return value
end

-- ---- what a value is, for comparing ----

local function describe(value, out, depth)
    local kind = type(value)
    if kind == "table" and depth < DEEPEST and not (getmetatable(value) or {}).__tostring then
        local keys = {}
        for key in pairs(value) do
            keys[#keys + 1] = { shown = tostring(key), key = key }
        end
        table.sort(keys, function(a, b) return a.shown < b.shown end)
        out[#out + 1] = "{"
        for _, entry in ipairs(keys) do
            out[#out + 1] = ("%q="):format(entry.shown)
            describe(value[entry.key], out, depth + 1)
        end
        out[#out + 1] = "}"
    elseif kind == "function" or (kind == "userdata" and not (is_secret(value) or is_unknown(value))) then
        out[#out + 1] = kind
    else
        out[#out + 1] = ("%q"):format(tostring(value))
    end
end

--- A short text that is the same for the same values: whatever the order of a table's fields, whatever the secrets in
--- them.
---@return string
function values.digest(value)
    local out = {}
    describe(value, out, 0)
    return native.system.hash(scrub(table.concat(out, " "))):sub(1, 16)
end

-- ---- writing ----

local Writer = {}
Writer.__index = Writer

-- Secrets that are parts of another one, a list: by the hash of their text.
local fragments = {}

--- Notes that this secret was taken out of a list of secrets, so that in a replay that is such a list again.
function values.fragment(part)
    native.secret.derive(part, function(text)
        fragments[native.system.hash(text)] = part
        return text
    end)
end

--- What writes values, with the secrets of one recording. To be made when the run has ended: only then all secrets are
--- known.
---@return table writer with `lengths`, those of the secrets met so far
function values.writer()
    return setmetatable({ lengths = json.array {}, numbers = {} }, Writer)
end

function Writer:number_of(text)
    if not self.numbers[text] then
        self.lengths[#self.lengths + 1] = #text
        self.numbers[text] = #self.lengths
    end
    return self.numbers[text]
end

local function bytes_or_text(text)
    if native.system.is_utf8(text) and not text:find("%z") then
        return text
    end
    return { ["$hex"] = (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) }
end

--- The text as a list of parts that may be shown and numbers of secrets; nil when there is no secret in it.
function Writer:parts_of(text)
    local clean = scrub(text)
    if clean == text then
        return nil
    end
    local parts, at = json.array {}, 1
    local from = 1
    while true do
        local first, last = clean:find("[secret]", from, true)
        local part = clean:sub(from, (first or 0) - 1)
        if from > 1 then -- what lies between the part before and this one is a secret
            local next_at = #text - #part + 1
            if first then
                next_at = text:find(part, at + LEAST_SECRET, true)
            end
            if not next_at or next_at <= at then
                return json.array { self:number_of(text) }
            end
            parts[#parts + 1] = self:number_of(text:sub(at, next_at - 1))
            at = next_at
        end
        if part ~= "" then
            parts[#parts + 1] = bytes_or_text(part)
        end
        at = at + #part
        if not first then
            return parts
        end
        from = last + 1
    end
end

function Writer:text(text)
    local parts = self:parts_of(text)
    return parts and { ["$text"] = parts } or bytes_or_text(text)
end

--- A list of secrets as numbers and what is between them; nil for another secret.
function Writer:list_of(text)
    local found, parts, at = {}, json.array {}, 1
    for _, fragment in pairs(fragments) do
        native.secret.derive(fragment, function(part)
            local first, last = text:find(part, 1, true)
            found[#found + 1] = first and #part < #text and { first = first, last = last } or nil
            return part
        end)
    end
    table.sort(found, function(a, b) return a.first < b.first end)
    found[#found + 1] = #found > 0 and { first = #text + 1 } or nil
    for _, part in ipairs(found) do
        local between = text:sub(at, part.first - 1)
        if between:find "[^%s%p]" then
            return nil
        elseif between ~= "" then
            parts[#parts + 1] = between
        end
        if part.last then
            parts[#parts + 1] = self:number_of(text:sub(part.first, part.last))
            at = part.last + 1
        end
    end
    return #parts > 0 and parts or nil
end

function Writer:secret(value)
    local parts
    native.secret.derive(value, function(text)
        parts = self:list_of(text) or self:parts_of(text) or json.array { self:number_of(text) }
        return text
    end)
    return { ["$secret"] = parts }
end

function Writer:table(value)
    if json.is_array(value) then
        local list, fields = json.array {}, nil
        for key, item in pairs(value) do
            if type(key) == "number" and key >= 1 and key <= #value then
                list[key] = self:value(item)
            else
                fields = fields or {}
                fields[#fields + 1] = json.array { self:value(key), self:value(item) }
            end
        end
        return fields and { ["$list"] = list, ["$fields"] = fields } or list
    end
    local pairs_of, plain = json.array {}, {}
    for key, item in pairs(value) do
        local written = self:value(item)
        pairs_of[#pairs_of + 1] = json.array { self:value(key), written }
        if type(key) ~= "string" or key:find "^%$" or self:text(key) ~= key then
            plain = nil
        end
        if plain then
            plain[key] = written
        end
    end
    return plain or { ["$pairs"] = pairs_of }
end

--- The value as it may be written with json.encode.
function Writer:value(value)
    if type(value) == "string" then
        return self:text(value)
    elseif type(value) == "table" then
        return self:table(value)
    elseif is_secret(value) then
        return self:secret(value)
    elseif type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
        return { ["$number"] = value ~= value and "nan" or tostring(value) }
    end
    return value
end

-- ---- reading ----

local Reader = {}
Reader.__index = Reader

--- What reads the values of one recording.
---@param lengths integer[] those of its secrets
function values.reader(lengths)
    return setmetatable({ lengths = lengths, secrets = {} }, Reader)
end

--- The fresh text of a secret.
function Reader:fresh(number)
    if not self.secrets[number] then
        local letters = {}
        for index = 1, self.lengths[number] or LEAST_SECRET do
            local at = native.system.random(#LETTERS) + 1
            letters[index] = LETTERS:sub(at, at)
        end
        self.secrets[number] = table.concat(letters)
        native.secret.new(self.secrets[number]) -- to be masked from now on
    end
    return self.secrets[number]
end

function Reader:join(parts)
    local texts = {}
    for index, part in ipairs(parts) do
        texts[index] = type(part) == "number" and self:fresh(part) or self:value(part)
    end
    return table.concat(texts)
end

local NUMBERS = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local SPECIAL = {
    ["$hex"] = function(_, digits)
        return (digits:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
    end,
    ["$text"] = function(self, parts) return self:join(parts) end,
    ["$secret"] = function(self, parts) return native.secret.new(self:join(parts)) end,
    ["$number"] = function(_, text) return NUMBERS[text] end,
    ["$list"] = function(self, list, whole)
        local read = self:value(list)
        for _, field in ipairs(whole["$fields"]) do
            read[self:value(field[1])] = self:value(field[2])
        end
        return read
    end,
    ["$pairs"] = function(self, list)
        local read = {}
        for _, field in ipairs(list) do
            read[self:value(field[1])] = self:value(field[2])
        end
        return read
    end,
}

--- The value again, as it was recorded; each time a table of its own.
function Reader:value(written)
    if type(written) ~= "table" then
        return written
    end
    for name, read in pairs(SPECIAL) do
        if written[name] ~= nil then
            return read(self, written[name], written)
        end
    end
    local value = json.is_array(written) and json.array {} or {}
    for key, item in pairs(written) do
        value[key] = self:value(item)
    end
    return value
end

return values
