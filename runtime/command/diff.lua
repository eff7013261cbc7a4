-- hostler diff: what a person changed in their copy of a shipped playbook; after an upgrade of hostler, also what the
-- shipped playbook changed since the copy was made.
local native, import = ...
local diff = {}

local commandline, own, params = import "command/commandline", import "run/own_playbooks", import "run/params"
local unified = import "base/unified_diff".unified
local system = native.system

local SPECS = { params.globals.arg("name", "string", "a playbook of which you have a copy") }

local function print_part(title, text)
    system.write_data(("%s\n%s\n"):format(title, text or "nothing"))
end

--- The copy, what it was made from, and what is shipped now are three texts: each side's changes by themselves.
local function print_both(found, mine, base, shipped)
    print_part(("What you changed in %s since you copied it:"):format(found.path),
        unified(base, mine, "copied", found.path))
    print_part("\nWhat hostler changed in its own since then:", unified(base, shipped, "copied", found.shipped))
    system.write_data(("\n  next      hostler edit %s            take over what you want of it\n"):format(found.name))
    system.write_data(("            hostler edit %s --merged   say that you have\n"):format(found.name))
end

local function print_diff(found)
    local mine = system.read_file(found.path) or ""
    local shipped = found.shipped and system.read_file(found.shipped)
    local base = own.base(found)
    if base and not shipped then
        system.write_data(("hostler no longer ships %s; this is what you changed:\n"):format(found.name))
    end
    if base and shipped and base ~= shipped then
        print_both(found, mine, base, shipped)
        return
    end
    local changes = unified(shipped or base, mine, found.shipped or "copied", found.path)
    system.write_data((changes or ("%s is the same as %s"):format(found.path, found.shipped or "copied")) .. "\n")
end

---@param argv string[]
---@return integer exit status
function diff.main(argv)
    return commandline.call("diff", SPECS, argv, function(values)
        local found = own.find(values.name)
        if not found.path then
            system.write_data(("%s is as hostler ships it: %s\n"):format(found.name, found.shipped))
        elseif not found.shipped and not own.base(found) then
            system.write_data(("%s is yours alone: %s\n"):format(found.name, found.path))
        else
            print_diff(found)
        end
    end)
end

return diff
