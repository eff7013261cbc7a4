-- Makes room on an instance whose disk is full: shows what takes it, and with your consent removes what nobody misses.
--
-- Removes   the beginning of Meltano's long logs (the last MB of each stays), the journal before its last 100 MB,
--           packages that apt has downloaded. Nothing else: of other large files in /var it only says where they are.
-- Then      waits until Meltano serves, having restarted it where it does not run. Where the disk is still full, it
--           says so and stops.
-- Again     where there is none of these, nothing is asked and nothing changes.
local instance = require "instance"
local machine = require "machine"
local meltano = require "meltano"

local MB = 1024 * 1024
local LONG_LOG, KEPT_OF_LOG, KEPT_OF_JOURNAL, SHOWN, FULL = 2 * MB, 1 * MB, 100 * MB, 8, 0.9
local megabytes = machine.megabytes

local function show_disk(computer)
    local disk = computer:disks({ meltano.PROJECT })[1]
    say("%s: %.0f%% used, %s of %s free", disk.place, disk.used * 100, megabytes(disk.free), megabytes(disk.size))
    return disk
end

--- Meltano would not start, or not for long, on a disk that is still full.
local function check_room(computer)
    local disk = show_disk(computer)
    if disk.used >= FULL then
        fail(("%s is still %.0f%% full"):format(disk.place, disk.used * 100), {
            code = "disk.full", hint = "remove some of the files above by hand, or resize the droplet",
        })
    end
end

--- What nobody misses: the logs that are too long, and what old journals and downloaded packages take.
---@return { logs: string[], journal: integer, packages: integer } journal: bytes beyond what is kept; packages: bytes
local function find_junk(computer)
    local logs = json.array {}
    for _, file in ipairs(computer:largest(meltano.LOGS, 100)) do
        if file.path:find "%.log$" and file.size > LONG_LOG then
            logs[#logs + 1] = file.path
        end
    end
    local journal = computer:space_of("/var/log/journal", "*@*.journal") -- the one in use stays
    return {
        logs = logs, journal = math.max(journal - KEPT_OF_JOURNAL, 0),
        packages = computer:space_of("/var/cache/apt/archives", "*.deb"),
    }
end

--- What would go, in words; nil when there is nothing.
local function describe(junk)
    local words = {}
    for _, path in ipairs(junk.logs) do
        words[#words + 1] = ("all but the last MB of %s"):format(path:match "[^/]*$")
    end
    words[#words + 1] = junk.journal > 0 and megabytes(junk.journal) .. " of the journal" or nil
    words[#words + 1] = junk.packages > 0 and megabytes(junk.packages) .. " of downloaded packages" or nil
    return words[1] and table.concat(words, ", ")
end

--- Removes it; what it returns is unknown in a dry run.
local function remove(junk, computer, host)
    local done
    if #junk.logs > 0 then
        done = step("shorten Meltano's logs", { idempotent = true }, function()
            local shortened
            for _, path in ipairs(junk.logs) do
                shortened = computer:shorten(path, KEPT_OF_LOG)
            end
            return shortened
        end)
    end
    if junk.journal > 0 then
        done = step("shorten the journal", { idempotent = true }, function()
            return host:run({ "journalctl", "--quiet", ("--vacuum-size=%dM"):format(KEPT_OF_JOURNAL / MB) }).status
        end)
    end
    if junk.packages > 0 then
        done = step("remove downloaded packages", { idempotent = true }, function()
            return host:run({ "apt-get", "clean" }).status
        end)
    end
    return done
end

return playbook {
    summary = "Make room on an instance whose disk is full",
    handbook = "500 error when accessing instance on browser",
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        lock("instance:" .. p.tenant)
        local host = instance.of(p.tenant).host
        local computer, app = machine.on(host), meltano.on(host)
        show_disk(computer)
        for _, file in ipairs(computer:largest("/var", SHOWN)) do
            say("  %8s  %s", megabytes(file.size), file.path)
        end

        -- A step, although it only reads: a resumed run would find less, and ask about that anew.
        local junk = step("look for what nobody misses", function() return find_junk(computer) end)
        local removed
        if describe(junk) then
            confirm(("Remove %s?"):format(describe(junk)))
            removed = remove(junk, computer, host)
        else
            say("There is nothing that can go without being missed.")
        end
        if not unknown(removed) then
            check_room(computer)
        end

        if not app.systemd:is_active(meltano.UNIT) then
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
        end
        app:wait_until_it_serves()
    end,
}
