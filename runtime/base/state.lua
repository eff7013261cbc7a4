-- Where hostler keeps what must outlive it: the journal and the key that seals the secrets in it.
local native = ...
local state = {}

local system = native.system

--- $XDG_STATE_HOME/hostler; without that variable /var/lib/hostler for root, ~/.local/state/hostler for others.
---@return string
function state.directory()
    local base = system.env "XDG_STATE_HOME"
    if base and base:match "^/" then
        return base .. "/hostler"
    elseif system.user() == 0 then
        return "/var/lib/hostler"
    end
    local home = system.env "HOME"
    if not home or home == "" then
        error(native.error.new {
            code = "journal", message = "there is no place for the journal: neither HOME nor XDG_STATE_HOME is set",
            hint = "set XDG_STATE_HOME to a directory of your own",
        }, 0)
    end
    return home .. "/.local/state/hostler"
end

return state
