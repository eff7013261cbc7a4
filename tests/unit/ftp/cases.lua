-- Run by ftp.t with the ports of its servers.
local tap = require "tap"
local ftp = require "ftp"
local ports = {}
for name, port in (select(2, ...)):gmatch "(%w+)=(%d+)" do
    ports[name] = port
end

local password = secret.wrap "very secret 1"

local function list(name, options)
    local all = { user = "ada", password = password, tls = "never", timeout = 5 }
    for key, value in pairs(options or {}) do
        all[key] = value
    end
    return try(ftp.list, "127.0.0.1:" .. ports[name], all)
end

local listed = list "good"
tap.is(listed and #listed.files, 2, "a listing")
tap.is(listed.files[1], { name = "a folder", kind = "directory", mode = "rwxr-xr-x", size = 4096,
    changed = "Nov 22 01:14" }, "with names that have blanks")
tap.is(listed.files[2].changed, "Jan  3  2019", "and old files")
tap.is(listed.reply, "226 sent", "the server's last words")
tap.is(#list("lines").files, 2, "a greeting of several lines")

local function refused(name, reason, reply, options)
    local _, err = list(name, options)
    tap.is(err and err.code, "ftp", name)
    tap.is(err and err.reason, reason, name .. ": what was refused")
    tap.is(err and err.reply, reply, name .. ": the server's own words")
    tap.ok(err and not tostring(err):find "very secret", name .. ": no password")
end

local OOPS = "500 OOPS: vsftpd: refusing to run with writable root inside chroot()"
refused("oops", "login", OOPS)
refused("late", "list", OOPS)
refused("busy", "greeting", "421 too many users")
refused("denied", "list", "550 no such folder", { path = "/no where" })
refused("endless", "list", "150 coming")
refused("good", "tls", "502 unknown", { tls = "required" })

for _, name in ipairs { "silent", "stuck", "unended" } do
    local began = now()
    local _, err = list(name, { timeout = 0.5 })
    tap.is(err and err.code, "timeout", name .. ": the time ends it")
    tap.ok(now() - began < 3, name .. ": soon")
end
local began = now()
tap.is(#list("nobye").files, 2, "nobody waits for the goodbye")
tap.ok(now() - began < 3, "not at all")

-- Meanwhile the loop goes on, and what is cancelled ends at once.
began = now()
local ticks = 0
local _, err = try(timeout, 0.5, function()
    parallel {
        function() list("unended", { timeout = 30 }) end,
        function() list("silent", { timeout = 30 }) end,
        function()
            while true do
                sleep(0.01)
                ticks = ticks + 1
            end
        end,
    }
end)
tap.is(err and err.code, "timeout", "cancelled")
tap.ok(now() - began < 2, "at once")
tap.ok(ticks > 20, "and nothing was held up")

tap.raises("usage", function() ftp.list("a b") end, "a server that is none")
tap.raises("usage", function() ftp.list("127.0.0.1", { password = "plain" }) end, "a password that is no secret")
tap.raises("usage", function() ftp.list("127.0.0.1", { path = "/a\r\nDELE x" }) end, "a path with a line break")
tap.raises("usage", function() ftp.list("127.0.0.1", { pasword = password }) end, "a misspelt option")
tap.is(ftp.parse_listing "total 3\nlrwxrwxrwx 1 0 0 3 Jan  3  2019 a -> b\n", { { name = "a", kind = "link",
    mode = "rwxrwxrwx", size = 3, changed = "Jan  3  2019" } }, "a link")
tap.done()
