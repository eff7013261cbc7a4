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
local unstarted = systemd.status_of(systemd.parse_show([[
Id=x.service
LoadState=loaded
LoadError=org.freedesktop.systemd1.BadUnitSetting "Unit x.service has a bad unit file setting."
ActiveState=failed
SubState=failed
Result=exit-code
ExecMainCode=0
ExecMainStatus=0
DropInPaths=/etc/systemd/system/x.service.d/a.conf /run/systemd/system/x.service.d/b.conf
ExecStartPre={ path=/bin/a ; argv[]=/bin/a --password=x ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=7 ; code=exited ; status=0 }
ExecStartPre={ path=/bin/b ; argv[]=/bin/b ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=8 ; code=exited ; status=200 }
ExecStart={ path=/bin/c ; argv[]=/bin/c ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
ProtectSystem=strict
PrivateNetwork=no
RestrictAddressFamilies=~
]])[1])
tap.is(systemd.describe(unstarted), "failed (exit-code, ExecStartPre exit status 200/CHDIR)", "systemd's own exit status")
tap.is(systemd.failed_command(unstarted).program, "/bin/b", "which command it was of several")
tap.is(#unstarted.commands, 3, "all that a start runs")
tap.is(unstarted.commands[3].exit, nil, "what was not run has not ended")
tap.is(unstarted.load_error, "Unit x.service has a bad unit file setting.", "why its file is not taken")
tap.is(#unstarted.drop_ins, 2, "what changes its file")
tap.is(unstarted.confined, { "ProtectSystem is strict" }, "what confines it")
local exits = require "systemd_exit"
tap.is(exits.of(203).name, "EXEC", "a status of systemd's")
tap.is(exits.of(1), nil, "one of the program's")
tap.is(exits.describe { kind = "killed", status = 9 }, "killed by signal 9", "a signal")
tap.is(exits.signal(11), "SIGSEGV", "by name")
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
