-- breakpoint(): a prompt in the middle of a playbook, where there is somebody to look.
local native, import = ...
local breakpoint = {}

local debugging, debugger = import "run/debugging", import.later "debug/debugger"
local gate, recording, current = import "gate/gate", import "gate/recording", import "journal/current"
local place = import "base/place"
local event, system, task = native.event, native.system, native.task

--- Why nobody is asked, or nil.
local function reason_not_to()
    if debugging.wants_breakpoints() then
        return nil
    elseif gate.mode == "dry-run" then
        return "this is a dry run"
    elseif recording.mode == "replay" then
        return "this is a replay"
    elseif not (system.isatty(0) and system.isatty(1)) then
        return "nobody is at a terminal"
    end
end

--- Opens a prompt here, with the variables of this place; `continue` goes on. In a dry run, in a replay and where
--- nobody is at a terminal the playbook goes on with a warning, unless --debug was given.
local function stop_here()
    if current.collecting then
        return
    end
    local reason = reason_not_to()
    if reason then
        event.emit("warn", {
            parent = task.context().scope,
            text = ("breakpoint at %s passed: %s"):format(place.innermost() or "?", reason),
        })
        return
    end
    debugger.at_breakpoint()
end

breakpoint.globals = { breakpoint = stop_here }
return breakpoint
