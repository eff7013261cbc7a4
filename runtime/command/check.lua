-- hostler check: what is wrong with playbooks, found without running them. What it looks at and what it does not is
-- said in check/machine.lua.
local native, import = ...
local check = {}

local commandline, findings = import "command/commandline", import "check/findings"
local library, params = import "run/library", import "run/params"
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

local function print_finding(finding)
    system.write(("%s:%d:%d: %s [%s]\n"):format(finding.file, finding.line, finding.column, finding.message,
        finding.code))
    system.write(("    why   %s\n"):format(finding.why))
    if finding.mend then
        system.write(("    mend  %s\n"):format(finding.mend))
    end
end

--- Checks these files.
---@param paths string[]
---@return { file: string, line: integer, column: integer, code: string, message: string, why: string, mend?: string }[]
function check.files(paths)
    local found = findings.new()
    for _, path in ipairs(paths) do
        import "check/file".check(path, found)
    end
    return findings.sorted(found)
end

--- Prints findings for people.
---@param list table[] from check.files
---@param count integer how many files were checked
function check.print(list, count)
    for _, finding in ipairs(list) do
        print_finding(finding)
    end
    local files = count == 1 and "1 file" or count .. " files"
    system.write(#list == 0 and ("%s checked, nothing found\n"):format(files)
        or ("%s checked, %d finding%s\n"):format(files, #list, #list == 1 and "" or "s"))
end

---@param argv string[]
---@return integer exit status: 1 with findings
function check.main(argv)
    return commandline.call("check", SPECS, argv, function(values)
        local paths = {}
        for index, name in ipairs(values.what) do
            paths[index] = library.find(name)
        end
        paths = #paths > 0 and paths or all_files()
        local list = check.files(paths)
        if values.json then
            system.write(json.encode(json.array(list), true) .. "\n")
        else
            check.print(list, #paths)
        end
        return #list > 0 and 1 or 0
    end)
end

return check
