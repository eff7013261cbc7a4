-- hostler new: the beginning of a playbook, in the person's own folder.
local native, import = ...
local new = {}

local commandline, library = import "command/commandline", import "run/library"
local own, params = import "run/own_playbooks", import "run/params"
local refuse = import "base/misuse".refuse
local system = native.system

local SPECS = { params.globals.arg("name", "string", "the playbook's name: lower-case words joined by dashes") }

local BEGINNING = [=[
-- What NAME does, in a sentence: the first lines are what `hostler show NAME` prints.
--
-- Touches   what it changes, and on which hosts.
-- Refuses   when it does nothing, and why.
local sh = require "sh"
-- local ssh = require "ssh"        -- `hostler show ssh` tells what there is; so does SCRIPTING.md beside the playbooks

return playbook {
    summary = "Say in one line what NAME does",
    params = {
        -- arg and list stand on the command line by their place, opt and flag by --name. p has them by name.
        list("names", "string", "whom to greet", { "world" }),
        flag("loud", "in capitals"),
    },
    run = function(p)
        -- What only reads may stand anywhere; a resumed run reads it again.
        local machine = sh.run({ "uname", "-n" }, { read = true }).stdout:gsub("%s+$", "")

        -- `each` goes through several things side by side, and goes on when one of them fails. On hosts:
        --     each(p.hosts, function(name)
        --         local host = ssh.connect("root@" .. name)
        each(p.names, function(name)
            local words = ("hello %s, from %s"):format(name, machine)

            -- What changes something stands in a step. A step that is done is not done again when the run is resumed;
            -- `idempotent` says that doing it twice does no harm. `undo` would take it back.
            step("greet", { idempotent = true }, function()
                sh.run { "true", words } -- in place of this: host:run { ... }, host:write(...), cloud:create_...
            end)
            say(p.loud and words:upper() or words)
        end)
    end,
}
]=]

--- A name that is free everywhere: in the person's folder it would be overwritten, elsewhere it would hide another one,
--- or a part that playbooks share.
local function check_name(name)
    if not name:match "^[a-z][a-z0-9-]*$" then
        refuse(("'%s' cannot be a playbook's name"):format(name), "lower-case words joined by dashes: restart-ui")
    end
    for _, entry in ipairs(library.files()) do
        if entry.name == name then
            refuse(("there is a playbook '%s': %s"):format(name, entry.paths[1]),
                ("`hostler edit %s` changes it"):format(name))
        end
    end
end

---@param argv string[]
---@return integer exit status
function new.main(argv)
    return commandline.call("new", SPECS, argv, function(values)
        local name = values.name
        check_name(name)
        local path = own.create(name, (BEGINNING:gsub("NAME", name)))
        system.write_page(table.concat({
            path .. " is made: a playbook that greets.",
            "",
            "  next      hostler edit " .. name .. "        make it yours",
            "            hostler check " .. name .. "       look for mistakes",
            "            hostler run " .. name .. " -n      rehearse it",
            "",
        }, "\n"))
    end)
end

return new
