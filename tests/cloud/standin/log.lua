-- What was asked and answered, with every secret masked: kept for GET /_cloud/log, and written to requests.jsonl.
local log = {}

local MASK = "[secret]"
local SECRET_FIELDS = { password = true, uri = true, token = true, user_data = true }
local MOST_KEPT = 20000

local lines, unwritten = {}, {}

-- A field of a 1Password item is concealed by its own word for it.
local function is_concealed(value)
    return value.type == "CONCEALED" or value.purpose == "PASSWORD"
end

local function masked(value)
    if type(value) ~= "table" or value == json.null then
        return value
    end
    local copy = json.is_array(value) and json.array {} or {}
    for key, item in pairs(value) do
        local hidden = SECRET_FIELDS[key] or (key == "value" and is_concealed(value))
        copy[key] = hidden and type(item) == "string" and MASK or masked(item)
    end
    return copy
end

--- Records one exchange. The JSON bodies are copied with their secrets masked.
---@param entry { api: string, team?: string, method: string, path: string, query: table, request?: table,
---  status: integer, response?: any, fault?: string }
function log.add(entry)
    local line = json.encode {
        time = now(), api = entry.api, team = entry.team, method = entry.method, path = entry.path, query = entry.query,
        request = masked(entry.request), status = entry.status, response = masked(entry.response), fault = entry.fault,
    }
    lines[#lines + 1] = line
    unwritten[#unwritten + 1] = line
    if #lines > MOST_KEPT then
        table.remove(lines, 1)
    end
end

--- All of it, one JSON object a line.
function log.text()
    return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

--- What has not been written to the file yet, or nil; it counts as written from now on.
function log.take()
    if #unwritten == 0 then
        return nil
    end
    local text = table.concat(unwritten, "\n") .. "\n"
    unwritten = {}
    return text
end

return log
