-- The options every `hostler run` takes, for its help page.
local native, import = ...
local help = {}

---@return integer exit status
function help.main(_)
    local lines = import "run/params".explain(import "run/manifest".run_options)
    native.system.write("\nusage: hostler run NAME [ARGUMENTS] [--option VALUE]\n" .. table.concat(lines, "\n") .. "\n")
    return 0
end

return help
