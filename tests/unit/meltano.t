#!build/lua-test
-- What Meltano prints and logs, captured from real instances; and what belongs in .env.
local tap = require "tap"
local meltano = require "meltano"
local settings = require "meltano_settings"
local traceback = require "python_traceback"

tap.is(meltano.parse_version "meltano, version 1.105.0\n", "1.105.0", "a version")
tap.is(meltano.parse_version "meltano 1.22.1.dev3 (more)\n", "1.22.1.dev3", "a version in development")
tap.is(meltano.parse_version "Traceback", nil, "none")

-- ---- secrets and flags ----

for _, name in ipairs { "PG_PASSWORD", "GITLAB_API_TOKEN", "SECRET_KEY", "AWS_SECRET_ACCESS_KEY",
    "MELTANO_DATABASE_DSN",
    "client_secret" } do
    tap.ok(settings.is_secret(name, "x"), name .. " is a secret")
end
tap.ok(settings.is_secret("MELTANO_DATABASE_URI", "postgresql://ada:hunter2@db:25060/x"), "so is a URL with a password")
for _, name in ipairs { "MELTANO_AUTHENTICATION", "PG_PORT", "FLASK_ENV", "KEYBOARD" } do
    tap.ok(not settings.is_secret(name, "true"), name .. " is none")
end
tap.ok(not settings.is_secret("URL", "https://example.com/a:b@c"), "nor is a URL without a password")

local ENV = "# Flags\r\nMELTANO_AUTHENTICATION=true # on\r\n\r\nexport GITLAB_API_TOKEN='glpat-1234567'\r\n"
    .. "PG_ADDRESS=10.0.0.1\r\nMELTANO_READONLY=\"false\"\r\nSMTP_PASSWORD=\r\n# end"
local kept, moved = settings.split_flags(ENV)
tap.is(kept, "# Flags\r\nMELTANO_AUTHENTICATION=true # on\r\n\r\nMELTANO_READONLY=\"false\"\r\nSMTP_PASSWORD=\r\n# end",
    "flags, comments, blank lines, line ends and empty settings stay")
tap.ok(moved.GITLAB_API_TOKEN == secret.wrap "glpat-1234567", "a secret is taken out, without its quotes and `export`")
tap.ok(moved.PG_ADDRESS == secret.wrap "10.0.0.1", "so are the database's settings")
tap.ok(not json.encode({ tostring(moved.GITLAB_API_TOKEN) }):find "glpat", "and is not shown")
tap.is(select(2, settings.split_flags(kept)), nil, "a second time there is nothing to do")
tap.is((settings.split_flags(kept)), kept, "and the text stays")

local set_in_flags = settings.set_in_flags
tap.is(set_in_flags("A=true # on\r\nexport B='x'\r\n", "B", "y"), "A=true # on\r\nexport B=y\r\n",
    "a flag is set where it stands, with its `export` and line end")
tap.is(set_in_flags("A=true # on\nB=1\n", "A", "false"), "A=false # on\nB=1\n", "and with its comment")
tap.is(set_in_flags("A=true # on\n", "A", "true"), "A=true # on\n", "one that has the value stays as it is written")
tap.is(set_in_flags("A=1\nA=2\n", "A", "3"), "A=1\nA=3\n", "of two the one that counts")
tap.is(set_in_flags("# end", "A", "on"), "# end\nA=on\n", "a new one comes last")

tap.ok(settings.is_private { mode = tonumber("600", 8), owner = "meltano" }, "0600 of meltano is private")
tap.ok(not settings.is_private { mode = tonumber("640", 8), owner = "meltano" }, "0640 is not")
tap.ok(not settings.is_private { mode = tonumber("600", 8), owner = "root" }, "nor is a file of root")

-- ---- tracebacks ----

local LOG = [[
[2026-11-22 01:14:35,441] [348] [INFO] "GET / HTTP/1.1" 302 -
[2026-11-22 01:14:38,253] [348] [ERROR] Exception on /old [GET]
Traceback (most recent call last):
  File "/var/meltano/.venv/bin/meltano", line 12, in old
ValueError: an older one
[2026-11-22 01:14:40,253] [394] [ERROR] Exception on / [GET]
Traceback (most recent call last):
  File "/var/meltano/.venv/bin/meltano", line 230, in guarded
    self.save_last_request(path)
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/pathlib.py", line 1045, in open
    return io.open(self, mode, buffering, encoding, errors, newline)
PermissionError: [Errno 13] Permission denied: '/var/meltano/project/.meltano/run/last-request'
[2026-11-22 01:14:40,254] [394] [INFO] "GET / HTTP/1.1" 500 -
]]
local found = traceback.last(LOG)
tap.is(found.heading, "[2026-11-22 01:14:40,253] [394] [ERROR] Exception on / [GET]", "the log line before it")
tap.is(found.exception,
    "PermissionError: [Errno 13] Permission denied: '/var/meltano/project/.meltano/run/last-request'",
    "the exception")
tap.is({ found.file, found.line }, { "/usr/lib/python3.11/pathlib.py", 1045 }, "where it was raised")
tap.ok(found.text:find "^Traceback" and not found.text:find "500 %-" and not found.text:find "older", "it alone")

local CHAINED = [[
Traceback (most recent call last):
  File "a.py", line 1, in connect
psycopg2.OperationalError: connection to server at "198.18.112.1", port 25060 failed: Connection refused
	Is the server running on that host and accepting TCP/IP connections?


The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in serve
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) refused
(Background on this error at: http://sqlalche.me/e/e3q8)]]
found = traceback.last((CHAINED:gsub("\n\n\nThe", "\n\nThe")))
tap.is(found.exception, "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) refused", "the last of a chain")
tap.ok(found.text:find "a.py" and found.text:find "Background on this error", "with what led to it and its own words")
tap.is({ found.file, found.line }, { "b.py", 2 }, "its place")
tap.ok(traceback.last(CHAINED).text:find "b.py", "the last one, also where a blank line more stands between them")
found = traceback.last "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    cut"
tap.is(found.exception, nil, "a log that ends within one")
tap.is(found.heading, nil, "and begins with it")
tap.is(traceback.last "all is well\n", nil, "a log without one")
tap.is(traceback.last "", nil, "an empty log")
tap.done()
