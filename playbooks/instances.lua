-- Lists the instances: what DigitalOcean tells of them, and what each says of itself when it is asked over SSH.
--
-- Changes   nothing.
-- State     serves, or the first thing in its way: the droplet's status when it is not active, the error code of SSH, a
--           service that is not active, what the UI answers.
-- Programs  --json gives the rows as the field `data` of an event.
local caddy = require "caddy"
local meltano = require "meltano"
local instance = require "instance"
local systemd = require "systemd"

local COLUMNS = {
    "name", "address", "region", "size",
    {
        "created_at", title = "AGE",
        as = function(_, row) return ("%d d"):format(row.age_days) end,
    },
    { "version", title = "MELTANO" }, { "tls", title = "TLS" }, "state",
}

--- What is in the way of serving, from the inside out.
local function state_of(host)
    for _, unit in ipairs { meltano.UNIT, caddy.UNIT } do
        local status = systemd.on(host):status(unit)
        if status.active ~= "active" then
            return ("%s %s"):format(unit:gsub("%.service$", ""), status.active)
        end
    end
    local answer = meltano.on(host):probe()
    return answer.serves and "serves" or answer.status and "answers " .. answer.status or "UI " .. answer.error
end

--- Fills in what only the instance knows. Each is found out on its own: one that fails leaves the others known.
local function ask(one, row)
    local host, err = try(function() return one.host end)
    if not host then
        row.state = err.code
        return
    end
    row.version = try(function() return meltano.on(host):version() end)
    row.tls = try(function() return caddy.on(host):tls_mode() end)
    row.state, err = try(state_of, host)
    row.state = row.state or err.code
end

--- Whole days since a time as DigitalOcean writes it, RFC 3339 in UTC.
local function days_since(moment)
    local began = systemd.parse_time((moment:gsub("T", " "):gsub("Z$", " UTC")))
    return math.floor((now() - began) / 86400)
end

--- What tells an instance from all others: names need not be unique.
local function key_of(one)
    return ("%s %d"):format(one.tenant, one.droplet.id)
end

return playbook {
    summary = "List the instances: address, size, age, Meltano version, TLS, state",
    handbook = "Maintaining an Existing Instance",
    effects = "read",
    params = {
        list("instances", "string", "which: names, patterns such as 'a*', or tag:NAME; all without one", { "*" }),
        opt("parallel", "int", "how many to ask at once", 20),
        flag("quick", "only what DigitalOcean knows: ask no instance"),
    },
    run = function(p)
        local found, rows = instance.matching(p.instances), {}
        for index, one in ipairs(found) do
            local droplet = one.droplet
            rows[index] = {
                name = one.tenant, address = droplet.public_address, region = droplet.region.slug,
                size = droplet.size_slug, created_at = droplet.created_at,
                age_days = days_since(droplet.created_at), tags = json.array(droplet.tags), id = droplet.id,
                state = droplet.status,
            }
            one.row = rows[index]
        end
        if not p.quick then
            each(found, { key = key_of, parallel = p.parallel, name = "ask" }, function(one)
                if one.row.state == "active" then
                    ask(one, one.row)
                end
            end)
        end
        show(rows, COLUMNS)
    end,
}
