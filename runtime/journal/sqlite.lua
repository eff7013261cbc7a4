-- The store of runs in a file: SQLite, with the functions that journal/journal.h lists. While another process has the
-- file locked, the task that asks waits, and others go on.
local native = ...
local sqlite = {}

local open, pause, monotonic = native.journal.sqlite, native.task.pause, native.system.monotonic

local SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.1
-- Of the time waited so far. Who waits long has to try often: others come anew all the while.
local PAUSE_PART = 0.05
local LOCKED = "another process has it locked"

local function give_up(path, seconds)
    error(native.error.new {
        code = "journal.away",
        message = ("the journal %s cannot be used: %s, for more than %g seconds"):format(path, LOCKED, seconds),
        hint = "see what uses it: fuser " .. path,
    }, 0)
end

--- Calls fn until it returns something other than false.
---@param on_pause fun(seconds: number) called before each further try: for how long there was none
local function until_free(path, patience, on_pause, fn, ...)
    local began = monotonic()
    while true do
        local result = fn(...)
        local waited = monotonic() - began
        if result ~= false then
            return result
        elseif waited > patience then
            give_up(path, patience)
        end
        on_pause(waited)
        pause(math.min(math.max(waited * PAUSE_PART, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
    end
end

local function say_nothing() end

--- Opens the file, or makes it.
---@param path string
---@param patience number how long a call waits for others who have it locked, in seconds
---@param on_waiting fun(seconds: number, why?: string) called now and then while a call waits, and with 0 after that
---@return table store
---@raise "journal", "journal.away"
function sqlite.open(path, patience, on_waiting)
    local file = until_free(path, patience, say_nothing, open, path)

    local function call(fn, ...)
        local result = fn(...)
        if result ~= false then
            return result
        end
        result = until_free(path, patience, function(seconds) on_waiting(seconds, LOCKED) end, fn, ...)
        on_waiting(0)
        return result
    end

    local store = { close = file.close }
    for _, name in ipairs { "write", "transaction", "read", "guard", "version", "migrate" } do
        store[name] = function(...) return call(file[name], ...) end
    end
    function store.later(...)
        if file.later(...) then
            call(file.drain)
        end
    end
    local folder = path:gsub("[^/]*$", "") .. "bell"
    function store.ring() native.journal.ring_folder(folder) end
    function store.hear(bell) return (native.journal.hear_folder(folder, bell)) end
    return store
end

return sqlite
