-- A crew: tasks that come and go for as long as someone lives who starts them. For servers and workers, which cannot
-- join each task before they start the next.
local native = ...
local task = native.task
local crew = {}
crew.__index = crew

--- A crew without tasks. Only the running task may use it: the tasks it starts are its own.
function crew.new()
    return setmetatable({ members = {}, ended = {} }, crew)
end

--- Starts a task outside any crew. It belongs to the running task, which ends no earlier and fails with it.
---@param fn function
function crew.spawn(fn, ...)
    return task.spawn(nil, fn, ...)
end

local function release(self, key)
    local member = self.members[key]
    self.members[key] = nil
    if member then
        pcall(task.join_shielded, member)
    end
end

--- Lets go of the tasks that have ended.
local function reap(self)
    local ended = self.ended
    self.ended = {}
    for _, key in ipairs(ended) do
        release(self, key)
    end
end

--- Starts fn as a task of the crew, in a context of its own: steps in it have paths that begin with `path`.
---@param key any names the task in the crew; in use until the task ends
---@param path string added to the path of the task that owns the crew
---@param fn function should catch its errors: they end with it
function crew:start(key, path, fn, ...)
    reap(self)
    self.members[key] = task.spawn(nil, function(...)
        local context = task.context()
        context.path = (context.path or "") .. "/" .. path
        context.step, context.effect_kind = false, false
        pcall(fn, ...)
        table.insert(self.ended, key)
    end, ...)
end

--- Cancels the task of this key, if there is one.
---@param message string why
function crew:cancel(key, message)
    local member = self.members[key]
    if member then
        task.cancel(member, message)
    end
end

--- Cancels all tasks and waits until they have ended, also in a cancelled task.
---@param message string why
function crew:close(message)
    for key in pairs(self.members) do
        self:cancel(key, message)
    end
    for key in pairs(self.members) do
        release(self, key)
    end
end

return crew
