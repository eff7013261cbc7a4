-- xpcall, whose handler hears of every error: Lua itself passes over it when memory is at its end, or when the handler
-- has failed, and returns a text in place of what the handler would have made of it.
local handled = {}

local xpcall, type = xpcall, type
local PASSED_OVER = { ["not enough memory"] = true, ["error in error handling"] = true }

local function settle(handler, ok, ...)
    local err = ...
    if not ok and type(err) == "string" and PASSED_OVER[err] then
        return false, handler(err)
    end
    return ok, ...
end

--- As Lua's own.
function handled.xpcall(fn, handler, ...)
    return settle(handler, xpcall(fn, handler, ...))
end

return handled
