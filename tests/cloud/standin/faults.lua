-- Faults on order: which requests fail, stall or are torn, how, and how often. Set through the control API.
local faults = {}

local active = {}

-- Whether a request takes effect before it is spoilt, where the order does not say.
local MODES = { fail = false, stall = false, ["429"] = false, html = false, half = true, drop = true }

local function as_pattern(glob)
    return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- Orders a fault.
---@param order { method?: string, path: string, mode: string, count?: integer|"always", effect?: boolean,
---  status?: integer, body?: table, retry_after?: integer, seconds?: number } path is a glob, "*" matches anything;
---  mode: "fail" answers status and body, "stall" says nothing for `seconds`, "429" answers with Retry-After, "html"
---  answers 502 with a page, "half" sends half of the real answer and "drop" nothing of its body before the
--- connection is closed;  count: how many requests (1); effect: the request takes effect all the same (true for half
--- and drop)
---@return table fault
function faults.add(order)
    if MODES[order.mode] == nil or type(order.path) ~= "string" then
        fail("a fault needs a path and one of the modes fail, stall, 429, html, half, drop",
            { code = "answer", status = 400, id = "bad_request" })
    end
    local fault = {
        method = order.method, pattern = as_pattern(order.path), path = order.path, mode = order.mode,
        left = order.count == "always" and math.huge or order.count or 1,
        status = order.status or 500, body = order.body, retry_after = order.retry_after or 1,
        seconds = order.seconds or 3600, effect = order.effect,
    }
    if fault.effect == nil then
        fault.effect = MODES[order.mode]
    end
    active[#active + 1] = fault
    return fault
end

function faults.clear()
    active = {}
end

--- The fault that this request meets, if any; counts it.
function faults.take(method, path)
    for index, fault in ipairs(active) do
        if (not fault.method or fault.method == method) and path:find(fault.pattern) then
            fault.left = fault.left - 1
            if fault.left <= 0 then
                table.remove(active, index)
            end
            return fault
        end
    end
end

local PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center>"
    .. "<hr><center>stand-in</center></body></html>\n"

--- The whole answer as text, so that a part of it can be sent.
local function as_text(response)
    local text = response.json and json.encode(response.json) or response.body or ""
    return text ~= "" and text or "nothing was to be said"
end

--- What the fault makes of an answer (nil where the request had no effect).
---@return table response { status, headers, json | body, cut? } cut: after so many bytes the connection is closed
function faults.spoil(fault, response)
    if fault.mode == "fail" then
        return {
            status = fault.status, headers = {},
            json = fault.body or { id = "server_error", message = "Server was unable to give you a response." },
        }
    elseif fault.mode == "429" then
        return {
            status = 429, headers = { ["Retry-After"] = tostring(fault.retry_after) },
            json = { id = "too_many_requests", message = "API rate limit exceeded." },
        }
    elseif fault.mode == "html" then
        return { status = 502, headers = { ["Content-Type"] = "text/html" }, body = PAGE }
    elseif fault.mode == "stall" then
        return response or { status = 504, headers = {}, json = { id = "timeout", message = "Gateway timeout." } }
    end
    local text = as_text(response or { json = { message = "an answer that never comes whole" } })
    return {
        status = 200, headers = { ["Content-Type"] = "application/json" }, body = text,
        cut = fault.mode == "half" and math.floor(#text / 2) or 0,
    }
end

--- A stalled answer is held back for this many seconds.
function faults.hold_back(fault)
    if fault.mode == "stall" then
        sleep(fault.seconds)
    end
end

return faults
