-- Connections that stay open between effects: who uses them, and when they go.
--
-- Who uses one is an item (of an `each`, or a request to a server), with all that it starts, or the run itself. A
-- connection that can be opened anew is given back when the last item that used it has ended; one that the run used
-- outside of items stays.
local native = ...
local connections = {}

local task = native.task

-- What has been told of each: { name, is_open }.
local known = setmetatable({}, { __mode = "k" })

-- Those that can be given back, by name: { object, give_back, users = { [user] = true } }.
local returnable = {}

-- A user is a set of names. This one never ends.
local the_run = {}

--- Tells that the running task uses a connection, which stays open between effects. Telling it again is cheap.
---@param object userdata|table
---@param name string equal for handles of one connection
---@param is_open fun(object): boolean
---@param give_back? fun(object) closes one that nobody uses any more; who still has a handle can open it again. Without
---  it the connection belongs to whoever has the handle
function connections.hold(object, name, is_open, give_back)
    known[object] = known[object] or { name = name, is_open = is_open }
    if not give_back then
        return
    end
    local user = task.context().item or the_run
    local connection = returnable[name]
    if not connection then
        connection = { give_back = give_back, users = {} }
        returnable[name] = connection
    end
    connection.object = object
    connection.users[user], user[name] = true, true
end

--- How many connections are open.
---@return integer
function connections.count()
    local count, seen = 0, {}
    for object, connection in pairs(known) do
        if not seen[connection.name] and connection.is_open(object) then
            seen[connection.name], count = true, count + 1
        end
    end
    return count
end

--- Begins an item in the running task: what it and the tasks it starts use is its own until `leave`.
function connections.enter()
    task.context().item = {}
end

--- Ends the running task's item: what nobody else uses is given back.
function connections.leave()
    local context = task.context()
    local item = context.item
    for name in pairs(item) do
        local connection = returnable[name]
        connection.users[item] = nil
        if not next(connection.users) then
            returnable[name] = nil
            connection.give_back(connection.object)
        end
    end
    context.item = nil
end

return connections
