-- hostler attach: joins a run that goes on in another process of this machine. What happens there is shown above the
-- line being typed; the words of the prompt are asked of the run. To leave changes nothing: what stood still goes on.
local native, import = ...
local attach = {}

local recorded = import "journal/recorded"
local address, commandline = import "debug/attach_address", import "command/commandline"
local store = import "journal/store"
local prompt = import "prompt/prompt"
local event, json, sockets = native.event, native.json.face, native.local_socket
local system, task = native.system, native.task

local function refuse(message, hint)
    error(native.error.new { code = "attach", message = message, hint = hint }, 0)
end

---@class attach.Link
---@field socket userdata
---@field asked integer how many questions were asked
---@field answers table<integer, table>
---@field stopped string? the step that the run stands still before
---@field ended boolean
---@field heard userdata the bell that rings with all that comes
---@field greeted boolean? whether the run has let this one in
---@field refused string? why nobody is let in any more
local Link = {}
Link.__index = Link

-- ---- what comes ----

local function show_event(message)
    local text = message.text
    if message.event == "say" and message.path then
        text = ("%s: %s"):format(message.path, text)
    end
    event.show(message.event, {
        name = message.path, status = message.status, seconds = message.seconds, count = message.count, text = text,
    })
end

function Link:take(line)
    local ok, message = pcall(json.decode, line)
    if not ok or type(message) ~= "table" then
        return
    elseif message.id then
        self.answers[message.id] = message
        return
    elseif message.hello then
        self.greeted = true
    elseif message.refused then
        self.refused = message.refused
    elseif message.lost then
        event.show("warn", { text = ("%d events were left out"):format(message.lost) })
    end
    if message.event then
        show_event(message)
    elseif message.stopped then
        self.stopped = message.stopped
        if message.place then
            event.show("say", { text = ("stopped before %s at %s"):format(message.stopped, message.place) })
        end
    end
end

--- Takes what comes until the run has ended.
function Link:listen()
    while not self.ended do
        sockets.ready(self.socket)
        local line = sockets.receive(self.socket)
        if line then
            self:take(line)
        end
        self.ended = line == false
        task.ring(self.heard)
    end
end

-- ---- what is asked ----

local function wait_for(link, condition)
    while not condition() do
        if link.ended then
            refuse "the run has ended"
        end
        task.listen(link.heard)
    end
end

--- The answer to a question, in words.
function Link:ask(word, rest)
    self.asked = self.asked + 1
    local id = self.asked
    if not sockets.send(self.socket, json.encode { ask = word, rest = rest, id = id }) then
        refuse "the run takes no more questions"
    end
    wait_for(self, function() return self.answers[id] end)
    local answer = self.answers[id]
    self.answers[id] = nil
    if answer.error then
        error(native.error.new { code = "attach", message = answer.error, hint = answer.hint }, 0)
    end
    return answer.text
end

local WORDS = {
    tasks = { help = "what runs there, and what it waits for" },
    where = { help = "the frames that led to the step it stands before" },
    up = { usage = "[N]", help = "look at the frame that called this one" },
    down = { usage = "[N]", help = "look at the frame that this one called" },
    locals = { help = "the variables of this frame" },
    print = { usage = "NAME", help = "a variable, or a field of one: print host.name" },
    source = { usage = "[N]", help = "the source around this line" },
    steps = { help = "the steps of the run and what they returned" },
    task = { usage = "N", help = "look at another one of those that are stopped" },
    cancel = { help = "cancel the run" },
    ["continue"] = { help = "let it go on" },
}

local function words_of(link)
    local words = {}
    for name, word in pairs(WORDS) do
        words[name] = {
            help = word.help, usage = word.usage, plain = true,
            run = function(session, rest) session:say(link:ask(name, rest)) end,
        }
    end
    --- Asks the run to stop, and waits until it does.
    local function stop(word)
        return function(session)
            if word == "next" or not link.stopped then
                link.stopped = nil
                session:say(link:ask(word, ""))
                wait_for(link, function() return link.stopped end)
            end
            session:say(link:ask("source", "1"))
        end
    end
    words.pause = { help = "let it stop before its next step", plain = true, run = stop "pause" }
    words.next = { help = "let it go on to its next step", plain = true, run = stop "next" }
    words.leave = { help = "leave; the run goes on", plain = true, run = function() return true end }
    return words
end

local function no_code(_, name)
    refuse(("'%s' is not known here"):format(tostring(name)),
        "`print NAME` shows a variable of the run; :help lists the words")
end

-- ---- the command ----

--- Why the run cannot be joined.
local function refuse_run(row)
    local status = recorded.status(row)
    if status ~= "running" then
        refuse(("run %s is %s: there is nothing to join"):format(row.id, status),
            ("hostler %s %s shows what it did"):format(status == "failed" and "debug" or "log", row.id))
    end
    refuse(("run %s goes on, but not in a process of this machine and this state directory"):format(row.id),
        ("hostler log %s -f follows it"):format(row.id))
end

local function connect(row)
    for _, socket in ipairs(address.list()) do
        if socket.run == row.id and socket.alive then
            local connection, reason = sockets.connect(address.directory(), socket.name)
            return connection or refuse(("run %s cannot be joined: %s"):format(row.id, reason))
        end
    end
    refuse_run(row)
end

local function converse(link, row)
    native.report("plain", 0)
    local name = system.visible(row.playbook)
    system.write(("run %s (%s); pause, next, continue, cancel, leave; :help\n"):format(row.id, name))
    local options = {
        label = function() return ("%s%s> "):format(row.id, link.stopped and " stopped" or "") end,
        environment = setmetatable({}, { __index = no_code, __newindex = no_code }), words = words_of(link),
    }
    -- Whoever is not let in learns that instead of a greeting, and is asked nothing.
    local talk = task.spawn(nil, function()
        while not (link.greeted or link.refused or link.ended) do
            task.listen(link.heard)
        end
        return link.greeted and prompt.run(options)
    end)
    local listener = task.spawn(nil, function()
        link:listen()
        task.cancel(talk, "the run has ended")
    end)
    local ok, err = pcall(task.join, talk)
    task.cancel(listener, "left")
    pcall(task.join_shielded, listener)
    native.report "none"
    if link.refused then
        refuse(("run %s cannot be joined: %s"):format(row.id, link.refused),
            ("hostler log %s -f follows it"):format(row.id))
    elseif link.ended then
        system.write(("run %s has ended: %s\n"):format(row.id, recorded.status(recorded.find(row.id))))
    elseif not ok then
        error(err, 0)
    end
end

---@param argv string[]
---@return integer exit status
function attach.main(argv)
    return commandline.call("attach", { commandline.run_argument }, argv, function(values)
        store.open()
        local row = recorded.find(values.run)
        local link = setmetatable({
            socket = connect(row), asked = 0, answers = {}, ended = false, heard = task.bell(),
        }, Link)
        local ok, err = pcall(converse, link, row)
        sockets.close(link.socket)
        if not ok then
            error(err, 0)
        end
    end)
end

return attach
