#!build/lua-test
-- Files of this machine that are no ordinary ones: what can be read to its end or written to is, with the loop, and what
-- would keep a library waiting is refused.
local tap = require "tap"
local file, sh = require "file", require "sh"
local ftp, http, mail, postgres = require "ftp", require "http", require "mail", require "postgres"

local folder = sh.run({ "mktemp", "-d" }, { read = true }).stdout:gsub("\n$", "")
local fifo, plain, big = folder .. "/fifo", folder .. "/plain", ("0123456789abcdef"):rep(20000)
sh.run { "mkfifo", fifo }
file.write(plain, "plain")

-- A process that hangs ends in any case, killed.
local runner = sh.run({ "sh", "-c", 'readlink "/proc/$PPID/exe"' }, { read = true }).stdout:gsub("\n", "")
local function run(code, options)
    file.write(folder .. "/code.lua", ("local file, fifo = require 'file', %q\n"):format(fifo) .. code)
    options = options or {}
    return sh.run({ "sh", "-c", options.shell or 'exec timeout -s KILL 60 "$@"', "sh", runner, folder .. "/code.lua", fifo },
        { check = false, stdin = options.stdin })
end

-- ---- reading ----

parallel {
    function() tap.is(file.read(fifo), big, "a FIFO is read to its end, once somebody writes to it") end,
    function() tap.is(file.write(fifo, big), true, "which may be somebody of this run") end,
}
local result = run([[say("%s", file.read "/dev/stdin")]], { stdin = big })
tap.is(result.stdout, big .. "\n", "standard input")
result = run([[local ok, err = pcall(timeout, 0.1, function() return file.read(fifo) end) say(err.code)]])
tap.is(result.stdout, "timeout\n", "a deadline is heard while nobody writes")
result = run([[say("reading") file.read(fifo)]], {
    shell = [[timeout --foreground -s KILL 60 "$@" > "$3.out" & pid=$!
until grep -q reading "$3.out"; do sleep 0.05; done
kill -INT $pid; wait $pid]] })
tap.like(result.stderr, "interrupted %(Ctrl%-C%)", "and so is Ctrl-C")
tap.is(file.read "/dev/null", "", "/dev/null is empty")
local err = tap.raises("file", function() file.read "/dev/zero" end, "what never ends is too large")
tap.like(err.message, "File too large", "which is said")
tap.raises("file", function() file.read(folder) end, "a folder is none")
tap.is((("@x"):gsub("@x", function() return file.read(plain) end)), "plain",
    "an ordinary file can be read where nothing may wait")

-- ---- writing ----

err = tap.raises("file", function() file.write(fifo, "x") end, "a FIFO that nobody reads")
tap.like(err.message, "it is a FIFO, and nobody reads it", "is named")
result = run [[file.write("/dev/stdout", ("0123456789abcdef"):rep(20000))]]
tap.is(result.stdout, big, "standard output")
result = run([[local ok, err = pcall(timeout, 0.1, function()
    return file.write(fifo, ("0123456789abcdef"):rep(20000)) end) say(err.code)]], {
    shell = [[exec 3<> "$3"; exec timeout -s KILL 60 "$@"]] })
tap.is(result.stdout, "timeout\n", "a deadline is heard while nobody goes on reading")
parallel {
    function() tap.is(file.read(fifo), "plain", "a copy into a FIFO") end,
    function() file.copy(plain, fifo) end,
}
tap.is(file.stat(fifo).kind, "other", "it stays one")
tap.is(file.write("/dev/null", "x"), true, "/dev/null takes what it is given")
err = tap.raises("file", function() file.keep(fifo) end, "nothing is kept of a FIFO")
tap.like(err.message, "no ordinary file", "which is said")

-- ---- libraries ----

local ways = {
    ["http.get"] = function(path) http.get("https://127.0.0.1:9/", { ca_file = path, retries = 0 }) end,
    ["http.probe_tls"] = function(path) http.probe_tls("127.0.0.1", { ca_file = path }) end,
    ["mail.check"] = function(path) mail.check { server = "smtps://127.0.0.1:9", ca_file = path } end,
    ["ftp.list"] = function(path) ftp.list("127.0.0.1", { ca_file = path }) end,
}
for name, call in pairs(ways) do
    err = tap.raises("usage", function() call(fifo) end, name .. ": a FIFO for ca_file")
    tap.like(err.message, "cannot read ca_file .*/fifo: it is a FIFO; an ordinary file is needed", "is named")
end
for _, keyword in ipairs { "ca_file", "cert_file" } do
    local ok
    ok, err = pcall(postgres.connect, { host = "127.0.0.1", user = "x", dbname = "x", [keyword] = fifo })
    tap.like(not ok and err.message, "/fifo: it is a FIFO; an ordinary file is needed", "postgres.connect: " .. keyword)
end
for _, field in ipairs { "certificate", "key" } do
    local options = { tls = { certificate = plain, key = plain } }
    options.tls[field] = fifo
    err = tap.raises("http.listen", function() http.serve(options, function() end) end, "http.serve: a FIFO for its " .. field)
    tap.like(err.message, "/fifo: it is a FIFO; an ordinary file is needed", "is named")
end
sh.run { "rm", "-r", folder }
tap.done()
