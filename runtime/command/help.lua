-- The options every `hostler run` takes, for its help page.
local native, import = ...
local help = {}

local manifest, params = import "run/manifest", import "run/params"

---@return integer exit status
function help.main(_)
    local lines = params.explain(manifest.run_options)
    native.system.write_page("\nusage: hostler run NAME [ARGUMENTS] [--option VALUE]\n"
        .. table.concat(lines, "\n") .. "\n")
    return 0
end

return help
