-- Small Python programs that an instance runs to look at itself. Each prints one line of JSON.
local probes = {}

--- Every Ubuntu server has a Python: cloud-init is written in it.
probes.PYTHON = "/usr/bin/python3"

-- Run as the service user with the virtualenv's Python, which has the database library that Meltano itself uses. The
-- settings are read there: the password leaves neither the file nor the process.
probes.database = [[
import json, shlex, sys, time
import psycopg2
settings = {}
for line in open(sys.argv[1]):
    name, equals, value = line.strip().partition("=")
    if equals and not name.startswith(("#", ";")):
        settings[name.strip()] = "".join(shlex.split(value))
started = time.monotonic()
try:
    psycopg2.connect(
        host=settings["PG_ADDRESS"], port=settings["PG_PORT"], dbname=settings["PG_DATABASE"],
        user=settings["PG_USERNAME"], password=settings["PG_PASSWORD"], sslmode="require", connect_timeout=10).close()
    answer = {"reachable": True}
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
