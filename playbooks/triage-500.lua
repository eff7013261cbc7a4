-- Finds out why an instance does not serve: looks from outside and inside, and ends with a verdict, the evidence, and
-- the playbook that mends it. Exit status 0 means that it could look, whatever the verdict.
--
-- Changes   nothing, on no host and in no API.
-- Looks at  DNS, certificate and answer from outside; Caddy, meltano.service, failed units, journal, the last
--           traceback, disk, memory, its files as its user gets to them, their mounts, its Python, who has its port,
--           settings, .env, and the database with the instance's settings.
-- Report    --report FILE writes the same as a page on this machine: the one file that a run which only reads may
--           write, since you name it on the command line.
local dns = require "dns"
local file = require "file"
local http = require "http"
local instance = require "instance"
local site = require "site"
local triage = require "triage"
local triage_checks = require "triage_checks"
local triage_page = require "triage_page"
local triage_verdict = require "triage_verdict"

local MARKS = { good = "ok", bad = "BAD", odd = "odd", unseen = "?" }

--- What a customer's browser would meet. The handbook's 500 page is an answer like any other here, and so is what comes
--- after a warning that nobody has signed for the certificate.
local function look_from_outside(customer, address)
    local options = customer:https_options(address)
    options.expect = { 400, 401, 403, 404, 500, 502, 503, 504 }
    local answer, err = try(http.get, customer.url, options)
    local warning = ""
    if err and err.code == "http.tls" then
        options.insecure, warning = true, ", after a browser's warning"
        answer = try(http.get, customer.url, options)
    end
    if not answer then
        return { serves = false, says = err.message }
    end
    return {
        serves = answer.status < 400, status = answer.status, says = ("answers %d%s"):format(answer.status, warning),
    }
end

--- What DigitalOcean and the network say.
local function look_around(customer, evidence, droplet)
    local look, address = triage.look, droplet.public_address
    parallel {
        function() evidence.outside = look_from_outside(customer, address) end,
        function()
            look(evidence, "addresses", dns.resolve, customer.name, { nameservers = site.dns.nameservers })
        end,
        function()
            look(evidence, "record", function()
                local record = customer.cloud:records(site.domain, { name = customer.tenant, type = "A" })[1]
                return record and record.data
            end)
        end,
        function()
            look(evidence, "certificate", http.probe_tls, customer.name, { address = address, ca_file = site.ca_file })
        end,
        function()
            local held = look(evidence, "cluster", customer.find_cluster, customer)
            if held then
                evidence.cluster = held.cluster
                look(evidence, "trusted", held.team.cloud.trusted_sources, held.team.cloud, held.cluster.id)
            end
        end,
    }
end

local function tell(finding, label)
    say("%s: %s", label, triage_checks.hide(finding.says))
    for _, line in ipairs(finding.proof) do
        say("  %s", triage_checks.hide(line))
    end
    if finding.mend then
        say("  mend it: %s", finding.mend)
    end
    if finding.by_hand then
        say("  by hand: %s", finding.by_hand)
    end
end

return playbook {
    summary = "Find out why an instance answers 500, or not at all",
    handbook = "500 error when accessing instance on browser",
    effects = "read",
    params = {
        arg("tenant", "subdomain", "the customer's short name"),
        opt("report", "output", "also write the report to this file, as one page of HTML"),
    },
    run = function(p)
        local customer = instance.of(p.tenant)
        local droplet = customer:find_droplet()
        local host, refused = try(customer.open, customer)
        local evidence = host and triage.examine(host, { nameservers = site.dns.nameservers }) or { unseen = {} }
        evidence.tenant, evidence.name, evidence.url, evidence.at = customer.tenant, customer.name, customer.url, now()
        evidence.droplet, evidence.ssh_error = droplet, refused
        look_around(customer, evidence, droplet)

        local verdict, others = triage_verdict.of(evidence)
        for _, check in ipairs(triage_checks.of(evidence)) do
            say("%-4s %-16s %s", MARKS[check.state], check.title, triage_checks.hide(check.line))
        end
        if verdict.cause ~= "healthy" then
            for _, log in ipairs(triage_checks.logs(evidence)) do
                say("%s:\n%s", log.title, log.text)
            end
        end
        for _, finding in ipairs(others) do
            tell(finding, "also noticed")
        end
        tell(verdict, "verdict, " .. verdict.cause)
        if p.report then
            file.write_output(p.report, triage_page.of(evidence, verdict, others))
            say("The report is %s.", p.report)
        end
    end,
}
