-- PostgreSQL: connections, queries with parameters, transactions.
--
--     local db = postgres.connect("postgresql://app@db.example.com:25060/app", { password = secret("PG_PASSWORD") })
--     for _, row in ipairs(db:read("select id, name from users where active = $1", true)) do say(row.name) end
--     db:transaction(function(tx) tx:query("delete from users where id = $1", 7) end)
--
-- A query is a write, whatever it says: only the server knows what a statement does. It is a read when the server has
-- been told to refuse writes: db:read(...), and everything in db:transaction(fn, { read_only = true }).
local native, gate, import = ...

local postgres = {}

local options_of, texts = import "base/options", import "base/text"

local CONNECT_SECONDS = 15
local ROLLBACK_SECONDS = 10
local COMMIT_SECONDS = 300
local LIMIT_ROWS = 10 * 1000 * 1000
local LIMIT_BYTES = 64 * 1024 * 1024
local SUMMARY_LENGTH = 80

-- A server that went away without a word is found out in about a minute, also while a long statement runs.
local KEYWORDS = {
    client_encoding = "UTF8", application_name = "hostler", gssencmode = "disable",
    keepalives_idle = "30", keepalives_interval = "10", keepalives_count = "3", tcp_user_timeout = "30000",
}

local OPTIONS = {
    host = "string", hostaddr = "string", port = "number or string", user = "string", password = "string or secret",
    dbname = "string", database = "string", sslmode = "string", ca_file = "string", ca = "string", cert_file = "string",
    key_file = "string", application_name = "string", options = "string", timeout = "number", limit_rows = "number",
    limit_bytes = "number",
}
-- libpq's word for an option, where it is another one; false for what is not libpq's.
local LIBPQ = {
    database = "dbname", ca_file = "sslrootcert", cert_file = "sslcert", key_file = "sslkey", ca = false,
    timeout = false, limit_rows = false, limit_bytes = false,
}

local function usage(message, hint)
    fail(message, { code = "usage", hint = hint })
end

-- ---- texts ----

--- The statement's beginning on one line. Parameters are never part of it.
local function summary(sql)
    return texts.in_short(tostring(sql):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""), SUMMARY_LENGTH)
end

local CONTROL = {}
for word in ("BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE PREPARE COPY"):gmatch "%u+" do
    CONTROL[word] = true
end

--- Where the comment that begins at `at` ends. SQL's comments nest.
local function after_comment(sql, at)
    local depth = 0
    while true do
        at = sql:find("[/*]", at)
        if not at then
            return #sql + 1
        end
        local pair = sql:sub(at, at + 1)
        depth = depth + (pair == "/*" and 1 or pair == "*/" and -1 or 0)
        at = at + ((pair == "/*" or pair == "*/") and 2 or 1)
        if depth == 0 then
            return at
        end
    end
end

--- The first word of a statement, in capitals, past white space and comments.
local function first_word(sql)
    local at = 1
    repeat
        local from = at
        at = sql:match("^[%s;(]*()", at)
        at = sql:match("^%-%-[^\n]*()", at) or at
        if sql:find("^/%*", at) then
            at = after_comment(sql, at)
        end
    until at == from
    return (sql:match("^%a+", at) or ""):upper()
end

--- Transactions are the module's own business: it must know when one begins and ends to keep "read only" true.
local function check_statement(sql)
    if type(sql) ~= "string" and type(sql) ~= "userdata" then
        usage("a query is text, not a " .. type(sql), "db:query(\"select ... where id = $1\", id)")
    end
    local word = first_word(tostring(sql))
    if word == "COPY" then
        usage "COPY is not supported; use INSERT and SELECT"
    elseif CONTROL[word] then
        usage(word .. " is not for a query", "use db:transaction(function(tx) ... end)")
    end
end

-- ---- a session: the connection itself, or a transaction on it ----
--
-- All sessions of one connection share its `link`; `link.scope` is the innermost open transaction. A session may be
-- used only while its own scope is the innermost, so that no statement slips into a transaction of somebody else.

---@class postgres.Session a connection, or a transaction on it
local session = {}
session.__index = session

function session:__tostring()
    return ("postgres %s %s"):format(self.scope and "transaction on" or "connection to", tostring(self.link.target))
end

local function new_session(link, scope, limits)
    return setmetatable({ link = link, scope = scope, limits = limits }, session)
end

local function check(self)
    local link, scope = self.link, self.scope
    if scope and scope.ended then
        fail("this transaction has ended", { code = "pg.closed", target = tostring(link.target),
            hint = "the handle that a transaction's function receives is valid only until the function returns" })
    elseif link.scope ~= scope then
        fail(("the connection to %s is busy with: a transaction"):format(tostring(link.target)), { code = "pg.busy",
            target = tostring(link.target),
            hint = "inside a transaction use the handle that its function receives; other tasks open a connection" })
    end
end

--- A statement of the module's own, such as COMMIT; returns what the server says it did.
local function control(link, kind, name, statement)
    return gate.perform({ kind = kind, name = "postgres." .. name, target = link.target, summary = name,
        inputs = { link.unknown } }, native.control, link.handle, statement)
end

--- Where the connection stands with its transaction.
local function state_of(link)
    return gate.value("postgres.state", tostring(link.target), function() return native.state(link.handle) end)
end

--- Undoes what is open, also in a cancelled task. A connection on which even that fails is not used again.
local function roll_back(link, statement)
    local state = state_of(link)
    if state == "lost" or state == "idle" then
        return
    end
    if not pcall(shield, ROLLBACK_SECONDS, control, link, "read", "rollback", statement) then
        pcall(native.close, link.handle)
    end
end

local function perform(self, sql, read, ...)
    local link = self.link
    local label = summary(sql)
    return gate.perform({
        kind = read and "read" or "write", name = "postgres.query", target = link.target, summary = label,
        inputs = { link.unknown, sql, ... }, result = label,
    }, function(...)
        if self.scope and not self.scope.planned and native.state(link.handle) == "idle" then
            fail("this transaction is no longer open on the server", { code = "pg.closed" })
        end
        local rows, bytes = self.limits.rows, self.limits.bytes
        return json.array(native.query(link.handle, label, rows, bytes, sql, select("#", ...), ...))
    end, ...)
end

---@class postgres.Rows
---@field [integer] table<string, any>
---@field columns string[] names in order
---@field command string "INSERT"
---@field affected integer how many rows it concerned

--- Runs one statement. A write: it needs a step, and a dry run only plans it.
---@param sql string one statement; values are written $1, $2 ... and passed behind it
---@param ... any parameters: text, numbers, booleans, secrets; nil or json.null for NULL; a table is sent as JSON;
---  postgres.bytes(text) for bytea, postgres.array(list) for an array
---@return postgres.Rows rows one table a row, by column name. A NULL is an absent field. Integers and floats are
---  numbers (an int8 beyond 2^53 is text), bool is boolean, bytea is text of its bytes, json and jsonb are Lua values,
---  all else is the server's text, numeric and dates included. Of two columns with one name the last is kept
---@raise "pg.query" with sqlstate, severity, detail, position, excerpt, schema, table, column, constraint;
---  "pg.closed" when the connection ended; "pg.busy"; "pg.limit" for a result larger than the limit
---@effect write unless read_only
function session:query(sql, ...)
    check(self)
    check_statement(sql)
    return perform(self, sql, self.scope ~= nil and self.scope.read_only, ...)
end

--- Runs one statement that the server lets only read: it has a READ ONLY transaction of its own. A read: it needs no
--- step, and a dry run really runs it.
---@param sql string see session:query
---@return postgres.Rows rows
---@raise "pg.query" with sqlstate 25006 when the statement would write; else as session:query
function session:read(sql, ...)
    if self.scope and self.scope.read_only then
        return self:query(sql, ...)
    end
    local parameters = { n = select("#", ...), ... }
    return self:transaction(function(tx)
        return tx:query(sql, unpack(parameters, 1, parameters.n))
    end, { read_only = true })
end

--- How a transaction begins, ends and is undone. SET TRANSACTION READ WRITE works only before the first snapshot, so a
--- READ ONLY one takes its snapshot at once and stays what it is.
local function statements(depth, read_only)
    if depth == 0 then
        return read_only and "BEGIN READ ONLY; SELECT 1" or "BEGIN READ WRITE", "COMMIT", "ROLLBACK"
    end
    local name = "hostler_" .. depth
    return "SAVEPOINT " .. name .. (read_only and "; SET TRANSACTION READ ONLY; SELECT 1" or ""),
        (read_only and "ROLLBACK TO SAVEPOINT %s; RELEASE SAVEPOINT %s" or "RELEASE SAVEPOINT %s"):gsub("%%s", name),
        ("ROLLBACK TO SAVEPOINT %s; RELEASE SAVEPOINT %s"):gsub("%%s", name)
end

local function commit(link, scope, kind, statement)
    if state_of(link) == "failed" then
        fail("the transaction was rolled back: a statement in it had failed, although its error was caught", {
            code = "pg.query", sqlstate = "25P02", target = tostring(link.target),
            hint = "put what may fail in a transaction of its own: tx:transaction(function(inner) ... end)",
        })
    end
    -- Shielded: a COMMIT that was cut off would leave nobody knowing whether it happened.
    shield(COMMIT_SECONDS, control, link, kind, scope.depth == 0 and "commit" or "release", statement)
end

--- Runs fn in a transaction: committed when fn returns, rolled back when it raises or is cancelled. Inside a
--- transaction it is a savepoint.
---@param fn fun(tx: postgres.Session): any tx is the handle to use inside; db itself is busy meanwhile
---@param options? { read_only?: boolean } read_only: the server refuses writes; its queries are reads then
---@return any ... what fn returns
---@raise what fn raises; "pg.query" when the COMMIT fails
---@effect write unless read_only
function session:transaction(fn, options)
    check(self)
    local link, outer = self.link, self.scope
    local read_only = options and options.read_only or outer ~= nil and outer.read_only
    local planned = link.unknown ~= nil or gate.mode == "dry-run" and not read_only
    local scope = { read_only = read_only, planned = planned, depth = 0, outer = outer }
    if outer and not outer.planned then
        scope.depth = outer.depth + 1
    end
    local first, last, undo = statements(scope.depth, read_only)
    local kind = read_only and "read" or "write"
    if not planned then
        control(link, kind, scope.depth == 0 and "begin" or "savepoint", first)
    end
    link.scope = scope
    local results = { xpcall(function()
        return fn(new_session(link, scope, self.limits))
    end, native.complete) }
    link.scope, scope.ended = outer, true
    local ok, err = results[1], results[2]
    if ok and not planned then
        ok, err = pcall(commit, link, scope, kind, last)
    end
    if not ok then
        if not planned then
            roll_back(link, undo)
        end
        error(err, 0)
    end
    return unpack(results, 2, table.maxn(results))
end

--- The same connection or transaction with other limits for its results.
---@param limits { rows?: integer, bytes?: integer } bytes: of the rows as Lua tables, roughly
---@return postgres.Session
function session:limit(limits)
    return new_session(self.link, self.scope, {
        rows = limits.rows or self.limits.rows,
        bytes = limits.bytes or self.limits.bytes,
    })
end

--- What the server remarked (RAISE NOTICE, warnings) since the last call; the newest hundred.
---@return { severity: string, sqlstate: string, message: string }[]
function session:notices()
    local link = self.link
    return gate.value("postgres.notices", tostring(link.target), function()
        return link.handle and native.notices(link.handle) or {}
    end)
end

--- Closes the connection; an open transaction is rolled back by the server. Closing again does nothing.
---@raise "pg.busy" while another task uses it
function session:close()
    if self.link.handle then
        native.close(self.link.handle)
    end
end

--- Quotes the name of a table, schema, column, role ...
---@param name string 1 to 63 bytes
---@return string
---@raise "usage"
function session.ident(_, name)
    return postgres.ident(name)
end

--- Quotes a text as an SQL literal, for the few statements that take no parameters.
---@param text string not a secret: pass that as a parameter
---@return string
---@raise "usage"
function session.literal(_, text)
    return postgres.literal(text)
end

-- ---- the module ----

--- See session:ident.
---@param name string
---@return string
function postgres.ident(name)
    if unknown(name) then
        return "\"" .. name .. "\""
    end
    return native.quote_ident(name)
end

--- See session:literal.
---@param text string
---@return string
function postgres.literal(text)
    if unknown(text) then
        return "'" .. text .. "'"
    end
    return native.quote_literal(text)
end

--- A parameter for a bytea column: any bytes, NUL included.
---@param text string
---@return userdata
function postgres.bytes(text)
    return native.bytes(text)
end

--- A parameter for an array of texts, numbers or booleans: `where name = any($1)`.
---@param list any[] json.null for a NULL
---@return string
function postgres.array(list)
    local items = {}
    for index, item in ipairs(list) do
        if item == json.null then
            items[index] = "NULL"
        elseif type(item) == "string" then
            items[index] = "\"" .. item:gsub("[\\\"]", "\\%0") .. "\""
        elseif type(item) == "number" or type(item) == "boolean" then
            items[index] = tostring(item)
        else
            usage(("item %d of an array is a %s"):format(index, type(item)))
        end
    end
    return "{" .. table.concat(items, ",") .. "}"
end

--- TLS unless somebody says otherwise: with a CA the server must prove who it is, without one the line is at least
--- encrypted. Said in every case, so that no environment variable lowers it; libpq ignores it on a Unix socket.
local function default_sslmode(keywords, has_ca)
    return (has_ca or keywords.sslrootcert) and "verify-full" or "require"
end

--- The host comes from here or from $PGHOST, not from libpq's own look, which would resolve its name and block.
local function add_options(keywords, options)
    for name, value in pairs(options) do
        if LIBPQ[name] ~= false then
            keywords[LIBPQ[name] or name] = type(value) == "number" and ("%d"):format(value) or value
        end
    end
    keywords.host = keywords.host or not keywords.hostaddr and env "PGHOST" or nil
    return keywords
end

--- "db.example.com:25060/app": how messages and the journal call the connection.
local function target_of(keywords)
    local host = keywords.host or keywords.hostaddr or "local"
    return host .. ":" .. (keywords.port or "5432") .. "/" .. (keywords.dbname or keywords.user or "")
end

local function split_arguments(target, options)
    if type(target) == "table" and not unknown(target) then
        return nil, target
    elseif type(target) ~= "string" and type(target) ~= "userdata" then
        usage("postgres.connect(uri or table of options)")
    end
    return target, options or {}
end

---@class postgres.Options
---@field host? string a name, an address, or the directory of a Unix socket ($PGHOST)
---@field hostaddr? string connect to this address, but check the certificate for host
---@field port? integer
---@field user? string
---@field password? string|secret
---@field dbname? string
---@field database? string the same as dbname
---@field sslmode? string ("verify-full" with a CA, else "require"; nothing for a Unix socket)
---@field ca_file? string a file with the certificate authority of the server
---@field ca? string the authority itself, PEM text
---@field cert_file? string
---@field key_file? string
---@field application_name? string
---@field options? string for the server's command line
---@field timeout? number seconds to connect (15)
---@field limit_rows? integer of a result (10,000,000)
---@field limit_bytes? integer of a result (64 MiB)

local function is_open(handle)
    return native.state(handle) ~= "lost"
end

--- Connects. In a dry run with an unknown among the settings the handle is real but has no connection: its writes
--- appear in the plan, its reads are unknown.
---@param target string|secret|postgres.Options a connection string, or the options
---@param options? postgres.Options
---@return postgres.Session db
---@raise "postgres.connect" with the server's own words in `said`; "usage"
function postgres.connect(target, options)
    local uri
    uri, options = split_arguments(target, options)
    options_of.check("postgres.connect", options, OPTIONS)
    local shown = uri == nil and {} or native.parse_shown(uri)
    local link = { target = shown and target_of(add_options(shown, options)) or "a database" }
    local limits = { rows = options.limit_rows or LIMIT_ROWS, bytes = options.limit_bytes or LIMIT_BYTES }
    local connected = gate.perform({
        kind = "read", name = "postgres.connect", target = link.target, summary = "connect",
        inputs = { uri, options }, result = "connection to " .. tostring(link.target),
    }, function()
        local keywords = add_options(uri ~= nil and native.parse(uri) or {}, options)
        keywords.sslmode = keywords.sslmode or default_sslmode(keywords, options.ca ~= nil)
        for keyword, value in pairs(KEYWORDS) do
            keywords[keyword] = keywords[keyword] or value
        end
        link.handle = native.connect(target_of(keywords), keywords, options.timeout or CONNECT_SECONDS, options.ca)
        gate.hold(link.handle, tostring(link.handle), is_open)
        return true
    end)
    link.unknown = unknown(connected) and connected or nil
    return new_session(link, nil, limits)
end

return postgres
