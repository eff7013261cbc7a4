-- Services of a host: what systemd says of them, and telling it to start and stop them.
--
-- Everything is asked through `systemctl show` and `journalctl --output=json`, whose output is made for programs and is
-- the same from systemd 237 (Ubuntu 18.04) on. What fails is told with the unit's own last journal lines.
local _, gate, import = ...
local systemd = {}

local exits = require "systemd_exit"
local texts, utc = import "base/text", import "base/utc"

---@class systemd.Systemd the services of a host
---@field host ssh.Host
local Systemd = {}
Systemd.__index = Systemd

local LOG_LINES = 12
local JOURNAL_FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID,_SYSTEMD_INVOCATION_ID,INVOCATION_ID"
local PROPERTIES = table.concat({
    "Id", "Description", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "FragmentPath",
    "MainPID", "ExecMainCode", "ExecMainStatus", "ExecMainStartTimestamp", "StateChangeTimestamp", "MemoryCurrent",
    "MemoryMax", "NRestarts", "NeedDaemonReload", "Job", "InvocationID", "ConditionResult",
    "ConditionTimestampMonotonic", "AssertResult", "AssertTimestampMonotonic", "Type", "User", "WorkingDirectory",
    "LoadError", "DropInPaths", "ExecStartPre", "ExecStart",
}, ",")
-- Settings that keep a service from what its user may do, and what they say where nobody has set them.
local CONFINEMENTS = {
    "ProtectSystem=no", "ProtectHome=no", "ReadOnlyPaths=", "InaccessiblePaths=", "PrivateNetwork=no",
    "RestrictAddressFamilies=", "RootDirectory=", "IPAddressDeny=", "MemoryDenyWriteExecute=no",
}
for _, setting in ipairs(CONFINEMENTS) do
    PROPERTIES = PROPERTIES .. "," .. setting:match "^%a+"
end

-- ---- reading what it prints ----

--- The blocks that `systemctl show` prints for several units: NAME=VALUE lines, a blank line between units. Of a
--- property that it prints several times, such as ExecStartPre, the values are lines of one.
---@param text string
---@return table<string, string>[]
function systemd.parse_show(text)
    local blocks, block = {}, nil
    for line in texts.lines(text) do
        local name, value = line:match "^([%w_]+)=(.*)$"
        if name then
            block = block or {}
            block[name] = block[name] and block[name] .. "\n" .. value or value
        elseif line == "" and block then
            blocks[#blocks + 1], block = block, nil
        end
    end
    blocks[#blocks + 1] = block
    return blocks
end

--- Seconds since 1970 of a time as systemd prints it under TZ=UTC: "Tue 2019-12-10 12:03:53 UTC".
---@param text? string
---@return integer? seconds nil for "n/a" and an empty text
function systemd.parse_time(text)
    return utc.seconds(text)
end

-- "[not set]", and what older versions print for it: the largest 64-bit number.
local function number_of(text)
    local number = tonumber(text)
    return number and number < 2 ^ 63 and number or nil
end

local function text_of(text)
    return text ~= "" and text or nil
end

-- ExecMainCode is waitid's si_code.
local EXIT_KINDS = { ["1"] = "exited", ["2"] = "killed", ["3"] = "dumped" }

-- The commands of a unit from "{ path=/bin/x ; argv[]=/bin/x y ; ...; code=exited ; status=1 }". What they were told is
-- left out: a secret may be among it.
local function commands_of(shown)
    local commands = {}
    for _, setting in ipairs { "ExecStartPre", "ExecStart" } do
        for line in texts.lines(shown[setting] or "") do
            local program = line:match "^{ path=(.-) ; argv%[%]="
            local kind, status = line:match " ; code=(%l+) ; status=(%d+)[^;]*}$"
            commands[#commands + 1] = program and {
                setting = setting, program = program,
                exit = kind and { kind = kind, status = tonumber(status) } or nil,
            } or nil
        end
    end
    return commands
end

local function confinements_of(shown)
    local found = {}
    for _, setting in ipairs(CONFINEMENTS) do
        local name, default = setting:match "^(%a+)=(.*)$"
        local value = shown[name]
        if value and value ~= default and value ~= "" and value ~= "~" then -- "~" forbids nothing
            found[#found + 1] = ("%s is %s"):format(name, value)
        end
    end
    return found
end

-- "no" is also what a unit says whose conditions were never looked at.
local function refused(shown, kind)
    return shown[kind .. "Result"] == "no" and (shown[kind .. "TimestampMonotonic"] or "0") ~= "0"
end

--- A unit's state from its block of `systemctl show`.
---@param shown table<string, string>
---@return systemd.Status
function systemd.status_of(shown)
    local pid = number_of(shown.MainPID)
    local exit_kind = EXIT_KINDS[shown.ExecMainCode]
    return {
        unit = shown.Id,
        description = text_of(shown.Description),
        load = shown.LoadState,
        active = shown.ActiveState,
        sub = shown.SubState,
        result = text_of(shown.Result),
        enabled = text_of(shown.UnitFileState),
        file = text_of(shown.FragmentPath),
        type = text_of(shown.Type),
        user = text_of(shown.User),
        directory = text_of((shown.WorkingDirectory or ""):gsub("^!", "")),
        pid = pid and pid > 0 and pid or nil,
        exit = exit_kind and { kind = exit_kind, status = number_of(shown.ExecMainStatus) } or nil,
        started = systemd.parse_time(shown.ExecMainStartTimestamp),
        since = systemd.parse_time(shown.StateChangeTimestamp),
        memory = number_of(shown.MemoryCurrent),
        memory_max = number_of(shown.MemoryMax),
        restarts = number_of(shown.NRestarts) or 0,
        needs_daemon_reload = shown.NeedDaemonReload == "yes",
        job = (shown.Job or "0") ~= "0" and shown.Job ~= "" or false,
        invocation = text_of(shown.InvocationID),
        condition_met = not (refused(shown, "Condition") or refused(shown, "Assert")),
        load_error = (text_of(shown.LoadError) or ""):match '"(.+)"$',
        drop_ins = texts.words(shown.DropInPaths),
        commands = commands_of(shown),
        confined = confinements_of(shown),
    }
end

---@class systemd.Status
---@field unit string
---@field description? string
---@field load string "loaded" "not-found" "masked" "bad-setting"
---@field active string "active" "activating" "deactivating" "inactive" "failed" "reloading"
---@field sub string "running" "exited" "dead" "start-pre" "auto-restart" ...
---@field result? string "success" "exit-code" "signal" "oom-kill" "timeout" "start-limit-hit" ...
---@field enabled? string "enabled" "disabled" "static" "masked"
---@field file? string the unit file
---@field type? string "simple" "notify" "oneshot" ...
---@field user? string
---@field directory? string its working directory
---@field pid? integer the main process
---@field exit? { kind: string, status: integer } how the last main process ended: "exited" with a status, "killed" or
---  "dumped" with a signal's number
---@field started? integer when the main process was started, seconds since 1970
---@field since? integer when the state changed last, seconds since 1970
---@field memory? integer bytes
---@field memory_max? integer bytes that systemd lets it have
---@field restarts integer how often systemd has restarted it by itself
---@field needs_daemon_reload boolean its unit file is newer than what systemd has read
---@field job boolean a start or stop is under way
---@field invocation? string the identity of this run of the unit
---@field condition_met boolean false when a Condition or Assert of the unit kept it from being started
---@field load_error? string why systemd does not take the unit file
---@field drop_ins string[] the files that change what the unit file says
---@field commands { setting: string, program: string, exit?: { kind: string, status: integer } }[] what a start runs:
---  "ExecStartPre" and "ExecStart"; how each ended, where it has
---@field confined string[] "ProtectSystem is strict": what keeps it from what its user may do

-- A message that is not UTF-8 or holds control characters comes as a list of bytes.
local function message_of(value)
    if type(value) == "string" then
        return value
    elseif type(value) == "table" and type(value[1]) == "number" then
        local characters = {}
        for index, byte in ipairs(value) do
            characters[index] = string.char(byte % 256)
        end
        return table.concat(characters)
    elseif type(value) == "table" and type(value[1]) == "string" then
        return table.concat(value, "\n") -- a field that was given several times
    end
    return ""
end

--- The entries of `journalctl --output=json`, one a line. A line cut short by a dying host is left out.
---@param text string
---@return systemd.Entry[]
function systemd.parse_journal(text)
    local entries = {}
    for line in text:gmatch "[^\n]+" do
        local entry = line:find "^{" and try(json.decode, line)
        if type(entry) == "table" and entry.__REALTIME_TIMESTAMP then
            entries[#entries + 1] = {
                at = tonumber(entry.__REALTIME_TIMESTAMP) / 1e6,
                message = message_of(entry.MESSAGE),
                priority = tonumber(entry.PRIORITY) or 6,
                from = type(entry.SYSLOG_IDENTIFIER) == "string" and entry.SYSLOG_IDENTIFIER or nil,
                pid = tonumber(entry._PID),
                invocation = entry.INVOCATION_ID or entry._SYSTEMD_INVOCATION_ID,
            }
        end
    end
    return entries
end

---@class systemd.Entry
---@field at number seconds since 1970
---@field message string
---@field priority integer 0 (emergency) to 7 (debug); 3 is an error
---@field from? string the program's name
---@field pid? integer
---@field invocation? string the run of the unit it belongs to

--- Journal entries as lines for a person: time (UTC), program, message.
---@param entries systemd.Entry[]
---@return string
function systemd.journal_text(entries)
    local lines = {}
    for index, entry in ipairs(entries) do
        local time = os.date("!%H:%M:%S", math.floor(entry.at))
        lines[index] = ("%s %s: %s"):format(time, entry.from or "?", entry.message)
    end
    return table.concat(lines, "\n")
end

--- How the last start or run of a unit ended badly: its main process, or a command before that.
---@param status systemd.Status
---@return { setting: string, program: string, exit: { kind: string, status: integer } }? command nil when nothing did
function systemd.failed_command(status)
    if unknown(status) then
        return status
    end
    for _, command in ipairs(status.commands or {}) do
        local ended = command.exit
        if ended and (ended.kind ~= "exited" or ended.status ~= 0) then
            return command
        end
    end
end

-- How it ended, for one line.
local function ending(status)
    local failed = systemd.failed_command(status)
    if failed and failed.setting ~= "ExecStart" then
        return failed.setting .. " " .. exits.describe(failed.exit)
    elseif status.exit and (status.exit.status ~= 0 or status.exit.kind ~= "exited") then
        return exits.describe(status.exit)
    end
end

--- One line that says how a unit is: "failed (exit-code, exit status 1)".
---@param status systemd.Status
---@return string
function systemd.describe(status)
    if unknown(status) then
        return status
    elseif status.load == "not-found" then
        return "not on this host"
    elseif status.active == "active" then
        return ("active (%s)"):format(status.sub)
    end
    local reasons = { status.load ~= "loaded" and status.load or nil }
    reasons[#reasons + 1] = status.sub ~= status.active and status.sub or nil
    if status.result and status.result ~= "success" and status.result ~= "signal" then
        reasons[#reasons + 1] = status.result
    end
    local over = status.active ~= "activating" or status.sub == "auto-restart"
    reasons[#reasons + 1] = over and ending(status) or nil
    if not status.condition_met then
        reasons[#reasons + 1] = "a condition of the unit was not met"
    end
    return #reasons > 0 and ("%s (%s)"):format(status.active, table.concat(reasons, ", ")) or status.active
end

-- ---- asking ----

local function unit_name(name)
    if type(name) ~= "string" or not name:find "^[%w:_.@\\-]+$" or name:find "^%-" then
        fail(("'%s' cannot name a unit"):format(tostring(name)), { code = "usage" })
    end
    return name:find "%.%l+$" and name or name .. ".service"
end

-- English words and UTC whatever the host is set to.
local function show(self, arguments)
    local argv = { "systemctl", "show", "--no-pager", "--property=" .. PROPERTIES }
    for _, argument in ipairs(arguments) do
        argv[#argv + 1] = argument
    end
    local result = self.host:run(argv, { read = true, env = { TZ = "UTC", LC_ALL = "C" } })
    if unknown(result) then
        return result
    end
    return systemd.parse_show(result.stdout)
end

local function statuses(self, arguments)
    local blocks = show(self, arguments)
    if unknown(blocks) then
        return blocks
    end
    local list = {}
    for _, shown in ipairs(blocks) do
        if shown.Id then
            list[#list + 1] = systemd.status_of(shown)
        end
    end
    table.sort(list, function(a, b) return a.unit < b.unit end)
    return list
end

--- The units that are loaded, by name.
---@param pattern? string a glob: "*.service" (the default), "meltano*"
---@return systemd.Status[]
function Systemd:units(pattern)
    return statuses(self, { "--", pattern or "*.service" })
end

--- The units that have failed, by name.
---@return systemd.Status[]
function Systemd:failed()
    return statuses(self, { "--state=failed", "--", "*" })
end

--- How a unit is. One that does not exist has load = "not-found".
---@param unit string ".service" may be left out
---@return systemd.Status
function Systemd:status(unit)
    local list = statuses(self, { "--", unit_name(unit) })
    return unknown(list) and list or list[1]
end

--- True when the unit is active: not while it is starting, reloading, or waiting to be restarted.
---@param unit string
---@return boolean
function Systemd:is_active(unit)
    local status = self:status(unit)
    if unknown(status) then
        return status
    end
    return status.active == "active"
end

--- The last journal entries of a unit, oldest first: its own output and what systemd says of it.
---@param unit string
---@param options? { lines?: integer, since?: number, priority?: integer|string } lines: at most this many (50); since:
---  seconds since 1970; priority: this and worse: 0..7 or "err", "warning"
---@return systemd.Entry[]
function Systemd:journal(unit, options)
    options = options or {}
    local argv = {
        "journalctl", "--no-pager", "--quiet", "--all", "--output=json", "--output-fields=" .. JOURNAL_FIELDS,
        ("--lines=%d"):format(options.lines or 50), "--unit=" .. unit_name(unit),
    }
    if options.since then
        argv[#argv + 1] = ("--since=@%d"):format(math.floor(options.since))
    end
    if options.priority then
        argv[#argv + 1] = "--priority=" .. options.priority
    end
    local result = self.host:run(argv, { read = true })
    if unknown(result) then
        return result
    end
    return systemd.parse_journal(result.stdout)
end

-- ---- telling ----

-- The entries up to the last that the unit itself has written, where it has written any: that it then failed, as
-- systemd goes on to say, its state tells. And whether systemd said that it was started too often.
local function last_words(entries)
    local words, gave_up = {}, false
    for index = #entries, 1, -1 do
        gave_up = gave_up or entries[index].message:find "Start request repeated too quickly" ~= nil
        if words[1] or entries[index].from ~= "systemd" then
            table.insert(words, 1, entries[index])
        end
    end
    return words[1] and words or entries, gave_up
end

-- Raises with the unit's state and last words. Asking for them may fail too; what is known is told anyway.
local function fail_unit(self, unit, message, cause)
    local status = try(self.status, self, unit)
    local words, gave_up = last_words(try(self.journal, self, unit, { lines = LOG_LINES }) or {})
    fail(("%s%s"):format(message, status and "; it is now " .. systemd.describe(status) or ""), {
        code = "systemd.unit",
        target = tostring(self.host.target),
        unit = unit,
        status = status,
        gave_up = gave_up or status and status.result == "start-limit-hit",
        log = words[1] and systemd.journal_text(words) or nil,
        cause = cause,
        hint = status and status.load == "not-found" and "systemctl list-unit-files shows what the host has"
            or ("on the host: systemctl status %s; journalctl -u %s"):format(unit, unit),
    })
end

-- Returns true; in a dry run what it would return is unknown.
local function tell(self, verb, unit, extra)
    unit = unit_name(unit)
    local argv = { "systemctl", verb, "--no-ask-password" }
    argv[#argv + 1] = extra
    argv[#argv + 1] = "--"
    argv[#argv + 1] = unit
    local result, err = self.host:try(argv, { summary = ("systemctl %s %s"):format(verb, unit) })
    if err and err.code == "ssh.exit" then
        fail_unit(self, unit, ("'systemctl %s %s' failed"):format(verb, unit), err)
    elseif err then
        error(err, 0)
    end
    return unknown(result) and result or true
end

--- Starts or restarts a unit. What systemd counts against it, so that a broken service does not start for ever, also
--- counts what was ordered: when that is the only reason to refuse, the count begins anew.
local function start(self, verb, unit)
    local result, err = try(tell, self, verb, unit)
    if err and err.gave_up then
        self:reset_failed(unit)
        return tell(self, verb, unit)
    elseif err then
        error(err, 0)
    end
    return result
end

--- Starts a unit; returns when systemd calls it started, which for a simple service is at once: see wait_active.
---@param unit string
---@return true
---@raise "systemd.unit" with `status`, `log` (the unit's last journal lines), and `gave_up` when systemd says that it
---  was started too often
---@effect write
function Systemd:start(unit)
    return start(self, "start", unit)
end

--- Stops a unit; returns when it has ended.
---@param unit string
---@return true
---@raise "systemd.unit"
---@effect write
function Systemd:stop(unit)
    return tell(self, "stop", unit)
end

--- Stops and starts a unit.
---@param unit string
---@return true
---@raise "systemd.unit"
---@effect write
function Systemd:restart(unit)
    return start(self, "restart", unit)
end

--- Runs the unit's ExecReload.
---@param unit string
---@return true
---@raise "systemd.unit"
---@effect write
function Systemd:reload(unit)
    return tell(self, "reload", unit)
end

--- Makes the unit start at boot.
---@param unit string
---@param options? { now?: boolean } now: start it too
---@effect write
function Systemd:enable(unit, options)
    tell(self, "enable", unit, options and options.now and "--now" or nil)
end

--- Makes the unit no longer start at boot.
---@param unit string
---@param options? { now?: boolean } now: stop it too
---@effect write
function Systemd:disable(unit, options)
    tell(self, "disable", unit, options and options.now and "--now" or nil)
end

--- Sends a signal to the unit's main process.
---@param unit string
---@param signal string "USR1"
---@return true
---@effect write
function Systemd:signal(unit, signal)
    unit = unit_name(unit)
    local result = self.host:run({ "systemctl", "kill", "--kill-who=main", "--signal=" .. signal, "--", unit }, {
        summary = ("send SIG%s to %s"):format(signal, unit),
    })
    return unknown(result) and result or true
end

--- Forgets that a unit has failed, and how often it was started.
---@param unit string
---@effect write
function Systemd:reset_failed(unit)
    tell(self, "reset-failed", unit)
end

--- Has systemd read its unit files again.
---@effect write
function Systemd:daemon_reload()
    self.host:run { "systemctl", "daemon-reload" }
end

-- What to make of a unit while waiting for it: "up", "dead", or nil while that is open.
local function progress(status)
    if status.load == "not-found" or status.load == "masked" or status.active == "failed" then
        return "dead"
    elseif status.active == "active" and status.result == "success" then
        return (status.sub == "running" or status.sub == "exited" or status.sub == "listening") and "up" or nil
    elseif status.active == "inactive" and not status.job then
        return "dead"
    end
    return nil
end

--- Waits until a unit is active and stays so: a service that starts and dies within `settle` seconds is not taken for
--- one that runs. A failed unit ends the wait at once.
---@param unit string
---@param options? { timeout?: number, settle?: number } seconds: how long to wait (90), how long it has to run (2)
---@return systemd.Status
---@raise "systemd.unit" with the unit's last journal lines, when it failed or did not get there in time
function Systemd:wait_active(unit, options)
    options = options or {}
    unit = unit_name(unit)
    if gate.mode == "dry-run" then
        return gate.unknown("state of " .. unit)
    end
    local settle, up_since, up_run = options.settle or 2, nil, nil
    local function look()
        local status = self:status(unit)
        local state = progress(status)
        if state == "dead" then
            fail_unit(self, unit, unit .. " does not run")
        end
        local run = state == "up" and ("%s %s"):format(status.invocation or "", status.pid or "") or nil
        if run ~= up_run then
            up_run, up_since = run, now()
        end
        return run and now() - up_since >= settle and status
    end
    local status, err = try(wait_until, unit .. " to run", { timeout = options.timeout or 90, interval = 0.25 }, look)
    if err and err.code == "timeout" then
        fail_unit(self, unit, unit .. " does not run yet", err)
    elseif err then
        error(err, 0)
    end
    return status
end

local function units(self)
    local names = {}
    for index, status in ipairs(self:units "*") do
        names[index] = status.unit
    end
    return names
end

-- What the prompt offers for the name of a unit.
Systemd.__completes = {
    status = units, is_active = units, journal = units, start = units, stop = units, restart = units, reload = units,
    enable = units, disable = units, signal = units, reset_failed = units, wait_active = units,
}

--- The services of a host.
---@param host ssh.Host
---@return systemd.Systemd
function systemd.on(host)
    return setmetatable({ host = host }, Systemd)
end

return systemd
