-- Looking whether everything is there that playbooks need: checks that run side by side, each a line in words.
local native, _, import = ...
local checkup = {}

local MOST_SECONDS = 20 -- for each check: a server that says nothing is not waited for

---@class checkup.Check
---@field what string "ssh-agent"
---@field look fun(): string? what was found, in words; raises with a hint when it is not as it has to be
---@field advice? string what to do where the error has no hint

--- Runs the checks, tells a line of each in their order, and raises when one fails.
---@param checks checkup.Check[]
---@raise "doctor" with `failures`
function checkup.examine(checks)
    local found, looks, widest = {}, {}, 0
    for index, check in ipairs(checks) do
        widest = math.max(widest, #check.what)
        looks[index] = function()
            local words, err = try(timeout, MOST_SECONDS, check.look)
            found[index] = { words = words, err = err }
            return true
        end
    end
    parallel(looks)
    local failures = {}
    for index, check in ipairs(checks) do
        local words, err = found[index].words, found[index].err
        local label = check.what .. (" "):rep(widest - #check.what)
        if err then
            failures[#failures + 1] = check.what
            say("FAIL  %s  %s", label, tostring(err.message))
            if err.hint or check.advice then
                say("      %s  -> %s", (" "):rep(widest), tostring(err.hint or check.advice))
            end
        else
            say("ok    %s  %s", label, words or "")
        end
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
    import "journal/sealing".prepare()
    return store.open().name
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
