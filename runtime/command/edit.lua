-- hostler edit: opens a playbook in the person's editor, a shipped one as a copy in their own folder, and checks it
-- afterwards.
local native, import = ...
local edit = {}

local commandline, editor = import "command/commandline", import "command/editor"
local own, params = import "run/own_playbooks", import "run/params"
local lua_source, misuse = import "base/lua_source", import "base/misuse"
local checks = import.later "check/check"
local system = native.system

local SPECS = {
    params.globals.arg("name", "string", "a playbook, or a module beside them"),
    params.globals.flag("merged", "do not edit: yours has what the shipped playbook changed since it was copied"),
}

local function say(format, ...)
    system.write(format:format(...) .. "\n")
end

--- Makes a copy of the shipped playbook, and notes what it was made from.
local function copy(found)
    local text = system.read_file(found.shipped)
    local path = own.create(found.name, text)
    own.keep_base(path, text)
    say("%s is a copy of %s.", path, found.shipped)
    return path, text
end

---@return "webhook"|"playbook"|"module"
local function kind_of(path)
    local text = system.read_file(path) or ""
    return lua_source.seems_webhook(text) and "webhook" or lua_source.seems_playbook(text) and "playbook" or "module"
end

--- What the copy means for runs by name.
local function say_what_runs(found, path)
    local now = own.find(found.name)
    if system.real_path(now.winner) ~= system.real_path(path) then
        say("note: from this folder a run by name takes %s; yours is run with `hostler run %s`.", now.winner, path)
    elseif kind_of(path) == "module" then
        say("note: a module is used by the playbooks that stand beside it; shipped ones go on with the shipped one.")
    end
end

--- Checks the file, prints what was found, and what to do next.
local function check(found, path)
    local list = checks.files { path }
    checks.print(list, 1)
    if #list > 0 then
        say("\n  next      hostler edit %s      mend it", found.name)
        return 1
    end
    say(kind_of(found.winner) == "webhook" and "\n  next      hostler webhook test %s --file BODY   try it"
        or "\n  next      hostler run %s -n ...   rehearse it", found.name)
    if found.shipped then
        say("            hostler diff %s         what is changed against the shipped one", found.name)
    end
    if own.is_outdated(own.find(found.name)) then
        say("            the shipped one has changed since it was copied: the diff shows that too")
    end
    return 0
end

--- Notes that the copy is up to date with the shipped playbook.
local function note_merged(found)
    if not (found.path and found.shipped) then
        misuse.refuse(("'%s' is no copy of a shipped playbook"):format(found.name))
    end
    own.keep_base(found.path, system.read_file(found.shipped))
    say("%s is taken to have what %s has.", found.path, found.shipped)
    return 0
end

---@param argv string[]
---@return integer exit status: 1 when the editor failed, or the check found something
function edit.main(argv)
    return commandline.call("edit", SPECS, argv, function(values)
        local found = own.find(values.name)
        if values.merged then
            return note_merged(found)
        end
        local path, copied = found.path, nil
        if not path then
            path, copied = copy(found)
        end
        local status = editor.open(path)
        if copied and system.read_file(path) == copied then
            own.forget(path)
            say("Nothing was changed: the copy is taken away again.")
            return status == 0 and 0 or 1
        elseif status ~= 0 then
            say("The editor ended with status %d; what it wrote stands in %s.", status, path)
            return 1
        end
        say_what_runs(found, path)
        return check(found, path)
    end)
end

return edit
