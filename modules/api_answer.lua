-- What a client of an API demands before it believes or sends: an answer has the shape that was asked for, and what
-- goes into a path is one segment of it. What is wrong is an error that says so, where it would be an index of nil
-- later, somebody else's thing, or another path.
local _, _, import = ...
local api_answer = {}

local text_of = import "base/text"
local SHAPES = {
    number = { pattern = "^%d+$", words = "a whole number" },
    word = { pattern = "^[%w_][%w._:-]*$", words = "letters, digits and any of . _ : -" },
}

---@class api_answer.Question what was asked, for errors
---@field api string whom: "DigitalOcean"
---@field code string of errors: "digitalocean.answer"
---@field summary string what the request does, as a person says it
---@field target string the server
---@field writes boolean whether it may have done something all the same

--- A whole number with all its digits, where Lua's own text of it has fourteen; anything else as tostring has it.
---@param value any
---@return any text an unknown stays one
function api_answer.shown(value)
    if unknown(value) then
        return value
    end
    return text_of.shown(value)
end

--- The segment of a path that names one thing. What could lead to another path is refused.
---@param value any
---@param what string "the id of a droplet"
---@param shape? "number"|"word" ("word")
---@return string segment an unknown stays one
---@raise "usage"
function api_answer.segment(value, what, shape)
    local wanted = SHAPES[shape or "word"]
    local text = (type(value) == "number" or type(value) == "string" or unknown(value)) and api_answer.shown(value)
    if unknown(text) or text and text:find(wanted.pattern) and not text:find("..", 1, true) then
        return text
    end
    fail(("'%s' cannot be %s: that is %s"):format(tostring(value), what, wanted.words), { code = "usage" })
end

--- Raises that an answer is not what was asked for.
---@param question api_answer.Question
---@param problem string "it has no list 'droplets'"
---@param details? table fields of the error: hint, status, cause
function api_answer.refuse(question, problem, details)
    local err = {
        code = question.code, target = question.target, unclear = question.writes,
        hint = "is this the address of the API? A proxy, a login page or another service may have answered",
    }
    for name, value in pairs(details or {}) do
        err[name] = value
    end
    fail(("%s's answer to '%s' is not what was asked for: %s"):format(question.api, question.summary, problem), err)
end

--- The document of an answer. What stands in it is not shown, for there may be secrets in it.
---@param response http.Response
---@param question api_answer.Question
---@return table
function api_answer.document(response, question)
    local status = response.status
    if status >= 300 then
        local there = response.headers.location
        api_answer.refuse(question, ("HTTP status %d%s"):format(status, there and ", which leads to " .. there or ""),
            { status = status })
    elseif response.body == "" then
        api_answer.refuse(question, ("HTTP status %d without a document"):format(status), { status = status })
    end
    local value, err = try(function() return { response.json } end)
    if err then
        api_answer.refuse(question, err.problem and "it is not JSON but " .. err.problem or "it is not JSON",
            { status = status, hint = err.hint })
    elseif type(value[1]) ~= "table" then
        api_answer.refuse(question, "JSON, but not a document", { status = status })
    end
    return value[1]
end

local function is_object(value)
    return type(value) == "table" and not json.is_array(value)
end

--- The value, which must be an object with these fields.
---@param value any
---@param fields table<string, string> their types; "id" is a text that is not empty or a number
---@param name string what it is called in the error
---@param question api_answer.Question
---@return table
function api_answer.object(value, fields, name, question)
    if not is_object(value) then
        api_answer.refuse(question, ("it has no %s"):format(name))
    end
    for field, wanted in pairs(fields) do
        local kind = type(value[field])
        local fits = kind == wanted or wanted == "id" and (kind == "number" or kind == "string" and value[field] ~= "")
        if not fits then
            api_answer.refuse(question, ("its %s has no %s"):format(name, field))
        end
    end
    return value
end

--- The value, which must be a list of objects with these fields.
---@param value any
---@param fields table<string, string> as for api_answer.object
---@param name string what it is called in the error
---@param question api_answer.Question
---@return table[]
function api_answer.list(value, fields, name, question)
    if type(value) ~= "table" or not json.is_array(value) then
        api_answer.refuse(question, ("it has no list of %s"):format(name))
    end
    for index = 1, #value do
        api_answer.object(value[index], fields, ("list of %s"):format(name), question)
    end
    return value
end

--- An order in which these fields are lists also where they are empty: JSON's {} is not taken for a list.
---@param order table
---@param names string[]
---@return table order a copy
function api_answer.with_lists(order, names)
    local copy = {}
    for name, value in pairs(order) do
        copy[name] = value
    end
    for _, name in ipairs(names) do
        if type(copy[name]) == "table" then
            copy[name] = json.array({ unpack(copy[name]) })
        end
    end
    return copy
end

return api_answer
