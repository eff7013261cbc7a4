-- A sign-up as the form tells it: the answers that set-up needs, by the names that site.lua gives them.
local site = require "site"

local signup = {}

local NAMES = { "full_name", "email", "subdomain" }

--- The text of an answer of Typeform's: it stands under the name of its type, a choice with a label.
local function text_of(answer)
    local value = answer[answer.type]
    if type(value) == "table" then
        value = value.label
    end
    return value
end

--- The answers to a form of Typeform's, by the `ref` of their questions.
---@param answers table[] form_response.answers
---@return table<string, any>
function signup.answers(answers)
    local by_ref = {}
    for _, answer in ipairs(answers) do
        by_ref[answer.field.ref] = text_of(answer)
    end
    return by_ref
end

local function is_reserved(name)
    for _, reserved in ipairs(site.signup.reserved) do
        if reserved == name then
            return true
        end
    end
    return false
end

--- What `setup` takes, from the answers.
---@param answers table<string, any> by the names in site.signup.fields
---@return table arguments
---@raise "signup" for an answer that is missing, or a name that no customer can have
function signup.arguments(answers)
    local values = {}
    for _, name in ipairs(NAMES) do
        local field = site.signup.fields[name]
        local text = answers[field]
        if type(text) ~= "string" or not text:find "%S" then
            fail(("there is no answer '%s', which is the customer's %s"):format(field, name:gsub("_", " ")), {
                code = "signup", hint = "site.signup.fields in site.lua names the form's questions",
            })
        end
        values[name] = text:match "^%s*(.-)%s*$"
    end
    local subdomain = values.subdomain:lower()
    if is_reserved(subdomain) then
        fail(("the name '%s' is kept for ourselves"):format(subdomain), { code = "signup" })
    end
    return { values.full_name, values.email, subdomain, new = true }
end

return signup
