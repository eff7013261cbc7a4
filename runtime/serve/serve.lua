-- The service: webhooks are answered, and the runs that come of them gone through by workers of its own. It ends when
-- it is told to: what was asked is answered, what runs goes back to the queue.
local native, import = ...
local serve = {}

local answers, listening = import "serve/answers", import "serve/listening"
local server, tidings = import "serve/server", import "serve/tidings"
local deliver, hooks = import "inbox/deliver", import "inbox/hooks"
local pool, sealing = import "queue/pool", import "journal/sealing"
local system, systemd, task = native.system, native.serve, native.task

local LOOK_SECONDS = 1 -- between looks for webhooks that were edited
local CERTIFICATE_SECONDS = 10
local DRAIN_SECONDS = 40 -- a request may take 30 to come, and 25 to be answered; a rude client is not waited for
local FOR_EVER = 1e8

-- ---- webhooks ----

local function tell_of_hook(hook, what)
    if what == "loaded" then
        tidings.say(("webhook %s: POST /hooks/%s"):format(hook.name, hook.path))
        local lacks = hook.webhook.from.lacks[1]
        if lacks then
            tidings.warn(("webhook %s: the secret %s is not set; senders are asked to come again until it is, and "
                .. "hostler serve is begun anew"):format(hook.name, lacks))
        end
    elseif what == "away" then
        tidings.warn(("webhook %s: its file is gone; for %d minutes senders are asked to come again"):format(hook.name,
            hooks.GONE_SECONDS / 60))
    elseif what == "gone" then
        tidings.warn(("webhook %s is gone: its path is answered with 404 from now on"):format(hook.name))
    else
        tidings.warn(("webhook %s is broken: %s; %s"):format(hook.name, hook.problem, hook.webhook
            and "what it was before stays in force" or "senders are asked to come again"))
    end
end

-- Webhooks that are not heard, by name: what was told of them.
local unheard = {}

--- Tells which webhooks are not heard because of another one's path, and which are so again.
local function tell_of_rivals()
    local now = {}
    for _, hook in ipairs(hooks.all()) do
        local rival = hooks.rival(hook)
        if rival then
            now[hook.name] = ("webhook %s is not heard: %s answers to /hooks/%s %s"):format(hook.name, rival.file,
                hook.path, rival.rank == hook.rank and "too, and senders are asked to come again" or "before it")
        elseif unheard[hook.name] and hook.path and not hook.gone_since then
            tidings.say(("webhook %s is heard again: POST /hooks/%s"):format(hook.name, hook.path))
        end
        if now[hook.name] and now[hook.name] ~= unheard[hook.name] then
            tidings.warn(now[hook.name])
        end
    end
    unheard = now
end

local function tell_of_delivery(row)
    tidings.say(row.outcome == "accepted"
        and ("delivery %s to %s: run %s (%s) is queued"):format(row.id, row.webhook, row.run, row.playbook)
        or ("delivery %s to %s is refused: %s"):format(row.id, row.webhook, row.reason))
end

--- Takes up webhooks that were edited, and writes what was only counted.
local function look_after_hooks()
    while true do
        task.sleep(LOOK_SECONDS)
        local ok, problem = pcall(hooks.refresh, true)
        if not ok and native.error.complete(problem).code ~= "cancelled" then -- those that are in force stay so
            tidings.trouble("webhooks cannot be looked at: " .. tostring(problem))
        end
        tell_of_rivals()
        deliver.flush()
    end
end

-- ---- certificates ----

local function look_after_certificates(servers)
    while true do
        task.sleep(CERTIFICATE_SECONDS)
        for _, one in ipairs(servers) do
            local ok, result = pcall(one.renew, one)
            if not ok then
                tidings.warn(("the certificate before stays in force: %s"):format(tostring(result)))
            elseif result then
                tidings.say("a new certificate for " .. one.url)
            end
        end
    end
end

-- ---- the parts ----

--- Tells systemd that the loop turns, to the end: requests under way are still answered then. It is to hear that twice
--- in its time.
---@return table? task
local function keep_watchdog()
    local seconds = systemd.watchdog()
    return seconds and task.spawn_shielded(FOR_EVER, function()
        while true do
            systemd.notify "WATCHDOG=1"
            task.sleep(seconds / 2)
        end
    end)
end

--- Starts a part of the service. The first that ends with an error ends all.
local function start(self, fn, ...)
    table.insert(self.parts, task.spawn(nil, function(...)
        local ok, problem = pcall(fn, ...)
        if not ok then
            self.problem = self.problem or problem
            task.ring(self.ended)
        end
    end, ...))
end

local function stop_parts(self)
    for _, part in ipairs(self.parts) do
        task.cancel(part, "the service ends")
    end
end

--- A key that is not the journal's is told before anything listens; a store that is away is waited for.
local function prepare_key()
    local ok, problem = pcall(sealing.prepare)
    if not ok and native.error.complete(problem).code ~= "journal.away" then
        error(problem, 0)
    elseif not ok then
        tidings.trouble(tostring(problem))
    end
end

local function open_all(places)
    local servers = {}
    for index, place in ipairs(places) do
        servers[index] = server.open(place, deliver.MOST_BYTES)
    end
    return servers
end

--- Has the servers work in tasks that outlive the order to end.
local function take_requests(self)
    for index, one in ipairs(self.servers) do
        self.working[index] = task.spawn_shielded(FOR_EVER, function() one:work(answers.to) end)
        tidings.say("serving on " .. one.url)
    end
end

local function start_parts(self, jobs)
    start(self, look_after_hooks)
    if self.servers[1].options.certificate then
        start(self, look_after_certificates, self.servers)
    end
    if jobs > 0 then
        start(self, pool.work, { jobs = jobs, say = tidings.say })
    end
end

local function join_all(tasks)
    for _, one in ipairs(tasks) do
        pcall(task.join_shielded, one)
    end
end

local function end_tasks(tasks)
    for _, one in ipairs(tasks) do
        task.cancel(one)
    end
    join_all(tasks)
end

local function stop_late(self)
    task.sleep(DRAIN_SECONDS)
    for _, one in ipairs(self.servers) do
        one:stop()
    end
end

--- Answers what has come, and lets go of the sockets.
local function drain(self)
    systemd.notify "STOPPING=1"
    for _, one in ipairs(self.servers) do
        one:drain()
    end
    local stopper = task.spawn_shielded(FOR_EVER, stop_late, self)
    join_all(self.working)
    end_tasks { stopper }
    deliver.flush()
end

--- Serves until this process is told to end.
---@param options { socket?: string, group?: string, listen?: string, certificate?: string, key?: string,
---  jobs: integer } jobs: runs at once, 0 leaves them to others
---@raise "usage", "http.listen", "key", "journal"
function serve.run(options)
    local places = listening.places(options, systemd.inherited())
    local self = { servers = {}, working = {}, parts = {}, ended = task.bell() }
    prepare_key()
    hooks.when_changed(tell_of_hook)
    deliver.when_troubled(tidings.trouble)
    deliver.when_recorded(tell_of_delivery)
    deliver.when_turned_away(function(kind, message) tidings.trouble(message, kind) end)
    hooks.refresh(true)
    tell_of_rivals()
    listening.make_folders(places)
    self.servers = open_all(places)
    take_requests(self)
    start_parts(self, options.jobs)
    local watchdog = keep_watchdog()
    systemd.notify "READY=1"
    local told = pcall(task.listen, self.ended) -- raises when this is told to end
    stop_parts(self)
    drain(self)
    join_all(self.parts)
    end_tasks { watchdog }
    if told then
        error(self.problem, 0)
    end
    system.write "ended\n"
end

return serve
