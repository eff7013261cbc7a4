-- The one place for what is particular to this site: names, sizes, addresses of services, and where their tokens come
-- from. Playbooks hold no constants; a playbook that needs another value gets it from here.
local digitalocean = require "digitalocean"
local onepassword = require "onepassword"

--- A comma-separated setting as a list, or nil.
local function words(text)
    local parts = {}
    for part in (text or ""):gmatch "[^,%s]+" do
        parts[#parts + 1] = part
    end
    return #parts > 0 and parts or nil
end

local site = {
    domain = "meltanodata.com",

    droplet = {
        region = "nyc3",
        size = "s-2vcpu-2gb",
        image_prefix = "meltano-", -- the newest snapshot with such a name
        tag = "production",
        unfinished_tag = "setting-up", -- on a droplet until its set-up has come to its end
        project = "Meltano",
        give_up_after = 10 * 60, -- seconds, for it to become active
    },

    ssh = {
        give_up_after = 10 * 60, -- seconds, for a new droplet's SSH to answer
    },

    database = {
        engine = "pg",
        size = "db-s-1vcpu-1gb",
        nodes = 1,
        tag = "production",
        full_mark = "(full)", -- in the name of a team that has no room left
        give_up_after = 30 * 60, -- seconds, for a cluster to come online
    },

    dns = {
        ttl = 3600,
        give_up_after = 30 * 60, -- seconds
        nameservers = words(env "HOSTLER_NAMESERVERS"), -- nil: this machine's own
    },

    -- Let's Encrypt, unless the environment names another certificate authority.
    acme = {
        email = "admin@meltano.com",
        directory = env "HOSTLER_ACME_DIRECTORY",
        ca_file = env "HOSTLER_ACME_CA", -- a file here, with the authorities that the directory's own certificate needs
        give_up_after = 5 * 60, -- seconds, for an instance to answer with its certificate
    },

    mail = {
        server = env("HOSTLER_SMTP_URL", "smtp://mail.meltanodata.com:587"),
        from = "MeltanoData <hello@meltano.com>",
        user = env "HOSTLER_SMTP_USER",
    },

    -- The form by which customers sign up: the `ref` of each question that set-up needs, as the form's editor shows it.
    -- A Zap passes the answers on under the same names, and the form's token as "token".
    signup = {
        fields = { full_name = "full_name", email = "email", subdomain = "subdomain" },
        token = "token",
        -- Names that no customer can have.
        reserved = { "www", "mail", "ftp", "api", "app", "admin", "help", "status", "hooks", "ns1", "ns2" },
    },

    demo = "demo", -- the tenant whose database wipe-demo empties
    vault = "meltanodata.com",
    vault_tag = "hostler", -- on the logins that add-user makes
    known_hosts = env "HOSTLER_KNOWN_HOSTS", -- nil: the user's own
    ca_file = env "HOSTLER_CA_FILE", -- nil: the system's certificate authorities
}

local function account(token, name)
    return digitalocean.account(token, { url = env "DIGITALOCEAN_API_URL", ca_file = site.ca_file, name = name })
end

--- The team with the droplets and the domain.
function site.cloud()
    return account(secret "DO_API_TOKEN", "DO_API_TOKEN")
end

--- The clouds of the teams that hold the database clusters, in the order of their tokens. Nothing is asked.
function site.database_clouds()
    local clouds = {}
    for index, token in ipairs(secret.split(secret "DO_DATABASE_API_TOKENS")) do
        clouds[index] = account(token, ("DO_DATABASE_API_TOKENS, number %d"):format(index))
    end
    return clouds
end

--- The teams that hold the database clusters.
---@return { name: string, full: boolean, cloud: table }[] full: by its name, which people keep
function site.database_teams()
    local teams = {}
    for index, cloud in ipairs(site.database_clouds()) do
        local name = cloud:account().team.name
        teams[index] = { name = name, cloud = cloud, full = name:find(site.database.full_mark, 1, true) ~= nil }
    end
    return teams
end

--- The 1Password vault with the login of every instance.
function site.passwords()
    local server = env "OP_CONNECT_HOST" or fail("OP_CONNECT_HOST is not set", {
        code = "usage", hint = "export OP_CONNECT_HOST=https://... , the address of the 1Password Connect server",
    })
    return onepassword.connect(server, secret "OP_CONNECT_TOKEN", { ca_file = site.ca_file }):vault(site.vault)
end

--- A letter with what mail.send needs to send it from here; without a letter, what mail.check needs.
---@param letter? { to: table, subject: string, text: string|secret, html?: string|secret }
function site.outgoing(letter)
    local options = {
        server = site.mail.server, user = site.mail.user, ca_file = site.ca_file,
        password = site.mail.user and secret "HOSTLER_SMTP_PASSWORD",
    }
    if letter then
        options.from = site.mail.from
        for field, value in pairs(letter) do
            options[field] = value
        end
    end
    return options
end

return site
