-- The texts of systemd's units: their names, how values stand in them, and how a file tells that somebody edited it.
local native = ...
local unit_text = {}

local system = native.system

local HEADING = "# Written by `hostler %s --install`. To change what it does not set, add a drop-in: "
    .. "systemctl edit UNIT.\n"
local ANY_HEADING = "^" .. HEADING:gsub("[-.]", "%%%0"):gsub("%%s", "%%l+")
local SEAL = "# Checksum of what follows: %s\n"

--- What `systemd-escape` makes of a text, for the instance of a unit: letters, digits, ":_." stay, "/" becomes "-", and
--- every other byte its number. (systemd.unit(5), STRING ESCAPING FOR INCLUSION IN UNIT NAMES)
---@param text string
---@return string
function unit_text.escape(text)
    local escaped = text:gsub("[^%w:_./]", function(byte) return ("\\x%02x"):format(byte:byte()) end):gsub("/", "-")
    return (escaped:gsub("^%.", "\\x2e"))
end

--- The text that was escaped.
---@return string
function unit_text.unescape(name)
    return (name:gsub("-", "/"):gsub("\\x(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- A text where systemd replaces specifiers: "%" stands for itself.
function unit_text.plain(text)
    return (text:gsub("%%", "%%%%"))
end

--- A word among others, in quotes.
function unit_text.quoted(text)
    return "\"" .. unit_text.plain((text:gsub("[\\\"]", "\\%0"))) .. "\""
end

--- The lines of a section with its heading.
---@param name string
---@param lines string[]
---@return string
function unit_text.section(name, lines)
    return ("[%s]\n%s\n"):format(name, table.concat(lines, "\n"))
end

--- A file of these sections, under a line by which a later change can be told.
---@param command string which writes it
---@param sections string[]
---@return string
function unit_text.file(command, sections)
    local body = table.concat(sections, "\n")
    return HEADING:format(command) .. SEAL:format(system.hash(body)) .. body
end

--- Whose a file is: "ours" as it was written, "edited" since then, or "foreign", which was never written here.
---@param text string
---@return "ours"|"edited"|"foreign"
function unit_text.whose(text)
    local _, heading_end = text:find(ANY_HEADING)
    if not heading_end then
        return "foreign"
    end
    local hash, body = text:sub(heading_end + 1):match "^# Checksum of what follows: (%x+)\n(.*)$"
    return hash and hash == system.hash(body) and "ours" or "edited"
end

return unit_text
