-- Checks files and prints what is found: for `hostler check`, and for whoever has just written a playbook.
local native, import = ...
local check = {}

local check_file, findings = import "check/file", import "check/findings"
local system = native.system

--- Checks these files.
---@param paths string[]
---@return { file: string, line: integer, column: integer, code: string, message: string, why: string, mend?: string }[]
function check.files(paths)
    local found = findings.new()
    for _, path in ipairs(paths) do
        check_file.check(path, found)
    end
    return findings.sorted(found)
end

local function print_finding(finding)
    system.write(("%s:%d:%d: %s [%s]\n"):format(finding.file, finding.line, finding.column, finding.message,
        finding.code))
    system.write_page(("    why   %s\n"):format(finding.why))
    if finding.mend then
        system.write_page(("    mend  %s\n"):format(finding.mend))
    end
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

return check
