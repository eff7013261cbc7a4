-- Files on their way between this machine and a host.
--
-- They go over SFTP, which keeps none of them in memory; as another user, or where there is no SFTP, they go as texts.
local _, gate, import = ...

local native, file_command, file_text = import "ssh/native", import "ssh/file_command", import "ssh/file_text"
local options_of = import "base/options"

---@class ssh.Host
local Host = import "ssh/host".Host

local LARGEST_DIFFED = 256 * 1024
local LARGEST_DOWNLOAD = 256 * 1024 * 1024

-- The numbers of an owner and a group, each where it is given.
local NUMBERS = [[
uid= gid=
if [ -n "$1" ]; then uid=$(id -u -- "$1") || exit 1; fi
if [ -n "$2" ]; then
    gid=$(getent group -- "$2" | cut -d: -f3)
    if [ -z "$gid" ]; then echo "$2: no such group" >&2; exit 1; fi
fi
echo "$uid $gid"]]

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
    local result = file_command.run(host, {
        name = "ssh.owner", summary = "look up " .. file_command.owner(options), doing = "write", path = path,
    }, { "/bin/sh", "-c", NUMBERS, "sh", options.owner or "", options.group or "" }, { read = true })
    local uid, gid = result.stdout:match "^(%d*) (%d*)"
    return { uid = tonumber(uid), gid = tonumber(gid) }
end

local function upload_as_text(host, from, to, options)
    local text, reason = gate.value("ssh.upload", from, function() return native.read_file(from) end)
    if not text then
        fail(("cannot read %s here: %s"):format(from, reason), {
            code = "ssh.file", path = from, reason = reason })
    end
    local summary = ("upload %s to %s (%d bytes)"):format(from, to, #text)
    return file_text.write(host, "ssh.upload", to, text, options, summary)
end

--- Copies a file of this machine to the host, as host:write does: others see the old one or the new one, and when
--- it fails or is cancelled the old one stays and nothing else. A file that grows meanwhile is copied as it was at
--- the beginning.
---
--- Any size goes over SFTP (draft-ietf-secsh-filexfer-02), without being held in memory. A server that can rename only
--- to where no file is has none for a moment, and the old one beside it under another name meanwhile. As another user
--- (host:as), and where the host has no SFTP, the file is held in memory and may have 256 MiB.
---@param from string the file here
---@param to string the file there
---@param options? { mode?: integer|string, owner?: string, group?: string } as for host:write
---@return true
---@raise "ssh.file" with path and reason: also when the file changes while it is read; "ssh.closed" when the connection
---  is lost, with `temporary`, a file that may be left on the host, or `old`, where the old one is
---@effect write
function Host:upload(from, to, options)
    from, to = file_command.path_here("host:upload", from), file_command.path("host:upload", to)
    options = options or {}
    options_of.check("host:upload", options, file_command.WRITE_OPTIONS)
    file_command.owner(options)
    local numbers = numbers_of(self, to, options)
    numbers.mode = options.mode and tonumber(file_command.mode(options.mode), 8)
    local function detail()
        local text = not unknown(from) and native.read_file(from, LARGEST_DIFFED)
        return text and file_text.planned_diff(self, to, text)()
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
    return file_command.run(host, {
        name = "ssh.download", summary = ("download %s to %s"):format(from, to), result = to, take = keep,
        doing = "read", path = from,
    }, { "cat", "--", from }, { limit = options.limit or LARGEST_DOWNLOAD })
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
    from, to = file_command.path("host:download", from), file_command.path_here("host:download", to)
    options = options or {}
    local mode = options.mode and tonumber(file_command.mode(options.mode), 8)
    local result = copy(self, { name = "ssh.download", summary = ("download %s to %s"):format(tostring(from),
        tostring(to)) }, false, to, from, { mode = mode, limit = options.limit })
        or download_as_text(self, from, to, options, mode)
    return unknown(result) and result or true
end

return Host
