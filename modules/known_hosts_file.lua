-- known_hosts as sshd(8) describes it, edited without touching a byte that does not concern the host at hand: hashed
-- names, [host]:port, lists, wildcards, marks, comments. Pure: it reaches no file; see the module `file`.
local native, _, import = ...
local known_hosts_file = {}

local set_of, texts = import "base/keys".set, import "base/text"

-- What ssh.connect leaves in the comment of a line that it adds, and `replace` of one that it changes.
local MARK_PATTERN = "%s*added (%d+%-%d+%-%d+T%d+:%d+:%d+Z) by hostler%s*$"

---@class known_hosts_file.Line
---@field number integer
---@field text string the line without its end
---@field ending string
---@field names? string the field of names, hashed or not; nil for comments, blanks and what is no key
---@field mark? string "@revoked", "@cert-authority"
---@field type string
---@field key string in base64
---@field comment string
---@field added? string when hostler added it, "2026-11-22T01:59:19Z"

-- The fields of a line; nothing when it holds no key of the type that it names: ssh passes over it, too.
local function read_fields(text)
    local mark, rest = text:match "^%s*(@%S+)%s+(.*)$"
    local names, kind, key, comment = (rest or text):match "^%s*(%S+)[ \t]+(%a[%w@.-]*)[ \t]+([%w+/=]+)[ \t\r]*(.*)$"
    if not names or names:find "^[#@]" or not native.is_key(kind, key) then
        return {}
    end
    return { mark = mark, names = names, type = kind, key = key, comment = comment:gsub("\r$", ""),
        added = comment:match(MARK_PATTERN) }
end

--- The lines of a file, in order; their texts and endings joined give the file again.
---@param text string
---@return known_hosts_file.Line[]
function known_hosts_file.parse(text)
    local lines = {}
    for number, line in ipairs(texts.parted_lines(text)) do
        local fields = read_fields(line.text)
        fields.number, fields.text, fields.ending = number, line.text, line.ending
        lines[number] = fields
    end
    return lines
end

--- The name of a host in these files: "host", or "[host]:port" for a port other than 22.
---@param host string
---@param port? integer
---@return string
function known_hosts_file.name(host, port)
    return native.name(host, port or 22)
end

--- "SHA256:..." of a key, as ssh-keygen -l shows it.
---@param key string in base64
---@return string
function known_hosts_file.fingerprint(key)
    return native.fingerprint(key)
end

-- Splits a list of names into those that are ours and the others.
local function divide(field, wanted)
    local ours, others = {}, {}
    for name in field:gmatch "[^,]+" do
        table.insert(wanted[name:lower()] and ours or others, name)
    end
    return ours, others
end

-- How far a line is the host's own.
local function kind_of(line, names, wanted)
    if line.mark then
        return "marked"
    elseif line.names:find "^|1|" then
        return "own"
    end
    local ours, others = divide(line.names, wanted)
    if #others == 0 then
        return "own"
    end
    for _, name in ipairs(names) do
        if #ours == 0 or native.matches(table.concat(others, ","), name) then
            return "pattern"
        end
    end
    return "shared"
end

---@class known_hosts_file.Concern
---@field number integer
---@field kind "own"|"shared"|"pattern"|"marked" the host's alone, with other hosts, by a wildcard, or @revoked or
---  @cert-authority
---@field concerns string[] which of the names
---@field hashed boolean
---@field names string
---@field type string
---@field key string in base64
---@field fingerprint string
---@field mark? string
---@field added? string when hostler added it

--- The lines of a file that concern a host by any of its names.
---@param text string
---@param names string[] as known_hosts_file.name makes them: the host's name and its address
---@return known_hosts_file.Concern[]
function known_hosts_file.concerning(text, names)
    local found, wanted = {}, set_of(names)
    for _, line in ipairs(known_hosts_file.parse(text)) do
        local concerns = {}
        for _, name in ipairs(line.names and names or {}) do
            if native.matches(line.names, name) then
                concerns[#concerns + 1] = name
            end
        end
        if #concerns > 0 then
            found[#found + 1] = {
                number = line.number, kind = kind_of(line, names, wanted), concerns = concerns,
                hashed = line.names:find "^|1|" ~= nil, names = line.names, type = line.type, key = line.key,
                fingerprint = native.fingerprint(line.key), mark = line.mark, added = line.added,
            }
        end
    end
    return found
end

-- Where SSH servers usually are.
local USUAL_PORTS = { 22, 222, 2022, 2200, 2222, 2223, 8022, 10022, 22022, 22222 }

--- The names under which a file knows hosts, whatever the port; lines with wildcards and marks are about no one host.
--- A plain name tells its port; a hashed one does not, so the usual ports are tried, those of plain names, and `more`.
---@param text string
---@param hosts string[] names and addresses
---@param more? integer[] ports
---@return string[] names see known_hosts_file.name; sorted
function known_hosts_file.names(text, hosts, more)
    local ports = set_of(USUAL_PORTS)
    for _, port in ipairs(more or {}) do
        ports[port] = true
    end
    for port in text:gmatch "%]:(%d+)" do
        ports[tonumber(port)] = #port <= 5 or nil
    end
    local names, known = {}, {}
    for _, host in ipairs(hosts) do
        for port in pairs(ports) do
            names[#names + 1] = known_hosts_file.name(host, port)
        end
    end
    for _, entry in ipairs(known_hosts_file.concerning(text, names)) do
        for _, name in ipairs((entry.kind == "own" or entry.kind == "shared") and entry.concerns or {}) do
            known[name] = true
        end
    end
    local found = {}
    for name in pairs(known) do
        found[#found + 1] = name
    end
    table.sort(found)
    return found
end

-- ---- replacing ----

local function written(names, key, comment, date)
    local words = { names, key.type, key.key }
    words[#words + 1] = comment ~= "" and comment or nil
    words[#words + 1] = date and ("added %s by hostler"):format(date) or nil
    return table.concat(words, " ")
end

-- Which names have which type of key right already, or will have: covered[name .. " " .. type].
local Coverage = {}
Coverage.__index = Coverage

function Coverage:add(names, kind)
    for _, name in ipairs(names) do
        self[name], self[name .. " " .. kind] = true, true
    end
end

function Coverage:has(names, kind)
    for _, name in ipairs(names) do
        if not self[name .. " " .. kind] then
            return false
        end
    end
    return true
end

local function is_offered(line, offered)
    return offered[line.type] ~= nil and offered[line.type].key == line.key
end

local function by_type(keys)
    local offered = {}
    for _, key in ipairs(keys) do
        offered[key.type] = key
    end
    return offered
end

-- What becomes of one stale line: the texts that take its place, maybe none.
local function successors(line, entry, wanted, offered, covered, date)
    local key, comment = offered[line.type], (line.comment:gsub(MARK_PATTERN, ""))
    local needs_key = key and not covered:has(entry.concerns, line.type)
    if needs_key then
        covered:add(entry.concerns, line.type)
    end
    if entry.kind == "own" then
        return { needs_key and written(line.names, key, comment, date) }
    end
    local ours, others = divide(line.names, wanted)
    local first, last = line.text:find(line.names, 1, true)
    local rest = line.text:sub(1, first - 1) .. table.concat(others, ",") .. line.text:sub(last + 1)
    return { rest, needs_key and written(table.concat(ours, ","), key, "", date) or nil }
end

-- A name whose lines went without a key to replace them gets all keys, under the names field that it had.
local function add_missing(out, entries, keys, covered, date, ending)
    for _, entry in ipairs(entries) do
        for _, name in ipairs(entry.kind ~= "marked" and entry.concerns or {}) do
            if not covered[name] then
                covered[name] = true
                for _, key in ipairs(keys) do
                    if #out > 0 and not out[#out]:find "\n$" then
                        out[#out] = out[#out] .. ending
                    end
                    out[#out + 1] = written(entry.hashed and entry.names or name, key, "", date) .. ending
                end
            end
        end
    end
end

--- The file with a host's keys brought up to those that it shows now. Lines that have one of these keys stay as they
--- are; a stale line gets the new key of its type and keeps its names, plain or hashed, and its comment, or goes when
--- the host has no such key any more; of a line shared with other hosts only the host's names go. Every other byte
--- stays. Lines with wildcards and marks stay too: a line of the host's own outweighs them.
---@param text string
---@param names string[] the host's name and its address; see known_hosts_file.name
---@param keys { type: string, key: string }[] what the host shows, one of each type; key: in base64
---@param date? string noted in the comment of the lines that change: "2026-11-22T01:59:19Z"
---@return string
function known_hosts_file.replace(text, names, keys, date)
    local wanted, offered, entries = set_of(names), by_type(keys), known_hosts_file.concerning(text, names)
    local by_number, covered = {}, setmetatable({}, Coverage)
    for _, entry in ipairs(entries) do
        by_number[entry.number] = entry
        if entry.kind ~= "marked" and is_offered(entry, offered) then
            covered:add(entry.concerns, entry.type)
        end
    end
    local out, ending = {}, text:find "^[^\n]*\r\n" and "\r\n" or "\n"
    for _, line in ipairs(known_hosts_file.parse(text)) do
        local entry = by_number[line.number]
        local is_stale = entry and (entry.kind == "own" or entry.kind == "shared") and not is_offered(entry, offered)
        if not is_stale then
            out[#out + 1] = line.text .. line.ending
        else
            for index, replacement in ipairs(successors(line, entry, wanted, offered, covered, date)) do
                if replacement then
                    if index > 1 and line.ending == "" then
                        out[#out] = out[#out] .. ending
                    end
                    out[#out + 1] = replacement:gsub("\r$", "") .. line.ending
                end
            end
        end
    end
    add_missing(out, entries, keys, covered, date, ending)
    return table.concat(out)
end

--- The file with a host's keys at its end.
---@param text string
---@param name string see known_hosts_file.name
---@param keys { type: string, key: string }[] key: in base64
---@param date string noted in the comments: "2026-11-22T01:59:19Z"
---@return string
function known_hosts_file.add(text, name, keys, date)
    local lines = { text ~= "" and not text:find "\n$" and text .. "\n" or text }
    for _, key in ipairs(keys) do
        lines[#lines + 1] = written(name, key, "", date) .. "\n"
    end
    return table.concat(lines)
end

return known_hosts_file
