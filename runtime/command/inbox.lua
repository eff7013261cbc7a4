-- hostler inbox: what came by webhooks, newest first, and what became of it; one delivery with all that was sent; and a
-- run of it again.
local native, import = ...
local inbox = {}

local commandline, params = import "command/commandline", import "run/params"
local decision, deliveries = import "inbox/decision", import "inbox/deliveries"
local deliver, errand, hooks = import "inbox/deliver", import "inbox/errand", import "inbox/hooks"
local keys = import "base/keys"
local selection, refuse = import "command/selection", import "base/misuse".refuse
local tables, text = import "report/rows", import "base/text"
local system = native.system

local PAGE = 200

local declare = params.globals
local LIST = {
    declare.opt("status", { "new", "running", "waiting", "done", "refused", "failed" }, "only these"),
    declare.opt("webhook", "string", "only what came by this one"),
    declare.opt("since", "duration", "only what came within this time, such as 12h or 7d"),
    declare.opt("limit", "int", "how many", 50),
    declare.flag("turned-away", "how many requests were turned away or ignored, of which nothing else is kept"),
    declare.flag("json", "print a JSON array"),
    declare.opt("prune", "duration", "forget what came longer ago than this, such as 90d, unless its run goes on"),
}
local SHOW = {
    declare.arg("id", "string", "the delivery: its id, the beginning of it, or `last`"),
    declare.flag("json", "print it as JSON"),
}
-- For the help: the words of the playbook, its options among them, are read by what it takes.
local RUN = {
    declare.arg("id", "string", "the delivery"),
    declare.opt("playbook", "string", "the playbook that the arguments are for, before them"),
    declare.list("arguments", "text", "instead of those that the webhook gives", {}),
}
local FORMS = { { name = "inbox show", specs = SHOW }, { name = "inbox run", specs = RUN } }

-- ---- the list ----

local function select_rows(values)
    local function page(after)
        return deliveries.page(values, after, PAGE)
    end
    return selection.choose(page, PAGE, deliveries.status, values)
end

local function as_data(row)
    return {
        id = row.id, webhook = row.webhook, key = row.key, status = row.stands, playbook = row.playbook, run = row.run,
        remote = row.remote, received = os.date("!%Y-%m-%dT%H:%M:%SZ", row.received), reason = deliveries.reason(row),
    }
end

local function print_json(list)
    system.write(json.encode(json.array(list), true) .. "\n")
end

local function print_rows(cells, nothing)
    for _, line in ipairs(tables.align(cells)) do
        system.write_page(line .. "\n")
    end
    if #cells == 0 then
        system.write(nothing .. "\n")
    end
end

local function print_list(rows)
    local cells = {}
    for index, row in ipairs(rows) do
        cells[index] = { row.id, row.stands, os.date("%Y-%m-%d %H:%M", row.received), row.webhook, row.run or "-",
            (system.visible(deliveries.reason(row) or row.playbook or "")) }
    end
    print_rows(cells, "no deliveries")
end

-- Why a request was turned away, in words.
local TURNED_AWAY = {
    proof = "did not prove where it came from", body = "its body could not be read", size = "its body was too large",
    method = "was no POST", ignored = "was nothing for the webhook: its key was nil",
}

local function print_turned_away(values)
    local rows = deliveries.turned_away(values.webhook)
    if values.json then
        return print_json(rows)
    end
    local cells = {}
    for index, row in ipairs(rows) do
        cells[index] = { row.day, row.webhook, ("%d"):format(row.count), TURNED_AWAY[row.reason] or row.reason }
    end
    print_rows(cells, "nothing was turned away")
end

local function list(values)
    if values.prune then
        local count = deliveries.prune(values.prune)
        system.write(("%d deliver%s forgotten\n"):format(count, count == 1 and "y" or "ies"))
        return
    elseif values.turned_away then
        return print_turned_away(values)
    end
    local rows = select_rows(values)
    if not values.json then
        return print_list(rows)
    end
    for index, row in ipairs(rows) do
        rows[index] = as_data(row)
    end
    print_json(rows)
end

-- ---- one of them ----

local function next_lines(row)
    if row.stands == "refused" then
        return { ("hostler inbox run %s               once what hindered it is mended"):format(row.id),
            ("hostler inbox run %s ARGUMENTS     with other arguments"):format(row.id) }
    elseif row.stands == "failed" then
        return { ("hostler resume %s                  go on where its run stopped"):format(row.run),
            ("hostler log %s                     what it did"):format(row.run) }
    end
    return { ("hostler log %s -f                  what its run does"):format(row.run) }
end

local function print_delivery(row, delivery)
    local lines = {}
    local function add(label, value)
        if value then
            lines[#lines + 1] = ("%-9s  %s"):format(label, (system.visible(tostring(value))))
        end
    end
    add("delivery", row.id)
    add("status", row.stands)
    add("webhook", row.webhook)
    add("key", row.key)
    add("received", os.date("%Y-%m-%d %H:%M:%S", row.received) .. (row.remote and " from " .. row.remote or ""))
    add("playbook", row.playbook)
    add("run", row.run)
    add("reason", deliveries.reason(row))
    for index, line in ipairs(next_lines(row)) do
        lines[#lines + 1] = ("%-9s  %s"):format(index == 1 and "next" or "", line)
    end
    lines[#lines + 1] = ""
    add(delivery.method, delivery.path)
    for _, name in ipairs(keys.sorted(delivery.headers)) do
        lines[#lines + 1] = (system.visible(("%s: %s"):format(name, tostring(delivery.headers[name]))))
    end
    lines[#lines + 1] = ""
    for line in text.lines(delivery.body) do
        lines[#lines + 1] = (system.visible(line))
    end
    system.write_page(table.concat(lines, "\n") .. "\n")
end

local function show(values)
    local row = deliveries.find(values.id)
    row.stands = deliveries.status(row)
    local delivery = deliveries.open(row)
    if not values.json then
        return print_delivery(row, delivery)
    end
    local data = as_data(row)
    data.headers = delivery.headers
    data.body = system.is_utf8(delivery.body) and not delivery.body:find "%z" and delivery.body or nil
    system.write(json.encode(data, true) .. "\n")
end

-- ---- again ----

--- The key of a delivery that had none when it came, because the webhook could not tell it.
local function key_of(row, webhook, delivery)
    local key, reason = decision.key(webhook, delivery)
    local other = key and not reason and key ~= row.key and deliveries.find_key(webhook.group or row.webhook, key)
    if other and other.id ~= row.id then
        refuse(("delivery %s has come with its key, '%s'"):format(other.id, key),
            ("hostler inbox show %s; if it is to run all the same: hostler inbox run %s ARGUMENTS"):format(other.id,
                row.id))
    end
    return key
end

--- What the webhook makes of the delivery today, and its key.
local function of_delivery(row)
    local webhook = hooks.load(hooks.find(row.webhook)).value
    local kept = deliveries.open(row)
    local delivery, reason = deliver.delivery(webhook, kept)
    local ready
    if delivery then
        ready, reason = decision.errand(webhook, delivery)
    end
    if not ready then
        refuse(reason, ("give the arguments yourself: hostler inbox run %s ARGUMENTS"):format(row.id))
    end
    return ready, key_of(row, webhook, delivery)
end

--- The playbook that arguments given by hand are for: the one named, that of the delivery, or the one that deliveries
--- to its webhook lead to.
local function playbook_of(row, named)
    return named or row.playbook or deliveries.usual_playbook(row.webhook)
        or refuse(("which playbook? delivery %s never came to name one"):format(row.id),
            ("hostler inbox run %s --playbook NAME ARGUMENTS"):format(row.id))
end

local UNDER_WAY = { new = "is in the queue", running = "goes on", waiting = "waits for an answer" }

local function run_again(argv)
    local id, named, first = argv[2], nil, 3
    if argv[3] == "--playbook" then
        named, first = argv[4], 5
    end
    local row = deliveries.find(id or refuse("which delivery?", "hostler inbox run ID [--playbook NAME] [ARGUMENTS]"))
    local stands = deliveries.status(row)
    if UNDER_WAY[stands] then
        refuse(("run %s of it %s"):format(row.run, UNDER_WAY[stands]), "hostler log " .. row.run .. " -f follows it")
    end
    local words = { unpack(argv, first) }
    local ready, key
    if named or #words > 0 then
        ready = errand.of_words(playbook_of(row, named), words)
    else
        ready, key = of_delivery(row)
    end
    local run = deliveries.run_again(row, ready, key)
    system.write(("run %s is queued\n"):format(run))
end

---@param argv string[]
---@return integer exit status
function inbox.main(argv)
    if argv[1] == "run" then
        return commandline.guard(run_again, argv)
    elseif argv[1] == "show" then
        return commandline.call("inbox show", SHOW, { unpack(argv, 2) }, show)
    end
    return commandline.call("inbox", LIST, argv, list, FORMS)
end

return inbox
