#!tests/lib/with-postgres build/lua-test
-- The postgres module against a real server.
local tap = require "tap"
local postgres = require "postgres"

local password = env "POSTGRES_PASSWORD"
local function options(more)
    local all = { host = "localhost", port = tonumber(env "POSTGRES_PORT"), user = "admin", password = password,
        dbname = "postgres", ca_file = env "POSTGRES_CA" }
    for key, value in pairs(more or {}) do
        all[key] = value ~= json.null and value or nil
    end
    return all
end
local function connect(more)
    return postgres.connect(options(more))
end
local function refused(more, code)
    return tap.raises(code or "postgres.connect", function() connect(more) end, "refused")
end

local db = connect()
local watcher = connect { application_name = "watcher" }

-- ---- values ----

local row = db:query([[select 7::int2 as small, -2147483648 as int, 9007199254740992 as exact,
    9007199254740993 as large, 0.1::float4 as single, 0.1::float8 as double, 'NaN'::float8 as nan,
    '-Infinity'::float8 as endless, true as yes, false as no, null::int as nothing, '' as empty,
    12345678901234567890.10 as exactly, '\x00ff10'::bytea as bytes, '{"a": [1, null]}'::jsonb as document,
    date '2024-02-29' as day, 'grüße 🙂' as text, '{a,b}'::text[] as list]])[1]
tap.is(row.small, 7, "int2")
tap.is(row.int, -2147483648, "int4")
tap.is(row.exact, 2 ^ 53, "an int8 that a double holds is a number")
tap.is(row.large, "9007199254740993", "one that it cannot hold is text")
tap.is(row.double, 0.1, "float8")
tap.is(row.single, 0.1, "float4")
tap.ok(row.nan ~= row.nan, "NaN")
tap.is(row.endless, -math.huge, "infinity")
tap.is(row.yes, true, "true")
tap.is(row.no, false, "false")
tap.is(row.nothing, nil, "NULL is an absent field")
tap.is(row.empty, "", "and an empty text is not")
tap.is(row.exactly, "12345678901234567890.10", "numeric is text, every digit of it")
tap.is(row.bytes, "\0\255\16", "bytea")
tap.is(row.document.a[1], 1, "jsonb")
tap.is(row.document.a[2], json.null, "a null in jsonb")
tap.is(row.day, "2024-02-29", "a date")
tap.is(row.text, "grüße 🙂", "text beyond ASCII")
tap.is(row.list, "{a,b}", "an array is the server's text")

local rows = db:query "select 1 as a, 2 as b where false"
tap.is(#rows, 0, "no rows")
tap.is(rows.columns, { "a", "b" }, "have columns nevertheless")
tap.is(json.encode(rows), "[]", "and are an empty list in JSON")
tap.is(rows.command, "SELECT", "the command")

-- ---- parameters ----

row = db:query([[select $1::int as i, $2::float8 as f, $3::bool as b, $4::text as t, $5::text as n, $6::text as j,
    $7::int as last]], 42, 0.1, false, "it's", nil, json.null, nil)[1]
tap.is(row.i, 42, "an integer")
tap.is(row.f, 0.1, "a float")
tap.is(row.b, false, "a boolean")
tap.is(row.t, "it's", "a text")
tap.ok(row.n == nil and row.j == nil and row.last == nil, "nil and json.null are NULL, also the last")
tap.is(db:query("select $1::int8 + 1 as n", 2 ^ 53)[1].n, "9007199254740993", "a large integer keeps its digits")
tap.is(db:query("select $1::bytea as b", postgres.bytes "\0'\\\255")[1].b, "\0'\\\255", "any bytes as bytea")
tap.is(db:query("select $1::jsonb as j", { a = { 1, "x" } })[1].j.a[2], "x", "a table as JSON")
row = db:query("select 'q\"\\' = any($1::text[]) as found", postgres.array { "a,b", "q\"\\" })[1]
tap.is(row.found, true, "an array")
tap.is(db:query("select $1::text as s", secret.wrap "sesame-street")[1].s, "sesame-street", "a secret")
local nasty = "'; drop table users; -- \\'; $1 \" \n%s"
tap.is(db:query("select $1::text as t", nasty)[1].t, nasty, "what looks like SQL stays text")
local err = tap.raises("usage", function() db:query("select $1::text", "a\0b") end, "NUL in text")
tap.like(err.hint, "bytes", "with a hint")
tap.raises("usage", function() db:query("select $1::text", say) end, "a function is no parameter")
tap.raises("usage", function() db:query "select 1\0" end, "NUL in a statement")
err = tap.raises("pg.query", function() db:query("select $1::text", "\255") end, "invalid UTF-8")
tap.is(err.sqlstate, "22021", "is refused")

-- ---- names ----

for _, name in ipairs { "plain", "Weird \"Name\"", "ünïcödé 🙂", "a'b;c\\d", "select", ("x"):rep(63) } do
    db:query("create schema " .. db:ident(name))
    tap.is(#db:read("select 1 as found from pg_namespace where nspname = $1", name), 1, "a schema named " .. name)
    db:query("drop schema " .. db:ident(name) .. " cascade")
end
tap.raises("usage", function() db:ident "a\0b" end, "a name with NUL")
tap.raises("usage", function() db:ident "" end, "an empty name")
tap.raises("usage", function() db:ident(("x"):rep(64)) end, "a name that the server would cut short")
tap.is(db:read("select " .. db:literal "it's \\ 1" .. " as t")[1].t, "it's \\ 1", "a literal")

-- ---- commands, errors ----

db:query "create table things (id int primary key, name text not null)"
rows = db:query("insert into things select n, 'thing ' || n from generate_series(1, 3) n returning id")
tap.is(rows.affected, 3, "affected rows")
tap.is(rows.command, "INSERT", "of an INSERT")
tap.is(rows[3].id, 3, "RETURNING")

err = tap.raises("pg.query", function() db:query "select id,\n  näme, nope\n from things" end, "an unknown column")
tap.is(err.sqlstate, "42703", "its SQLSTATE")
tap.is(err.severity, "ERROR", "its severity")
tap.is(err.excerpt, "line 2:   näme, nope\n          ^", "the line and the place")
tap.like(err.message, "näme", "the server's words")
err = tap.raises("pg.query", function() db:query "select 'ü🙂', nope from things" end, "after wide characters")
tap.is(err.excerpt, "line 1: select 'ü🙂', nope from things\n" .. (" "):rep(21) .. "^", "places count characters")
err = tap.raises("pg.query", function()
    db:query("select " .. ("1, "):rep(500) .. "nope from things")
end, "a long line")
tap.ok(#err.excerpt < 300 and err.excerpt:find "nope", "is cut around the place")
err = tap.raises("pg.query", function() db:query("insert into things values ($1, $2)", 1, "again") end, "a duplicate")
tap.is(err.constraint, "things_pkey", "names the constraint")
tap.is(err.table, "things", "and the table")
tap.like(err.detail, "already exists", "and the detail")
err = tap.raises("pg.query", function() db:query "select 1; select 2" end, "two statements")
tap.like(err.hint, "one statement", "are told apart")
err = tap.raises("pg.query", function() db:query("update things set id = 1 / $1::int", 0) end, "a bad parameter")
tap.like(err.effect, "update things set id = 1 / $1", "the effect is the statement without its parameters")
tap.raises("usage", function() db:query "begin" end, "BEGIN is refused")
tap.raises("usage", function() db:query " /* a /* b */ ; */ -- c\n ;commit" end, "also behind comments")
tap.raises("usage", function() db:query "copy things to stdout" end, "and COPY")
tap.is(#db:query "/* begin */ select 1", 1, "but a comment may say begin")

db:query "do $$ begin raise notice 'hello'; raise warning 'careful'; end $$"
local notices = db:notices()
tap.is(notices[1].message, "hello", "a notice")
tap.is(notices[2].severity, "WARNING", "a warning")
tap.is(#db:notices(), 0, "are given out once")

-- ---- transactions ----

local function count()
    return watcher:read("select count(*) as n from things")[1].n
end

tap.is(db:transaction(function(tx)
    tx:query "insert into things values (4, 'four')"
    tap.is(count(), 3, "others do not see it yet")
    return "done"
end), "done", "a transaction returns what its function returns")
tap.is(count(), 4, "and is committed")

local caught = tap.raises("failed", function()
    db:transaction(function(tx)
        tx:query "delete from things"
        fail "changed my mind"
    end)
end, "an error")
tap.is(caught.message, "changed my mind", "is passed on")
tap.is(count(), 4, "and rolls back")

db:transaction(function(tx)
    tx:query "insert into things values (5, 'five')"
    tap.raises("pg.query", function()
        tx:transaction(function(inner) inner:query "insert into things values (5, 'again')" end)
    end, "an error in a savepoint")
    tap.is(tx:read("select count(*) as n from things")[1].n, 5, "read sees the transaction's own rows")
    err = tap.raises("pg.query", function() tx:read "delete from things" end, "and does not write")
    tap.is(err.sqlstate, "25006", "there either")
    tx:query "insert into things values (6, 'six')"
end)
tap.is(count(), 6, "leaves the rest of the transaction alone")

tap.raises("pg.query", function()
    db:transaction(function(tx)
        tx:query "insert into things values (7, 'seven')"
        try(tx.query, tx, "select nope")
    end)
end, "a swallowed error does not pass as a commit")
tap.is(count(), 6, "and nothing is committed")

local kept
db:transaction(function(tx)
    kept = tx
    tap.raises("pg.busy", function() db:query "select 1" end, "the connection itself is busy in a transaction")
end)
tap.raises("pg.closed", function() kept:query "select 1" end, "a transaction's handle ends with it")

db:query "create sequence s"
for _, statement in ipairs { "delete from things", "create table t (a int)", "select nextval('s')",
    "drop table things" } do
    err = tap.raises("pg.query", function()
        db:transaction(function(tx) tx:query(statement) end, { read_only = true })
    end, "read only: " .. statement)
    tap.is(err.sqlstate, "25006", "the server refuses")
    tap.raises("pg.query", function() db:read(statement) end, "read: " .. statement)
end
for _, way in ipairs { "set transaction read write", "set transaction_read_only = off",
    "select set_config('transaction_read_only', 'off', true)" } do
    tap.raises("pg.query", function()
        db:transaction(function(tx)
            tx:query(way)
            tx:query "delete from things"
        end, { read_only = true })
    end, "read only stays so: " .. way)
end
tap.is(count(), 6, "nothing was written")

-- ---- limits ----

local small = db:limit { rows = 10 }
tap.is(#small:query "select generate_series(1, 10)", 10, "as many rows as the limit")
err = tap.raises("pg.limit", function() small:query "select generate_series(1, 100000000)" end, "more rows")
tap.like(err.message, "stopped", "end the statement")
small = db:limit { bytes = 10000 }
tap.raises("pg.limit", function() small:query "select repeat('x', 20000)" end, "more bytes")
tap.is(db:query "select 1 as one"[1].one, 1, "the connection is usable afterwards")
rows = db:limit { bytes = 2 ^ 30 }:read "select n, 'row ' || n as name from generate_series(1, 1000000) n"
tap.is(#rows, 1000000, "a million rows")
tap.is(rows[1000000].name, "row 1000000", "the last of them")
local large = ("x"):rep(8 * 1024 * 1024)
tap.is(db:query("select length($1) as n", large)[1].n, #large, "a parameter larger than the socket's buffer")

-- ---- cancelling ----

local function sleepers()
    return watcher:read("select count(*) as n from pg_stat_activity where state <> 'idle' and query like '%pg_sleep%' "
        .. "and pid <> pg_backend_pid()")[1].n
end

local began = now()
tap.raises("timeout", function() timeout(0.2, db.query, db, "select pg_sleep(60)") end, "a deadline ends a query")
tap.ok(now() - began < 50, "at once")
tap.is(sleepers(), 0, "and on the server too")
tap.is(db:query "select 2 as two"[1].two, 2, "the connection is usable")
tap.raises("timeout", function()
    timeout(0.2, function()
        db:transaction(function(tx)
            tx:query "delete from things"
            tx:query "select pg_sleep(60)"
        end)
    end)
end, "a deadline in a transaction")
tap.is(count(), 6, "rolls it back")
tap.is(watcher:read("select count(*) as n from pg_stat_activity where state like 'idle in transaction%'")[1].n, 0,
    "and leaves none open")
tap.is(db:query "select 3 as three"[1].three, 3, "the connection is usable")

-- ---- two tasks ----

local busy
parallel {
    function() db:query "select pg_sleep(0.3)" end,
    function()
        busy = tap.raises("pg.busy", function() db:query "select 1" end, "a second task")
        tap.raises("pg.busy", function() db:close() end, "cannot close it either")
    end,
}
tap.like(busy.message, "pg_sleep", "is told what the connection does")

local stopped = 0
local function sleep_until_stopped()
    local one = connect()
    if tap.raises("pg.query", function() one:query "select pg_sleep(60)" end, "stopped").sqlstate == "57014" then
        stopped = stopped + 1
    end
end
parallel { sleep_until_stopped, sleep_until_stopped, sleep_until_stopped, function()
    wait_until("three statements", { timeout = 20, interval = 0.02 }, function() return sleepers() == 3 end)
    watcher:query "select pg_cancel_backend(pid) from pg_stat_activity where query like 'select pg_sleep(60)'"
end }
tap.is(stopped, 3, "connections work at the same time")

-- ---- connecting ----

db = connect { host = "localhost" }
tap.is(db:read "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"[1].ssl, true, "TLS")
db:close()
db:close()
tap.raises("pg.closed", function() db:query "select 1" end, "a closed connection says so")
db = connect { ca_file = json.null, host = "127.0.0.1" }
tap.is(db:read "select ssl from pg_stat_ssl where pid = pg_backend_pid()"[1].ssl, true, "without a CA too")
err = refused { host = "127.0.0.1" }
tap.like(err.message, "127.0.0.1", "with a CA the certificate must name the host")
tap.like(err.hint, "name", "and the hint says so")
err = refused { ca_file = env "POSTGRES_OTHER_CA" }
tap.like(err.message, "certificate verify failed", "another CA")
tap.like(err.hint, "CA", "has a hint")
refused { ca_file = "/nonexistent.pem" }
refused { ca_file = json.null, ca = "not a certificate" }
err = refused { password = "wrong-" .. password }
tap.like(err.message, "password authentication failed", "a wrong password")
tap.like(err.hint, "password", "has a hint")
tap.ok(not (tostring(err) .. err.said):find("wrong-", 1, true), "and is not shown")
err = refused { user = "stranger" }
tap.like(err.message, "no pg_hba.conf entry", "a stranger")
tap.like(err.hint, "trusted sources", "has a hint")
tap.like(refused { dbname = "nope" }.message, "does not exist", "a missing database")
tap.like(refused { port = 1, ca_file = json.null }.hint, "nothing listens", "a closed port")
tap.like(refused { host = "no-such-host.invalid" }.message, "cannot be resolved", "an unknown host")
tap.like(refused({ sslmode = "disable", ca_file = json.null }).hint, "TLS", "a server that wants TLS")
refused({ sslmode = "nonsense" })
tap.raises("usage", function() connect { pasword = "x" } end, "a misspelt option")

local address = "@localhost:" .. env "POSTGRES_PORT" .. "/postgres"
local uri = "postgresql://app:" .. password .. address .. "?sslrootcert=" .. env "POSTGRES_CA"
tap.is(postgres.connect(uri):read "select current_user as u"[1].u, "app", "a URI")
local hidden = secret "POSTGRES_PASSWORD"
tap.is(connect { password = hidden }:read "select 1 as x"[1].x, 1, "a secret password")
uri = "postgresql://app:" .. hidden .. address
tap.is(#postgres.connect(uri):read "select 1", 1, "a secret in a URI")
err = tap.raises("postgres.connect", function() postgres.connect(uri, { dbname = "nope" }) end, "when it fails")
tap.like(tostring(err.target), "^localhost:%d+/nope$", "its target is readable")
local whole = secret.wrap("postgresql://app:" .. password .. address)
err = tap.raises("postgres.connect", function() postgres.connect(whole, { dbname = "nope" }) end, "a secret URI")
tap.ok(not (tostring(err) .. tostring(err.target)):find(password, 1, true), "is not shown")
err = tap.raises("usage", function() postgres.connect("postgresql://app:hunter2%zz@h/d") end, "a URI that is none")
tap.ok(not tostring(err):find "hunter2", "does not show its password")
tap.is(connect { host = env "POSTGRES_SOCKET", ca_file = json.null }:read "select 1 as x"[1].x, 1, "a Unix socket")

-- ---- the other end hangs, or goes away ----

-- The server's first process takes new connections; each existing one has a process of its own.
local function signal_server(name)
    local command = "cat >/dev/null; kill -" .. name .. " $(head -n 1 postmaster.pid)"
    watcher:query(("do $$ begin execute 'copy (select 1) to program ''%s'''; end $$"):format(command))
end

signal_server "STOP"
err = refused { timeout = 0.3 }
tap.like(err.message, "no answer within 0.3 seconds", "a server that hangs")
tap.raises("timeout", function() timeout(0.2, connect) end, "a deadline while connecting")
signal_server "CONT"

db = connect()
local pid = db:read "select pg_backend_pid() as pid"[1].pid
watcher:query("select pg_terminate_backend($1)", pid)
err = tap.raises("pg.closed", function() db:query "select 1" end, "a connection that was ended while idle")
tap.like(err.message, "terminating connection", "tells why")
tap.raises("pg.closed", function() db:query "select 1" end, "and stays closed")

db = connect()
pid = db:read "select pg_backend_pid() as pid"[1].pid
parallel {
    function()
        err = tap.raises("pg.closed", function()
            db:transaction(function(tx) tx:query "select pg_sleep(60)" end)
        end, "one that is ended in the middle of a statement")
    end,
    function()
        wait_until("the statement to run", { timeout = 10, interval = 0.02 }, function() return sleepers() == 1 end)
        watcher:query("select pg_terminate_backend($1)", pid)
    end,
}
tap.like(err.hint, "not known", "says that the outcome is open")

db = connect()
parallel {
    function()
        tap.raises("pg.closed", function() db:query "select pg_sleep(60)" end, "the server is killed")
    end,
    function()
        wait_until("the statement to run", { timeout = 10, interval = 0.02 }, function() return sleepers() == 1 end)
        try(signal_server, "QUIT")
    end,
}

tap.done()
