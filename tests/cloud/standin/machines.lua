-- What stands behind the imitated resources: the scripts of the local cloud, which boot real machines, make real
-- databases and publish names. Work is queued, so that a request is answered at once, as DigitalOcean does; what
-- concerns the same thing is done in order. Without machines (machines.real = false) a resource becomes ready after a
-- moment and there is nothing behind it: for tests of the API alone.
local machines = {
    --- False: nothing is started, resources only pretend.
    real = true,
    --- The folder of the local cloud's scripts.
    scripts = "tests/cloud",
    --- Where the machines' authorized_keys files are written.
    state = nil,
    --- Seconds that a database cluster takes at least to come online.
    cluster_delay = 2,
}

local sh = require "sh"

local WORKERS = 8
local LOOK_FOR_WORK = 0.05 -- seconds
local BOOT_TIMEOUT = 90

local queue, busy, done_count = {}, {}, 0

--- Adds work. Jobs with one key run one after the other, in the order in which they came.
---@param key string
---@param run fun() failing is shown, and ends only this job
---@param failed? fun() called when it has failed
local function enqueue(key, run, failed)
    queue[#queue + 1] = { key = key, run = run, failed = failed }
end

local function next_job()
    for index, job in ipairs(queue) do
        if not busy[job.key] then
            return table.remove(queue, index)
        end
    end
end

local function work()
    while true do
        local job = next_job()
        if job then
            busy[job.key] = true
            local _, err = try(job.run)
            busy[job.key] = nil
            if err then
                warn("%s: %s\n%s", job.key, tostring(err), tostring(err.stderr or ""))
                if job.failed then
                    job.failed()
                end
            end
        else
            sleep(LOOK_FOR_WORK)
        end
    end
end

--- The functions that do the queued work; each runs until it is cancelled.
---@return function[]
function machines.workers()
    local list = {}
    for index = 1, WORKERS do
        list[index] = work
    end
    return list
end

--- Runs a script in a step of its own.
local function script(argv, stdin)
    done_count = done_count + 1
    local command = { machines.scripts .. "/" .. argv[1], unpack(argv, 2) }
    step(("%d: %s"):format(done_count, table.concat(argv, " ", 1, math.min(#argv, 3))), function()
        sh.run(command, { stdin = stdin })
    end)
end

--- Appends to a file of the cloud's state.
function machines.append(path, text)
    done_count = done_count + 1
    step(("%d: append to %s"):format(done_count, path), function()
        sh.run({ "sh", "-c", "cat >>\"$1\"", "sh", path }, { stdin = text })
    end)
end

local function wait_for_sshd(id)
    wait_until(("the sshd of droplet %d"):format(id), { timeout = BOOT_TIMEOUT, interval = 0.1 }, function()
        return (sh.try({ machines.scripts .. "/droplet", "ready", tostring(id) }, { read = true }))
    end)
end

--- Boots a droplet; `ready` is called when its sshd answers.
---@param droplet { id: integer, name: string, public: string, private: string, authorized_keys: string, variant?:
---  string }
---@param ready fun()
---@param failed fun() called when it does not boot
function machines.start_droplet(droplet, ready, failed)
    enqueue("droplet " .. droplet.id, function()
        if machines.real then
            local keys = ("%s/droplet-%d.keys"):format(machines.state, droplet.id)
            machines.append(keys, droplet.authorized_keys)
            script {
                "droplet", "start", tostring(droplet.id), droplet.name, droplet.public, droplet.private, keys,
                droplet.variant,
            }
            wait_for_sshd(droplet.id)
        else
            sleep(0.1)
        end
        ready()
    end, failed)
end

--- Runs `droplet VERB ID` and, for what boots it, waits for its sshd.
---@param verb string[] the words after `droplet`, without the id: { "stop", "--now" }
---@param done fun()
---@param failed fun() called instead of `done` when it could not be done
function machines.power(id, verb, boots, done, failed)
    enqueue("droplet " .. id, function()
        if machines.real then
            script { "droplet", unpack(verb) }
            if boots then
                wait_for_sshd(id)
            end
        else
            sleep(0.1)
        end
        done()
    end, failed)
end

function machines.destroy_droplet(id)
    enqueue("droplet " .. id, function()
        if machines.real then
            script { "droplet", "destroy", tostring(id) }
        end
    end)
end

--- Makes a database and its role; `ready` is called when it can be used.
---@param cluster { database: string, role: string, password: string }
function machines.create_database(cluster, ready)
    enqueue("database " .. cluster.database, function()
        local begun = now()
        if machines.real then
            script({ "database", "create", cluster.database, cluster.role }, cluster.password .. "\n")
        end
        sleep(math.max(machines.cluster_delay - (now() - begun), 0))
        ready()
    end)
end

--- Lets only these addresses in; none: everybody.
---@param addresses string[]
---@param done fun()
function machines.trust(cluster, addresses, done)
    enqueue("database " .. cluster.database, function()
        if machines.real then
            script { "database", "trust", cluster.database, cluster.role, unpack(addresses) }
        end
        done()
    end)
end

function machines.drop_database(cluster)
    enqueue("database " .. cluster.database, function()
        if machines.real then
            script { "database", "drop", cluster.database, cluster.role }
        end
    end)
end

--- Answers this name with the address, or without one with nothing.
---@param name string
---@param address? string
function machines.publish(name, address)
    enqueue("name " .. name, function()
        if machines.real and address then
            script { "dns", "set", name, address }
        elseif machines.real then
            script { "dns", "clear", name }
        end
    end)
end

return machines
