-- Loading people's files in a process that goes on: each with the modules that it requires as they are at that time,
-- and with what it was loaded from, by which it is known later whether anything of it has changed.
local native, import = ...
local loading = {}

local library, modules, texts = import "run/library", import "run/modules", import "run/texts"
local system, task = native.system, native.task

-- A file, or a function of a webhook, that computes for ever is ended then.
loading.LONGEST_SECONDS = 5

---@class inbox.Loaded
---@field path string
---@field value any what the file returns
---@field files { name: string, path: string, text: string }[] the file, as `name`, and the modules beside it

--- Calls fn in a task of its own that ends with an error when it takes too long. Who asks may be cancelled meanwhile: a
--- file is not taken for broken by that.
---@return any ... what it returns
function loading.within(fn, ...)
    return task.join_shielded(task.spawn_shielded(loading.LONGEST_SECONDS, fn, ...))
end

--- Loads a file and the modules that it requires anew. Secrets that are not set are unknowns.
---@param path string
---@param name "playbook"|"webhook"
---@return inbox.Loaded
---@raise what the file raises
function loading.load(path, name)
    return loading.within(function()
        task.context().secrets_may_lack = true
        modules.forget()
        local value = library.evaluate(path, name)
        return { path = path, value = value, files = texts.files() }
    end)
end

--- Whether it would be loaded from the same texts today.
---@param loaded inbox.Loaded
---@return boolean
function loading.is_current(loaded)
    for _, file in ipairs(loaded.files) do
        if system.read_file(file.path) ~= file.text then
            return false
        end
    end
    return true
end

return loading
