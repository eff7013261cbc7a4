#!build/lua-test
-- Why there is no answer, in words: a proxy that is not there or refuses, and lines that end before there is TLS. The
-- servers are a few lines of Perl each, on sockets.
local tap = require "tap"
local http, sh = require "http", require "sh"

-- Listens, says its port, and does this to each who connects: `$c` is the connection, `$word` the second argument.
local SERVER = [[
use IO::Socket::INET; use Socket; use strict; $| = 1; $SIG{PIPE} = 'IGNORE'; my ($what, $word) = @ARGV;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 9) or die $!; print $listener->sockport, "\n";
while (my $c = $listener->accept) {
    if ($what eq 'reset') { sysread $c, my $hello, 1; setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 }
    elsif ($what eq 'close') { sysread $c, my $hello, 10000 }
    elsif ($what eq 'heads') {
        my ($count, $size) = split ' ', $word; sysread $c, my $request, 10000;
        print $c "HTTP/1.1 200 OK\r\n", (map { "X-$_: " . 'h' x $size . "\r\n" } 1 .. $count), "Content-Length: 2\r\n\r\nok"; close $c;
    }
    elsif ($what eq 'say') { sysread $c, my $hello, 10000; syswrite $c, $word =~ s/<NUL>/\0/gr }
    close $c;
}
]]

--- Calls fn with the port of such a server.
local function with_server(what, word, fn)
    local folder = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")
    local _, err = try(parallel, {
        function()
            sh.run({ "setpriv", "--pdeathsig", "TERM", "sh", "-c", "exec perl -e \"$0\" \"$1\" \"$2\" >\"$3/port\"", SERVER, what,
                word or "", folder })
        end,
        function()
            fn(wait_until("the server", { timeout = 60, interval = 0.01 }, function()
                return sh.run({ "sh", "-c", "cat \"$1/port\" 2>/dev/null || true", "sh", folder }).stdout:match "^(%d+)\n"
            end))
            fail("done", { code = "test.done" })
        end,
    })
    shield(10, sh.run, { "rm", "-r", folder })
    if err.code ~= "test.done" then
        error(err, 0)
    end
end

local function failure(code, url, what)
    return tap.raises(code, function() http.get(url, { retries = 0, timeout = 30 }) end, what)
end

-- ---- TLS

for what, said in pairs { reset = "Connection reset by peer", close = "it closed the connection" } do
    with_server(what, nil, function(port)
        local err = failure("http.tls", "https://127.0.0.1:" .. port, "a line that ends in the middle: " .. what)
        tap.like(tostring(err), "broke off before there was a TLS session: " .. said, "is told")
        tap.ok(not err.hint:find "ca_file" and err.unclear == false, "and is no matter of certificates", err.hint)
        tap.ok(http.is_temporary(err), "but may pass")
    end)
end
with_server("say", "HTTP/1.1 400 Bad Request\r\n\r\n", function(port)
    local err = failure("http.tls", "https://127.0.0.1:" .. port, "a server without TLS")
    tap.like(err.hint, "no TLS is spoken at this port", "is known for what it is")
end)

-- ---- headers that are too large

for size, said in pairs {
    ["3 60000"] = "the answer has more than 131072 bytes of headers",
    ["1 110000"] = "the answer has a header of more than 102400 bytes, which is libcurl's limit",
} do
    with_server("heads", size, function(port)
        local err = failure("http.limit", "http://127.0.0.1:" .. port, "headers of " .. size .. " bytes")
        tap.is(err.message, said, "are called that")
        tap.like(err.hint, "is this the server that you mean", "and no matter of the limit for bodies")
    end)
end
with_server("heads", "2 60000", function(port)
    tap.is(http.get("http://127.0.0.1:" .. port).body, "ok", "large headers are taken")
end)

-- ---- answers that are none

local OK = "HTTP/1.1 200 OK\r\n"
for name, case in pairs {
    ["no gzip"] = { "http.body", OK .. "Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
        "cannot be decompressed: .*incorrect header check" },
    ["an unknown compression"] = { "http.body", OK .. "Content-Encoding: foo\r\nContent-Length: 8\r\n\r\nnot gzip",
        "cannot be decompressed: Unrecognized content encoding" },
    ["a chunk without a length"] = { "http.body", OK .. "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "has a chunk that is none: Illegal or missing hexadecimal" },
    ["a chunk that is longer than it says"] = { "http.body",
        OK .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", "has a chunk that is none" },
    ["a chunk that breaks off"] = { "http.body", OK .. "Transfer-Encoding: chunked\r\n\r\n30\r\nabc",
        "broke off after 3 bytes" },
    ["a length that lies"] = { "http.body", OK .. "Content-Length: 100\r\n\r\nabc", "broke off after 3 of 100 bytes" },
    ["a length that is none"] = { "http", OK .. "Content-Length: abc\r\n\r\nabc", "Invalid Content%-Length" },
    ["a header without a colon"] = { "http", OK .. "This is no header\r\nContent-Length: 3\r\n\r\nabc", "Header without colon" },
    ["headers that break off"] = { "http.body", OK .. "Content-Le", "broke off within its headers" },
    ["an upgrade that nobody asked for"] = { "http",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\129\5hello",
        "answered 101, and wants to go on in another protocol" },
    ["an upgrade, and nothing after it"] = { "http",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "answered 101, and wants to go on in another protocol", "the right port" },
    ["another protocol"] = { "http", "SSH-2.0-OpenSSH_9.2\r\n", "answered in another protocol than HTTP", "the right port" },
    ["bytes behind the end of gzip"] = { "http.body", OK .. "Content-Encoding: gzip\r\nContent-Length: 26\r\n\r\n"
        .. "\31\139\8<NUL>aaaa\2\3\203\207\6<NUL>\71\221\220\121\2<NUL><NUL><NUL>junk", "goes on behind the end of what is compressed" },
} do
    with_server("say", case[2], function(port)
        local err = failure(case[1], "http://127.0.0.1:" .. port, name)
        tap.like(err.message, "127.0.0.1:" .. port, "  its server is named")
        tap.like(err.message, case[3], "  and what is wrong")
        if case[4] then
            tap.like(err.hint, case[4], "  and what to look at")
        end
    end)
end
with_server("say", OK .. "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", function(port)
    tap.is(http.get("http://127.0.0.1:" .. port).body, "ok", "headers behind the body are taken")
end)

-- ---- pauses that nobody means

for _, header in ipairs {
    "Retry-After: 99999999999999999999", "Retry-After: 999999999", "Retry-After: inf", "Retry-After: nan", "Retry-After: -1",
    "Retry-After: 1e400", "Retry-After: Fri, 31 Dec 99999 23:59:59 GMT", "RateLimit-Reset: 99999999999999999999",
    "RateLimit-Reset: " .. ("9"):rep(400), "RateLimit-Reset: -5", "RateLimit-Reset: 1700000000000",
    "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1e99",
} do
    with_server("say", "HTTP/1.1 429 Slow\r\n" .. header .. "\r\nContent-Length: 0\r\n\r\n", function(port)
        local err = failure("http.status", "http://127.0.0.1:" .. port, header:sub(1, 60))
        tap.like(err.hint, "the server asks to slow down", "  is not believed")
        tap.is(err.retry_at, nil, "  and names no moment")
    end)
end
with_server("say", "HTTP/1.1 429 Slow\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n", function(port)
    local err = failure("http.status", "http://127.0.0.1:" .. port, "two hours")
    tap.like(err.hint, "the server asks to wait 2h 00m, until ", "are believed")
end)

-- ---- who failed, where one leads to another

with_server("close", nil, function(closing)
    for there, case in pairs {
        ["http://127.0.0.1:" .. closing] = { "http.body", "closed the connection without an answer" },
        ["http://127.0.0.1:1"] = { "http.connect", "cannot connect to 127.0.0.1:1: Connection refused" },
    } do
        with_server("say", "HTTP/1.1 302 Found\r\nLocation: " .. there .. "/x\r\nContent-Length: 0\r\n\r\n", function(port)
            local err = failure(case[1], "http://127.0.0.1:" .. port, "a redirect to " .. case[1])
            tap.like(err.message, case[2], "says what is wrong")
            tap.is(err.target, there, "with whom")
            tap.like(err.message, "%(http://127.0.0.1:" .. port .. "/ leads there%)", "and who leads there")
        end)
    end
end)
with_server("say", "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", function(port)
    failure("http.redirect", "http://127.0.0.1:" .. port, "a redirect out of HTTP")
end)
for name, there in pairs { ["with a password"] = "http://u:p@127.0.0.1/", ["too long"] = "/" .. ("a"):rep(70000) } do
    with_server("say", "HTTP/1.1 302 Found\r\nLocation: " .. there .. "\r\nContent-Length: 0\r\n\r\n", function(port)
        local err = failure("http.redirect", "http://127.0.0.1:" .. port, "a redirect to a URL " .. name)
        tap.like(err.message, "is not a URL to ask: .*%(http://127.0.0.1:" .. port .. "/ leads there%)", "is the server's mistake")
    end)
end

-- ---- proxies: the environment is read by the process itself, so each has a hostler of its own

local BOOK = [[
return playbook { summary = "asks", effects = "read", run = function()
    local _, err = try(require("http").get, env "ASKED", { retries = 0, timeout = 20 })
    say("code %s", err.code) say("message %s", err.message) say("hint %s", tostring(err.hint)) say("unclear %s", tostring(err.unclear))
end }
]]

local function asked(url, settings)
    local folder = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")
    sh.run({ "sh", "-c", "cat >\"$0\"", folder .. "/book.lua" }, { stdin = BOOK })
    settings.ASKED, settings.XDG_STATE_HOME = url, folder
    local program = env("HOSTLER_BUILD", "build") .. "/hostler"
    local said = sh.run({ program, "run", folder .. "/book.lua" }, { env = settings, read = true }).stdout
    sh.run { "rm", "-r", folder }
    return said
end

for _, case in ipairs {
    { "https_proxy", "https://api.example.org/" }, { "HTTPS_PROXY", "https://api.example.org/" },
    { "http_proxy", "http://api.example.org/" }, { "all_proxy", "https://api.example.org/" },
} do
    local said = asked(case[2], { [case[1]] = "http://127.0.0.1:1" })
    tap.like(said, "code http.connect", "a proxy that is not there, by " .. case[1])
    tap.like(said, "the proxy 127.0.0.1:1, which " .. case[1] .. " names, for api.example.org:%d+: Connection refused", "is named")
    tap.like(said, "hint start it, or unset " .. case[1], "with what to do")
end
for _, except in ipairs { "127.0.0.1", "x.org,127.0.0.1", "*" } do
    local said = asked("https://127.0.0.1:1/", { https_proxy = "http://127.0.0.2:1", no_proxy = except })
    tap.like(said, "cannot connect to 127.0.0.1:1: Connection refused", "what no_proxy excepts has none: " .. except)
    tap.ok(not said:find "127.0.0.2", "which is not named")
end
local REFUSALS = {
    ["407 Proxy Authentication Required"] = "hint it wants a name and a password",
    ["403 Forbidden"] = "hint start it, or unset https_proxy", ["502 Bad Gateway"] = "hint start it, or unset https_proxy",
}
for status, hint in pairs(REFUSALS) do
    with_server("say", "HTTP/1.1 " .. status .. "\r\nContent-Length: 0\r\n\r\n", function(port)
        local said = asked("https://api.example.org/", { https_proxy = "http://127.0.0.1:" .. port })
        tap.like(said, ("the proxy 127.0.0.1:%d, which https_proxy names, for api.example.org:443: it answered HTTP status %s")
            :format(port, status:match "%d+"), "a proxy that answers " .. status)
        tap.like(said, hint, "has its own hint")
        tap.like(said, "unclear false", "and the request has reached nobody")
    end)
end
with_server("close", nil, function(port)
    local said = asked("https://api.example.org/", { https_proxy = "http://127.0.0.1:" .. port })
    tap.like(said, "the proxy 127.0.0.1:%d+, which https_proxy names, for api.example.org:443: it broke the connection off",
        "a proxy that closes the connection")
end)
tap.done()
