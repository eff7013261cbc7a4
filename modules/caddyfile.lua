-- Caddyfiles, of Caddy 1 and 2: which TLS mode a site is in, and changing it without touching any other byte.
-- Pure: it reaches no host.
--
-- An instance's file holds one TLS line for each mode, all but one commented out. Changing the mode swaps which one is
-- the comment, so that going there and back gives the same file again.
local _, _, import = ...
local caddyfile = {}

local texts = import "base/text"

-- ---- lines and statements ----

local function join(lines)
    local parts = {}
    for _, line in ipairs(lines) do
        parts[#parts + 1] = line.text
        parts[#parts + 1] = line.ending
    end
    return table.concat(parts)
end

-- The words of one line. A quote that stays open is returned with the text so far, to go on in the next line; so is
-- "\\" for a line that ends in a backslash.
local function words_of(line, quote, open_text)
    local words, at = {}, 1
    local word = quote and quote ~= "\\" and open_text or nil
    quote = word and quote or nil
    while at <= #line do
        if quote then
            local stop = line:find(quote, at, true)
            while stop and quote == "\"" and line:sub(stop - 1, stop - 1) == "\\" do
                stop = line:find(quote, stop + 1, true)
            end
            if not stop then
                return words, quote, word .. line:sub(at) .. "\n"
            end
            words[#words + 1] = word .. line:sub(at, stop - 1)
            quote, word, at = nil, nil, stop + 1
        else
            local start = line:find("%S", at)
            local first = start and line:sub(start, start)
            if not start or first == "#" then
                break
            elseif first == "\"" or first == "`" then
                quote, word, at = first, "", start + 1
            else
                local _, last = line:find("%S+", start)
                words[#words + 1] = line:sub(start, last)
                at = last + 1
            end
        end
    end
    if quote then
        return words, quote, word .. "\n"
    elseif words[#words] and words[#words]:find "\\$" and not line:find "#" then
        words[#words] = words[#words] ~= "\\" and words[#words]:sub(1, -2) or nil
        return words, "\\", ""
    end
    return words
end

-- The line behind a heredoc that begins before `at`, and whether its marker is there.
local function skip_heredoc(lines, at, marker)
    for line = at, #lines do
        if lines[line].text:match "^%s*(%S*)" == marker then
            return line + 1, true
        end
    end
    return #lines + 1, false
end

-- The statements of the file: { words, first, last = line numbers, depth, opens = it ends in "{", closes = it is "}" }.
-- Comment lines are statements too, without words: { comment = text after the "#", first, last, depth }.
-- Then the first thing in the file that does not end, or ends what has not begun: { line, what }.
local function statements_of(lines)
    local statements, opened, at, problem = {}, {}, 1, nil
    local function note(line, what)
        problem = problem or { line = line, what = what }
    end
    while at <= #lines do
        local first, words, quote, open_text = at, {}, nil, nil
        repeat
            local more
            more, quote, open_text = words_of(lines[at].text, quote, open_text)
            for _, word in ipairs(more) do
                words[#words + 1] = word
            end
            at = at + 1
        until not quote or at > #lines
        if quote then
            note(first, quote == "\\" and "the backslash at its end continues it, and nothing follows"
                or ("the quote %s is never closed"):format(quote))
        end
        local heredoc, ended = words[#words] and words[#words]:match "^<<([%w_-]+)$", true
        if heredoc then
            at, ended = skip_heredoc(lines, at, heredoc)
        end
        if not ended then
            note(first, ("the text that begins with <<%s never ends"):format(heredoc))
        end
        local statement = { words = words, first = first, last = at - 1 }
        statement.comment = lines[first].text:match "^%s*#(.*)$"
        statement.opens = words[#words] == "{"
        statement.closes = words[1] == "}"
        if statement.closes and not table.remove(opened) then
            note(first, "its } closes nothing")
        end
        statement.depth = #opened
        if statement.opens then
            opened[#opened + 1] = first
        end
        if #words > 0 or statement.comment then
            statements[#statements + 1] = statement
        end
    end
    if #opened > 0 then
        note(opened[#opened], "its { is never closed")
    end
    return statements, problem
end

-- ---- TLS directives ----

-- The mode of a tls directive, from its statements: the directive and what its block holds.
local function read_tls(statements)
    local arguments = {}
    for index = 2, #statements[1].words do
        arguments[#arguments + 1] = statements[1].words[index]
    end
    local block = arguments[#arguments] == "{"
    if block then
        arguments[#arguments] = nil
    end
    local tls = { email = nil, word = arguments[1] }
    for index = 2, #statements do
        local words = statements[index].words
        if (words[1] == "ca" or words[1] == "ca_root") and statements[index].depth == statements[1].depth + 1 then
            tls[words[1]] = words[2]
        elseif words[1] == "issuer" then
            tls.issuer = words[2]
        end
    end
    if #arguments == 2 then
        tls.mode = "files"
    elseif arguments[1] == "off" then
        tls.mode = "off"
    elseif arguments[1] == "internal" or arguments[1] == "self_signed" or tls.issuer == "internal" then
        tls.mode = "self-signed"
    elseif #arguments == 1 or block then
        tls.mode, tls.email = "acme", arguments[1]
    end
    return tls
end

-- The text under a comment's "#": what the line would say if it were not a comment.
local function uncommented(line)
    local indent, rest = line:match "^(%s*)#%s?(.*)$"
    return indent and indent .. rest
end

-- A tls directive that is commented out, beginning at this statement; nil for any other comment. A remark that happens
-- to begin with "tls" is not one: it has to be what a tls line can be.
local function dormant_tls(lines, statement)
    local content = uncommented(lines[statement.first].text)
    local words = words_of(content)
    local last = statement.first
    local known = words[2] == "internal" or words[2] == "self_signed" or words[2] == "{"
        or (words[2] or ""):find "^[^@%s]+@[^@%s]+$"
    if words[1] ~= "tls" or not known or #words > 3 or (#words == 3 and words[3] ~= "{") then
        return nil
    end
    local under = { { text = content } }
    local depth = words[#words] == "{" and 1 or 0
    while depth > 0 do
        last = last + 1
        local text = lines[last] and (uncommented(lines[last].text) or lines[last].text:match "^%s*$")
        if not text then
            return nil
        end
        under[#under + 1] = { text = text }
        local more = words_of(text)
        depth = depth + (more[#more] == "{" and 1 or 0) - (more[1] == "}" and 1 or 0)
    end
    local tls = read_tls(statements_of(under))
    tls.first, tls.last = statement.first, last
    return tls
end

-- ---- sites ----

-- The place of the statement that closes the block which the one at `index` opens.
local function skip_block(statements, index)
    local depth = statements[index].depth
    repeat
        index = index + 1
    until not statements[index] or (statements[index].closes and statements[index].depth == depth)
    return index
end

local function read_site(lines, statements, from, depth, site)
    local index = from
    while statements[index] and not (statements[index].closes and statements[index].depth < depth) do
        local statement = statements[index]
        if statement.depth == depth and statement.words[1] == "tls" then
            local whole = { statement }
            local last = statement.opens and skip_block(statements, index) or index
            while index < last and statements[index + 1] do
                index = index + 1
                whole[#whole + 1] = statements[index]
            end
            local tls = read_tls(whole)
            tls.first, tls.last = statement.first, whole[#whole].last
            site.active[#site.active + 1] = tls
        elseif statement.depth == depth and statement.comment then
            local tls = dormant_tls(lines, statement)
            if tls then
                site.dormant[#site.dormant + 1] = tls
                while statements[index + 1] and statements[index + 1].first <= tls.last do
                    index = index + 1
                end
            end
        end
        if statement.depth == depth and statement.words[1] == "import" then
            site.imports[#site.imports + 1] = statement
        end
        if not site.body_first and #statement.words > 0 then
            site.body_first = statement.first
        end
        index = index + 1
    end
    return index
end

local function is_site(words, index)
    return not (words[1] == "{" and index == 1) and not words[1]:find "^&?%(" and words[1] ~= "import"
end

local function addresses_of(words)
    local addresses = {}
    for _, word in ipairs(words) do
        for address in word:gmatch "[^,]+" do
            if address ~= "{" then
                addresses[#addresses + 1] = address
            end
        end
    end
    return addresses
end

-- The lines of a file, its sites, { addresses, line, active = tls directives in force, dormant = commented-out ones,
-- head = the last line of what opens it }, and what statements_of says of it: the statements and the problem.
local function read(text)
    local lines = texts.parted_lines(text)
    local statements, problem = statements_of(lines)
    local sites, index, ordinal, words = {}, 1, 0, {}
    while statements[index] do
        local statement = statements[index]
        for _, word in ipairs(statement.words) do
            words[#words + 1] = word
        end
        if #words > 0 and not words[#words]:find ",$" then
            ordinal = ordinal + 1
            if is_site(words, ordinal) then
                local site = {
                    addresses = addresses_of(words), line = statement.first, head = statement.last,
                    active = {}, dormant = {}, imports = {},
                }
                sites[#sites + 1] = site
                -- Without braces the whole file is one site.
                index = read_site(lines, statements, index + 1, statement.opens and 1 or 0, site)
            elseif statement.opens then
                index = skip_block(statements, index)
            end
            words = {}
        end
        index = index + 1
    end
    return lines, sites, statements, problem
end

-- The site that serves the instance: the one named by $HOSTNAME, or the only one.
local function find_site(sites)
    for _, site in ipairs(sites) do
        for _, address in ipairs(site.addresses) do
            if address:find("$HOSTNAME", 1, true) and not address:find "^http://" then
                return site
            end
        end
    end
    if #sites ~= 1 then
        fail(("the Caddyfile has %d sites, none of them for {$HOSTNAME}"):format(#sites), {
            code = "caddy.site", hint = "change its tls line by hand",
        })
    end
    return sites[1]
end

---@class caddyfile.Site
---@field addresses string[]
---@field line integer
---@field tls? { mode: "acme"|"self-signed"|"off"|"files", email?: string, ca?: string, ca_root?: string,
---  line: integer } nil where the site has no tls line

--- What a Caddyfile says about TLS, enough to decide about it.
---@param text string
---@return caddyfile.Site[]
function caddyfile.parse(text)
    local _, sites = read(text)
    local shown = {}
    for index, site in ipairs(sites) do
        local tls = site.active[1]
        shown[index] = {
            addresses = site.addresses, line = site.line,
            tls = tls and { mode = tls.mode, email = tls.email, ca = tls.ca, ca_root = tls.ca_root, line = tls.first },
        }
    end
    return shown
end

--- The TLS mode of the instance's site.
---@param text string
---@return "acme"|"self-signed"|"files"|"none" mode "none": no tls line, or `tls off`; Caddy 2 without a tls line gets
---  certificates by itself
---@raise "caddy.site" when it is not clear which site is meant
function caddyfile.tls_mode(text)
    local _, sites = read(text)
    local tls = find_site(sites).active[1]
    return tls and tls.mode ~= "off" and tls.mode or "none"
end

-- ---- changing the mode ----

local function check_word(what, text, pattern)
    if text ~= nil and (type(text) ~= "string" or not text:find(pattern)) then
        fail(("'%s' is not %s that a Caddyfile can hold"):format(tostring(text), what), { code = "usage" })
    end
end

local function satisfies(tls, wanted)
    if tls.mode ~= wanted.mode then
        return false
    elseif wanted.mode == "self-signed" then
        return tls.word == wanted.word or (tls.issuer == "internal" and wanted.word == "internal")
    end
    return tls.issuer == nil and (not wanted.email or tls.email == wanted.email)
        and tls.ca == wanted.ca and tls.ca_root == wanted.ca_root
end

local function indent_of(line)
    return line.text:match "^%s*"
end

local function comment_out(lines, tls)
    local changed = {}
    for number = tls.first, tls.last do
        local indent, rest = lines[number].text:match "^(%s*)(.*)$"
        changed[#changed + 1] = rest == "" and indent or indent .. "# " .. rest
    end
    return { first = tls.first, last = tls.last, lines = changed }
end

local function wake(lines, tls)
    local changed = {}
    for number = tls.first, tls.last do
        changed[#changed + 1] = uncommented(lines[number].text) or lines[number].text
    end
    return { first = tls.first, last = tls.last, lines = changed }
end

-- What a directive's block says besides the authority: kept when the directive is written anew.
local function other_options(lines, tls, dormant)
    local kept = {}
    for number = tls.first + 1, tls.last - 1 do
        local line = dormant and uncommented(lines[number].text) or lines[number].text
        local word = words_of(line)[1]
        if word ~= "ca" and word ~= "ca_root" then
            kept[#kept + 1] = line
        end
    end
    return kept
end

local function written(wanted, email, indent, options)
    if wanted.mode == "self-signed" then
        return { indent .. "tls " .. wanted.word }
    elseif not email then
        fail("a certificate authority wants an e-mail address, and the Caddyfile has none", {
            code = "usage", hint = "set_tls(\"acme\", { email = ... })",
        })
    end
    local step = indent:find "^ +$" and indent or "\t"
    local block = {}
    for _, name in ipairs { "ca", "ca_root" } do
        if wanted[name] then
            block[#block + 1] = indent .. step .. name .. " " .. wanted[name]
        end
    end
    for _, line in ipairs(options) do
        block[#block + 1] = line
    end
    if #block == 0 then
        return { indent .. "tls " .. email }
    end
    table.insert(block, 1, indent .. "tls " .. email .. " {")
    block[#block + 1] = indent .. "}"
    return block
end

local function rewrite(lines, wanted, tls, dormant)
    local indent = indent_of(lines[tls.first])
    local options = wanted.mode == "acme" and not tls.issuer and other_options(lines, tls, dormant) or {}
    return { first = tls.first, last = tls.last, lines = written(wanted, wanted.email or tls.email, indent, options) }
end

local function insertion(lines, site, wanted)
    local beside = site.active[#site.active]
    local model = lines[beside and beside.first or site.body_first or site.head]
    local indent = (beside or site.body_first) and indent_of(model) or indent_of(model) .. "\t"
    local after = beside and beside.last or site.head
    return { first = after + 1, last = after, lines = written(wanted, wanted.email, indent, {}) }
end

local function first_of_mode(list, mode)
    for _, tls in ipairs(list) do
        if tls.mode == mode then
            return tls
        end
    end
    return nil
end

local function first_satisfying(list, wanted)
    for _, tls in ipairs(list) do
        if satisfies(tls, wanted) then
            return tls
        end
    end
    return nil
end

-- The edits that put `wanted` in force: { first, last, lines } each; last = first - 1 inserts.
local function edits_for(lines, site, wanted)
    local same = first_of_mode(site.active, wanted.mode)
    local sleeping = first_satisfying(site.dormant, wanted)
    local stale = first_of_mode(site.dormant, wanted.mode)
    local edits = {}
    if same then
        if not satisfies(same, wanted) then
            edits[1] = rewrite(lines, wanted, same, false)
        end
    elseif sleeping then
        edits[1] = wake(lines, sleeping)
    elseif stale then
        edits[1] = rewrite(lines, wanted, stale, true)
    else
        edits[1] = insertion(lines, site, wanted)
    end
    for _, tls in ipairs(site.active) do
        if tls ~= same then
            edits[#edits + 1] = comment_out(lines, tls)
        end
    end
    return edits
end

local function apply(lines, edits)
    table.sort(edits, function(a, b) return a.first > b.first end)
    for _, edit in ipairs(edits) do
        local ending = (lines[edit.first] or lines[edit.first - 1] or lines[1]).ending
        local tail = lines[edit.last] and lines[edit.last].ending or "\n"
        if edit.last < edit.first and edit.first > #lines and #edit.lines > 0 then
            -- After a last line without an end.
            lines[#lines].ending = tail ~= "" and tail or "\n"
        end
        for _ = edit.first, edit.last do
            table.remove(lines, edit.first)
        end
        for offset, text in ipairs(edit.lines) do
            local own = offset == #edit.lines and tail or (ending ~= "" and ending) or "\n"
            table.insert(lines, edit.first + offset - 1, { text = text, ending = own })
        end
    end
end

--- What is asked for, in a form that can be written.
local function check_wanted(mode, options)
    if mode ~= "acme" and mode ~= "self-signed" then
        fail(("the TLS mode is \"acme\" or \"self-signed\", not '%s'"):format(tostring(mode)), { code = "usage" })
    end
    check_word("an e-mail address", options.email, "^[^%s@\"`{}#,]+@[^%s@\"`{}#,]+$")
    check_word("a URL", options.ca, "^https?://[^%s\"`{}#]+$")
    check_word("an absolute path", options.ca_root, "^/[^%s\"`{}#]*$")
    local wanted = { mode = mode, word = options.version == 1 and "self_signed" or "internal" }
    if mode == "acme" then
        wanted.email, wanted.ca = options.email, options.ca
        wanted.ca_root = options.version ~= 1 and options.ca_root or nil
    end
    return wanted
end

--- The lines that put a TLS mode in force, as a plan shows them where there is no Caddyfile to look at yet.
---@param mode "acme"|"self-signed"
---@param options table as for caddyfile.set_tls
---@return string[]
function caddyfile.tls_lines(mode, options)
    local wanted = check_wanted(mode, options)
    return written(wanted, wanted.email or "<the file's e-mail address>", "", {})
end

-- ---- what cannot be changed safely ----

local function refuse(line, what)
    fail(("line %d of the Caddyfile: %s"):format(line, what), {
        code = "caddy.unsafe",
        hint = "mend that by hand, `caddy validate` says whether it is right; nothing was changed",
    })
end

-- The names of the file's snippets that hold a tls line, or import one that does.
local function snippets_with_tls(statements)
    local has, imports, name = {}, {}, nil
    for _, statement in ipairs(statements) do
        local word, argument = statement.words[1], statement.words[2]
        if statement.depth == 0 and word then
            name = word:match "^%((.*)%)$"
        elseif name and word == "tls" then
            has[name] = true
        elseif name and word == "import" and argument then
            imports[#imports + 1] = { by = name, of = argument }
        end
    end
    for _ = 1, #imports do
        for _, import_line in ipairs(imports) do
            has[import_line.by] = has[import_line.by] or has[import_line.of]
        end
    end
    return has
end

local function check_safe(site, statements, problem)
    if problem then
        refuse(problem.line, problem.what)
    end
    local has_tls = snippets_with_tls(statements)
    for _, statement in ipairs(site.imports) do
        if has_tls[statement.words[2]] then
            refuse(statement.first, ("its tls line comes from the snippet (%s), which other sites may share")
                :format(statement.words[2]))
        end
    end
end

-- All words of the file but those of the site's tls lines, as one text to compare.
local function words_beside_tls(statements, site)
    local words, tls, at = {}, site.active, 1
    for _, statement in ipairs(statements) do
        while tls[at] and tls[at].last < statement.first do
            at = at + 1
        end
        if not tls[at] or statement.first < tls[at].first then
            words[#words + 1] = statement.words[1] and table.concat(statement.words, "\0") or nil
        end
    end
    return table.concat(words, "\n")
end

--- The Caddyfile with its instance's site in another TLS mode. Only tls lines change: the one in force becomes a
--- comment, and the one wanted is taken out of its comment, rewritten where its settings differ, or added.
---@param text string
---@param mode "acme"|"self-signed"
---@param options { version: 1|2, email?: string, ca?: string, ca_root?: string } email: the account's address; without
---  it the file's own is kept; ca: the authority's directory URL (the default is Let's Encrypt); ca_root: the file on
---  the host with the root it is trusted by, ignored for Caddy 1, which trusts what the host trusts
---@return string
---@raise "usage", "caddy.site", "caddy.unsafe" with the line, for a file in which the change would not mean what it
---  says: a quote or a block that does not end, a tls line that comes from a snippet
function caddyfile.set_tls(text, mode, options)
    local wanted = check_wanted(mode, options)
    local lines, sites, statements, problem = read(text)
    local site = find_site(sites)
    check_safe(site, statements, problem)
    local before = words_beside_tls(statements, site)
    apply(lines, edits_for(lines, site, wanted))
    local edited = join(lines)
    local _, new_sites, new_statements, new_problem = read(edited)
    local new_site = find_site(new_sites)
    if new_problem or #new_site.active ~= 1 or not satisfies(new_site.active[1], wanted)
        or words_beside_tls(new_statements, new_site) ~= before then
        refuse(site.line, "the tls line of this site cannot be told from what is around it")
    end
    return edited
end

return caddyfile
