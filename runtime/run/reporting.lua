-- Which report shows a run on standard output.
local native = ...
local reporting = {}

local system = native.system

--- Shows events on standard output the way the options ask for.
---@param options { json?: boolean, verbose?: boolean }
function reporting.choose(options)
    if options.silent then
        return
    end
    local live = system.isatty(1) and (system.env "TERM" or "dumb") ~= "dumb"
    native.report(options.json and "json" or live and "tree" or "plain", options.verbose and 2 or 0)
end

return reporting
