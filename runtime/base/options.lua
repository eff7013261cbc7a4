-- Tables of options, as functions take them: names that nobody knows and values of another kind are refused.
local native, import = ...
local options = {}

local keys, suggest = import "base/keys", import "base/suggest"
local refuse = import "base/misuse".refuse

local is_secret, is_unknown = native.secret.is, native.secret.is_unknown

local function refuse_name(what, name, known)
    local names = keys.sorted(known)
    local near = suggest.nearest(tostring(name), names)
    refuse(("%s has no option '%s'"):format(what, tostring(name)),
        near and ("did you mean '%s'?"):format(near) or "it takes " .. table.concat(names, ", "))
end

--- Whether a value is of one of the kinds in `wanted`; what only the real run will know is of every kind.
---@param value any
---@param wanted string "any", "string", "number or string", "string or secret" ...
---@return boolean
function options.fits(value, wanted)
    if wanted == "any" or wanted == type(value) or is_unknown(value) then
        return true
    end
    local kind = is_secret(value) and "secret" or type(value)
    return (" " .. wanted .. " "):find(" " .. kind .. " ", 1, true) ~= nil
end

--- Checks the options that a function was given.
---@param what string who takes them: "ssh.connect"
---@param given table
---@param known table<string, string> the kinds of each, as options.fits reads them
---@raise "usage"
function options.check(what, given, known)
    if type(given) ~= "table" then
        refuse(("%s takes a table of options, not a %s"):format(what, type(given)))
    end
    for name, value in pairs(given) do
        local wanted = known[name]
        if not wanted then
            refuse_name(what, name, known)
        elseif not options.fits(value, wanted) then
            refuse(("%s: %s must be a %s, not a %s"):format(what, name, wanted, type(value)))
        end
    end
end

return options
