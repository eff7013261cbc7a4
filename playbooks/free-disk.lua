-- Makes room on an instance whose disk is full: shows what takes it, and with your consent removes what nobody misses.
--
-- Removes   the beginning of Meltano's logs (the last MB of each stays), the journal before its last 100 MB, packages
--           that apt has downloaded. Nothing else: of other large files in /var it only says where they are.
-- Then      waits until Meltano serves, having restarted it where it does not run.
-- Again     where there is none of these, nothing is asked and nothing changes.
local instance = require "instance"
local machine = require "machine"
local meltano = require "meltano"
local triage_verdict = require "triage_verdict"

local MB = 1024 * 1024
local LOG_BYTES, JOURNAL_BYTES, SHOWN, FULL = 1 * MB, 100 * MB, 8, 0.9
local megabytes = triage_verdict.megabytes

local function show_disk(computer)
    local disk = computer:disks({ meltano.PROJECT })[1]
    say("%s: %.0f%% used, %s of %s free", disk.place, disk.used * 100, megabytes(disk.free), megabytes(disk.size))
    return disk
end

--- What nobody misses: the logs that are too long, and what old journals and downloaded packages take.
---@return { logs: string[], journal: integer, packages: integer } bytes
local function find_junk(computer)
    local logs = json.array {}
    for _, file in ipairs(computer:largest(meltano.LOGS, 100)) do
        if file.path:find "%.log$" and file.size > LOG_BYTES then
            logs[#logs + 1] = file.path
        end
    end
    return {
        logs = logs,
        journal = computer:space_of("/var/log/journal", "*@*.journal"), -- the one in use stays
        packages = computer:space_of("/var/cache/apt/archives", "*.deb"),
    }
end

--- Removes it, step by step.
local function remove(junk, computer, host)
    if #junk.logs > 0 then
        step("shorten Meltano's logs", { idempotent = true }, function()
            for _, path in ipairs(junk.logs) do
                computer:shorten(path, LOG_BYTES)
            end
        end)
    end
    if junk.journal > JOURNAL_BYTES then
        step("shorten the journal", { idempotent = true }, function()
            host:run { "journalctl", "--quiet", ("--vacuum-size=%dM"):format(JOURNAL_BYTES / MB) }
        end)
    end
    if junk.packages > 0 then
        step("remove downloaded packages", { idempotent = true }, function() host:run { "apt-get", "clean" } end)
    end
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
        if #junk.logs == 0 and junk.journal <= JOURNAL_BYTES and junk.packages == 0 then
            say("There is nothing that can go without being missed.")
        else
            confirm(("Remove the beginning of %d logs, %s of the journal, and %s of downloaded packages?"):format(
                #junk.logs, megabytes(math.max(junk.journal - JOURNAL_BYTES, 0)), megabytes(junk.packages)))
            remove(junk, computer, host)
        end

        if not app.systemd:is_active(meltano.UNIT) then
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
        end
        if not unknown(app:wait_until_it_serves()) then
            local after = show_disk(computer)
            if after.used >= FULL then
                warn("%s is still %.0f%% full: remove some of the files above by hand, or resize the droplet.",
                    after.place, after.used * 100)
            end
        end
    end,
}
