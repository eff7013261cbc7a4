-- What a host's directories hold, making and removing it, and the end of a file.
local _, _, import = ...

local file_command = import "ssh/file_command"

---@class ssh.Host
local Host = import "ssh/host".Host

local FIND_KINDS = { f = "file", d = "directory", l = "link", s = "socket", p = "fifo", b = "device", c = "device" }

--- What find printed for host:list.
local function parse_list(text)
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

--- Removes a file; one that is not there is fine.
---@param path string
---@param options? { recursive?: boolean } recursive: a directory and all in it
---@raise "ssh.file"
---@effect write
function Host:remove(path, options)
    path = file_command.path("host:remove", path)
    if not unknown(path) and not path:find "[^/.]" then
        fail(("host:remove will not remove '%s'"):format(path), { code = "usage" })
    end
    local result = file_command.run(self, {
        name = "ssh.remove", summary = "remove " .. path, result = path, doing = "remove", path = path,
    }, { "rm", options and options.recursive and "-rf" or "-f", "--", path }, {})
    return unknown(result) and result or true
end

--- Makes a directory and those above it. One that is there gets the mode and owner all the same.
---@param path string
---@param options? { mode?: integer|string, owner?: string, group?: string } mode: "0755"
---@effect write
function Host:mkdir(path, options)
    path, options = file_command.path("host:mkdir", path), options or {}
    local argv = { "install", "-d", "-m", options.mode and file_command.mode(options.mode) or "755" }
    for _, part in ipairs { { "-o", options.owner }, { "-g", options.group } } do
        if part[2] then
            argv[#argv + 1], argv[#argv + 2] = part[1], part[2]
        end
    end
    argv[#argv + 1], argv[#argv + 2] = "--", path
    local result = file_command.run(self, {
        name = "ssh.mkdir", summary = "make directory " .. path, result = path, doing = "make", path = path,
    }, argv, {})
    return unknown(result) and result or true
end

--- What is in a directory, sorted by name.
---@param path string
---@return { name: string, kind: string, size: integer, mode: integer, owner: string, group: string, mtime: number
---  }[]
---@raise "ssh.file"
function Host:list(path)
    path = file_command.path("host:list", path)
    local result = file_command.run(self, {
        name = "ssh.list", summary = "list " .. path, result = path, doing = "list", path = path,
    }, {
        "find", path .. "/", "-mindepth", "1", "-maxdepth", "1", "-printf",
        "%f\\0%y\\0%s\\0%m\\0%u\\0%g\\0%T@\\0",
    }, { read = true })
    return unknown(result) and result or parse_list(result.stdout)
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
    path = file_command.path("host:tail", path)
    local result = file_command.run(self, {
        name = "ssh.tail", summary = "read the end of " .. path, result = path, doing = "read", path = path,
    }, { "tail", "-n", tostring(lines or 100), "--", path }, { read = true })
    return unknown(result) and result or result.stdout
end

return Host
