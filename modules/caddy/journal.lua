-- What Caddy's journal says about its certificate: why there is none. Of Caddy 1, which writes text, and Caddy 2, which
-- writes JSON. Pure: it reaches no host.
local systemd = require "systemd"
local caddy_journal = {}

-- An entry's text: of Caddy 2's JSON what went wrong, of anything else all of it. `event` is Caddy 2's fixed message.
local function read_entry(entry)
    local record = entry.message:find "^%s*{" and try(json.decode, entry.message)
    if type(record) ~= "table" then
        return { at = entry.at, text = entry.message, level = "text" }
    end
    -- What became of visitors' requests says nothing about certificates.
    local of_visitors = type(record.logger) == "string" and record.logger:find "^http%.log"
    local parts = { tostring(record.msg or "") }
    local problem = type(record.problem) == "table" and record.problem or { type = record.problem_type }
    for _, part in ipairs { problem.type or false, problem.detail or false, record.error or false } do
        parts[#parts + 1] = part and tostring(part) or nil
    end
    return { at = entry.at, text = table.concat(parts, ": "), level = of_visitors and "info" or record.level or "info",
        event = record.msg }
end

local function any_of(...)
    local patterns = { ... }
    return function(text)
        for _, pattern in ipairs(patterns) do
            if text:find(pattern) then
                return true
            end
        end
        return false
    end
end

local is_success = any_of("certificate obtained successfully", "^https://", "certificate renewed successfully")
local is_attempt = any_of("obtaining certificate$", "Obtaining bundled SAN certificate", "renewing certificate$")
local is_news_of_start = any_of "^Start%l+ [%w@._-]+%.service"
-- What stopping Caddy leaves in the journal says nothing about certificates.
local is_shutdown = any_of("context canceled", "unable to unlock", "unable to clean up lock")
local is_challenge = any_of("[Cc]hallenge", "[Aa]uthorization", "/chall ")

local is_rate_limit = any_of("acme:error:rateLimited", "HTTP 429", "acme: error: 429", "too many certificates",
    "too many failed authorizations")
local is_bad_file = any_of("adapting config using", "Error during parsing", "loading initial config",
    "^Error: loading ", "unrecognized directive", "parsing caddyfile", "Caddyfile:%d+")
local is_port_taken = any_of("address already in use", "bind: permission denied")
local is_name_unknown = any_of("acme:error:dns", "NXDOMAIN", "SERVFAIL", "no such host", "[Cc]ould not resolve",
    "no valid A records", "DNS problem")
local is_unreached = any_of("acme:error:connection", "connection refused", "no route to host", "[Tt]imeout",
    "Failed to connect to", "i/o timeout")
local is_answered_wrongly = any_of("acme:error:unauthorized", "Invalid response from")
local is_authority = any_of("provisioning client", "registering account", "performing request", "x509:",
    "acme:error:serverInternal", "HTTP 5%d%d")

-- The address that the authority tried, where its answer tells.
local function tried_address(text)
    return text:match "dial tcp (%d+%.%d+%.%d+%.%d+):" or text:match "Failed to connect to (%d+%.%d+%.%d+%.%d+):"
        or text:match "(%d+%.%d+%.%d+%.%d+): Fetching " or text:match "(%d+%.%d+%.%d+%.%d+): Invalid response "
end

-- In this order: what comes first explains what comes later. Each rule takes one problem and the addresses of the host.
local rules = {
    { "port-taken", is_port_taken },
    { "bad-caddyfile", is_bad_file },
    { "rate-limited", is_rate_limit },
    { "dns", is_name_unknown },
    { "dns", function(text, addresses)
        local tried = is_challenge(text) and tried_address(text)
        return tried and addresses and not addresses[tried] or false
    end },
    { "port-closed", function(text) return is_challenge(text) and is_unreached(text) end },
    { "dns", function(text) return is_challenge(text) and is_answered_wrongly(text) end },
    { "authority-unreachable", is_authority },
    { "challenge-failed", is_challenge },
}

-- What is left of the journal's story: the last success, and what went wrong since, attempt by attempt.
local function follow(entries)
    local story = { problems = {}, attempt = nil, succeeded = nil }
    for _, entry in ipairs(entries) do
        local news = read_entry(entry)
        if is_success(news.text) then
            story.problems, story.attempt, story.succeeded = {}, nil, news.at
        elseif is_news_of_start(news.text) or is_attempt(news.text) then
            story.previous = #story.problems > 0 and story.problems or story.previous
            story.attempt = is_attempt(news.text) and news.at or story.attempt
            story.problems = {}
        elseif (news.level == "error" or news.level == "text") and not is_shutdown(news.text) then
            story.problems[#story.problems + 1] = news
        end
    end
    return story
end

local function classify(problems, addresses)
    for _, rule in ipairs(rules) do
        local evidence = {}
        for _, problem in ipairs(problems) do
            if rule[2](problem.text, addresses) then
                evidence[#evidence + 1] = problem.text
            end
        end
        if #evidence > 0 then
            return rule[1], evidence
        end
    end
    return nil, {}
end

local LIMITS = {
    { "exact set", "set of names" },
    { "failed authorizations", "failed authorizations" },
    { "new orders", "new orders" },
    { "already issued", "registered domain" },
}

local function limit_of(text)
    for _, limit in ipairs(LIMITS) do
        if text:find(limit[1], 1, true) then
            return limit[2]
        end
    end
    return "unknown"
end

--- When a rate limit ends, where the authority's answer says: "retry after 2026-11-22 01:59:19 UTC".
---@param text string
---@return integer? seconds since 1970
function caddy_journal.retry_after(text)
    local date, time = text:match "[Rr]etry[ -][Aa]fter:? (%d+%-%d+%-%d+)[ T](%d+:%d+:%d+)"
    return date and systemd.parse_time(date .. " " .. time .. " UTC")
end

--- What a journal says about the certificate.
---@param entries systemd.Entry[] of caddy.service, oldest first
---@param addresses? table<string, boolean> the host's own addresses: a challenge that went to another one is a DNS
---  fault
---@return { verdict?: string, evidence: string[], limit?: string, retry_after?: integer, at?: number } verdict: "ok"
---  (obtained, nothing wrong since), "rate-limited", "dns", "port-closed" (the authority could not reach port 80 or
---  443), "port-taken", "bad-caddyfile", "authority-unreachable", "challenge-failed" (the authority could
---  not see that the name is this host's; the journal does not say why), "unknown" (wrong, but not known why),
---  "pending" (being obtained), or nil when the journal does not say; limit: which: "registered domain", "set of
---  names", "failed authorizations", "new orders"; retry_after: when it ends, seconds since 1970
function caddy_journal.verdict(entries, addresses)
    local story = follow(entries)
    local verdict, evidence = classify(story.problems, addresses)
    if not verdict and story.attempt and story.previous then
        -- A new attempt that has not ended yet tells less than the one before.
        verdict, evidence = classify(story.previous, addresses)
    end
    if not verdict then
        local errors = {}
        for _, problem in ipairs(story.problems) do
            errors[#errors + 1] = problem.level == "error" and problem.text or nil
        end
        verdict = #errors > 0 and "unknown" or story.attempt and "pending" or story.succeeded and "ok" or nil
        evidence = errors
    end
    local found = { verdict = verdict, evidence = evidence, at = story.succeeded }
    if verdict == "rate-limited" then
        found.limit = limit_of(table.concat(evidence, "\n"))
        found.retry_after = caddy_journal.retry_after(table.concat(evidence, "\n"))
    end
    return found
end

return caddy_journal
