-- The frames of a stack as a debugger sees them: where each is, its locals and upvalues, to be read and assigned.
--
-- A stack that waits is looked at in place. One that failed is copied at the point of its error, by an error handler:
-- what is caught further out unwinds it, and the interpreter forgets the place of the innermost frame of a dead
-- coroutine. Nothing will run in such a frame again, so its locals may as well be copies; its upvalues are real ones.
local _, import = ...
local frames = {}

local place, sandbox = import "base/place", import "base/sandbox"

local debug = sandbox.debug

local DEEPEST = 100 -- frames of one coroutine
local MOST_LOCALS, MOST_UPVALUES = 200, 60 -- the interpreter's own limits

---@class frames.Frame
---@field source string as the interpreter names it: "@" and a file, "=hostler:" and one of hostler's own
---@field line integer
---@field fn function
---@field name string? of the function, where the interpreter knows one
---@field first integer the lines of the function
---@field last integer
---@field locals table<integer, { name: string, value: any }>? copies, of a frame that is gone
---@field thread thread? of a frame that is still there, with `from_base`, its distance from the bottom of the stack
---@field from_base integer?

--- Frames that run people's code or one of hostler's modules, and not what brings these about.
local function is_shown(info)
    return info.what ~= "C" and not info.source:find "^=hostler:runtime/" and info.source ~= "=hostler:task"
end

local function new_frame(info)
    return {
        source = info.source, line = info.currentline, fn = info.func, name = info.name, first = info.linedefined,
        last = info.lastlinedefined,
    }
end

--- Temporaries of the interpreter have names in parentheses.
local function is_name(name)
    return not name:find "^%("
end

-- ---- finding them ----

--- Copies the frames above the caller's, `level` functions further out.
---@param level integer 1: of the function that called this
---@return frames.Frame[] innermost first
function frames.copy(level)
    local list = {}
    for at = level + 1, level + DEEPEST do
        local info = debug.getinfo(at, "Slnf")
        if not info then
            break
        elseif is_shown(info) then
            local frame = new_frame(info)
            frame.locals = {}
            for index = 1, MOST_LOCALS do
                local name, value = debug.getlocal(at, index)
                if not name then
                    break
                elseif is_name(name) then
                    frame.locals[#frame.locals + 1] = { name = name, value = value }
                end
            end
            list[#list + 1] = frame
        end
    end
    return list
end

local function depth_of(thread)
    local depth = 0
    while debug.getinfo(thread, depth, "l") do
        depth = depth + 1
    end
    return depth
end

--- The frames of coroutines that wait.
---@param threads thread[] innermost first
---@param list? frames.Frame[] to add them to
---@return frames.Frame[] innermost first
function frames.of(threads, list)
    list = list or {}
    for _, thread in ipairs(threads) do
        local depth = depth_of(thread)
        for level = 0, math.min(depth, DEEPEST) - 1 do
            local info = debug.getinfo(thread, level, "Slnf")
            if is_shown(info) then
                local frame = new_frame(info)
                frame.thread, frame.from_base = thread, depth - level
                list[#list + 1] = frame
            end
        end
    end
    return list
end

--- The place in the list of the innermost frame of people's own code, or of the innermost at all.
---@param list frames.Frame[]
---@return integer? nil in an empty list
function frames.innermost(list)
    for index, frame in ipairs(list) do
        if place.file(frame.source) then
            return index
        end
    end
    return list[1] and 1
end

-- ---- looking into one ----

--- Calls fn(name, value, set) for each local, in the order they were declared, until it returns true.
local function walk_locals(frame, fn)
    for _, slot in ipairs(frame.locals or {}) do
        if fn(slot.name, slot.value, function(value) slot.value = value end) then
            return
        end
    end
    local level = frame.thread and depth_of(frame.thread) - frame.from_base
    for index = 1, level and MOST_LOCALS or 0 do
        local name, value = debug.getlocal(frame.thread, level, index)
        local function set(new)
            debug.setlocal(frame.thread, level, index, new)
        end
        if not name or is_name(name) and fn(name, value, set) then
            return
        end
    end
end

local function walk_upvalues(fn, visit)
    for index = 1, MOST_UPVALUES do
        local name, value = debug.getupvalue(fn, index)
        if not name or visit(name, value, index) then
            return
        end
    end
end

--- The local or upvalue of this name: the one declared last, as in the code at that line.
---@return boolean found
---@return any value
---@return function? set takes a new value
function frames.find(frame, name)
    local found, value, set
    walk_locals(frame, function(other, its, assign)
        if other == name then
            found, value, set = true, its, assign
        end
    end)
    if not found then
        walk_upvalues(frame.fn, function(other, its, index)
            if other == name then
                found, value = true, its
                set = function(new) debug.setupvalue(frame.fn, index, new) end
            end
            return found
        end)
    end
    return found or false, value, set
end

--- What may be named in a frame: its locals, then its upvalues, each name once.
---@return { name: string, value: any, upvalue: boolean }[]
function frames.variables(frame)
    local list, places = {}, {}
    local function add(name, value, upvalue)
        local at = places[name]
        if not at then
            at = #list + 1
        elseif upvalue then
            return
        end
        places[name], list[at] = at, { name = name, value = value, upvalue = upvalue }
    end
    walk_locals(frame, function(name, value) add(name, value, false) end)
    walk_upvalues(frame.fn, function(name, value) add(name, value, true) end)
    return list
end

--- The frame at this place of a list, and those further out whose functions hold the text of its own: what may be named
--- at its line, also where its function does not use it.
---@param list frames.Frame[]
---@param at integer?
---@return frames.Frame[]
function frames.scope(list, at)
    local frame = list[at or 0]
    local found = { frame }
    for index = (at or #list) + 1, #list do
        local outer = list[index]
        if outer.source == frame.source and outer.first <= frame.first and outer.last >= frame.last
            and outer.fn ~= frame.fn then
            found[#found + 1] = outer
        end
    end
    return found
end

local function find_in(scope, name)
    for _, frame in ipairs(scope) do
        local found, value, set = frames.find(frame, name)
        if found then
            return found, value, set
        end
    end
    return false
end

--- An environment over frames: their locals and upvalues, then `outer`, which also takes what is assigned to new names.
---@param current fun(): frames.Frame[] those of this moment, see frames.scope
---@param outer table as prompt_world makes it
---@param made? table<string, fun(): any> names whose values are made when they are asked for
---@return table
function frames.environment(current, outer, made)
    local beyond = getmetatable(outer)
    return setmetatable({}, {
        __index = function(_, name)
            local found, value = find_in(current(), name)
            if found then
                return value
            elseif made and made[name] and rawget(outer, name) == nil then
                return made[name]()
            end
            return outer[name]
        end,
        __newindex = function(_, name, value)
            local found, _, set = find_in(current(), name)
            if found then
                set(value)
            else
                outer[name] = value
            end
        end,
        __names = function()
            local names = beyond.__names()
            for name in pairs(made or {}) do
                names[#names + 1] = name
            end
            for _, frame in ipairs(current()) do
                for _, variable in ipairs(frames.variables(frame)) do
                    names[#names + 1] = variable.name
                end
            end
            return names
        end,
        __peek = function(name)
            local found, value = find_in(current(), name)
            if found then
                return value
            end
            return beyond.__peek(name)
        end,
    })
end

--- Gives an upvalue of fn what this name stands for in the frame.
---@return boolean found
local function share(fn, index, name, frame)
    local found = false
    walk_locals(frame, function(other, value)
        if other == name then
            found = true
            debug.setupvalue(fn, index, value)
        end
    end)
    walk_upvalues(frame.fn, function(other, _, at)
        if other == name and not found then
            found = true
            debug.upvaluejoin(fn, index, frame.fn, at)
        end
    end)
    return found
end

--- Binds the upvalues of a function that was just loaded by their names: each to what the first of the frames that
--- knows the name has for it. Upvalues are shared from then on; a local can only be copied.
---@param fn function
---@param list { fn: function }[] frames, or what has a function as they do
function frames.bind(fn, list)
    walk_upvalues(fn, function(name, _, index)
        for _, frame in ipairs(list) do
            if share(fn, index, name, frame) then
                return
            end
        end
    end)
end

-- ---- for people ----

--- "book.lua:12", with the folder of a file.
---@return string
function frames.place(frame)
    local file = frame.source:gsub("^@", ""):gsub("^%./", ""):gsub("^=hostler:", "")
    return ("%s:%d"):format(file, frame.line)
end

--- What a frame runs, in words.
---@return string
function frames.title(frame)
    return frame.name and ("%s in %s"):format(frames.place(frame), frame.name) or frames.place(frame)
end

return frames
