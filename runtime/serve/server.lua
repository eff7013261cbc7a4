-- One place where hostler serves: takes its requests, a task for each, and sends what is answered. A client that leaves
-- does not stop what it asked for: it will ask again, and is to find it done.
local native, import = ...
local server = {}
server.__index = server

local crew = import "task/crew"
local task, web = native.task, native.web

-- Requests that are looked into at once. The others wait, and the kernel's queue behind them.
local MOST_AT_ONCE = 64
-- Typeform and Zapier wait 30 seconds for an answer.
local ANSWER_SECONDS = 25
local SILENCE_SECONDS, REQUEST_SECONDS = 20, 30
local MOST_CONNECTIONS, MOST_OF_ADDRESS = 4096, 256

--- What touches the outside does it within an effect.
local function in_effect(fn, ...)
    task.effect_begin()
    local ok, first, second = pcall(fn, ...)
    task.effect_end()
    if not ok then
        error(first, 0)
    end
    return first, second
end

--- Begins to listen.
---@param place serve.Place
---@param most_bytes integer of a request's body
---@return table self
---@raise "http.listen"
function server.open(place, most_bytes)
    local options = {
        limit = most_bytes, large = true, timeout = SILENCE_SECONDS, deadline = REQUEST_SECONDS,
        connections = MOST_CONNECTIONS, per_address = MOST_OF_ADDRESS,
    }
    for name, value in pairs(place.options) do
        options[name] = value
    end
    local handle, port = in_effect(web.serve, options)
    local self = { handle = handle, url = place.url:gsub(":0$", ":" .. port), under_way = 0, free = task.bell() }
    return setmetatable(self, server)
end

local function header_list(headers)
    local list = {}
    for name, value in pairs(headers) do
        list[#list + 1] = { name, value }
    end
    return list
end

local function handle(self, request, respond)
    local answering = task.spawn_shielded(ANSWER_SECONDS, respond, request)
    local ok, answer = pcall(task.join_shielded, answering)
    if not ok then
        answer = { status = 503, headers = { ["Retry-After"] = "60" }, body = "" }
    end
    pcall(in_effect, web.answer, self.handle, request.id,
        { status = answer.status, headers = header_list(answer.headers), body = answer.body })
    web.drop(self.handle, request.id)
    self.under_way = self.under_way - 1
    task.ring(self.free)
end

--- Takes requests until the server is drained, and returns when the last one is answered.
---@param respond fun(request: table): { status: integer, headers: table<string, string>, body: string }
function server:work(respond)
    local handlers = crew.new()
    while true do
        while self.under_way >= MOST_AT_ONCE do
            task.listen(self.free)
        end
        local request = web.next(self.handle)
        if not request then
            break
        elseif type(request) == "table" then
            self.under_way = self.under_way + 1
            handlers:start(request.id, "request-" .. request.id, handle, self, request, respond)
        end
    end
    while self.under_way > 0 do
        task.listen(self.free)
    end
    web.stop(self.handle)
end

--- Listens no more; what has come is answered.
function server:drain()
    web.drain(self.handle)
end

--- Ends all connections.
function server:stop()
    web.stop(self.handle)
end

return server
