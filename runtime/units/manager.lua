-- systemd's manager, the system's for root and else the user's: what it knows of units, and telling it what to do.
local native, import = ...
local manager = {}

local program, utc = import "units/program", import "base/utc"
local texts = import "base/text"
local system = native.system

local LINES = 8 -- of the journal

local function words(...)
    local argv = { "systemctl", system.user() ~= 0 and "--user" or "--system", "--no-pager", "--no-ask-password", ... }
    return argv
end

--- Why no manager answers, or nil.
---@return string?
function manager.problem()
    local ok, output, said = pcall(program.ask, words("show", "--property=Version"))
    if not ok and output.code ~= "sh.spawn" then
        error(output, 0)
    end
    return not ok and "systemctl is not there" or not output and said or nil
end

--- Raises where none answers.
---@raise "usage"
function manager.demand()
    local problem = manager.problem()
    if problem then
        error(native.error.new {
            code = "usage", message = "no systemd answers on this machine: " .. problem,
            hint = system.user() ~= 0 and "a user's systemd runs while the user is logged in, or always after: "
                .. "loginctl enable-linger" or "units are systemd's: install them where it runs",
        }, 0)
    end
end

--- A timer as the manager knows it.
---@param unit string
---@return { loaded: boolean, active: boolean, calendars: string[], last?: integer, next?: integer } last, next: when it
---  elapsed and will elapse, seconds since 1970
function manager.timer(unit)
    local output = program.answer(words("show", "--property=LoadState,ActiveState,TimersCalendar,LastTriggerUSec,"
        .. "NextElapseUSecRealtime", "--", unit))
    local timer = { calendars = {} }
    for line in texts.lines(output) do
        local name, value = line:match "^(%w+)=(.*)$"
        if name == "TimersCalendar" then
            timer.calendars[#timer.calendars + 1] = value:match "OnCalendar=(.-) ;"
        elseif name then
            timer[name] = value
        end
    end
    return {
        loaded = timer.LoadState == "loaded", active = timer.ActiveState == "active", calendars = timer.calendars,
        last = utc.seconds(timer.LastTriggerUSec), next = utc.seconds(timer.NextElapseUSecRealtime),
    }
end

--- How a unit stands.
---@return string state "active", "inactive", "failed" ...
function manager.state(unit)
    return (program.answer(words("show", "--property=ActiveState", "--value", "--", unit)):gsub("%s+$", ""))
end

--- The last lines that the journal has of a unit, or nil.
---@return string?
function manager.said(unit)
    local scope = system.user() ~= 0 and "--user-unit" or "--unit"
    local argv = { "journalctl", "--no-pager", "--output=cat", "--lines=" .. LINES, scope, unit }
    local ok, output = pcall(program.ask, argv)
    return ok and output and output:gsub("%s+$", "") or nil
end

--- Has it read the files anew.
function manager.reload()
    program.tell(words "daemon-reload")
end

local function tell(verb, list, ...)
    if #list > 0 then
        local argv = words(verb, ...)
        argv[#argv + 1] = "--"
        for _, unit in ipairs(list) do
            argv[#argv + 1] = unit
        end
        program.tell(argv)
    end
end

--- Has units start with each boot.
---@param units string[]
function manager.enable(units)
    tell("enable", units)
end

--- Starts units, those that are at work anew, and waits until they have started.
---@param units string[]
---@raise "systemd" when one does not
function manager.restart(units)
    tell("restart", units)
end

--- Ends units, and waits for that.
---@param units string[]
function manager.stop(units)
    tell("stop", units)
end

--- Ends units, and has them start no more.
---@param units string[]
function manager.disable(units)
    tell("disable", units, "--now")
end

--- Starts a service, and does not wait for it. One that is at work stays so.
function manager.start(unit)
    program.tell(words("start", "--no-block", "--", unit))
end

--- Ends the services that match patterns, and forgets that some have failed.
function manager.forget(patterns)
    tell("stop", { patterns[1] })
    tell("reset-failed", patterns)
end

--- Whether the user's manager ends when the user logs out, and the timers with it.
---@return boolean
function manager.ends_with_session()
    local id, user = system.user()
    local ok, output = pcall(program.ask, { "loginctl", "show-user", "--property=Linger", "--value", "--", user })
    return id ~= 0 and ok and not (output or ""):find "^yes"
end

return manager
