-- What a person reads of a function, a class or a module: its annotations, laid out.
local native, import = ...
local page = {}

local annotations, types, text = import "check/annotations", import "check/annotation_types", import "base/text"

local WIDEST, MARGIN = 100, 4

local function width()
    return math.min(WIDEST, math.max(40, native.system.width())) - MARGIN
end

--- Adds paragraphs, wrapped; lines that are indented stay as they are. An empty line ends it.
local function add_text(lines, words)
    if words == "" then
        return
    end
    local paragraph = ""
    local function flush()
        for _, line in ipairs(paragraph ~= "" and text.wrap(paragraph, width() - 2) or {}) do
            lines[#lines + 1] = "  " .. line
        end
        paragraph = ""
    end
    for line in text.lines(words) do
        if line:find "^%s" or line == "" then
            flush()
            lines[#lines + 1] = line == "" and "" or "  " .. line
        else
            paragraph = paragraph .. " " .. line
        end
    end
    flush()
    lines[#lines + 1] = ""
end

--- Adds rows of label, type and text, the text wrapped in a column of its own: where labels leave too little room for
--- it, further left and below them.
local function add_rows(lines, rows)
    local label_width, type_width = 0, 0
    for _, row in ipairs(rows) do
        label_width = math.max(label_width, #row[1])
        type_width = math.max(type_width, #row[2] <= 24 and #row[2] or 0)
    end
    local pattern = ("  %%-%ds"):format(label_width) .. (type_width > 0 and ("  %%-%ds"):format(type_width) or "%s")
    local column = math.min(#pattern:format("", "") + 2, math.floor(width() / 2))
    for _, row in ipairs(rows) do
        local start = pattern:format(row[1], row[2]):gsub(" +$", "")
        local words = text.wrap(row[3] or "", width() - column)
        if #start + 2 > column and words[1] ~= "" then
            lines[#lines + 1], start = start, ""
        end
        for _, line in ipairs(words) do
            lines[#lines + 1] = start .. (line ~= "" and (" "):rep(column - #start) .. line or "")
            start = ""
        end
    end
end

--- The fields of an options table, below the parameter.
local function fields_of(type)
    local class = type and annotations.class_of(type)
    local rows = {}
    if class and (class.anonymous or class.name:find "Options$" or class.name:find "Request$"
            or class.name == "Playbook" or class.name == "Webhook") then
        for _, name in ipairs(class.order) do
            local field = class.members[name]
            rows[#rows + 1] = { "  " .. name, types.shown(types.present(field.type)), field.text }
        end
    end
    return rows
end

local function short_type(type)
    local class = annotations.class_of(type)
    return class and class.anonymous and "table" or types.shown(types.present(type))
end

local function param_rows(entry)
    local rows = {}
    for _, param in ipairs(entry.params or {}) do
        local fields = fields_of(param.type)
        rows[#rows + 1] = { param.name .. (param.optional and "?" or ""), param.type and short_type(param.type) or "",
            annotations.class_of(param.type) and #fields > 0 and fields[1][3] and "" or param.text }
        for _, row in ipairs(fields) do
            rows[#rows + 1] = row
        end
    end
    for _, result in ipairs(entry.returns or {}) do
        rows[#rows + 1] = { "returns", result.type and types.shown(result.type) or "", result.text }
    end
    rows[#rows + 1] = entry.effect and { "effect", "", entry.effect } or nil
    rows[#rows + 1] = entry.raises and { "raises", "", entry.raises } or nil
    return rows
end

local function first_sentence(words)
    local line = words:gsub("%s+", " ")
    return line:match "^(.-)[.:]%s" or line:gsub("%.$", "")
end

--- The page of a function, a method or a value.
local function entry_page(entry)
    local lines = { annotations.signature(entry), "" }
    add_text(lines, entry.text)
    add_rows(lines, param_rows(entry))
    return lines
end

--- A member in the list of its class: "ssh.connect(target, options?)", ":run(argv, options?)", "user: string".
local function label_of(entry)
    if entry.kind == "value" then
        return ("%s: %s"):format(entry.name, types.shown(types.present(entry.type)))
    end
    local label = annotations.signature(entry):gsub("%) %->.*$", ")")
    return entry.kind == "method" and label:match ":.*$" or label
end

--- The page of a class, a module or a global table: its members, a line each.
local function class_page(class, words)
    local lines, rows = { class.shown or class.name, "" }, {}
    add_text(lines, words)
    if class.call then
        rows[1] = { label_of(class.call), "", first_sentence(class.call.text) }
    end
    for _, name in ipairs(class.order) do
        local entry = class.members[name]
        rows[#rows + 1] = { label_of(entry), "", first_sentence(entry.text) }
    end
    add_rows(lines, rows)
    return lines
end

--- The page of what a name stands for; see annotations.find.
---@param path string
---@return string[]? lines
function page.of(path)
    local found = annotations.find(path)
    if not found then
        return nil
    end
    local module = annotations.index().modules[path]
    local class = found.members and found or found.type and path:find "^%l+$" and annotations.class_of(found.type)
    local lines = class and class_page(class, module and module.text or class.text) or entry_page(found)
    lines[#lines + 1] = ""
    lines[#lines + 1] = ("  hostler:%s:%d"):format(found.file, found.line)
    return lines
end

return page
