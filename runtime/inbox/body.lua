-- The body of a delivery as values: JSON, a form, or XML. Strangers write bodies, so each parser has its bounds.
local native = ...
local body = {}

local inbox, json, is_utf8 = native.inbox, native.json.face, native.system.is_utf8

local MOST_FIELDS = 1000

local readers = {}

local function read_json(text)
    if not is_utf8(text) or text:find "%z" then
        return nil, "the body is not JSON: it is not UTF-8, or has a NUL in it"
    end
    local bounded, reason = inbox.json(text)
    if not bounded then
        return nil, "the body is not taken: " .. reason
    end
    local ok, value = pcall(json.decode, bounded)
    if not ok then
        return nil, ("the body is not JSON%s"):format(tostring(value.message):match " from byte %d+ on" or "")
    end
    return { json = value, fields = type(value) == "table" and not json.is_array(value) and value or {} }
end

--- "a%20b+c" as text; nil for what is not so encoded.
local function decoded(text)
    local plain = text:gsub("%+", " ")
    if plain:gsub("%%%x%x", ""):find "%%" then
        return nil
    end
    plain = plain:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    return is_utf8(plain) and plain or nil
end

--- A field that comes more than once is a list.
local function add_field(fields, name, value)
    local before = fields[name]
    if type(before) == "table" then
        before[#before + 1] = value
    else
        fields[name] = before and json.array { before, value } or value
    end
end

local function read_form(text)
    local fields, count = {}, 0
    for pair in text:gmatch "[^&]+" do
        local name, value = pair:match "^([^=]*)=?(.*)$"
        name, value, count = decoded(name), decoded(value), count + 1
        if not name or not value then
            return nil, "the body is no form: percent signs stand before two hexadecimal digits, and all is UTF-8"
        elseif count > MOST_FIELDS then
            return nil, "the body is not taken: it has too many fields"
        end
        add_field(fields, name, value)
    end
    return { form = fields, fields = fields }
end

local function read_xml(text)
    local root, reason = inbox.xml(text)
    if not root then
        return nil, "the body is not XML that is taken: " .. reason
    end
    local fields = {}
    for _, element in ipairs(root) do
        if not element[1] then
            add_field(fields, element.name, element.text)
        end
    end
    return { xml = root, fields = fields }
end

readers["application/json"] = read_json
readers["application/x-www-form-urlencoded"] = read_form
readers["application/xml"] = read_xml
readers["text/xml"] = read_xml

--- Reads a body by its media type; without one, as JSON.
---@param media_type? string the header Content-Type
---@param text string
---@return { json?: any, form?: table<string, string|string[]>, xml?: table, fields: table<string, any> }? parts fields:
---  what the body names at its top, whichever of the three it is
---@return string? reason
---@return integer? status to answer with
function body.read(media_type, text)
    local name = (media_type or ""):lower():match "^%s*([^;%s]*)"
    local reader = readers[name] or (name == "" or name:find "%+json$") and read_json or name:find "%+xml$" and read_xml
    if not reader then
        return nil, "the body is neither JSON nor a form nor XML, by its Content-Type", 415
    end
    local parts, reason = reader(text)
    return parts, reason, not parts and 400 or nil
end

--- The media type that a body seems to be of; of what seems to be nothing, the one that a body without any has.
---@param text string
---@return string
function body.guess(text)
    local is_form = text:find "^%s*[^%s<{%[\"=&]+="
    return text:find "^%s*<" and "application/xml" or is_form and "application/x-www-form-urlencoded"
        or "application/json"
end

return body
