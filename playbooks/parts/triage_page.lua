-- The report of a triage as one page of HTML that stands by itself: no script, nothing loaded. Pure.
local triage_checks = require "triage_checks"
local triage_outside = require "triage_outside"
local triage_page = {}

local STYLE = [[
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6676; --line: #e1e5eb; --paper: #fff; --back: #f4f6f9;
  --good: #1a7f4b; --bad: #c22f2f; --odd: #b26a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #333b47; --paper: #1b2028;
  --back: #12161c; --good: #4fc98a; --bad: #ff7b72; --odd: #e3a94b; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 4rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; }
h1 { margin: 0; font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.05rem; }
.when { margin: .2rem 0 1.4rem; color: var(--soft); }
.verdict, table, details { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; }
.verdict { padding: 1.1rem 1.3rem; border-left: .4rem solid var(--bad); }
.verdict.healthy { border-left-color: var(--good); }
.verdict .cause { color: var(--soft); font-size: .85rem; letter-spacing: .04em; text-transform: uppercase; }
.verdict strong { display: block; margin: .1rem 0 .6rem; font-size: 1.2rem; line-height: 1.35; }
ul { margin: .4rem 0; padding-left: 1.2rem; }
li, td { overflow-wrap: anywhere; }
.do { margin: .9rem 0 0; }
code, pre { font: .88em/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
.do code { display: inline-block; padding: .3rem .6rem; border-radius: .3rem; background: var(--back);
  border: 1px solid var(--line); user-select: all; }
table { width: 100%; border-collapse: separate; border-spacing: 0; overflow: hidden; }
td { padding: .5rem .8rem; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child td { border-top: 0; }
td:first-child { width: 5.5rem; font-weight: 600; white-space: nowrap; }
td:nth-child(2) { width: 10rem; color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .odd, .unseen { color: var(--odd); }
details { margin: .6rem 0; padding: .6rem 1rem; }
summary { cursor: pointer; font-weight: 600; }
pre { margin: .6rem 0 0; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  tr, td, td:nth-child(2) { display: block; width: auto; border-top: 0; padding: .1rem .8rem; }
  tr { padding: .4rem 0; border-top: 1px solid var(--line); }
}
@media print { body { background: none; padding: 0; } }
]]

local WORDS = { good = "✓ good", bad = "✗ bad", odd = "! odd", unseen = "? unseen" }

-- Secrets first, which would not be known again when they are escaped. Control characters, which a log may hold, are no
-- text in HTML; bytes that are no UTF-8 the browser marks by itself.
local function escape(text)
    return (secret.scrub(tostring(text)):gsub("[%z\1-\8\11\12\14-\31\127]", "\239\191\189"):gsub("[&<>\"']", {
        ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\""] = "&quot;", ["'"] = "&#39;",
    }))
end

local function list_of(lines)
    local items = {}
    for index, line in ipairs(lines) do
        items[index] = ("<li>%s</li>"):format(escape(triage_checks.hide(line)))
    end
    return #items > 0 and "<ul>\n" .. table.concat(items, "\n") .. "\n</ul>\n" or ""
end

local function remedy(finding)
    local parts = {}
    if finding.mend then
        parts[1] = ("<p class=\"do\">What mends it: <code>%s</code></p>\n"):format(escape(finding.mend))
    end
    if finding.by_hand then
        parts[#parts + 1] = ("<p class=\"do\">By hand: %s.</p>\n"):format(escape(finding.by_hand))
    end
    return table.concat(parts)
end

local function sentence(finding)
    return escape((triage_checks.hide(finding.says):gsub("^%l", string.upper)))
end

local function verdict_box(verdict)
    return ("<section class=\"verdict%s\">\n<span class=\"cause\">%s</span>\n<strong>%s</strong>\n%s%s</section>\n")
        :format(verdict.cause == "healthy" and " healthy" or "", escape(verdict.cause:gsub("-", " ")),
            sentence(verdict) .. ".", list_of(verdict.proof), remedy(verdict))
end

local function others_of(others)
    local parts = {}
    for index, finding in ipairs(others) do
        parts[index] = ("<details open><summary>%s</summary>\n%s%s</details>\n"):format(
            sentence(finding), list_of(finding.proof), remedy(finding))
    end
    return #parts > 0 and "<h2>Also noticed</h2>\n" .. table.concat(parts) or ""
end

local function table_of(checks)
    local rows = {}
    for index, check in ipairs(checks) do
        rows[index] = ("<tr><td class=\"%s\">%s</td><td>%s</td><td>%s</td></tr>"):format(check.state,
            WORDS[check.state], escape(check.title), escape(triage_checks.hide(check.line)))
    end
    return "<h2>What was looked at</h2>\n<table>\n" .. table.concat(rows, "\n") .. "\n</table>\n"
end

local function logs_of(logs)
    local parts = {}
    for index, log in ipairs(logs) do
        parts[index] = ("<details open><summary>%s</summary>\n<pre>%s</pre></details>\n"):format(escape(log.title),
            escape(log.text))
    end
    return #parts > 0 and "<h2>Logs</h2>\n" .. table.concat(parts) or ""
end

--- The page.
---@param e table evidence; see triage_verdict.of
---@param verdict triage.Finding from triage_verdict.of
---@param others triage.Finding[]
---@return string html
function triage_page.of(e, verdict, others)
    local title = escape(("%s: %s"):format(e.name, verdict.says))
    return table.concat {
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<title>", title, "</title>\n<style>\n", STYLE, "</style>\n</head>\n<body>\n<main>\n",
        "<h1>", escape(e.name), "</h1>\n<p class=\"when\">Looked at on ", triage_outside.date_of(e.at), "</p>\n",
        verdict_box(verdict), others_of(others), table_of(triage_checks.of(e)), logs_of(triage_checks.logs(e)),
        "<footer>Written by hostler's playbook triage-500, which only looked and changed nothing. Known secrets and ",
        "what looks like one are hidden; read it before you pass it on.</footer>\n</main>\n</body>\n</html>\n",
    }
end

return triage_page
