-- What `hostler check` finds: each finding with its place, what is wrong, why that matters, and how to mend it.
local findings = {}

-- By code: why it matters, and the mend where a finding brings none of its own.
local TEXTS = {
    syntax = { "Lua cannot read the file" },
    depth = { "the file is not checked; a run may load it", "break the expression up with local variables" },
    manifest = { "the file is refused before anything of it runs" },
    load = { "the file cannot be loaded" },
    global = { "the line fails when it is reached, and not before" },
    field = { "it is nil when the line is reached: a call of it fails, a setting is left out" },
    option = { "an option that is not known is refused when the line is reached" },
    parameter = { "it is nil whatever is given on the command line", "declare it in `params`, or correct its name" },
    colon = { "the first argument would be taken for the object" },
    errand = { "each delivery is kept as refused, and nothing runs" },
    rival = {
        "one path leads to one webhook: that of the folder that comes first; of two in one folder neither is heard",
        "give each a path of its own",
    },
    webhook = {
        "a webhook says which playbook is to run with which arguments, and touches nothing itself: it is refused",
        "do it in that playbook",
    },
    write = {
        "a write outside a step is refused: only what stands in a step is recorded, and can be resumed and undone",
        "step(\"name\", function() ... end) around it",
    },
    readonly = {
        "the playbook says effects = \"read\", so this is refused",
        "take out effects = \"read\"; or, for a command that changes nothing, say read = true",
    },
    probe = {
        "a probe is asked whether the step happened, and may not change anything",
        "look for what the step made, and return it or nil",
    },
    ["step-inside"] = {
        "a step inside a step is refused", "end the outer step first, or make the inner one a plain function",
    },
    ["step-name"] = {
        "a step is known by its name when a run is resumed, so the second one is refused", "give each its own name",
    },
    ["loop-key"] = {
        "a step is known by its name when a run is resumed, so the second turn of the loop is refused",
        "each(items, { key = \"name\" }, function(item) ... end), or put what is special of this turn into the name",
    },
    ["each-key"] = {
        "each needs a name for every item, and a table has none",
        "each(items, { key = \"name\" }, function(item) ... end)",
    },
    shell = {
        "a blank, a quote or a semicolon in the value changes what is run",
        "host:run { \"program\", value }, or host:sh(\"program \\\"$1\\\"\", { args = { value } })",
    },
    sql = {
        "a quote in the value changes what the statement does",
        "db:query(\"... where name = $1\", value); db:ident(name) for the name of a table or a column",
    },
    secret = {
        "every user of the host can read the arguments of a command",
        "give it on stdin or in env; where the tool takes it only so, allow_secret_argv = true",
    },
}

--- A collection of findings, each place and code once.
function findings.new()
    return { list = {}, seen = {}, allowed = {} }
end

--- Takes the comments of a file: "-- check: allow shell" on a line, or on the line above, keeps findings of that
--- code out.
function findings.heed(found, file, comments)
    for _, comment in ipairs(comments) do
        local code = comment.contents:match "^%s*check: allow ([%l-]+)"
        if code then
            found.allowed[("%s:%d:%s"):format(file, comment.line, code)] = true
        end
    end
end

--- Adds a finding.
---@param place { file: string, line: integer, column: integer }
---@param code string
---@param message string
---@param mend? string
function findings.add(found, place, code, message, mend)
    local function is_allowed(line)
        return found.allowed[("%s:%d:%s"):format(place.file, line, code)]
    end
    local key = ("%s:%d:%d:%s"):format(place.file, place.line, place.column, code)
    if found.seen[key] or is_allowed(place.line) or is_allowed(place.line - 1) then
        return
    end
    found.seen[key] = true
    found.list[#found.list + 1] = {
        file = place.file, line = place.line, column = place.column, code = code, message = message,
        why = TEXTS[code][1], mend = mend or TEXTS[code][2],
    }
end

--- The findings in the order of their places.
---@return { file: string, line: integer, column: integer, code: string, message: string, why: string, mend?: string }[]
function findings.sorted(found)
    table.sort(found.list, function(a, b)
        if a.file ~= b.file then
            return a.file < b.file
        elseif a.line ~= b.line then
            return a.line < b.line
        end
        return a.column ~= b.column and a.column < b.column or a.column == b.column and a.code < b.code
    end)
    return found.list
end

--- True when there is a finding on this line.
function findings.has_line(found, file, line)
    for _, finding in ipairs(found.list) do
        if finding.file == file and finding.line == line then
            return true
        end
    end
    return false
end

return findings
