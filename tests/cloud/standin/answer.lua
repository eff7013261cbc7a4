-- How the stand-in answers: refusals in DigitalOcean's words, pages of a list, times and numbers.
local answer = {}

local next_number = 3164000

--- Ends the handling of a request with an error that the caller reads.
---@param status integer
---@param id string DigitalOcean's short word for it
---@param message string
function answer.refuse(status, id, message)
    fail(message, { code = "answer", status = status, id = id })
end

function answer.not_found()
    answer.refuse(404, "not_found", "The resource you requested could not be found.")
end

--- 422, with a message as DigitalOcean writes it.
function answer.unprocessable(message)
    answer.refuse(422, "unprocessable_entity", message)
end

--- A number that nothing else of the stand-in has.
function answer.number()
    next_number = next_number + 1
    return next_number
end

--- A moment as RFC 3339 has it, in UTC.
---@param seconds? number since 1970; now without it
function answer.time(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds or now()))
end

--- True for what a JSON body leaves out or sets to null.
function answer.absent(value)
    return value == nil or value == json.null
end

local function whole(text, fallback, smallest, largest)
    if text == nil then
        return fallback
    end
    local value = text:match "^%d+$" and tonumber(text)
    if not value or value < smallest then
        answer.refuse(400, "bad_request", "Page and per_page must be positive whole numbers.")
    end
    return math.min(value, largest)
end

local function address(call, page, per_page)
    local words = {}
    for name, value in pairs(call.whole_query) do
        if name ~= "page" and name ~= "per_page" then
            words[#words + 1] = name .. "=" .. value:gsub("[^%w_.~-]", function(byte)
                return ("%%%02X"):format(byte:byte())
            end)
        end
    end
    table.sort(words)
    words[#words + 1] = ("page=%d&per_page=%d"):format(page, per_page)
    return ("%s%s?%s"):format(call.origin, call.path, table.concat(words, "&"))
end

--- One page of a list, as every list of the API is answered: { KEY = [...], links, meta }.
---@param call table the request
---@param key string what the list is called in the answer
---@param list table[] all items
---@param show fun(item: table): table what the API tells of one
function answer.page(call, key, list, show)
    local per_page = whole(call.query.per_page, 20, 1, 200)
    local page = whole(call.query.page, 1, 1, math.huge)
    local last = math.max(math.ceil(#list / per_page), 1)
    local items = json.array {}
    for index = (page - 1) * per_page + 1, math.min(page * per_page, #list) do
        items[#items + 1] = show(list[index])
    end
    local pages = {}
    if page > 1 then
        pages.first, pages.prev = address(call, 1, per_page), address(call, math.min(page - 1, last), per_page)
    end
    if page < last then
        pages.next, pages.last = address(call, page + 1, per_page), address(call, last, per_page)
    end
    return 200, { [key] = items, links = next(pages) and { pages = pages } or {}, meta = { total = #list } }
end

return answer
