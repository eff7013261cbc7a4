-- What has to be in DigitalOcean before an instance can be made, besides tokens and room: a key that lets the operator
-- in, the domain, the project. Where one is missing, the error says what to do.
local known_hosts_file = require "known_hosts_file"
local site = require "site"
local ssh = require "ssh"

local prerequisites = {}

--- Keys as a person knows them: "ED25519 ada@laptop, RSA ada@home".
---@param keys table[] see ssh.agent_keys
---@return string
function prerequisites.named(keys)
    local words = {}
    for index, key in ipairs(keys) do
        words[index] = ("%s %s"):format(key.type, key.comment)
    end
    return table.concat(words, ", ")
end

--- The names that keys have in the account, by their fingerprints.
local function names_by_fingerprint(cloud)
    local names = {}
    for _, key in ipairs(cloud:keys()) do
        local body = key.public_key:match "^%s*%S+%s+(%S+)"
        local print = body and try(known_hosts_file.fingerprint, body)
        if print then
            names[print] = key.name
        end
    end
    return names
end

--- The keys of the operator's ssh-agent.
---@return table[] keys see ssh.agent_keys
---@raise "ssh.agent", "agent" when it has none
function prerequisites.agent_keys()
    local keys = ssh.agent_keys()
    if #keys == 0 then
        fail("the ssh-agent has no key", { code = "agent", hint = "add yours: ssh-add" })
    end
    return keys
end

--- A key of the agent's that the account has: a new droplet lets in the account's keys, and nobody else.
---@param cloud table from digitalocean.account
---@return string words which one it is
---@raise "ssh.agent", "agent"
function prerequisites.key(cloud)
    local keys, names = prerequisites.agent_keys(), names_by_fingerprint(cloud)
    for _, key in ipairs(keys) do
        local name = names[key.fingerprint]
        if name then
            return ("%s is '%s' there"):format(prerequisites.named { key }, tostring(name))
        end
    end
    fail(("no key of the ssh-agent is among the SSH keys of %s, so no new droplet would let you in: it has %s"):format(
        cloud:who(), prerequisites.named(keys)), {
        code = "agent", hint = "add yours in DigitalOcean, under Settings, Security (ssh-add -L shows it); or give the "
            .. "agent one that is there: ssh-add FILE",
    })
end

--- The project that droplets are put into.
---@param cloud table from digitalocean.account
---@raise "digitalocean.ambiguous", "missing"
function prerequisites.project(cloud)
    return cloud:find_project(site.droplet.project) or fail(("there is no project '%s'"):format(site.droplet.project), {
        code = "missing", target = cloud:who(),
        hint = "create it in DigitalOcean, or change droplet.project in site.lua",
    })
end

--- The domain that the names of instances end in.
---@param cloud table from digitalocean.account
---@raise "missing"
function prerequisites.domain(cloud)
    for _, domain in ipairs(cloud:domains()) do
        if domain.name == site.domain then
            return domain
        end
    end
    fail(("the domain %s is not in DigitalOcean"):format(site.domain), {
        code = "missing", target = cloud:who(), hint = "add it there, or is this token of another team?",
    })
end

return prerequisites
