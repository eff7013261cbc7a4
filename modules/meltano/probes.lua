-- Small Python programs that an instance runs to look at itself. Each prints one line of JSON.
local probes = {}

--- Every Ubuntu server has a Python: cloud-init is written in it.
probes.PYTHON = "/usr/bin/python3"

-- Run as the service user with the virtualenv's Python, which has the database library that Meltano itself uses. The
-- settings are read there: the password leaves neither the file nor the process.
probes.database = [[
import json, shlex, sys, time
import psycopg2
BLOCKING = """
    SELECT holder.pid, holder.usename, holder.application_name, holder.state,
        extract(epoch FROM now() - holder.xact_start)::int, count(*)
    FROM pg_stat_activity waiter CROSS JOIN LATERAL unnest(pg_blocking_pids(waiter.pid)) AS blocking(pid)
    JOIN pg_stat_activity holder ON holder.pid = blocking.pid
    WHERE waiter.datname = current_database() GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC LIMIT 5"""
def condition(cursor):
    cursor.execute("SET statement_timeout = '5s'")
    cursor.execute("SELECT current_setting('default_transaction_read_only') = 'on' OR pg_is_in_recovery()")
    found = {"read_only": cursor.fetchone()[0]}
    cursor.execute(BLOCKING)
    names = ("pid", "user", "application", "state", "seconds", "waiting")
    found["blocking"] = [{name: value for name, value in zip(names, row) if value is not None} for row in cursor]
    return found
settings = {}
for line in open(sys.argv[1]):
    name, equals, value = line.strip().partition("=")
    if equals and not name.startswith(("#", ";")):
        settings[name.strip()] = "".join(shlex.split(value))
started = time.monotonic()
try:
    connection = psycopg2.connect(
        host=settings["PG_ADDRESS"], port=settings["PG_PORT"], dbname=settings["PG_DATABASE"],
        user=settings["PG_USERNAME"], password=settings["PG_PASSWORD"], sslmode="require", connect_timeout=10)
    connection.autocommit = True
    answer = {"reachable": True}
    try:
        answer.update(condition(connection.cursor()))
    except psycopg2.Error:
        pass
except KeyError as error:
    answer = {"reachable": False, "error": "%s is not set" % error.args[0]}
except psycopg2.Error as error:
    answer = {"reachable": False, "error": str(error).strip()}
answer["seconds"] = round(time.monotonic() - started, 3)
print(json.dumps(answer))
]]

-- Asks the UI for a page.
probes.ui = [[
import http.client, json, socket, sys, time
port, path, limit = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
started, answer = time.monotonic(), {}
try:
    connection = http.client.HTTPConnection("localhost", port, timeout=limit)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read(4000).decode("utf-8", "replace")
    answer = {"status": response.status, "location": response.getheader("Location"), "body": body}
except socket.timeout:
    answer = {"error": "timeout", "message": "no answer within %g s" % limit}
except ConnectionRefusedError:
    answer = {"error": "refused", "message": "nothing listens on port %d" % port}
except (OSError, http.client.HTTPException) as error:
    answer = {"error": "broken", "message": "%s: %s" % (type(error).__name__, error)}
answer["seconds"] = round(time.monotonic() - started, 3)
print(json.dumps(answer))
]]

-- Fills in the UI's login form as a browser does, whatever its fields are called. Name and password come on standard
-- input, a line each. A login that is taken leads elsewhere; one that is refused shows the form again, or says 401.
probes.login = [[
import html.parser, http.cookiejar, json, sys, urllib.error, urllib.parse, urllib.request
class Form(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.fields, self.user, self.password = {}, None, None
    def handle_starttag(self, tag, attributes):
        field = dict(attributes)
        kind, name = (field.get("type") or "text").lower(), field.get("name")
        if tag != "input" or not name:
            return
        if kind == "hidden":
            self.fields[name] = field.get("value") or ""
        elif kind == "password":
            self.password = self.password or name
        elif kind in ("text", "email"):
            self.user = self.user or name
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
url = "http://localhost:%s/auth/login" % sys.argv[1]
user, password = sys.stdin.read().split("\n")[:2]
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), Stay)
try:
    form = Form()
    form.feed(opener.open(url, timeout=20).read(1000000).decode("utf-8", "replace"))
    if not form.user or not form.password:
        raise ValueError("its login page has no form that asks for a user and a password")
    form.fields.update({form.user: user, form.password: password})
    try:
        opener.open(url, urllib.parse.urlencode(form.fields).encode(), timeout=20)
        answer = {"taken": False}
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        place = urllib.parse.urlsplit(error.headers.get("Location") or "").path
        answer = {"taken": error.code in (302, 303) and not place.endswith("/auth/login")}
except (OSError, ValueError) as error:
    answer = {"problem": str(error)}
print(json.dumps(answer))
]]

--- Runs one, alone with Python's own library: nothing that lies about on the host is imported.
---@param host table from ssh.connect
---@param python string the interpreter
---@param program string
---@param arguments (string|number)[]
---@param options { summary: string, timeout: number } and more for host:run
---@return table answer what it printed, without nulls
function probes.run(host, python, program, arguments, options)
    local argv = { python, "-I", "-B", "-c", program }
    for _, argument in ipairs(arguments) do
        argv[#argv + 1] = argument
    end
    options.read = true
    local result = host:run(argv, options)
    if unknown(result) then
        return result
    end
    local answer = json.decode(result.stdout)
    for name, value in pairs(answer) do
        answer[name] = value ~= json.null and value or nil
    end
    return answer
end

return probes
