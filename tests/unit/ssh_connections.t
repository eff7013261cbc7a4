#!tests/lib/with-sshd build/lua-test
-- How long connections stay open: as long as the item that needs them, and no longer than there are descriptors.
local tap = require "tap"
local http, ssh, sh = require "http", require "ssh", require "sh"

local home = env "SSHD"

--- Every address is the same machine, and a host of its own to who connects.
local function host_at(number, options)
    local all = { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519",
        address = ("127.0.%d.%d"):format(2 + math.floor(number / 200), number % 200 + 1) }
    for name, value in pairs(options or {}) do
        all[name] = value
    end
    return ssh.connect("root@127.0.0.1", all)
end

local function numbers(count)
    local list = {}
    for number = 1, count do
        list[number] = number
    end
    return list
end

--- How many connections to SSH servers are open in this world.
local function open_connections()
    return tonumber((sh.run({ "sh", "-c", "grep -c ':0016 01 ' /proc/net/tcp || true" }, { read = true }).stdout))
end

--- Which connection a command came by.
local function connection_of(host)
    return host:run({ "sh", "-c", "echo $SSH_CONNECTION" }, { read = true }).stdout
end

-- ---- the end of an item ----

local before, most = open_connections(), 0
each(numbers(30), { parallel = 5 }, function(number)
    host_at(number):run({ "true" }, { read = true })
    most = math.max(most, open_connections())
end)
tap.is(open_connections(), before, "a host that an item alone used is closed with the item")
-- The kernel's list is no picture of one moment: it may show some that have just gone.
tap.ok(most < before + 20, "so that not all are open at once")

local own = host_at(1)
local first = connection_of(own)
each(numbers(3), { parallel = 1 }, function() connection_of(host_at(1)) end)
tap.is(connection_of(own), first, "one that the playbook used as well stays open")

local shared, ended, same = {}, false, nil
each({ "short", "long" }, { parallel = 2 }, function(name)
    shared[name] = connection_of(host_at(2))
    if name == "short" then
        wait_until("the other item uses it", { timeout = 60, interval = 0.01 }, function() return shared.long end)
        ended = true
    else
        wait_until("the other item is over", { timeout = 60, interval = 0.01 }, function() return ended end)
        same = connection_of(host_at(2))
    end
end)
tap.is({ shared.short, same }, { shared.long, shared.long }, "and one that another item uses")
tap.is(open_connections(), before + 1, "until that has ended too")

each(numbers(2), { parallel = 1 }, function(number)
    each({ "inner" }, {}, function() connection_of(host_at(3)) end)
    tap.is(open_connections(), before + 1, "an item of an item closes what it alone used")
    local mine = host_at(4 + number)
    local outer = connection_of(mine)
    each({ "inner" }, {}, function() connection_of(mine) end)
    tap.is(connection_of(mine), outer, "and leaves what the outer one uses")
end)

local kept
each({ 1 }, {}, function() kept = host_at(7) end)
tap.is(open_connections(), before + 1, "a host that outlives its item has no connection")
tap.ok(connection_of(kept) ~= "", "and gets one when it is used")
kept:close()

local failed = try(each, { 1, 2 }, {}, function(number)
    host_at(number + 10)
    fail "it went wrong"
end)
tap.is({ failed, open_connections() }, { nil, before + 1 }, "an item that fails closes its hosts as well")

each({ 1 }, {}, function()
    try(timeout, 0.2, function() host_at(12):run({ "sleep", "1000" }, { read = true }) end)
end)
tap.is(open_connections(), before + 1, "also when a command was given up that still runs there")

each(numbers(4), { parallel = 2 }, function(number)
    connection_of(host_at(20 + number, { jump = "root@127.0.0.1" }))
end)
wait_until("the jump host is closed", { timeout = 60, interval = 0.01 }, function() return open_connections() == before + 1 end)
tap.ok(true, "a jump host goes with the last that came through it")
local way = host_at(30)
local by = connection_of(way)
each(numbers(2), {}, function(number) connection_of(host_at(40 + number, { jump = way })) end)
tap.is(connection_of(way), by, "and stays when the playbook uses it itself")
way:close()

-- ---- a request to a server ----

before = open_connections()
local server = http.serve({}, function() return { body = connection_of(host_at(50)) } end)
local by_request = {}
for number = 1, 2 do
    by_request[number] = http.get(server.url).body
    wait_until("the host is closed", { timeout = 60, interval = 0.01 },
        function() return open_connections() == before end)
end
tap.ok(by_request[1] ~= by_request[2], "a host that a handler used is closed when the request is done")
server:close()

-- ---- few descriptors ----

sh.run({ "sh", "-c", "prlimit --pid $(($(ps -o ppid= $PPID))) --nofile=64:64" }, { read = true })
local many = {}
for number = 1, 60 do
    many[number] = host_at(number)
end
tap.is(#many, 60, "a playbook that keeps more hosts than it may have descriptors")
tap.ok(open_connections() < 64, "has the last ones open")
local answered = 0
for number = 1, 10 do
    answered = answered + #many[number]:run({ "echo", "x" }, { read = true }).stdout / 2
end
tap.is(answered, 10, "and comes back to the first")
local busy = {}
for number = 1, 70 do
    busy[number] = function() host_at(number):run({ "sleep", "1000" }, { read = true }) end
end
local err = tap.raises("ssh.limit", function() parallel(busy) end, "more hosts at work at once than descriptors")
tap.like(err.message, "64", "says how many there are")
tap.like(err.hint, "ulimit %-n", "and what to do")
tap.done()
