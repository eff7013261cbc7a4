-- Writes that may go on when the process that began them is gone: a command on a host, of which the connection is lost.
--
-- A module that makes such writes tells with the effect's `reach` how a later process comes to where it goes on, and
-- looks there for the effect's mark, which the gate gives it.
local _, import = ...
local outliving = {}

local current = import "journal/current"

local looks = {}

--- Says how a module's writes are looked for.
---@param module string what `require` calls it; an effect's reach.module
---@param look fun(reach: table, mark: string, patience: number): status: "running"|"ended"|"unknown", detail?: string
---  waits for the end of one that runs, at most `patience` seconds; detail: for people, where it runs, or why nobody
---  can know; raises what keeps it from looking
function outliving.register(module, look)
    looks[module] = look
end

--- What a write of this run is known by where it goes on. Letters, digits and dots.
---@param number integer of the effect
---@return string
function outliving.mark(number)
    return ("%s.%d"):format(current.run, number)
end

--- Looks for a write that a process of this run began. Its module has been loaded.
---@param reach table
---@param number integer
---@param patience number seconds
---@return "running"|"ended"|"unknown" status, string? detail
function outliving.look(reach, number, patience)
    return looks[reach.module](reach, outliving.mark(number), patience)
end

return outliving
