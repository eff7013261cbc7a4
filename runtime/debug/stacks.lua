-- Keeps the stacks of errors while somebody debugs: each error leads to the frames of the place where it was raised.
--
-- Every task begins in a protected call whose handler copies the frames before they are unwound. The ancestors of the
-- task are looked at in place: they wait for it.
local native, import = ...
local stacks = {}

local frames = import "debug/frames"
local complete, spawn, task = native.error.complete, native.task.spawn, native.task

-- The stack of each error, for as long as the error is in use.
local kept = setmetatable({}, { __mode = "k" })

--- A handler of xpcall: completes the error, and keeps its stack unless a place further in has.
local function capture(value)
    local err = complete(value)
    if not kept[err] and err.code ~= "cancelled" then
        local threads = task.threads()
        table.remove(threads, 1)
        kept[err] = { frames = frames.copy(2), ancestors = threads }
    end
    return err
end

local function raise_again(ok, ...)
    if not ok then
        error((...), 0)
    end
    return ...
end

local function guarded(fn, ...)
    return raise_again(xpcall(fn, capture, ...))
end

--- From now on the stacks of errors are kept.
function stacks.keep()
    if native.error.complete == capture then
        return
    end
    native.error.complete = capture
    function task.spawn(seconds, fn, ...)
        return spawn(seconds, guarded, fn, ...)
    end
end

--- The frames of the place where an error was raised, and of what led there.
---@param err table
---@return frames.Frame[] innermost first
function stacks.of(err)
    local stack = kept[err]
    if not stack then
        return {}
    end
    local list = { unpack(stack.frames) }
    return frames.of(stack.ancestors, list)
end

return stacks
