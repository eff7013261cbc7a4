-- Looking whether everything is there that playbooks need: checks that run side by side, each a line in words.
local native, _, import = ...
local checkup = {}

local journal, sealing = import "journal/store", import "journal/sealing"
local tables = import "report/rows"

local MOST_SECONDS = 20 -- for each check: a server that says nothing is not waited for

---@class checkup.Check
---@field what string "ssh-agent"
---@field look fun(): string? what was found, in words; raises with a hint when it is not as it has to be
---@field advice? string what to do where the error has no hint

--- Runs the checks, tells a line of each in their order, and raises when one fails.
---@param checks checkup.Check[]
---@raise "doctor" with `failures`
function checkup.examine(checks)
    local found, looks = {}, {}
    for index, check in ipairs(checks) do
        looks[index] = function()
            local words, err = try(timeout, MOST_SECONDS, check.look)
            found[index] = { words = words, err = err }
            return true
        end
    end
    parallel(looks)
    local failures, cells = {}, {}
    for index, check in ipairs(checks) do
        local words, err = found[index].words, found[index].err
        local advice = err and (err.hint or check.advice)
        failures[#failures + 1] = err and check.what or nil
        cells[#cells + 1] = { err and "FAIL" or "ok  ", check.what, tostring(err and err.message or words or "") }
        cells[#cells + 1] = advice and { "", "", "-> " .. tostring(advice) } or nil
    end
    for _, line in ipairs(tables.align(cells)) do
        say("%s", line)
    end
    if #failures > 0 then
        fail(("%d of %d checks failed: %s"):format(#failures, #checks, table.concat(failures, ", ")), {
            code = "doctor", failures = failures, hint = "each line above says what to do",
        })
    end
end

-- ---- hostler itself ----

local function libraries()
    local words = {}
    for index, library in ipairs(native.libraries()) do
        words[index] = library.name .. " " .. library.version
    end
    return table.concat(words, ", ")
end

-- Opens it, as every run does, with the key for its secrets; both are made where there are none yet, and closed to
-- others where they were open.
local function store()
    sealing.prepare()
    return journal.open().name
end

--- The checks of hostler itself: the libraries it runs on, the store where it keeps its runs.
---@return checkup.Check[]
function checkup.own()
    return { { what = "libraries", look = libraries }, {
        what = "store", look = store,
        advice = "give its directory to the user who runs hostler, or name another one in XDG_STATE_HOME; "
            .. "HOSTLER_STORE names a shared one",
    } }
end

return checkup
