#!tests/lib/with-sshd tests/lib/with-postgres build/lua-test
-- The definition files that `hostler stubs` writes say what the binary has: every global, module, function, method and
-- constant, and none that there is not.
local tap, standin = require "tap", require "standin"
local file, http, postgres, sh, ssh = require "file", require "http", require "postgres", require "sh", require "ssh"

local folder = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")
local binary = env("HOSTLER_BUILD", "build") .. "/hostler"
local said = sh.run({ binary, "stubs", folder .. "/stubs" }).stdout
tap.like(said, '"workspace%.library": %[ "' .. folder:gsub("%p", "%%%0") .. '/stubs" %]', "it says where to name them")

-- ---- reading them ----

local classes, modules, globals = {}, {}, {}

local function read_line(state, line)
    local class, parent = line:match "^%-%-%-@class ([%w_.]+):? ?([%w_.]*)"
    if class then
        state.class = { name = class, parent = parent ~= "" and parent or nil, fields = {}, functions = {} }
        classes[class] = state.class
    end
    local field, optional = line:match "^%-%-%-@field ([%w_]+)(%??)"
    if field then
        state.class.fields[field] = optional == "" and "needed" or "optional"
    end
    local variable = line:match "^local ([%w_]+) = {}$"
    if variable then
        state.variables[variable] = state.class
    end
    local owner, name = line:match "^function ([%w_]+)[.:]([%w_]+)%("
    if owner then
        state.variables[owner].functions[name] = true
    end
    local global = line:match "^function ([%w_]+)%(" or line:match "^([%w_]+) = nil$"
    if global then
        globals[global] = true
    end
    local returned = line:match "^return ([%w_]+)$"
    if returned then
        modules[state.name] = state.variables[returned]
    end
end

for path in sh.run({ "find", folder .. "/stubs", "-name", "*.lua" }, { read = true }).stdout:gmatch "[^\n]+" do
    local state, text = { name = path:match "([%w_]+)%.lua$", variables = {} }, file.read(path)
    for line in text:gmatch "([^\n]*)\n" do
        read_line(state, line)
    end
    local checked, err = sh.try({ "luajit", "-bl", path, "/dev/null" }, { read = true })
    tap.ok(checked or err.code == "sh.spawn", path:match "[^/]+$" .. " is Lua", tostring(err))
end

-- ---- comparing ----

local function names(set, test)
    local list = {}
    for name, value in pairs(set) do
        if type(name) == "string" and not name:find "^__" and (not test or test(value)) then
            list[#list + 1] = name
        end
    end
    table.sort(list)
    return table.concat(list, " ")
end

local function with_parents(class)
    local functions = {}
    while class do
        for name in pairs(class.functions) do
            functions[name] = true
        end
        class = classes[class.parent]
    end
    return functions
end

for name, class in pairs(modules) do
    local real = require(name)
    if type(real) == "table" then
        local told = with_parents(class)
        for field in pairs(class.fields) do
            told[field] = true
        end
        tap.is(names(told), names(real), "the module " .. name)
    end
end
local list = sh.run({ "sh", "-c", "ls modules/*.lua; for folder in modules/*/; do ls $folder$(basename $folder).lua; done" },
    { read = true }).stdout
local count = 0
for name in list:gmatch "([%w_]+)%.lua" do
    count = count + 1
    tap.ok(modules[name] or type(require(name)) == "function", "there is a file for the module " .. name)
end
tap.ok(count > 24, "and the modules were looked at")

local text = file.read(folder .. "/stubs/hostler_globals.lua")
tap.ok(not text:find "@type any", "every global has an annotation", text:match "@type any\n[^\n]*")
for name in pairs(globals) do
    tap.ok(_G[name] ~= nil, "the global " .. name)
end
tap.is(names(classes.jsonlib.fields), names(json), "the fields of json")
tap.is(names(classes.secretlib.fields), names(secret), "the fields of secret")

-- ---- what functions return ----

local compared = {}

--- The methods of a handle are those of its class, and it has the fields that its class needs.
local function compare(name, handle)
    local class, index = classes[name], getmetatable(handle).__index
    local part = name
    while part do -- with the classes whose methods it has taken over
        compared[part], part = true, classes[part] and classes[part].parent
    end
    tap.is(names(with_parents(class)), names(index, function(value) return type(value) == "function" end),
        "the methods of " .. name)
    for field, need in pairs(class.fields) do
        tap.ok(need == "optional" or handle[field] ~= nil, ("%s has the field %s"):format(name, field))
    end
end

local home = env "SSHD"
local host = ssh.connect("root@127.0.0.1", { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
compare("ssh.Host", host)
host:forward("127.0.0.1", 22, {}, function(forward) compare("ssh.Forward", forward) end)
for module, class in pairs { systemd = "Systemd", caddy = "Caddy", meltano = "Meltano", machine = "Machine",
    packages = "Packages" } do
    compare(module .. "." .. class, require(module).on(host))
end
compare("postgres.Session", postgres.connect {
    host = "localhost", port = tonumber(env "POSTGRES_PORT"), user = "admin", password = env "POSTGRES_PASSWORD",
    dbname = "postgres", ca_file = env "POSTGRES_CA",
})
local server = http.serve({}, function() end)
compare("http.Server", server)
server:close()
standin.with(function(cloud)
    local token = secret.wrap(cloud.tokens.onepassword)
    local connection = require("onepassword").connect(cloud.connect_url, token, { ca_file = cloud.ca_file })
    compare("onepassword.Connection", connection)
    compare("onepassword.Vault", connection:vault "meltanodata.com")
    token = secret.wrap(cloud.tokens.droplets[1].token)
    compare("digitalocean.Cloud", require("digitalocean").account(token, { url = cloud.url, ca_file = cloud.ca_file }))
end)

for name, class in pairs(classes) do
    local is_module = modules[name:match "^[%w_]+"] == class
    tap.ok(is_module or compared[name] or next(class.functions) == nil, "a handle was compared with " .. name)
end
sh.run { "rm", "-r", folder }
tap.done()
