-- Makes room on an instance whose disk is full: shows what takes it, and with your consent removes what nobody misses.
--
-- Removes   the beginning of Meltano's logs (the last MB of each stays), the journal before its last 100 MB, packages
--           that apt has downloaded. Nothing else: of other large files in /var it only says where they are.
-- Then      waits until Meltano serves, having restarted it where it does not run.
local instance = require "instance"
local machine = require "machine"
local meltano = require "meltano"
local triage_verdict = require "triage_verdict"

local LOG_BYTES, JOURNAL, SHOWN = 1024 * 1024, "100M", 8
local megabytes = triage_verdict.megabytes

local function show_disk(computer)
    local disk = computer:disks({ meltano.PROJECT })[1]
    say("%s: %.0f%% used, %s of %s free", disk.place, disk.used * 100, megabytes(disk.free), megabytes(disk.size))
    return disk
end

--- Meltano's logs that are longer than what is kept of them.
local function long_logs(files)
    local logs = {}
    for _, file in ipairs(files) do
        if file.path:sub(1, #meltano.LOGS + 1) == meltano.LOGS .. "/" and file.path:find "%.log$"
            and file.size > LOG_BYTES then
            logs[#logs + 1] = file.path
        end
    end
    return logs
end

return playbook {
    summary = "Make room on an instance whose disk is full",
    handbook = "500 error when accessing instance on browser",
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        local host = instance.of(p.tenant).host
        local computer, app = machine.on(host), meltano.on(host)
        show_disk(computer)
        for _, file in ipairs(computer:largest("/var", SHOWN)) do
            say("  %8s  %s", megabytes(file.size), file.path)
        end
        confirm "Shorten Meltano's logs and the journal, and remove packages that apt keeps?"

        step("shorten Meltano's logs", { idempotent = true }, function()
            for _, path in ipairs(long_logs(computer:largest(meltano.LOGS, 100))) do
                computer:shorten(path, LOG_BYTES)
            end
        end)
        step("shorten the journal", { idempotent = true }, function()
            host:run { "journalctl", "--quiet", "--vacuum-size=" .. JOURNAL }
        end)
        step("remove downloaded packages", { idempotent = true }, function() host:run { "apt-get", "clean" } end)

        local after = show_disk(computer)
        if after.used >= 0.9 then
            warn("%s is still %.0f%% full: remove some of the files above by hand, or resize the droplet.", after.place,
                after.used * 100)
        end
        if not app.systemd:is_active(meltano.UNIT) then
            step("restart Meltano", { idempotent = true }, function() app:restart() end)
        end
        app:wait_until_it_serves()
    end,
}
