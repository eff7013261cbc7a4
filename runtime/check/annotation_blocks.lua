-- The annotated places of a Lua file: each block of `---` lines with the statement below it.
local _, import = ...
local blocks = {}

local types, texts = import "check/annotation_types", import "base/text"

--- What a tag's body says, once the tag is known. A body may go on over several lines.
local readers = {}

--- "name? type text"; what cannot be read as a type is said in `problem`.
local function typed(body, pattern)
    local name, mark, rest = body:match(pattern)
    if not name then
        return { name = "?", problem = "a name expected at '" .. body .. "'" }
    end
    local parsed, text = types.parse(rest)
    return { name = name, optional = mark == "?", type = parsed, text = parsed and text or "",
        problem = not parsed and text or nil }
end

--- "port: 0 takes a free one (0); tls, ca: PEM files": what the text of an options table says of each field.
local function explain_fields(fields, text)
    local by_name, current = {}, nil
    for _, field in ipairs(fields) do
        by_name[field.name] = field
    end
    for part in (text .. ";"):gmatch "%s*(.-);" do
        local names, said = part:match "^([%w_, ]+): (.+)$"
        local first = names and names:match "^[%w_]+"
        if first and by_name[first] then
            current = {}
            for name in names:gmatch "[%w_]+" do
                current[#current + 1] = by_name[name]
            end
        end
        for _, field in ipairs(current or {}) do
            field.text = field.text and field.text .. "; " .. part or said
        end
    end
end

function readers.param(block, body)
    local param = typed(body, "^([%w_.]+)(%??)%s+(.*)$")
    local value = param.type and types.present(param.type)
    if value and value.kind == "table" then
        explain_fields(value.fields, param.text)
    end
    block.params[#block.params + 1] = param
end

readers["return"] = function(block, body)
    repeat
        local parsed, text = types.parse(body)
        local more = parsed and text:match "^,%s*(.*)$"
        block.returns[#block.returns + 1] = { type = parsed, problem = not parsed and text or nil,
            text = not more and text:gsub("^#%s*", "") or "" }
        body = more
    until not body
end

--- "name? type text", or "[key] type" for what stands under all other keys.
function readers.field(block, body, line)
    local rest = body:match "^%[[^%]]+%]%s+(.*)$"
    if rest then
        block.item = types.parse(rest)
        return
    end
    local field = typed(body, "^([%w_]+)(%??)%s+(.*)$")
    field.line = line
    block.fields[#block.fields + 1] = field
end

function readers.overload(block, body)
    block.overload, block.overload_text = types.parse(body)
end

function readers.type(block, body)
    block.type = types.parse(body)
end

readers["class"] = function(block, body)
    local name, rest = body:match "^([%w_.]+)%s*(.*)$"
    if not name then
        return
    end
    local parent, text = rest:match "^:%s*([%w_.]+)%s*(.*)$"
    block.class = { name = name, parent = parent, text = text or rest }
end

function readers.alias(block, body)
    local name, rest = body:match "^([%w_.]+)%s+(.*)$"
    block.alias = name and { name = name, type = types.parse(rest) } or nil
end

--- "write", or "write unless" and the options that make a read of it.
function readers.effect(block, body)
    block.effect = body
end

function readers.raise(block, body)
    block.raises = body
end

local function new_block(line)
    return { line = line, words = {}, params = {}, returns = {}, fields = {}, tags = {} }
end

--- The text of a block, where an empty line parts two paragraphs.
local function joined(words)
    return (table.concat(words, "\n"):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function close(block, statement, number, indent)
    for _, tag in ipairs(block.tags) do
        local read = readers[tag.name]
        if read then
            read(block, tag.body, tag.line)
        end
    end
    block.text, block.tags, block.words = joined(block.words), nil, nil
    block.statement, block.number, block.indent = statement, number, indent
    return block
end

--- Adds one line of comment to a block: a tag begins with @, the lines below it belong to it.
local function add(block, words, line)
    local name, body = words:match "^@(%l+)%s*(.*)$"
    if name then
        block.tags[#block.tags + 1] = { name = name, body = body, line = line }
    elseif #block.tags > 0 then
        local tag = block.tags[#block.tags]
        tag.body = tag.body .. " " .. words:gsub("^%s+", "")
    else
        block.words[#block.words + 1] = (words:gsub("^ ", ""))
    end
end

--- Every block, in order; statements without one are blocks without text, for their names still count.
---@param source string
---@return { line: integer, text: string, params: table[], returns: table[], fields: table[], raises?: string,
---  class?: table, alias?: table, item?: table, type?: table, overload?: table, statement: string, number: integer,
---  indent: integer }[] statement: the line below it, "" where an empty one follows
function blocks.of(source)
    local found, open, number = {}, nil, 0
    for line in texts.lines(source .. "\n") do -- the last block may have no statement below it
        number = number + 1
        local words = line:match "^ *%-%-%-(.*)$"
        if words and not words:find "^%-" then
            open = open or new_block(number)
            add(open, words, number)
        elseif open or line:find "^[%a}]" or line:find "^ +function " or line:find "^    [%w_]+ = " then
            local indent = #line:match "^ *"
            found[#found + 1] = close(open or new_block(number), line:sub(indent + 1), number, indent)
            open = nil
        end
    end
    return found
end

return blocks
