-- The Test Anything Protocol for tests in Lua: one line an assertion, the plan at the end.
local tap = { count = 0, failed = 0 }

local function line(text)
    say(text)
end

--- Records one assertion.
---@param condition any
---@param name string
---@param detail? string shown when it fails
function tap.ok(condition, name, detail)
    tap.count = tap.count + 1
    if condition then
        line(("ok %d - %s"):format(tap.count, name))
        return true
    end
    tap.failed = tap.failed + 1
    line(("not ok %d - %s"):format(tap.count, name))
    for part in ((detail or debug.traceback("", 2)) .. "\n"):gmatch "([^\n]*)\n" do
        line("# " .. part)
    end
    return false
end

local function shown(value)
    return type(value) == "table" and getmetatable(value) == nil and tostring(try(json.encode, value) or value)
        or ("%s (%s)"):format(tostring(value), type(value))
end

--- Tables are compared by their JSON form.
function tap.is(got, want, name)
    local same = got == want
    if not same and type(got) == "table" and type(want) == "table" then
        same = tap.same(got, want)
    end
    return tap.ok(same, name, "got  " .. shown(got) .. "\nwant " .. shown(want))
end

--- True when both hold equal values under equal keys, at every depth.
function tap.same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    for key, value in pairs(a) do
        if not tap.same(value, b[key]) then
            return false
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return false
        end
    end
    return true
end

--- The text matches the Lua pattern.
function tap.like(text, pattern, name)
    return tap.ok(type(text) == "string" and text:find(pattern) ~= nil, name,
        "got      " .. tostring(text) .. "\npattern  " .. pattern)
end

--- fn raises an error with this code; returns the error for a closer look.
---@param code string
---@param fn function
---@param name string
---@return table? err
function tap.raises(code, fn, name)
    local ok, err = pcall(fn)
    local got = not ok and (type(err) == "table" and err.code or "lua")
    tap.ok(got == code, name, ok and "it did not raise" or ("got %s: %s"):format(tostring(got), tostring(err)))
    return type(err) == "table" and err or { message = tostring(err) }
end

--- Ends the file: prints the plan, and fails the process when an assertion failed.
function tap.done()
    line(("1..%d"):format(tap.count))
    if tap.failed > 0 then
        fail(("%d of %d assertions failed"):format(tap.failed, tap.count))
    end
end

return tap
