-- The names of a prompt: what is assigned there, then the globals of playbooks, then modules, which are loaded when
-- their name is first used.
local _, import = ...
local prompt_environment = {}

local sandbox = import "base/sandbox"
local modules = import "run/modules"

--- The names in a table, for suggestions and completion.
local function add_names(names, source)
    for name in next, source do
        if type(name) == "string" then
            names[#names + 1] = name
        end
    end
end

--- A new environment: assignments stay in it.
---@return table environment
function prompt_environment.new()
    local environment, declared = {}, {} -- what was set to nil is known all the same
    return setmetatable(environment, {
        __newindex = function(_, name, value)
            declared[name] = true
            rawset(environment, name, value)
        end,
        __index = function(_, name)
            local value = rawget(sandbox.globals, name)
            if value ~= nil or declared[name] then
                return value
            elseif type(name) == "string" and name:find "^[%a_][%w_]*$" and modules.exists(name) then
                return modules.globals.require(name)
            end
            local names = modules.names()
            add_names(names, environment)
            sandbox.missing(name, names)
        end,
        __names = function()
            local names = modules.names()
            add_names(names, sandbox.globals)
            return names
        end,
        __peek = function(name)
            local value = rawget(environment, name)
            if value == nil then
                value = rawget(sandbox.globals, name)
            end
            return value == nil and modules.loaded(name) or value
        end,
    })
end

return prompt_environment
