-- hostler check: what is wrong with playbooks, found without running them. What it looks at and what it does not is
-- said in check/machine.lua.
local native, import = ...
local command = {}

local check, commandline = import "check/check", import "command/commandline"
local params, library = import "run/params", import "run/library"
local system = native.system

local SPECS = {
    params.globals.list("what", "string", "a playbook's name or a file; without one all that are found", {}),
    params.globals.flag("json", "print the findings as JSON"),
}

--- All files of the folders that are searched: playbooks, the modules beside them, and their parts.
local function all_files()
    local paths = {}
    for _, entry in ipairs(library.files()) do
        paths[#paths + 1] = entry.paths[1]
    end
    return paths
end

---@param argv string[]
---@return integer exit status: 1 with findings
function command.main(argv)
    return commandline.call("check", SPECS, argv, function(values)
        local paths = {}
        for index, name in ipairs(values.what) do
            paths[index] = library.find(name)
        end
        paths = #paths > 0 and paths or all_files()
        local list = check.files(paths)
        if values.json then
            system.write_data(json.encode(json.array(list), true) .. "\n")
        else
            check.print(list, #paths)
        end
        return #list > 0 and 1 or 0
    end)
end

return command
