-- Which report shows a run on standard output.
local native = ...
local reporting = {}

local system = native.system

--- Whether standard output is a terminal on which lines can be drawn anew.
function reporting.is_live()
    return system.isatty(1) and (system.env "TERM" or "dumb") ~= "dumb"
end

--- Shows events on standard output the way the options ask for.
---@param options { json?: boolean, verbose?: boolean }
function reporting.choose(options)
    if options.silent then
        return
    end
    native.report(options.json and "json" or reporting.is_live() and "tree" or "plain", options.verbose and 2 or 0)
end

return reporting
