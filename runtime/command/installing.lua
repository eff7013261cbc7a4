-- What `--install` and `--remove` of commands tell the person.
local native, import = ...
local installing = {}

local files, manager, surroundings = import "units/files", import "units/manager", import "units/surroundings"
local system = native.system

local function tell_files(verb, list)
    for _, file in ipairs(list) do
        system.write(("%s %s/%s\n"):format(verb, files.folder(), file))
    end
end

local function tell_missing(missing)
    if #missing > 0 then
        system.write_page(("set here, but not for the units, which everybody may read: %s\n"
            .. "put each into a file of its name in %s/credentials (mode 0600), and install again\n"):format(
            table.concat(missing, ", "), surroundings.folder()), true)
    end
end

--- Tells what was done to the units' files.
---@param result { changed: string[], gone: string[] }
---@param else_ string what is said where nothing was
function installing.tell(result, else_)
    tell_files("removed", result.gone)
    tell_files("wrote", result.changed)
    if #result.changed + #result.gone == 0 then
        system.write(else_ .. "\n")
    end
end

--- Tells what a person has still to do for units that are installed.
---@param missing string[] secrets, as from surroundings.look
---@param what string what the units do, as it ends with a session
function installing.tell_next(missing, what)
    tell_missing(missing)
    if manager.ends_with_session() then
        system.write_error(("hostler: your systemd, and %s with it, ends when you log out: "
            .. "loginctl enable-linger keeps it\n"):format(what))
    end
end

return installing
