-- One who has joined a live run: sees what happens, looks at its tasks and variables, lets it stop before its next
-- step, and go on.
--
-- Both sides write lines of JSON. The client asks { ask = WORD, rest = TEXT, id = NUMBER }; the answer to that is
-- { id, text } or { id, error, hint }. Between answers come events, { event, path, ... }, and what has stopped,
-- { stopped = PATH, place }. A client for whom there is no room gets { refused = WHY }. A client that reads too slowly
-- does not hold up the run: events are left out for it, and counted.
local native, import = ...
local attach_session = {}

local debugging, live = import "run/debugging", import "run/live"
local frames, prompt_tasks = import "debug/frames", import "prompt/tasks"
local inspect, places, view = import "report/inspect", import "base/place", import "debug/view"
local texts = import "base/text"
local usage = import "base/misuse".refuse
local event, json, sockets, task = native.event, native.json, native.local_socket, native.task

local PAUSE_SECONDS = 0.02 -- between two questions of one client: one that asks and asks gets no more of the run's time
local MOST_EVENTS_QUEUED = 64 * 1024
local LONGEST_TEXT = 32 * 1024

local clients, client_count = {}, 0
-- What stands still before its step, in the order it came to it.
local stopped = {}
local stopping, released = false, task.bell()

-- ---- telling ----

--- A text of the run that fits into a line, without secrets.
local function shown(value)
    return texts.in_short(native.secret.scrub(tostring(value)), LONGEST_TEXT)
end

local function send(client, message)
    return sockets.send(client.socket, native.secret.scrub(json.face.encode(message)))
end

--- Sends what may be left out.
local function tell(client, message)
    if sockets.queued(client.socket) > MOST_EVENTS_QUEUED then
        client.lost = client.lost + 1
        return
    elseif client.lost > 0 then
        message.lost, client.lost = client.lost, 0
    end
    send(client, message)
end

local function tell_all(message)
    for client in pairs(clients) do
        tell(client, message)
    end
end

local TOLD = {
    ["run.end"] = true, ["item.begin"] = true, ["item.end"] = true, ["step.begin"] = true, ["step.end"] = true,
    say = true, warn = true, wait = true, plan = true,
}

local function path_of(kind, fields, context)
    if kind == "step.begin" or kind == "step.end" then
        return (context.path or "") .. "/" .. tostring(fields.name)
    end
    return context.step or context.path
end

local function forward(kind, fields)
    if not TOLD[kind] or fields.passed_over or (kind == "wait" and fields.count > 1 and not fields.status) then
        return
    end
    tell_all {
        event = kind, path = shown(path_of(kind, fields, task.context())), status = fields.status,
        text = fields.text ~= nil and shown(fields.text) or nil, seconds = fields.seconds, count = fields.count,
    }
end

-- ---- stopping ----

--- Stands still before a step until somebody lets it go on.
---@param path string
local function stand_still(path)
    local place = { path = path, threads = task.threads(), at = places.innermost() or "?" }
    stopped[#stopped + 1] = place
    tell_all { stopped = shown(path), place = shown(place.at) }
    task.hold_deadlines()
    local ok, err = pcall(function()
        while not place.released do
            task.listen(released)
        end
    end)
    task.release_deadlines()
    if not ok then
        error(err, 0)
    end
end

local function stop_before_step(work)
    if stopping then
        stand_still(work.path)
    end
end

local function release()
    for _, place in ipairs(stopped) do
        place.released = true
    end
    stopped = {}
    task.ring(released)
end

-- ---- the clients ----

-- What ends to listen to the run, while there are clients.
local leave_events, leave_steps

local function enter(client)
    clients[client], client_count = true, client_count + 1
    if client_count > 1 then
        return
    end
    leave_events = event.subscribe(function(kind, _, fields) forward(kind, fields) end)
    leave_steps = debugging.join { pause = stop_before_step }
end

--- When the last one has gone, the run goes on as if nobody had been there.
local function leave(client)
    clients[client], client_count = nil, client_count - 1
    if client_count > 0 then
        return
    end
    leave_events()
    leave_steps()
    if stopping or stopped[1] then
        stopping = false
        release()
        event.emit("warn", { text = "nobody is attached any more: the run goes on" })
    end
end

-- ---- what may be asked ----

--- What the client looks at: a task that stands still, and a frame of it.
local function view_of(client)
    local place = client.looks_at
    if not place or place.released then
        place = stopped[1] or usage("nothing stands still", "`pause` stops the run before its next step")
        client.looks_at, client.view = place, nil
    end
    client.view = client.view or view.new({ title = "", place = { path = place.path } }, frames.of(place.threads))
    return client.view
end

local words = {}

function words.tasks()
    local lines = { prompt_tasks.listing() }
    for number, place in ipairs(stopped) do
        lines[#lines + 1] = ("stopped %d: before %s at %s"):format(number, place.path, place.at)
    end
    return table.concat(lines, "\n")
end

function words.pause()
    stopping = true
    return stopped[1] and ("stopped before %s"):format(stopped[1].path) or "it stops before its next step"
end

function words.next()
    stopping = true
    release()
    return "it stops before its next step"
end

words["continue"] = function()
    stopping = false
    release()
    return "it goes on"
end

function words.cancel()
    live.cancel "cancelled with `hostler attach`"
    return "it is cancelled, and cleans up"
end

function words.task(client, rest)
    local place = stopped[tonumber(rest:match "^%d+$") or 0]
    if not place then
        usage("there is no such task", "`tasks` lists those that are stopped, with their numbers")
    end
    client.looks_at, client.view = place, nil
    return ("task %s: before %s at %s"):format(rest, place.path, place.at)
end

--- A variable, or fields of one: nothing is called.
function words.print(client, rest)
    local shown_frames = view_of(client)
    local name, fields = rest:match "^([%a_][%w_]*)([%w_.%[%]]*)$"
    if not name then
        usage("print takes a variable, or fields of one: print host.name")
    end
    local found, value = false, nil
    for _, frame in ipairs(frames.scope(shown_frames.list, shown_frames.at)) do
        if not found then
            found, value = frames.find(frame, name)
        end
    end
    if not found then
        usage(("there is no variable '%s' here"):format(name), "`locals` lists them")
    end
    for dot, field in fields:gmatch "([.%[])([%w_]+)" do
        local key = field
        if dot == "[" then
            key = tonumber(field) or field
        end
        value = type(value) == "table" and rawget(value, key) or nil
    end
    return inspect.text(value)
end

--- Those of the debugger that only show; they speak to a session.
for _, name in ipairs { "where", "up", "down", "locals", "source", "steps" } do
    words[name] = function(client, rest)
        local said = {}
        local session = { say = function(_, text) said[#said + 1] = text end }
        view.words(view_of(client))[name].run(session, rest)
        return table.concat(said, "\n")
    end
end

local function answer(client, line)
    local ok, request = pcall(json.face.decode, line)
    if not ok or type(request) ~= "table" or type(request.ask) ~= "string" or type(request.id) ~= "number" then
        return false
    end
    local word, rest = words[request.ask], request.rest
    local did, result = xpcall(function()
        return (word or usage("there is no such word"))(client, type(rest) == "string" and rest or "")
    end, native.error.complete)
    if did then
        return send(client, { id = request.id, text = shown(result) })
    end
    return send(client, { id = request.id, error = shown(result), hint = result.hint and shown(result.hint) })
end

--- Serves one client until it leaves, sends what cannot be understood, or does not read its answers.
---@param socket userdata
---@param run table as for execution.run
function attach_session.serve(socket, run)
    local client = { socket = socket, lost = 0 }
    enter(client)
    local ok, err = pcall(function()
        send(client, { hello = "hostler", run = run.id, playbook = run.name, stopped = stopped[1] and stopped[1].path })
        while true do
            sockets.ready(socket)
            local line = sockets.receive(socket)
            if line == false or line and not answer(client, line) then
                return
            end
            task.sleep(PAUSE_SECONDS)
        end
    end)
    leave(client)
    if not ok then
        error(err, 0)
    end
end

return attach_session
