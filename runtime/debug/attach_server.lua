-- The door of a live run: a socket in the state directory, for `hostler attach`. While nobody knocks it is a descriptor
-- that the loop watches, and nothing more.
local native, import = ...
local attach_server = {}

local address, crews = import "debug/attach_address", import "task/crew"
local session = import.later "debug/attach_session"
local sockets, task = native.local_socket, native.task

local FOR_EVER = 1e8 -- seconds
local MOST_CLIENTS = 8

--- Lets in who knocks, until it is cancelled.
local function attend(door, run)
    local crew = crews.new()
    local count, present = 0, 0
    local function serve(client)
        present = present + 1
        pcall(session.serve, client, run)
        sockets.close(client)
        present = present - 1
    end
    local ok, err = pcall(function()
        while true do
            sockets.ready(door)
            local client = sockets.accept(door)
            count = count + 1
            if client and present < MOST_CLIENTS then
                crew:start(count, "attach", serve, client)
            elseif client then
                sockets.send(client, ('{"refused":"%d others have joined this run already"}'):format(MOST_CLIENTS))
                sockets.close(client)
            end
        end
    end)
    crew:close "the run has ended"
    if not ok then
        error(err, 0)
    end
end

--- Calls fn while the run can be joined. A run that cannot be is no worse for it.
---@param run table as for execution.run
---@param fn fun(run: table)
function attach_server.around(run, fn)
    if not run.id then
        return fn(run)
    end
    address.sweep()
    local directory, name = address.directory(), address.own(run.id)
    local door = sockets.listen(directory, name)
    if not door then
        return fn(run)
    end
    -- It is there while a cancelled run cleans up.
    local attendant = task.spawn_shielded(FOR_EVER, attend, door, run)
    local ok, err = pcall(fn, run)
    sockets.remove(directory, name)
    task.cancel(attendant, "the run has ended")
    pcall(task.join_shielded, attendant)
    sockets.close(door)
    if not ok then
        error(err, 0)
    end
end

return attach_server
