-- Tables: `show` lays rows out in columns for people, and hands them as data to programs (--json).
local native, import = ...
local rows = {}

local text_of = import "base/text"

local GAP = "  "
local NOTHING = "-"

-- How many columns of a terminal a text takes, as far as that is its number of characters.
local width = text_of.characters

local function cell(row, column)
    local value = row[column.field]
    if value == nil or value == json.null then
        return NOTHING
    elseif column.as then
        value = column.as(value, row)
    end
    return (native.system.visible(text_of.shown(value):gsub("%c", " ")))
end

--- The columns with their defaults: a text stands for the field of that name.
local function complete(columns)
    local full = {}
    for index, column in ipairs(columns) do
        column = type(column) == "table" and column or { field = column }
        local field = column.field or column[1]
        full[index] = { field = field, title = column.title or field:upper():gsub("_", " "), as = column.as }
    end
    return full
end

--- Lays cells out in columns, each as wide as its widest cell. What stands last in a line may be of several lines; of
--- the other cells what may be shown on one line is taken.
---@param cells string[][] the cells of each line
---@param options? { gap?: string, right?: table<integer, true> } gap: what stands between two columns; right: the
---  columns whose cells stand at their right end
---@return string[] lines
function rows.align(cells, options)
    local gap, right = options and options.gap or GAP, options and options.right or {}
    local widest = {}
    for _, line in ipairs(cells) do
        for index = 1, #line - 1 do
            line[index] = native.system.visible(line[index])
            widest[index] = math.max(widest[index] or 0, width(line[index]))
        end
    end
    local lines = {}
    for number, line in ipairs(cells) do
        local parts = {}
        for index, text in ipairs(line) do
            local padding = (" "):rep((index < #line and widest[index] or 0) - width(text))
            parts[index] = right[index] and padding .. text or text .. padding
        end
        lines[number] = table.concat(parts, gap):gsub(" +$", "")
    end
    return lines
end

--- The rows as lines of text, a heading first.
---@return string[]
function rows.lay_out(items, columns)
    local full, cells = complete(columns), { {} }
    for index, column in ipairs(full) do
        cells[1][index] = column.title
    end
    for number, row in ipairs(items) do
        cells[number + 1] = {}
        for index, column in ipairs(full) do
            cells[number + 1][index] = cell(row, column)
        end
    end
    return rows.align(cells)
end

--- Shows rows as a table. With --json the event carries them as they are, in its field `data`.
---@param items table[] JSON-able; a field that is nil is shown as "-"
---@param columns (string|{ field: string, title?: string, as?: fun(value: any, row: table): any })[] which fields, in
---  this order; title: the heading (the field's name in capitals); as: how a value is written for people
local function show(items, columns)
    if type(items) ~= "table" or type(columns) ~= "table" then
        error(native.error.new { code = "usage", message = "show(rows, { \"name\", \"address\" })" }, 2)
    end
    local plain = {}
    for index, row in ipairs(items) do -- a result of a query has more in it than its rows
        plain[index] = row
    end
    native.event.emit("say", {
        parent = native.task.context().scope, text = table.concat(rows.lay_out(items, columns), "\n"),
        data = native.json.show(native.json.face.array(plain)),
    })
end

rows.globals = { show = show }
return rows
