-- string.format and table.concat with secrets and unknowns among their values: the result is one too, as with `..`,
-- and not a text that says "[secret]". Lists are sorted and joined by functions that can be stopped.
local native = ...

local format, concat = string.format, table.concat
local is_secret, is_unknown = native.secret.is, native.secret.is_unknown

local function is_hidden(value)
    return type(value) == "userdata" and (is_secret(value) or is_unknown(value))
end

local function format_hidden(pattern, ...)
    local result, position, used = "", 1, 0
    for first, directive, letter, after in pattern:gmatch "()(%%[-+ #0]*%d*%.?%d*([%a%%]))()" do
        result = result .. pattern:sub(position, first - 1)
        position = after
        if letter == "%" then
            result = result .. "%"
        else
            used = used + 1
            local value = (select(used, ...))
            if not is_hidden(value) then
                value = format(directive, value)
            elseif letter ~= "s" then
                error(native.error.new { code = "usage", message = ("only %%s takes %s"):format(tostring(value)) }, 3)
            end
            result = result .. value
        end
    end
    return result .. pattern:sub(position)
end

function string.format(pattern, ...)
    for index = 1, select("#", ...) do
        if is_hidden((select(index, ...))) then
            return format_hidden(pattern, ...)
        end
    end
    return format(pattern, ...)
end

--- What stands between two hidden values is joined at once.
local function concat_hidden(list, separator, first, last)
    local result, from = "", first
    for index = first, last do
        if is_hidden(list[index]) then
            local before = index > from and concat(list, separator, from, index - 1) .. separator or ""
            result = result .. before .. list[index] .. (index < last and separator or "")
            from = index + 1
        end
    end
    return from > last and result or result .. concat(list, separator, from, last)
end

table.sort, table.concat = native.tables.sort, native.tables.concat_with(concat, concat_hidden)

return {}
