-- What commands about files take, paths, modes and owners, and how their failure becomes a file's.
local _, _, import = ...
local file_command = {}

local perform = import "ssh/host".perform

local LONGEST_REFUSAL = 200 -- bytes

file_command.WRITE_OPTIONS = { mode = "number or string", owner = "string", group = "string", planned = "table" }

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

--- A path on a host as its commands get it: one that begins with a dash is no option there.
---@param what string who takes it: "host:read"
---@param path string
---@return string
function file_command.path(what, path)
    if unknown(path) then
        return path
    elseif type(path) ~= "string" or path == "" or path:find "%z" then
        misuse(what .. " takes a path")
    end
    return path:find "^/" and path or "./" .. path
end

--- A path of this machine.
---@param what string
---@param path string
---@return string
function file_command.path_here(what, path)
    if not unknown(path) and (type(path) ~= "string" or path == "" or path:find "%z") then
        misuse(what .. " takes the path of a file here")
    end
    return path
end

--- A mode in octal, or "" without one.
---@param mode? integer|string
---@return string
function file_command.mode(mode)
    if mode == nil then
        return ""
    elseif type(mode) == "number" then
        return ("%o"):format(mode)
    elseif type(mode) == "string" and mode:find "^[0-7]+$" then
        return mode
    end
    misuse(("'%s' is not a mode: \"0644\""):format(tostring(mode)))
end

--- "owner:group" as chown takes them.
---@param options { owner?: string, group?: string }
---@return string
function file_command.owner(options)
    for _, name in ipairs { "owner", "group" } do
        local value = options[name]
        if value ~= nil and not unknown(value) and (type(value) ~= "string" or not value:find "^[%w_][%w_.-]*$") then
            misuse(("'%s' cannot be a file's %s"):format(tostring(value), name))
        end
    end
    return (options.owner or "") .. (options.group and ":" .. options.group or "")
end

--- "Permission denied" of "cat: /x: Permission denied".
local function reason_of(err)
    local last = (err.stderr or ""):match "([^\n]+)%s*$"
    return last and (last:match ".*: (.-)$" or last)
end

--- What a host says that runs no commands for this user: its line comes where the output would be.
local function refusal_of(err)
    local line = (err.stdout or ""):match "^%s*([%g ]+)"
    return line and #line <= LONGEST_REFUSAL and line or nil
end

--- Raises a command's failure as a file's.
---@param err Error
---@param doing string "read"
---@param path string
---@raise "ssh.file"
function file_command.refuse(err, doing, path)
    if type(err) ~= "table" or err.code ~= "ssh.exit" then
        error(err, 0)
    end
    local refusal = not reason_of(err) and refusal_of(err)
    local reason = reason_of(err) or refusal or ("it ended with status %d and said nothing"):format(err.status)
    local hint
    if refusal then
        hint = "the host may run no commands for this user: another may be let in, and host:upload and host:download "
            .. "need only SFTP"
    elseif reason:find "No space left" or reason:find "quota exceeded" then
        hint = ("the file is as it was; on the host: df -h %s; df -i %s"):format(path, path)
    elseif reason:find "Permission denied" or reason:find "not permitted" then
        hint = "another user may: host:as(\"root\")"
    end
    fail(("cannot %s %s: %s"):format(doing, path, reason), {
        code = "ssh.file", path = path, reason = reason, hint = hint, stderr = err.stderr, status = err.status,
    })
end

--- Runs a command about effect.path on the host.
---@param host ssh.Host
---@param effect { name: string, summary: string, doing: string, path: string, [string]: any } doing: "read", for the
---  message when it fails
---@param argv string[]
---@param options ssh.RunOptions
---@return any result
---@raise "ssh.file"
function file_command.run(host, effect, argv, options)
    local result, err = try(perform, host, effect, { argv = { "env", "LC_ALL=C", unpack(argv) } }, options)
    if err then
        file_command.refuse(err, effect.doing, effect.path)
    end
    return result
end

return file_command
