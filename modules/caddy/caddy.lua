-- Caddy on an instance, version 1 or 2: its host name, its TLS mode, its configuration and its certificate.
local _, gate, import = ...
local caddyfile = require "caddyfile"
local caddy_journal, texts = import "caddy/journal", import "base/text"
local dns = require "dns"
local environment_file = require "environment_file"
local host_file = require "host_file"
local systemd = require "systemd"

local caddy = {
    UNIT = "caddy.service",
    CADDYFILE = "/etc/caddy/Caddyfile",
    ENVIRONMENT = "/etc/caddy/environment",
}

---@class caddy.Caddy the Caddy of a host
---@field host ssh.Host
---@field systemd systemd.Systemd
local Caddy = {}
Caddy.__index = Caddy

-- ---- reading what it prints (pure) ----

--- The major version from what `caddy -version` or `caddy version` prints.
---@param text string "Caddy v1.0.3 (h1:...)", "Caddy 0.11.5", "v2.6.2 h1:...", "2.6.2"
---@return integer? 1 or 2: what was 0.x counts as 1
function caddy.parse_version(text)
    local major = text:match "^%s*[Cc]addy v?(%d+)%." or text:match "^%s*v?(%d+)%."
    if not major then
        return text:find "^%s*Caddy %(" and 1 or nil -- a Caddy 1 that was built by hand
    end
    return math.max(1, tonumber(major))
end

--- The program that a unit runs, from `systemctl show --property=ExecStart`.
---@param shown string
---@return string? path
function caddy.parse_program(shown)
    return shown:match "{ path=(/[^ ;]+) ;"
end

local MONTHS = {
    Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

---@class caddy.Certificate
---@field issuer string
---@field subject string
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970
---@field self_signed? boolean the host made it for itself; of Caddy:certificate only

--- A certificate as `openssl x509 -noout -issuer -subject -dates` shows it.
---@param text string
---@return caddy.Certificate?
function caddy.parse_certificate(text)
    local function time(name)
        local month, day, clock, year = text:match(name .. "=(%a+)%s+(%d+) ([%d:]+) (%d+) GMT")
        return month and systemd.parse_time(("%s-%02d-%s %s UTC"):format(year, MONTHS[month] or 0, day, clock))
    end
    local issuer, subject = text:match "issuer=[ \t]*([^\r\n]*)", text:match "subject=[ \t]*([^\r\n]*)"
    local not_before, not_after = time "notBefore", time "notAfter"
    if not issuer or not not_after then
        return nil
    end
    return { issuer = issuer, subject = subject or "", not_before = not_before, not_after = not_after }
end

--- True for a certificate that the host made for itself.
---@param certificate { issuer: string, subject: string }
---@return boolean
function caddy.is_self_signed(certificate)
    return certificate.issuer:find "Caddy Local Authority" ~= nil or certificate.issuer == certificate.subject
        or certificate.issuer:find "Caddy Self%-Signed" ~= nil
end

-- ---- the program ----

-- The unit knows which Caddy it runs; a host may have several.
local function program(self)
    if not self.path then
        local result = self.host:run({ "systemctl", "show", "--no-pager", "--property=ExecStart", "--", caddy.UNIT },
            { read = true })
        if unknown(result) then
            return result
        end
        self.path = caddy.parse_program(result.stdout)
        if not self.path then
            fail("the host has no Caddy: caddy.service says nothing of what it runs", {
                code = "caddy.missing", target = tostring(self.host.target),
            })
        end
    end
    return self.path
end

--- Caddy's major version. `-version` is asked first, for Caddy 1 would take `caddy version` as an order to serve.
---@return 1|2
---@raise "caddy.missing", "caddy.version"
function Caddy:version()
    if self.major then
        return self.major
    end
    local path = program(self)
    if unknown(path) then
        return path
    end
    -- Caddy 2 makes a directory .step in its home, also when it is only asked for its version.
    local options = { read = true, timeout = 20, env = { HOME = "/dev/null" } }
    local result = self.host:try({ path, "-version" }, options)
    if not result or not caddy.parse_version(result.stdout) then
        result = self.host:run({ path, "version" }, options)
    end
    self.major = caddy.parse_version(result.stdout)
    if not self.major then
        fail(("'%s' says no version of Caddy that is known: %s"):format(path,
            texts.beginning(result.stdout, 200)), {
            code = "caddy.version", target = tostring(self.host.target),
        })
    end
    return self.major
end

-- ---- its files ----

--- The Caddyfile's sites and their tls lines; see caddyfile.parse.
---@return caddyfile.Site[]
function Caddy:config()
    local text = self.host:read(caddy.CADDYFILE)
    return unknown(text) and text or caddyfile.parse(text)
end

--- The TLS mode that the Caddyfile asks for.
---@return "acme"|"self-signed"|"files"|"none"
function Caddy:tls_mode()
    local text = self.host:read(caddy.CADDYFILE)
    return unknown(text) and text or caddyfile.tls_mode(text)
end

-- Writes what `edit` makes of the Caddyfile, and has Caddy check that: one that it refuses is put back as it was.
local function change_config(self, edit, input, planned)
    local changed, before = host_file.edit(self.host, caddy.CADDYFILE, edit, input, planned)
    if unknown(changed) or not changed or gate.mode == "dry-run" then
        return changed
    end
    local _, err = try(self.validate, self)
    if err then
        self.host:write(caddy.CADDYFILE, before)
        err.hint = err.hint or "the Caddyfile was put back as it was"
        error(err, 0)
    end
    return true
end

--- Puts another Caddyfile in place and has Caddy check it: one that it refuses is put back as it was. Takes effect at
--- the next reload or restart. Owner and mode of the file stay.
---@param text string
---@return boolean changed false when the file said so already
---@raise "caddy.invalid"
---@effect write
function Caddy:set_config(text)
    return change_config(self, function() return text end)
end

--- Changes the TLS mode in the Caddyfile, its tls lines only, and has Caddy check the file: one that it refuses is put
--- back as it was. Takes effect at the next reload or restart. Owner and mode of the file stay.
---@param mode "acme"|"self-signed"
---@param options? { email?: string, ca?: string, ca_root?: string } see caddyfile.set_tls
---@return boolean changed false when the file had it already
---@raise "caddy.invalid", "caddy.site", "usage"
---@effect write
function Caddy:set_tls(mode, options)
    local version = self:version()
    local wanted = { version = version }
    for name, value in pairs(options or {}) do
        wanted[name] = value
    end
    return change_config(self, function(text) return caddyfile.set_tls(text, mode, wanted) end, version,
        caddyfile.tls_lines(mode, wanted))
end

--- The host name that Caddy serves, without its port.
---@return string? name
---@return integer? port
function Caddy:hostname()
    local text = self.host:read(caddy.ENVIRONMENT)
    if unknown(text) then
        return text
    end
    local name, port = (environment_file.values(text).HOSTNAME or ""):match "^([^:]*):?(%d*)$"
    return name ~= "" and name or nil, tonumber(port)
end

--- Sets HOSTNAME in Caddy's environment, which Caddy reads at a restart. Every other line stays.
---@param name string
---@param options? { port?: integer } port: 443 for a self-signed certificate on Caddy 1, which else serves on 2015
---@return boolean changed
---@effect write
function Caddy:set_hostname(name, options)
    local port = options and options.port
    if not unknown(name) and not (type(name) == "string" and name:find "^[%w.-]+$") then
        fail(("'%s' is no host name"):format(tostring(name)), { code = "usage" })
    end
    local value = port and ("%s:%d"):format(tostring(name), port) or name
    return (host_file.edit(self.host, caddy.ENVIRONMENT, function(text)
        return environment_file.set(text, "HOSTNAME", value)
    end, name, { "HOSTNAME=" .. tostring(value) }))
end

-- ---- checking and applying ----

-- With the service's own environment, but a directory of its own for what Caddy makes while it looks (the keys of its
-- local authority), so that looking changes nothing.
local VALIDATE = [[
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch" XDG_DATA_HOME="$scratch" XDG_CONFIG_HOME="$scratch" CADDYPATH="$scratch"
exec 2>&1
"$@"]]

-- The line that says what is wrong, without the log lines around it.
local function complaint(text)
    local last
    for line in text:gmatch "[^\r\n]+" do
        if not line:find "^{" and line:find "%S" then
            last = line
        end
    end
    return ((last or text):gsub("^Error: ", ""):gsub("^%d+/%d+/%d+ %d+:%d+:%d+ ", ""))
end

--- Has Caddy check the Caddyfile. Changes nothing on the host.
---@raise "caddy.invalid" with what Caddy says of it
function Caddy:validate()
    local version, path, environment = self:version(), program(self), self.host:read(caddy.ENVIRONMENT)
    if unknown(version) or unknown(environment) then
        return version
    end
    local _, err = try(self.host.sh, self.host, VALIDATE, {
        args = version == 1 and { path, "-validate", "-conf", caddy.CADDYFILE }
            or { path, "validate", "--adapter", "caddyfile", "--config", caddy.CADDYFILE },
        read = true, timeout = 30, env = environment_file.values(environment), summary = "check the Caddyfile",
    })
    if err and err.code == "ssh.exit" and (err.stdout or "") ~= "" then
        fail("the Caddyfile is not valid: " .. complaint(err.stdout), {
            code = "caddy.invalid", target = tostring(self.host.target), cause = err, log = err.stdout,
        })
    elseif err then
        error(err, 0)
    end
end

--- Has Caddy read its Caddyfile again, without dropping a connection. The file is checked first: of a wrong one Caddy 1
--- says so in the journal only.
---@return true
---@raise "caddy.invalid", "systemd.unit"
---@effect write
function Caddy:reload()
    local version = self:version()
    self:validate()
    if version == 1 then
        return self.systemd:signal(caddy.UNIT, "USR1")
    end
    return self.systemd:reload(caddy.UNIT)
end

--- Stops Caddy, has systemd read its unit files again, and starts it: then it knows a new host name.
---@param options? { timeout?: number } seconds until it has to run (30)
---@raise "systemd.unit" with Caddy's last journal lines
---@effect write
function Caddy:restart(options)
    self.systemd:stop(caddy.UNIT)
    self.systemd:daemon_reload()
    self.systemd:start(caddy.UNIT)
    return self.systemd:wait_active(caddy.UNIT, { timeout = options and options.timeout or 30 })
end

-- ---- its certificate ----

local CERTIFICATE = [[
timeout 10 openssl s_client -connect localhost:443 -servername "$1" </dev/null 2>/dev/null |
    openssl x509 -noout -issuer -subject -dates]]

--- The certificate that the host's own port 443 shows for a name.
---@param name? string its own host name
---@return caddy.Certificate? certificate nil when port 443 shows none
function Caddy:certificate(name)
    name = name or self:hostname()
    if unknown(name) then
        return name
    end
    local result, err = try(self.host.sh, self.host, CERTIFICATE, {
        args = { name or "localhost" }, read = true, timeout = 20, summary = "see the certificate of port 443",
    })
    if err and err.code ~= "ssh.exit" then
        error(err, 0)
    end
    local certificate = result and caddy.parse_certificate(result.stdout)
    if certificate then
        certificate.self_signed = caddy.is_self_signed(certificate)
    end
    return certificate
end

-- Whose address the name has, for a challenge that failed without a reason in the journal.
local function explain_challenge(found, name, addresses, nameservers)
    local answers, err = try(dns.resolve, name, { nameservers = nameservers })
    local foreign
    for _, address in ipairs(answers or {}) do
        foreign = not addresses[address] and address or foreign
    end
    if err then
        found.evidence[#found.evidence + 1] = err.message
    elseif #answers == 0 or foreign then
        found.verdict = "dns"
        found.evidence[#found.evidence + 1] = not foreign and name .. " has no address"
            or ("%s has the address %s, which is not this host's"):format(name, foreign)
    else
        found.verdict = "port-closed"
        found.evidence[#found.evidence + 1] = name .. " has this host's address, but the authority did not get through"
    end
end

local function own_addresses(self)
    local addresses = {}
    for address in self.host:run({ "hostname", "-I" }, { read = true }).stdout:gmatch "%S+" do
        addresses[address] = true
    end
    return addresses
end

-- A certificate that is shown and valid outweighs what went wrong on the way to it.
local function certificate_verdict(certificate, mode, at)
    if not certificate then
        return nil
    elseif certificate.not_after <= at then
        return "expired"
    elseif certificate.self_signed then
        return mode == "self-signed" and "self-signed" or nil
    end
    return "ok"
end

---@class caddy.Diagnosis
---@field verdict string "ok", "self-signed" (as the Caddyfile asks), "expired", "not-running", or one of
---  caddy_journal.verdict's: "rate-limited", "dns", "port-closed", "port-taken", "bad-caddyfile",
---  "authority-unreachable", "pending", "unknown"
---@field evidence string[] lines for a person
---@field retry_after? integer when a rate limit ends, seconds since 1970
---@field limit? string which rate limit
---@field mode string the TLS mode that the Caddyfile asks for
---@field certificate? caddy.Certificate
---@field status systemd.Status
---@field renewal? string the verdict on a renewal that fails while the old certificate is still good

--- Why the instance has no certificate, or that it has one. Reads only.
---@param options? { nameservers?: string[] } whom to ask for the name's address, where that matters (the system's)
---@return caddy.Diagnosis
function Caddy:diagnose(options)
    local status = self.systemd:status(caddy.UNIT)
    if unknown(status) then
        return status
    end
    local entries = self.systemd:journal(caddy.UNIT, { lines = 400, since = status.started })
    local addresses = own_addresses(self)
    local found = caddy_journal.verdict(entries, addresses)
    local name = self:hostname()
    if found.verdict == "challenge-failed" and name then
        explain_challenge(found, name, addresses, options and options.nameservers)
    end
    local mode = try(self.tls_mode, self) or "none"
    local _, invalid = try(self.validate, self)
    local certificate = status.active == "active" and self:certificate(name) or nil
    local shown = certificate_verdict(certificate, mode, now())
    found.status, found.mode, found.certificate = status, mode, certificate
    if found.verdict == "bad-caddyfile" then
        -- What counts is the file as it is now: Caddy may not have been told that it was mended.
        found.verdict, found.evidence = nil, {}
    end
    if invalid and invalid.code == "caddy.invalid" then
        found.verdict, found.evidence = "bad-caddyfile", { invalid.message }
    elseif shown == "ok" and found.verdict ~= "ok" then
        found.renewal, found.verdict = found.verdict, "ok"
    elseif shown == "expired" then
        found.verdict = found.verdict ~= "ok" and found.verdict or shown
    elseif shown then
        found.verdict = shown
    elseif found.verdict == "ok" and status.active == "active" then
        found.verdict = "unknown"
        found.evidence = { certificate and "port 443 shows a certificate that the host made for itself"
            or "port 443 shows no certificate, though Caddy says that it has one" }
    end
    if status.active ~= "active" and (not found.verdict or found.verdict == "ok" or found.verdict == "pending") then
        found.verdict = "not-running"
        found.evidence = { "caddy.service is " .. systemd.describe(status) }
    end
    found.verdict = found.verdict or "unknown"
    return found
end

--- The Caddy of a host.
---@param host ssh.Host
---@return caddy.Caddy
function caddy.on(host)
    return setmetatable({ host = host, systemd = systemd.on(host) }, Caddy)
end

return caddy
