-- Files of a host as texts: reading, looking at them, writing them whole and at once.
--
-- This is done by the host's own coreutils as the user at hand, in one round trip each: SFTP cannot act as another
-- user, knows owners as numbers only, and says little of what went wrong.
local _, gate, import = ...
local file_text = {}

local file_command, options_of = import "ssh/file_command", import "base/options"
local diff = import "base/unified_diff"

---@class ssh.Host
local Host = import "ssh/host".Host

local LARGEST_DIFFED = 256 * 1024

-- Makes the new file beside the old one, and only when it is whole and has its owner and mode puts it in its place.
-- A link stays one: what it points to is replaced. Without a mode or owner of its own it gets the old file's.
local WRITE = [[
path=$1 mode=$2 owner=$3 size=$4 new_mode=$5
if [ -L "$path" ]; then path=$(readlink -f -- "$path") || exit 1; fi
if [ -d "$path" ]; then echo "$path: Is a directory" >&2; exit 1; fi
umask 077
temporary=$(mktemp -- "${path%/*}/.${path##*/}.XXXXXXXX") || exit 1
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat >"$temporary" || exit 1
if [ "$(stat -c %s -- "$temporary")" != "$size" ]; then echo "$path: not all of it arrived" >&2; exit 1; fi
if [ -e "$path" ]; then
    chown --reference="$path" -- "$temporary" 2>/dev/null
    new_mode=$(stat -c %a -- "$path") || exit 1
fi
if [ -n "$owner" ]; then chown -- "$owner" "$temporary" || exit 1; fi
chmod -- "${mode:-$new_mode}" "$temporary" || exit 1
sync -- "$temporary" 2>/dev/null
mv -fT -- "$temporary" "$path" || exit 1
trap - EXIT]]

local function length_of(text)
    local length
    gate.derive(text, function(plain)
        length = #plain
        return plain
    end)
    return length
end

-- Size, type and mode in hexadecimal, owner, group, their numbers, time of the last change.
local STAT_FORMAT = "%s %f %U %G %u %g %.Y"
local KINDS = { [0x8] = "file", [0x4] = "directory", [0xa] = "link", [0xc] = "socket", [0x1] = "fifo", [0x2] = "device",
    [0x6] = "device" }

--- A line that stat printed under STAT_FORMAT; nil for another one.
local function parse_stat(text)
    local size, raw, owner, group, uid, gid, mtime = text:match "^(%d+) (%x+) (%S+) (%S+) (%d+) (%d+) (%S+)"
    if not size then
        return nil
    end
    raw = tonumber(raw, 16)
    return {
        kind = KINDS[math.floor(raw / 4096)] or "unknown", size = tonumber(size), mode = raw % 4096, owner = owner,
        group = group, uid = tonumber(uid), gid = tonumber(gid), mtime = tonumber(mtime),
    }
end

local function line_set(text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
        lines[line] = true
    end
    return lines
end

--- The text with the value of each NAME=value hidden; `mark` is added to lines that are not among `others`.
local function hide_values(text, others, mark)
    return (text:gsub("[^\n]+", function(line)
        local name = line:match "^(%s*[%w_.%-]+%s*[=:])" or ""
        return name .. (others[line] and "[hidden]" or "[hidden, " .. mark .. "]")
    end))
end

--- Two texts that may hold secrets the process has not seen, as they may be shown in a diff.
local function hide_both(old, new)
    local hidden_new, new_lines
    gate.derive(new, function(plain)
        new_lines = line_set(plain)
        hidden_new = hide_values(plain, line_set(old), "new")
        return plain
    end)
    return hide_values(old, new_lines, "old"), hidden_new
end

--- The content of a file.
---@param path string
---@param options? { limit?: integer } limit: most bytes (16 MiB)
---@return string
---@raise "ssh.file" with path and reason; "ssh.output" past the limit
function Host:read(path, options)
    path = file_command.path("host:read", path)
    local result = file_command.run(self, {
        name = "ssh.read", summary = "read " .. path, result = path, doing = "read", path = path,
    }, { "cat", "--", path }, { read = true, limit = options and options.limit })
    return unknown(result) and result or result.stdout
end

---@class ssh.Stat
---@field kind "file"|"directory"|"link"|"socket"|"fifo"|"device"
---@field size integer bytes
---@field mode integer the permission bits
---@field owner string
---@field group string
---@field uid integer
---@field gid integer
---@field mtime number seconds since 1970

--- What a file is, links followed.
---@param path string
---@param options? { follow?: boolean } follow: look at what a link points to (true)
---@return ssh.Stat? stat nil when there is none
---@raise "ssh.file"
function Host:stat(path, options)
    path = file_command.path("host:stat", path)
    local argv = { "stat", "-L", "-c", STAT_FORMAT, "--", path }
    if options and options.follow == false then
        table.remove(argv, 2)
    end
    local result = file_command.run(self, {
        name = "ssh.stat", summary = "look at " .. path, result = path, doing = "look at", path = path,
    }, argv, { read = true, check = false })
    if unknown(result) then
        return result
    elseif result.status ~= 0 then
        if result.stderr:find "No such file" or result.stderr:find "Not a directory" then
            return nil
        end
        file_command.refuse({ code = "ssh.exit", stderr = result.stderr, stdout = result.stdout,
            status = result.status }, "look at", path)
    end
    return parse_stat(result.stdout)
        or file_command.refuse({ code = "ssh.exit", stdout = result.stdout, status = 0 }, "look at", path)
end

--- What a plan shows of a file whose text only the real run will know: the lines that it will set.
local function planned_lines(path, lines)
    return lines and ("--- %s\n+++ %s\n@@ known when the step runs @@\n+%s"):format(path, path,
        table.concat(lines, "\n+"))
end

--- What a plan shows of a file that is to be written: the difference, made when it is asked for.
---@param host ssh.Host
---@param path string
---@param text string|secret
---@param lines? string[] that it will set, when the text is unknown
---@return fun(): string?
function file_text.planned_diff(host, path, text, lines)
    return function()
        if unknown(text) then
            return planned_lines(path, lines)
        end
        local stat = try(host.stat, host, path)
        local private = secret.is(text) or (type(stat) == "table" and stat.mode % 64 == 0)
        local old = type(stat) == "table" and stat.size <= LARGEST_DIFFED and try(host.read, host, path) or ""
        local new = tostring(text)
        if unknown(old) or #new > LARGEST_DIFFED then
            return nil
        elseif private then
            old, new = hide_both(old, text)
        end
        return diff.unified(old, new, path)
    end
end

--- Writes a file whole, for host:write and host:upload.
---@param host ssh.Host
---@param name string of the effect
---@param path string
---@param text string|secret
---@param options table of host:write
---@param summary string
---@return any
---@raise "ssh.file"
function file_text.write(host, name, path, text, options, summary)
    if type(text) ~= "string" and not secret.is(text) and not unknown(text) then
        fail(("%s takes text or a secret, not a %s"):format(name, type(text)), { code = "usage" })
    end
    options_of.check(name, options, file_command.WRITE_OPTIONS)
    local size = unknown(text) and "0" or tostring(length_of(text))
    return file_command.run(host, {
        name = name, summary = summary, shown = summary, result = path, doing = "write", path = path,
        detail = file_text.planned_diff(host, path, text, options.planned),
    }, {
        "/bin/sh", "-c", WRITE, "sh", path, file_command.mode(options.mode), file_command.owner(options), size,
        secret.is(text) and "600" or "644",
    }, { stdin = text })
end

--- Writes a file whole: others see the old one or the new one, never a part, and when it fails the old one stays.
--- A file that exists keeps its mode and owner unless others are given; a new one gets 0644, or 0600 when the
--- text is a secret.
---@param path string
---@param text string|secret
---@param options? { mode?: integer|string, owner?: string, group?: string, planned?: string[] } mode: "0600", or a
---  number; planned: lines that a dry run shows when the text is unknown
---@return true
---@raise "ssh.file" with path and reason, such as a full disk
---@effect write
function Host:write(path, text, options)
    path = file_command.path("host:write", path)
    local size = (type(text) == "string" or secret.is(text)) and (" (%d bytes)"):format(length_of(text)) or ""
    local result = file_text.write(self, "ssh.write", path, text, options or {}, "write " .. path .. size)
    return unknown(result) and result or true
end

return file_text
