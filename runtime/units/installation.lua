-- Units as systemd has them: written and taken away. What was edited by hand is neither overwritten nor removed unless
-- that is asked for.
local native, import = ...
local installation = {}

local files, manager = import "units/files", import "units/manager"
local keys = import "base/keys"

local function refuse_edited(edited, verb)
    local paths = {}
    for index, file in ipairs(edited) do
        paths[index] = files.folder() .. "/" .. file
    end
    error(native.error.new {
        code = "edited", message = ("edited by hand since it was written, and so not %s: %s"):format(verb,
            table.concat(paths, ", ")),
        hint = "what was changed there goes into a drop-in, which is left alone: systemctl edit UNIT; "
            .. "or --force gives it up",
    }, 0)
end

--- The files that differ from those that are wanted, and those that are no longer.
---@param wanted table<string, string> texts by the files' names
---@param present table<string, string>
---@return string[] changed, string[] gone
function installation.compare(wanted, present)
    local changed = keys.sorted(wanted, function(file) return wanted[file] ~= present[file] end)
    local gone = keys.sorted(present, function(file) return not wanted[file] end)
    return changed, gone
end

--- Those of a set that a list names.
---@param list string[]
---@param set table<string, string>
---@return table<string, string>
function installation.only(list, set)
    local found = {}
    for _, file in ipairs(list) do
        found[file] = set[file]
    end
    return found
end

--- Makes systemd's files what is wanted.
---@param wanted table<string, string>
---@param present table<string, string> as from files.present
---@param how { verb: string, force?: boolean, retire: fun(gone: string[], changed: string[]) } verb: what would be
---  done to files that were edited by hand; force: it is done; retire: ends units before their files go or change
---@return { changed: string[], gone: string[] } files
---@raise "edited", "file", "systemd"
function installation.apply(wanted, present, how)
    local changed, gone = installation.compare(wanted, present)
    local touched = installation.only(changed, present)
    for file, text in pairs(installation.only(gone, present)) do
        touched[file] = text
    end
    local edited = files.not_ours(touched)
    if #edited > 0 and not how.force then
        refuse_edited(edited, how.verb)
    end
    how.retire(gone, changed)
    for _, file in ipairs(gone) do
        files.remove(file)
    end
    for _, file in ipairs(changed) do
        files.write(file, wanted[file])
    end
    if #changed + #gone > 0 then
        manager.reload()
    end
    return { changed = changed, gone = gone }
end

return installation
