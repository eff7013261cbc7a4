#!tests/lib/with-sshd build/lua-test
-- Ports of this machine that lead through a host to a server behind it.
local tap = require "tap"
local http, sh, ssh = require "http", require "sh", require "ssh"

local home = env "SSHD"
local function connect(target)
    return ssh.connect(target, { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
end

local large = ("0123456789abcdef"):rep(4 * 65536) -- 4 MiB
local server = http.serve({ address = "127.0.3.1", limit = 8 * 1024 * 1024 }, function(request)
    return { body = request.path == "/echo" and request.body or large, headers = { ["X-From"] = request.remote } }
end)

local host = connect "root@127.0.0.1"
local way = host:forward("127.0.3.1", server.port)
local function url(path)
    return ("http://%s:%d%s"):format(way.address, way.port, path)
end
local function post(body)
    return http.post(url "/echo", { body = body }).body
end

tap.is(way.address, "127.0.0.1", "it listens on the loopback")
tap.ok(http.get(url "/").body == large, "a large answer comes whole")
tap.ok(post(large) == large, "a large body goes there and back")
local answers = parallel {
    function() return http.get(url "/").body end, function() return post "one" end, function() return post(large) end,
    function() return host:run({ "echo", "beside it" }, { read = true }).stdout end,
    function() return post "" end,
}
tap.ok(answers[1] == large and answers[2] == "one" and answers[3] == large and answers[5] == "", "several at once")
tap.is(answers[4], "beside it\n", "and a command on the same connection")
tap.is(way:problem(), nil, "nothing went wrong")

local listening = sh.run({ "ss", "-ltnH" }, { read = true }).stdout
tap.like(listening, ("127%%.0%%.0%%.1:%d%%s"):format(way.port), "nobody else's address listens")
tap.ok(not listening:find("0%.0%.0%.0:" .. way.port) and not listening:find("%*:" .. way.port), "only the loopback")

local nowhere = host:forward("127.0.3.2", 1)
tap.raises("http.body", function()
    http.get(("http://127.0.0.1:%d/"):format(nowhere.port), { retries = 0 })
end, "a server that cannot be reached ends the connection")
tap.is(nowhere:problem().code, "ssh.unreachable", "and the reason is kept")
tap.like(nowhere:problem().message, "root@127.0.0.1 cannot reach 127.0.3.2 port 1", "in words")
nowhere:close()

way:close()
way:close()
tap.ok(not sh.run({ "ss", "-ltnH" }, { read = true }).stdout:find("127.0.0.1:" .. way.port, 1, true), "a closed one is gone")
tap.is(post "still", "still", "but for the connections that are open")

local short = connect "root@web3"
local broken = short:forward("127.0.3.1", server.port)
tap.ok(http.get(("http://127.0.0.1:%d/"):format(broken.port)).body == large, "another host")
short:close()
tap.raises("http.body", function()
    http.get(("http://127.0.0.1:%d/"):format(broken.port), { retries = 0 })
end, "through a connection that is closed nobody gets")
server:close()
tap.done()
