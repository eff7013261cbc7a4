-- hostler new: the beginning of a playbook or of a webhook, in the person's own folder.
local native, import = ...
local new = {}

local commandline, library = import "command/commandline", import "run/library"
local own, params = import "run/own_playbooks", import "run/params"
local refuse, tables = import "base/misuse".refuse, import "report/rows"
local system = native.system

local SPECS = {
    params.globals.arg("name", "string", "its name: lower-case words joined by dashes"),
    params.globals.flag("webhook", "a webhook, in place of a playbook"),
}

local PLAYBOOK = [=[
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

local WEBHOOK = [=[
-- What comes by NAME, in a sentence: the first lines are what `hostler show NAME` prints.
--
-- Comes     from whom, and how it is signed.
-- Runs      which playbook, with what of it.
-- Again     what makes two deliveries the same.
return webhook {
    summary = "Say in one line what comes by NAME",
    path = "NAME", -- POST /hooks/NAME

    -- How a request proves where it comes from: also webhook.standard, typeform, bearer, basic, header. hostler serve
    -- finds the secret in its environment, or among systemd's credentials.
    from = webhook.hmac(secret "SECRET", { header = "X-Signature", prefix = "sha256=" }),

    -- What makes two deliveries the same: the second makes no second run. With nil a delivery is nothing for us.
    key = function(delivery) return delivery.json.id end,

    -- The playbook, and its arguments: a list, with options by name. What cannot be used is kept, for `hostler inbox`.
    run = function(delivery)
        return "PLAYBOOK", { delivery.json.name }
    end,
}
]=]

--- A name that is free everywhere: in the person's folder it would be overwritten, elsewhere it would hide another one,
--- or a part that playbooks share.
local function check_name(name)
    if not name:match "^[a-z][a-z0-9-]*$" then
        refuse(("'%s' cannot be such a name"):format(name), "lower-case words joined by dashes: restart-ui")
    end
    for _, entry in ipairs(library.files()) do
        if entry.name == name then
            refuse(("there is a playbook '%s': %s"):format(name, entry.paths[1]),
                ("`hostler edit %s` changes it"):format(name))
        end
    end
end

--- What is made, and what to do next with it.
local function made(name, is_webhook)
    local try = is_webhook and ("hostler webhook test %s --file BODY"):format(name)
        or ("hostler run %s -n"):format(name)
    local text = is_webhook and WEBHOOK:gsub("SECRET", (name:upper():gsub("-", "_")) .. "_SECRET") or PLAYBOOK
    return text:gsub("NAME", name), {
        { "hostler edit " .. name, "make it yours" .. (is_webhook and ": the secret, the key, the playbook" or "") },
        { "hostler check " .. name, "look for mistakes" },
        { try, is_webhook and "say what would come of a body" or "rehearse it" },
    }
end

---@param argv string[]
---@return integer exit status
function new.main(argv)
    return commandline.call("new", SPECS, argv, function(values)
        local name = values.name
        check_name(name)
        local text, next_words = made(name, values.webhook)
        local path = own.create(name, text)
        system.write_page(("%s is made: a %s.\n\n"):format(path,
            values.webhook and "webhook that has to be told what it is for" or "playbook that greets"))
        for index, cells in ipairs(next_words) do
            next_words[index] = { index == 1 and "  next    " or "          ", unpack(cells) }
        end
        for _, line in ipairs(tables.align(next_words)) do
            system.write_page(line .. "\n")
        end
    end)
end

return new
