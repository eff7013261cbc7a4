#!build/lua-test
-- What systemctl and journalctl print, captured from real hosts.
local tap = require "tap"
local systemd = require "systemd"

local SHOWN = [[
Type=simple
Result=exit-code
ExecMainStartTimestamp=Sun 2026-11-22 01:01:09 UTC
ExecMainCode=1
ExecMainStatus=1
MainPID=0
MemoryCurrent=[not set]
Id=caddy.service
Description=Caddy HTTP/2 web server
LoadState=loaded
ActiveState=failed
SubState=failed
FragmentPath=/etc/systemd/system/caddy.service
UnitFileState=enabled
StateChangeTimestamp=Sun 2026-11-22 01:01:10 UTC
NRestarts=0
NeedDaemonReload=no
Job=
InvocationID=5ed8c78c35b548b3be481f5bfdc3c18e
ConditionResult=yes
AssertResult=yes
WorkingDirectory=
User=www-data

MainPID=37
MemoryCurrent=18446744073709551615
Id=meltano.service
Description=Meltano UI = the UI
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainCode=0
ExecMainStatus=0
WorkingDirectory=!/var/meltano/project
Job=71
]]

local blocks = systemd.parse_show(SHOWN)
tap.is(#blocks, 2, "a blank line ends a unit")
tap.is(blocks[2].Description, "Meltano UI = the UI", "a value may hold =")

local failed, running = systemd.status_of(blocks[1]), systemd.status_of(blocks[2])
tap.is(failed.exit, { kind = "exited", status = 1 }, "how the main process ended")
tap.is(failed.pid, nil, "no main process")
tap.is(failed.memory, nil, "memory that is not measured")
tap.is(failed.since, 1795309270, "the time of the last change")
tap.is(failed.job, false, "no job")
tap.is(systemd.describe(failed), "failed (exit-code, exit status 1)", "a failed unit in one line")
tap.is(running.pid, 37, "the main process")
tap.is(running.memory, nil, "the largest number means not measured")
tap.is(running.directory, "/var/meltano/project", "a working directory that may be missing")
tap.is(running.job, true, "a job is under way")
tap.is(running.exit, nil, "a process that runs has not ended")
tap.is(systemd.describe(running), "active (running)", "an active unit in one line")
tap.is(systemd.describe(systemd.status_of { Id = "x.service", LoadState = "not-found", ActiveState = "inactive" }),
    "not on this host", "a unit that does not exist")
tap.is(systemd.describe(systemd.status_of {
    Id = "x.service", LoadState = "loaded", ActiveState = "inactive", SubState = "dead", Result = "success",
    AssertResult = "no", AssertTimestampMonotonic = "2496328617",
}), "inactive (dead, a condition of the unit was not met)", "an assertion that failed")
tap.is(systemd.describe(systemd.status_of {
    Id = "x.service", LoadState = "loaded", ActiveState = "inactive", SubState = "dead", Result = "success",
    ConditionResult = "no", ConditionTimestampMonotonic = "0",
}), "inactive (dead)", "a unit that was never started has no unmet condition")
tap.is(systemd.describe(systemd.status_of {
    Id = "x.service", LoadState = "loaded", ActiveState = "failed", SubState = "failed", Result = "oom-kill",
    ExecMainCode = "2", ExecMainStatus = "9",
}), "failed (oom-kill, killed by signal 9)", "killed for its memory")
tap.is(#systemd.parse_show "", 0, "nothing failed, nothing printed")

tap.is(systemd.parse_time "Thu 1970-01-01 00:00:00 UTC", 0, "the epoch")
tap.is(systemd.parse_time "Thu 2024-02-29 23:59:59 UTC", 1709251199, "a leap day")
tap.is(systemd.parse_time "Mon 2024-03-01 00:00:00 UTC", 1709251200, "the day after it")
tap.is(systemd.parse_time "n/a", nil, "never")
tap.is(systemd.parse_time "", nil, "empty")

local JOURNAL = [[
{"MESSAGE":"plain","__REALTIME_TIMESTAMP":"1795309121781353","PRIORITY":"3","_PID":"37","SYSLOG_IDENTIFIER":"caddy"}
{"MESSAGE":[240,159,145,139,27],"__REALTIME_TIMESTAMP":"1795309121781456","PRIORITY":"6"}
{"MESSAGE":null,"__REALTIME_TIMESTAMP":"1795309121781457"}
-- No entries --
{"MESSAGE":"cut sho]]

local entries = systemd.parse_journal(JOURNAL)
tap.is(#entries, 3, "lines that are no entries are left out")
tap.is({ entries[1].message, entries[1].priority, entries[1].pid, entries[1].from }, { "plain", 3, 37, "caddy" },
    "an entry")
tap.ok(math.abs(entries[1].at - 1795309121.781353) < 1e-4, "its time in seconds")
tap.is(entries[2].message, "\240\159\145\139\27", "a message that came as bytes")
tap.is(entries[3].message, "", "a message without text")
tap.is(systemd.journal_text { entries[1] }, "00:58:41 caddy: plain", "as a line for a person")
tap.done()
