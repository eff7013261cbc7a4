-- FTP: log in and list, to see what a customer's FTP program would see.
local native, gate, import = ...
local ftp = {}

local options_of = import "base/options"

local OPTIONS = {
    user = "string", password = "any", path = "string", tls = "string", ca_file = "string", timeout = "number",
}

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local function check(server, options)
    if type(server) ~= "string" or not server:find "^%w[%w.-]*:?%d*$" then
        misuse(("'%s' does not name an FTP server"):format(tostring(server)), "\"host\" or \"host:port\"")
    end
    options_of.check("ftp.list", options, OPTIONS)
    if options.password ~= nil and not secret.is(options.password) and not unknown(options.password) then
        misuse("ftp.list: a password has to be a secret", "secret.wrap(text)")
    elseif options.tls and options.tls ~= "required" and options.tls ~= "never" then
        misuse(("ftp.list: tls is \"required\" or \"never\", not '%s'"):format(tostring(options.tls)))
    elseif tostring(options.path or ""):find "%c" or tostring(options.user or ""):find "%c" then
        misuse "ftp.list: no control characters in a path or a user"
    end
end

local function encode(path)
    return (path:gsub("[^%w/._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local KINDS = { d = "directory", l = "link", ["-"] = "file" }

---@class ftp.Entry
---@field name string
---@field kind "file"|"directory"|"link"|"other"
---@field mode string "rwxr-xr-x"
---@field size integer bytes
---@field changed string as the server writes it

--- The entries of a listing as `ls -l` and all usual servers print it.
---@param listing string
---@return ftp.Entry[]
function ftp.parse_listing(listing)
    local entries = {}
    for line in listing:gmatch "[^\r\n]+" do
        local kind, mode, size, changed, name = line:match
            "^(.)([rwxsStT-]+)%S*%s+%d+%s+%S+%s+%S+%s+(%d+)%s+(%a+%s+%d+%s+[%d:]+) (.+)$"
        if name then
            entries[#entries + 1] = {
                name = kind == "l" and name:gsub(" %-> .*$", "") or name, kind = KINDS[kind] or "other", mode = mode,
                size = tonumber(size), changed = changed,
            }
        end
    end
    return entries
end

--- Logs in, lists a directory and leaves.
---@param server string "host" or "host:port" (21)
---@param options? { user?: string, password?: secret, path?: string, tls?: "required"|"never", ca_file?: string,
---  timeout?: number } without user: anonymous; path: "/" (where the login lands); tls: "required" unless told "never",
---  which sends the password unencrypted; timeout: seconds for all of it (30)
---@return { files: ftp.Entry[], listing: string, reply: string } reply: the server's last words
---@raise "ftp" with `reason` connect, greeting, tls, login, list or closed, and the server's own `reply` and `status`;
---  "timeout". RFC 959, 2428, 4217.
function ftp.list(server, options)
    options = options or {}
    if not unknown(server) then
        check(server, options)
    end
    local address = tostring(server):find ":" and tostring(server) or tostring(server) .. ":21"
    local path = options.path or "/"
    return gate.perform({
        kind = "read", name = "ftp.list", target = address,
        summary = ("list %s by FTP as %s"):format(path, options.user or "anonymous"),
        inputs = { server, options }, result = "FTP listing",
    }, function()
        local answer = native.list {
            url = ("ftp://%s/%s"):format(address, encode((path:gsub("^/*", ""):gsub("([^/])$", "%1/")))),
            address = address, user = options.user, password = options.password, tls = options.tls,
            ca_file = options.ca_file, timeout = options.timeout,
        }
        answer.files = ftp.parse_listing(answer.listing)
        return answer
    end)
end

return ftp
