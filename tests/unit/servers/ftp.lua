-- Run by ftp_servers.t with the addresses of its servers.
local tap, ftp = require "tap", require "ftp"
local given = json.decode((select(2, ...)))
local password = secret.wrap "correct horse battery"

local function list(address, changes)
    local options = { user = "ada", password = password, ca_file = given.folder .. "/server.pem", timeout = 20 }
    for name, value in pairs(changes) do
        options[name] = value
    end
    return try(ftp.list, address .. ":2121", options)
end

--- "directory a folder" and so on, sorted.
local function names(listed)
    local all = {}
    for _, file in ipairs(listed and listed.files or {}) do
        if not file.name:find "^%.+$" then
            all[#all + 1] = file.kind .. " " .. file.name
        end
    end
    table.sort(all)
    return all
end

local function said(listed, err)
    return (tostring(err or listed.reply):gsub("\n", " "))
end

local HOME = { "directory a folder", "directory empty", "file Zürich – 東京.txt", "file x.txt", "link link" }

local function try_one(name, address, tls)
    local _
    local listed, err = list(address, { tls = tls })
    tap.is(names(listed), HOME, name .. " lists: " .. said(listed, err))
    for _, file in ipairs(listed and listed.files or {}) do
        if file.name == "x.txt" then -- some write "Jan 03"
            tap.is({ file.size, file.mode, (file.changed:gsub("[ 0]+3", " 3")) }, { 10, "rw-r--r--", "Jan 3  2019" },
                name .. ": of a file")
        end
    end
    listed, err = list(address, { tls = tls, path = "/a folder" })
    tap.is(names(listed), { "file inside.txt" }, name .. ": a folder: " .. said(listed, err))
    listed, err = list(address, { tls = tls, path = "/empty" })
    tap.is(names(listed), {}, name .. ": an empty one: " .. said(listed, err))
    _, err = list(address, { tls = tls, path = "/no such" })
    tap.is(err and err.reason, "list", name .. ": one that is not there: " .. tostring(err))
    _, err = list(address, { tls = tls, password = secret.wrap "wrong" })
    tap.is(err and err.reason, "login", name .. ": a wrong password: " .. tostring(err))
end

for name, address in pairs(given.addresses) do
    try_one(name, address, "never")
    try_one(name .. " with TLS", address, "required")
end
tap.done()
