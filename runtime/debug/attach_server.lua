-- The socket in the state directory by which `hostler attach` joins a live run. While nobody connects, it costs the run
-- one descriptor that the event loop watches.
local native, import = ...
local attach_server = {}

local address, crews = import "debug/attach_address", import "task/crew"
local session = import.later "debug/attach_session"
local sockets, task = native.local_socket, native.task

local FOR_EVER = 1e8 -- seconds
local MOST_CLIENTS = 8

--- Serves those who connect, until it is cancelled.
local function attend(listener, run)
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
            sockets.ready(listener)
            local client = sockets.accept(listener)
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

--- Calls fn while the run can be joined. Where the socket cannot be made, the run goes on without one.
---@param run table as for execution.run
---@param fn fun(run: table)
function attach_server.around(run, fn)
    if not run.id then
        return fn(run)
    end
    address.sweep()
    local directory, name = address.directory(), address.own(run.id)
    local listener = sockets.listen(directory, name)
    if not listener then
        return fn(run)
    end
    -- Shielded, so that a run can still be looked at while it is cancelled and cleans up.
    local attendant = task.spawn_shielded(FOR_EVER, attend, listener, run)
    local ok, err = pcall(fn, run)
    sockets.remove(directory, name)
    task.cancel(attendant, "the run has ended")
    pcall(task.join_shielded, attendant)
    sockets.close(listener)
    if not ok then
        error(err, 0)
    end
end

return attach_server
