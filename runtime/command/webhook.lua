-- hostler webhook test: what would come of a delivery, without a server. Nothing is recorded, and nothing runs.
local native, import = ...
local command = {}

local commandline, params = import "command/commandline", import "run/params"
local body, decision, deliver = import "inbox/body", import "inbox/decision", import "inbox/deliver"
local deliveries, hooks = import "inbox/deliveries", import "inbox/hooks"
local refuse, text = import "base/misuse".refuse, import "base/text"
local system = native.system

local declare = params.globals
local SPECS = {
    declare.arg("what", { "test" }, "say what would come of a delivery"),
    declare.arg("name", "string", "the webhook"),
    declare.opt("file", "path", "the body, as it would be sent; - is standard input"),
    declare.opt("header", "string", "a header that it comes with, 'NAME: VALUE'; once for each"),
    declare.flag("json", "print it as JSON"),
}

--- Takes every --header out of the words.
---@return string[] rest, table<string, string> headers
local function take_headers(argv)
    local rest, headers, index = {}, {}, 1
    while argv[index] do
        local line = argv[index]:match "^%-%-header=(.*)$"
        if argv[index] == "--header" then
            index = index + 1
            line = argv[index] or ""
        end
        if line then
            local name, value = line:match "^([^:%s]+):%s*(.-)%s*$"
            if not name then
                refuse(("'%s' is no header"):format(line), "--header 'Content-Type: application/json'")
            end
            headers[name:lower()] = value
        else
            rest[#rest + 1] = argv[index]
        end
        index = index + 1
    end
    return rest, headers
end

local function read_body(path)
    local content, reason = native.task.read_stream(path == "-" and "/dev/stdin" or path, deliver.MOST_BYTES)
    return content or refuse(("cannot read %s: %s"):format(path, reason))
end

--- The proof, in words, and why it does not hold; a body alone is looked into as if it were genuine.
---@return string, string? reason, boolean goes_on
local function proof_of(webhook, request)
    if webhook.from.lacks[1] then
        return "not checked", ("the secret %s is not set"):format(webhook.from.lacks[1]), true
    end
    local holds, reason, kind = webhook.from:holds(request)
    return holds and "holds" or kind, not holds and reason or nil, holds or kind == "missing"
end

--- Whether it is on record already. Where there is no journal to ask, nothing is.
local function find(scope, key)
    local ok, row = pcall(deliveries.find_key, scope, key)
    return ok and row or nil
end

--- What would come of a request.
local function examine(name, webhook, request)
    local found = { webhook = name, path = "/hooks/" .. webhook.path }
    local goes_on
    found.proof, found.proof_reason, goes_on = proof_of(webhook, request)
    local delivery, reason, status = nil, found.proof_reason, 403
    if goes_on then
        delivery, reason, status = deliver.delivery(webhook, request)
    end
    if not delivery then
        found.outcome, found.reason, found.status = "turned away", reason, status
        return found
    end
    found.key, reason = decision.key(webhook, delivery)
    if not found.key then
        found.outcome, found.reason, found.status = "ignored", deliver.IGNORED, 200
        return found
    end
    local ready
    if not reason then
        ready, reason, found.playbook = decision.errand(webhook, delivery)
    end
    found.outcome, found.status = ready and "accepted" or "refused", ready and 202 or 200
    found.arguments, found.reason = ready and json.array(ready.arguments), reason
    local row = find(webhook.group or name, found.key)
    if row then
        found.delivery, found.run, found.status = row.id, row.run, row.outcome == "accepted" and 202 or 200
    end
    return found
end

-- What is said behind a proof that is not there.
local BEHIND_PROOF = {
    missing = "missing: %s; what follows is as if it were there",
    wrong = "wrong: %s",
    ["not checked"] = "not checked: %s, and until it is senders are asked to come again (503)",
}

local function print_found(found)
    local lines = {}
    local function add(label, format, ...)
        lines[#lines + 1] = ("%-9s  %s"):format(label, (system.visible(format:format(...))))
    end
    add("webhook", "%s, POST %s", found.webhook, found.path)
    add("proof", BEHIND_PROOF[found.proof] or found.proof, found.proof_reason)
    if found.guessed and found.guessed ~= "application/json" and found.proof ~= "wrong" then
        add("body", "read as %s; --header 'Content-Type: ...' says otherwise", found.guessed)
    end
    if found.key then
        add("key", "%s%s", found.key, found.delivery and (": the same as delivery " .. found.delivery) or "")
    end
    if found.arguments then
        local words = {}
        for index, word in ipairs(found.arguments) do
            words[index] = text.shell_word(word)
        end
        add("run", "hostler run %s %s", found.playbook, table.concat(words, " "))
    end
    add("outcome", "%s, answered %d", found.delivery and "nothing new" or found.outcome, found.status)
    if found.reason and found.reason ~= found.proof_reason then
        add("reason", "%s", found.reason)
    end
    system.write_page(table.concat(lines, "\n") .. "\n")
end

--- Whether a delivery like this would do something.
local function test(values, headers)
    local path = hooks.find(values.name)
    local webhook = hooks.load(path).value
    local content = read_body(values.file or refuse("which body?", "--file BODY; - is standard input"))
    local guessed = not headers["content-type"] and body.guess(content) or nil
    headers["content-type"] = headers["content-type"] or guessed
    local found = examine(path:match "([^/]+)%.lua$", webhook, {
        method = "POST", path = "/hooks/" .. webhook.path, headers = headers, body = content,
    })
    found.guessed = guessed
    if values.json then
        system.write(json.encode(found, true) .. "\n")
    else
        print_found(found)
    end
    return found.outcome == "accepted" and 0 or 1
end

--- `test` is all that there is.
local function check_word(word)
    if word and word ~= "test" and not word:find "^%-" then
        refuse(("there is no `hostler webhook %s`"):format(word),
            "hostler webhook test NAME --file BODY; `hostler list` names the webhooks")
    end
end

---@param argv string[]
---@return integer exit status: 1 when nothing would come of it
function command.main(argv)
    local rest, headers
    local status = commandline.guard(function()
        check_word(argv[1])
        rest, headers = take_headers(argv)
    end)
    if status ~= 0 then
        return status
    end
    return commandline.call("webhook", SPECS, rest, function(values) return test(values, headers) end)
end

return command
