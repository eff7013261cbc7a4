-- Files of a host: reading, writing them whole and at once, looking at them, moving them to and fro.
--
-- Small things are done by the host's own coreutils as the user at hand, in one round trip each: SFTP cannot act as
-- another user, knows owners as numbers only, and says little of what went wrong. Files move to and fro over SFTP,
-- which keeps none of them in memory; as another user, or where there is no SFTP, they go the way of the small ones.
local _, gate, import = ...
local files = {}

local diff = import "base/unified_diff"

local WRITE_OPTIONS = { mode = "number or string", owner = "string", group = "string", planned = true }
local LARGEST_DIFFED = 256 * 1024
local LARGEST_DOWNLOAD = 256 * 1024 * 1024

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local function check_path(what, path)
    if unknown(path) then
        return path
    elseif type(path) ~= "string" or path == "" or path:find "%z" then
        misuse(what .. " takes a path")
    end
    return path:find "^/" and path or "./" .. path
end

--- "Permission denied" of "cat: /x: Permission denied".
local function reason_of(err)
    local last = (err.stderr or ""):match "([^\n]+)%s*$"
    return last and (last:match ".*: (.-)$" or last)
end

--- Raises a command's failure as a file's.
local function raise_file_error(err, doing, path)
    if type(err) ~= "table" or err.code ~= "ssh.exit" then
        error(err, 0)
    end
    local reason = reason_of(err) or tostring(err)
    local hint
    if reason:find "No space left" or reason:find "quota exceeded" then
        hint = ("the file is as it was; on the host: df -h %s; df -i %s"):format(path, path)
    elseif reason:find "Permission denied" or reason:find "not permitted" then
        hint = "another user may: host:as(\"root\")"
    end
    fail(("cannot %s %s: %s"):format(doing, path, reason), {
        code = "ssh.file", path = path, reason = reason, hint = hint, stderr = err.stderr, status = err.status,
    })
end

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

local function check_here(what, path)
    if not unknown(path) and (type(path) ~= "string" or path == "" or path:find "%z") then
        misuse(what .. " takes the path of a file here")
    end
    return path
end

local function check_write(what, options)
    for option in pairs(options) do
        if not WRITE_OPTIONS[option] then
            misuse(("%s has no option '%s'"):format(what, tostring(option)), "it takes mode, owner and group")
        end
    end
end

-- The numbers of an owner and a group, each where it is given.
local NUMBERS = [[
uid= gid=
if [ -n "$1" ]; then uid=$(id -u -- "$1") || exit 1; fi
if [ -n "$2" ]; then
    gid=$(getent group -- "$2" | cut -d: -f3)
    if [ -z "$gid" ]; then echo "$2: no such group" >&2; exit 1; fi
fi
echo "$uid $gid"]]

local function octal(mode)
    if mode == nil then
        return ""
    elseif type(mode) == "number" then
        return ("%o"):format(mode)
    elseif type(mode) == "string" and mode:find "^[0-7]+$" then
        return mode
    end
    misuse(("'%s' is not a mode: \"0644\""):format(tostring(mode)))
end

local function owner_of(options)
    for _, name in ipairs { "owner", "group" } do
        local value = options[name]
        if value ~= nil and not unknown(value) and (type(value) ~= "string" or not value:find "^[%w_][%w_.-]*$") then
            misuse(("'%s' cannot be a file's %s"):format(tostring(value), name))
        end
    end
    return (options.owner or "") .. (options.group and ":" .. options.group or "")
end

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
local FIND_KINDS = { f = "file", d = "directory", l = "link", s = "socket", p = "fifo", b = "device", c = "device" }

--- A line that stat printed under STAT_FORMAT.
function files.parse_stat(text)
    local size, raw, owner, group, uid, gid, mtime = text:match "^(%d+) (%x+) (%S+) (%S+) (%d+) (%d+) (%S+)"
    raw = tonumber(raw, 16)
    return {
        kind = KINDS[math.floor(raw / 4096)] or "unknown", size = tonumber(size), mode = raw % 4096, owner = owner,
        group = group, uid = tonumber(uid), gid = tonumber(gid), mtime = tonumber(mtime),
    }
end

--- What find printed for host:list.
function files.parse_list(text)
    local entries, fields = {}, {}
    for field in text:gmatch "(%Z*)%z" do
        fields[#fields + 1] = field
        if #fields == 7 then
            entries[#entries + 1] = {
                name = fields[1], kind = FIND_KINDS[fields[2]] or "unknown", size = tonumber(fields[3]),
                mode = tonumber(fields[4], 8), owner = fields[5], group = fields[6], mtime = tonumber(fields[7]),
            }
            fields = {}
        end
    end
    table.sort(entries, function(a, b) return a.name < b.name end)
    return entries
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

---@param Host ssh.Host the class that gets the methods
---@param perform fun(host: ssh.Host, effect: table, request: table, options: table): any what every command of a host
---  passes through
---@param native table the ssh module's C half
return function(Host, perform, native)
    local function run(host, effect, argv, options)
        return perform(host, effect, { argv = argv }, options)
    end

    --- The content of a file.
    ---@param path string
    ---@param options? { limit?: integer } limit: most bytes (16 MiB)
    ---@return string
    ---@raise "ssh.file" with path and reason; "ssh.output" past the limit
    function Host:read(path, options)
        path = check_path("host:read", path)
        local result, err = try(run, self, { name = "ssh.read", summary = "read " .. path, result = path },
            { "env", "LC_ALL=C", "cat", "--", path }, { read = true, limit = options and options.limit })
        if err then
            raise_file_error(err, "read", path)
        end
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
        path = check_path("host:stat", path)
        local argv = { "env", "LC_ALL=C", "stat", "-L", "-c", STAT_FORMAT, "--", path }
        if options and options.follow == false then
            table.remove(argv, 4)
        end
        local result = run(self, { name = "ssh.stat", summary = "look at " .. path, result = path }, argv,
            { read = true, check = false })
        if unknown(result) then
            return result
        elseif result.status ~= 0 then
            if result.stderr:find "No such file" or result.stderr:find "Not a directory" then
                return nil
            end
            raise_file_error({ code = "ssh.exit", stderr = result.stderr, status = result.status }, "look at", path)
        end
        return files.parse_stat(result.stdout)
    end

    --- What a plan shows of a file whose text only the real run will know: the lines that it will set.
    local function planned_lines(path, lines)
        return lines and ("--- %s\n+++ %s\n@@ known when the step runs @@\n+%s"):format(path, path,
            table.concat(lines, "\n+"))
    end

    local function planned_diff(host, path, text, lines)
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

    local function write(host, name, path, text, options, summary)
        if type(text) ~= "string" and not secret.is(text) and not unknown(text) then
            misuse(("%s takes text or a secret, not a %s"):format(name, type(text)))
        end
        check_write(name, options)
        local owner = owner_of(options)
        local argv = { "env", "LC_ALL=C", "/bin/sh", "-c", WRITE, "sh", path, octal(options.mode), owner,
            unknown(text) and "0" or tostring(length_of(text)), secret.is(text) and "600" or "644" }
        local result, err = try(run, host, { name = name, summary = summary, shown = summary, result = path,
            detail = planned_diff(host, path, text, options.planned) }, argv, { stdin = text })
        if err then
            raise_file_error(err, "write", path)
        end
        return result
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
        path = check_path("host:write", path)
        local size = (type(text) == "string" or secret.is(text)) and (" (%d bytes)"):format(length_of(text)) or ""
        local result = write(self, "ssh.write", path, text, options or {}, "write " .. path .. size)
        return unknown(result) and result or true
    end

    -- ---- to and fro ----

    --- Over SFTP; nil when that cannot be, and the file is to go as text.
    local function copy(host, effect, up, here, there, options)
        if host.shared.without_sftp or (host.acting and host.acting ~= host.shared.login) then
            return nil
        end
        effect.kind, effect.target, effect.result = "write", host.target, up and there or here
        effect.inputs = { host.target, host.shared.options.address, here, there, options }
        local result, err = try(gate.perform, effect, function()
            native.copy(host.shared.connection(), up and "up" or "down", here, there, options)
            return true
        end)
        if err and err.code == "ssh.sftp" then
            host.shared.without_sftp = true
            return nil
        elseif err then
            if err.reason == "Permission denied" and err.path == there then
                err.hint = err.hint or 'another user may: host:as("root")'
            end
            error(err, 0)
        end
        return result
    end

    --- The numbers of an owner and a group, which SFTP wants; the host knows them.
    local function numbers_of(host, path, options)
        if gate.mode ~= "normal" or not (options.owner or options.group) then
            return {}
        end
        local result, err = try(run, host, { name = "ssh.owner", summary = "look up " .. owner_of(options) },
            { "env", "LC_ALL=C", "/bin/sh", "-c", NUMBERS, "sh", options.owner or "", options.group or "" },
            { read = true })
        if err then
            raise_file_error(err, "write", path)
        end
        local uid, gid = result.stdout:match "^(%d*) (%d*)"
        return { uid = tonumber(uid), gid = tonumber(gid) }
    end

    local function upload_as_text(host, from, to, options)
        local text, reason = gate.value("ssh.upload", from, function() return native.read_file(from) end)
        if not text then
            fail(("cannot read %s here: %s"):format(from, reason), {
                code = "ssh.file", path = from, reason = reason })
        end
        return write(host, "ssh.upload", to, text, options, ("upload %s to %s (%d bytes)"):format(from, to, #text))
    end

    --- Copies a file of this machine to the host, as host:write does: others see the old one or the new one, and when
    --- it fails or is cancelled the old one stays and nothing else. A file that grows meanwhile is copied as it was at
    --- the beginning.
    ---
    --- Any size goes over SFTP (draft-ietf-secsh-filexfer-02), without being held in memory. As another user
    --- (host:as), and where the host has no SFTP, the file is held in memory and may have 256 MiB.
    ---@param from string the file here
    ---@param to string the file there
    ---@param options? { mode?: integer|string, owner?: string, group?: string } as for host:write
    ---@return true
    ---@raise "ssh.file" with path and reason: also when the file changes while it is read; "ssh.closed" with
    ---  `temporary`, a file that may be left on the host, when the connection is lost
    ---@effect write
    function Host:upload(from, to, options)
        from, to, options = check_here("host:upload", from), check_path("host:upload", to), options or {}
        check_write("host:upload", options)
        owner_of(options)
        local numbers = numbers_of(self, to, options)
        numbers.mode = options.mode and tonumber(octal(options.mode), 8)
        local function detail()
            local text = not unknown(from) and native.read_file(from, LARGEST_DIFFED)
            return text and planned_diff(self, to, text)()
        end
        local result = copy(self, { name = "ssh.upload", summary = ("upload %s to %s"):format(tostring(from),
            tostring(to)), detail = detail }, true, from, to, numbers) or upload_as_text(self, from, to, options)
        return unknown(result) and result or true
    end

    local function download_as_text(host, from, to, options, mode)
        local function keep(output)
            local reason = native.write_file(to, output.stdout, mode or tonumber("644", 8))
            if reason then
                fail(("cannot write %s here: %s"):format(to, reason), {
                    code = "ssh.file", path = to, reason = reason })
            end
        end
        local result, err = try(run, host, { name = "ssh.download", summary = ("download %s to %s"):format(from, to),
            result = to, take = keep }, { "env", "LC_ALL=C", "cat", "--", from },
            { limit = options.limit or LARGEST_DOWNLOAD })
        if err then
            raise_file_error(err, "read", from)
        end
        return result
    end

    --- Copies a file of the host to this machine, whole or not at all, the same way as host:upload: it is held in
    --- memory only as another user (host:as) and where the host has no SFTP, and then may have 256 MiB.
    ---@param from string the file there
    ---@param to string the file here
    ---@param options? { limit?: integer, mode?: integer|string } limit: most bytes; mode: of the file here (that of the
    ---  one it replaces, or 0644)
    ---@return true
    ---@raise "ssh.file" with path and reason; "ssh.closed"
    ---@effect write
    function Host:download(from, to, options)
        from, to, options = check_path("host:download", from), check_here("host:download", to), options or {}
        local mode = options.mode and tonumber(octal(options.mode), 8)
        local result = copy(self, { name = "ssh.download", summary = ("download %s to %s"):format(tostring(from),
            tostring(to)) }, false, to, from, { mode = mode, limit = options.limit })
            or download_as_text(self, from, to, options, mode)
        return unknown(result) and result or true
    end

    --- Removes a file; one that is not there is fine.
    ---@param path string
    ---@param options? { recursive?: boolean } recursive: a directory and all in it
    ---@raise "ssh.file"
    ---@effect write
    function Host:remove(path, options)
        path = check_path("host:remove", path)
        if not unknown(path) and not path:find "[^/.]" then
            misuse(("host:remove will not remove '%s'"):format(path))
        end
        local result, err = try(run, self, { name = "ssh.remove", summary = "remove " .. path, result = path },
            { "env", "LC_ALL=C", "rm", options and options.recursive and "-rf" or "-f", "--", path }, {})
        if err then
            raise_file_error(err, "remove", path)
        end
        return unknown(result) and result or true
    end

    --- Makes a directory and those above it. One that is there gets the mode and owner all the same.
    ---@param path string
    ---@param options? { mode?: integer|string, owner?: string, group?: string } mode: "0755"
    ---@effect write
    function Host:mkdir(path, options)
        path, options = check_path("host:mkdir", path), options or {}
        local argv = { "env", "LC_ALL=C", "install", "-d", "-m", options.mode and octal(options.mode) or "755" }
        for _, part in ipairs { { "-o", options.owner }, { "-g", options.group } } do
            if part[2] then
                argv[#argv + 1], argv[#argv + 2] = part[1], part[2]
            end
        end
        argv[#argv + 1], argv[#argv + 2] = "--", path
        local result, err = try(run, self, {
            name = "ssh.mkdir", summary = "make directory " .. path, result = path,
        }, argv, {})
        if err then
            raise_file_error(err, "make", path)
        end
        return unknown(result) and result or true
    end

    --- What is in a directory, sorted by name.
    ---@param path string
    ---@return { name: string, kind: string, size: integer, mode: integer, owner: string, group: string, mtime: number
    ---  }[]
    ---@raise "ssh.file"
    function Host:list(path)
        path = check_path("host:list", path)
        local result, err = try(run, self, { name = "ssh.list", summary = "list " .. path, result = path },
            { "env", "LC_ALL=C", "find", path .. "/", "-mindepth", "1", "-maxdepth", "1", "-printf",
                "%f\\0%y\\0%s\\0%m\\0%u\\0%g\\0%T@\\0" }, { read = true })
        if err then
            raise_file_error(err, "list", path)
        end
        return unknown(result) and result or files.parse_list(result.stdout)
    end

    local function paths(self, beginning)
        local folder, names = beginning:match "^(.*/)" or "", {}
        for index, entry in ipairs(self:list(folder ~= "" and folder or ".")) do
            names[index] = folder .. entry.name .. (entry.kind == "directory" and "/" or "")
        end
        return names
    end

    -- What the prompt offers for a path on the host.
    Host.__completes = {
        read = paths, write = paths, stat = paths, download = paths, remove = paths, mkdir = paths, list = paths,
        tail = paths,
    }

    --- The last lines of a file.
    ---@param path string
    ---@param lines? integer how many (100)
    ---@return string
    function Host:tail(path, lines)
        path = check_path("host:tail", path)
        local result, err = try(run, self, { name = "ssh.tail", summary = "read the end of " .. path, result = path },
            { "env", "LC_ALL=C", "tail", "-n", tostring(lines or 100), "--", path }, { read = true })
        if err then
            raise_file_error(err, "read", path)
        end
        return unknown(result) and result or result.stdout
    end
end
