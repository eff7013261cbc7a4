#!build/lua-test
-- What hides secrets: the forms that independent tools make of them, broken into lines and set apart, and what is left
-- of them at the edges of a text that was cut.
local tap = require "tap"
local http = require "http"
local sh = require "sh"

-- Nothing in it is like anything else, so that any three bytes of it are its own.
local PLAIN = [[Zq7/xK+vW="9'mB&3<kR>fJ|2 $pT\hN!dY~c(6)uG;5*s?E{8}Q_aX.wL-4^j%oV,iC@0#zH]]
local TOKEN = "dop_v1_7e2b90c4f1a86d35e0927c1b48fa6d3305be9172c4d80f6a1359b7e42c06d8fa"
secret.wrap(PLAIN)
secret.wrap(TOKEN)

--- A part of the form, of six bytes, that the text holds; nil when there is none.
local function part_of(form, text)
    for at = 1, #form - 5 do
        if text:find(form:sub(at, at + 5), 1, true) then
            return form:sub(at, at + 5)
        end
    end
end

-- With spaces, so that the report of a failure does not hide it.
local function spaced(text)
    return (text:sub(1, 300):gsub("[^\n]", "%0 "))
end

local function hides(text, form, name)
    local clean = secret.scrub(text)
    local left = part_of(form, clean)
    tap.ok(text ~= clean and not left, name, ("left: %s\nof: %s\nas: %s"):format(left or "all", spaced(text), spaced(clean)))
end

local function output(argv, input)
    return sh.run(argv, { stdin = input, read = true }).stdout
end

--- What python prints for the text, given as `text`, in bytes.
local function python(expression, input)
    return output({ "python3", "-c", [[
import base64, binascii, html, json, quopri, shlex, sys, urllib.parse
text = sys.stdin.buffer.read()
made = ]] .. expression .. [[

sys.stdout.buffer.write(made if isinstance(made, bytes) else made.encode())]] }, input)
end

-- encoded and broken into lines, at every alignment
for _, text in ipairs { PLAIN, TOKEN } do
    for before = 0, 3 do
        for _, width in ipairs { 76, 64, 60, 20 } do
            local coded = output({ "base64", "-w", tostring(width) }, ("x"):rep(before) .. text .. ("y"):rep(60))
            local inner = output({ "base64", "-w", "0" }, ("x"):rep(before) .. text):sub(8, -8)
            hides(coded, inner, ("base64 of %d columns, %d bytes before"):format(width, before))
            hides(coded:gsub("\n", "\r\n"), inner, "  with CRLF")
            hides(coded:gsub("\n", "\n    "), inner, "  indented")
            hides(json.encode { coded }, inner, "  in JSON")
            hides(json.encode { json.encode { coded } }, inner, "  in JSON in JSON")
            hides(coded:gsub("\n", "\\\n"), inner, "  with the lines of a shell script")
        end
    end
    hides(output({ "openssl", "base64" }, text), output({ "base64", "-w", "0" }, text), "openssl base64")
    hides(python("base64.urlsafe_b64encode(text)", text), python("base64.urlsafe_b64encode(text)", text), "urlsafe")
    hides(python("urllib.parse.quote(base64.b64encode(text), safe='')", text),
        python("urllib.parse.quote(base64.b64encode(text), safe='')", text):sub(1, -7), "base64 in an address")

    local digits = python("text.hex()", text)
    for name, coded in pairs {
        lower = digits, upper = digits:upper(), od = output({ "od", "-An", "-v", "-tx1" }, text),
        colons = python("text.hex(':')", text), upper_colons = python("text.hex(':').upper()", text),
        lines = digits:gsub(("."):rep(60), "%0\n"), spaces = python("text.hex(' ', 4)", text),
        escapes = python([[''.join('\\x%02x' % b for b in text)]], text),
        percent = python([[''.join('%%%02X' % b for b in text)]], text),
        unicode = python([[''.join('\\u%04x' % b for b in text)]], text),
    } do
        hides("<" .. coded .. ">", coded, "digits: " .. name)
    end

    for name, coded in pairs {
        plain = text, folded = output({ "fold", "-w", "20" }, text), url = python("urllib.parse.quote(text, safe='')", text),
        slashes = python("urllib.parse.quote(text)", text), form = python("urllib.parse.quote_plus(text)", text),
        html = python("html.escape(text.decode())", text):gsub("&#x27;", "&#39;"),
        json = python("json.dumps(text.decode())", text), json_twice = python("json.dumps(json.dumps(text.decode()))", text),
        go = python("json.dumps(text.decode()).replace('<', '\\\\u003c').replace('>', '\\\\u003e').replace('&', '\\\\u0026')",
            text),
        php = python("json.dumps(text.decode()).replace('/', '\\\\/')", text),
        shell = python("shlex.quote(text.decode())", text), bash = output({ "bash", "-c", "printf %q \"$(cat)\"" }, text),
        sql = "'" .. text:gsub("'", "''") .. "'", quoted_printable = python("quopri.encodestring(text)", text),
    } do
        local form = name == "quoted_printable" and text == PLAIN and "x" or coded
        if name == "slashes" and text == PLAIN then
            form = "x" -- not a form on its own: "/" is left as it is
        end
        if form ~= "x" then
            hides("<" .. coded .. ">", coded, "form: " .. name)
        end
    end
end

-- letters that are no ASCII, as encoders write them that keep to it
local WORDS = 'gr\195\188n"<\226\130\172>/+k\240\159\148\145y \'ende\''
secret.wrap(WORDS)
local dotnet = "''.join('\\\\u%04X' % ord(c) if c in '\"<>+\\'&`' else c for c in text.decode())"
for name, expression in pairs {
    python = "json.dumps(text.decode())", twice = "json.dumps(json.dumps(text.decode()))",
    php = "json.dumps(text.decode()).replace('/', '\\\\/')",
    go = "json.dumps(text.decode()).replace('<', '\\\\u003c').replace('>', '\\\\u003e')",
    upper = "__import__('re').sub(r'u[0-9a-f]{4}', lambda m: 'u' + m[0][1:].upper(), json.dumps(text.decode()))",
    dotnet = "__import__('re').sub(r'[^ -~]', lambda m: ''.join('\\\\u%04X' % int.from_bytes("
        .. "m[0].encode('utf-16-be')[i:i + 2], 'big') for i in range(0, len(m[0].encode('utf-16-be')), 2)), " .. dotnet .. ")",
} do
    local coded = python(expression, WORDS)
    hides("<" .. coded .. ">", coded:match '^"(.*)"$' or coded, "JSON in ASCII: " .. name)
end

-- what is not secret stays as it is
for _, text in ipairs {
    "", "a", "dop_v1", "dop_v1_7e2b", ("\\"):rep(300), "a: b\n c=\r\n", "100%", "\\x41\\u0041\\n", "[secret]", "\0\1",
    TOKEN:sub(1, -2), TOKEN:upper(),
} do
    tap.is(secret.scrub(text), text, "left alone: " .. ("%q"):format(text))
end
tap.is(secret.scrub("a " .. TOKEN .. " b " .. TOKEN .. TOKEN), "a [secret] b [secret][secret]", "one mask a secret")
tap.is(secret.scrub("key:\n  " .. TOKEN .. "\nnext: 1"), "key:\n  [secret]\nnext: 1", "what stands around it stays")

-- what begins a long secret again and again takes no longer than other text, but for a factor
local LONG = ("a"):rep(65536)
secret.wrap(LONG .. "b")
secret.wrap(("-"):rep(70000) .. "c" .. ("-"):rep(70000))
local function cpu(fn)
    local began = os.clock()
    fn()
    return os.clock() - began
end
local other = ("The quick brown fox jumps over the lazy dog.\n"):rep(90000)
local usual = cpu(function() secret.scrub(other) end)
local function is_linear(name, fn)
    local taken = cpu(fn)
    tap.ok(taken < 60 * usual, name, ("%.3f s, other text of that length %.3f s"):format(taken, usual))
end
for name, unit in pairs { plain = "a", digits = "61", apart = "61 ", base64 = "YWFh", lines = "YWFhYWFhYWFh\n" } do
    local text = unit:rep(math.floor(#other / #unit))
    is_linear("the beginning of a long secret, " .. name, function() secret.scrub(text) end)
end
tap.ok(secret.scrub(LONG .. LONG) == LONG .. LONG, "what only begins one is left")
is_linear("beginnings that break off", function() secret.scrub((("-"):rep(70000) .. "d"):rep(57)) end)
is_linear("secrets that overlap", function()
    local text = (("-"):rep(70000) .. "c"):rep(57) .. LONG .. LONG .. "b"
    tap.ok(secret.scrub(text) == "[secret]c" .. LONG .. "[secret]", "one mask")
end)
is_linear("the first of one where a text was cut", function()
    try(sh.run, { "sh", "-c", "cat >&2; exit 3" }, { read = true, stdin = ("-"):rep(69000) .. "d---" })
end)

-- scrubbed, then cut
local function edge(text, name)
    local left = part_of(TOKEN, text)
    tap.ok(not left, name, "left: " .. spaced(left or ""))
end
for _, before in ipairs { 0, 1, 126, 930, 999, 1000, 3990, 4000, 4090 } do
    for name, script in pairs {
        stderr = "cat >&2; exit 3", stdout = "cat; exit 3",
    } do
        local err = select(2, try(sh.run, { "sh", "-c", script }, { read = true,
            stdin = ("x"):rep(before) .. TOKEN .. ("y"):rep(4096 - 30) }))
        edge(err[name], ("%s, %d bytes before"):format(name, before))
    end
end
local stopped = select(2, try(sh.run, { "sh", "-c", "cat" }, { read = true, limit = 140,
    stdin = ("x"):rep(100) .. TOKEN .. ("y"):rep(65536) }))
tap.is(stopped.code, "sh.output", "a program that was stopped")
edge(stopped.stdout, "  in the middle of a token")

local server = http.serve({ address = "127.0.0.1" }, function(request)
    local body = ("x"):rep(tonumber(request.query.before)) .. TOKEN .. ("y"):rep(2000)
    if request.path == "/json" then
        return { status = 500, json = { message = body } }
    elseif request.path == "/text" then
        return { body = body, headers = { ["Content-Type"] = "application/json" } }
    end
    return { status = 500, body = body }
end)
for _, before in ipairs { 0, 126, 190, 950, 990 } do
    for _, path in ipairs { "/body", "/json", "/text" } do
        local err = select(2, try(function()
            return http.get(("http://127.0.0.1:%d%s?before=%d"):format(server.port, path, before), { retries = 0 }).json
        end))
        edge(err.message .. tostring(err.body) .. tostring(err.reason),
            ("an answer, %s, %d bytes before"):format(path, before))
    end
end
server:close()
tap.done()
