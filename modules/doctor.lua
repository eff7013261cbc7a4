-- Looking whether everything is there that playbooks need: checks that run side by side, each a line in words.
local native, gate = ...
local doctor = {}

local file = require "file"

---@class doctor.Check
---@field what string "ssh-agent"
---@field look fun(): string? what was found, in words; raises with a hint when it is not as it has to be
---@field advice? string what to do where the error has no hint

--- Runs the checks, tells a line of each in their order, and raises when one fails.
---@param checks doctor.Check[]
---@raise "doctor" with `failures`
function doctor.examine(checks)
    local found, looks, widest = {}, {}, 0
    for index, check in ipairs(checks) do
        widest = math.max(widest, #check.what)
        looks[index] = function()
            local words, err = try(check.look)
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
            warn("FAIL  %s  %s", label, tostring(err.message))
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

-- Where hostler keeps its runs: XDG Base Directory Specification; root's under /var/lib.
local function state_directory()
    local base = env "XDG_STATE_HOME"
    if base and base:find "^/" then
        return base .. "/hostler"
    elseif native.is_root() then
        return "/var/lib/hostler"
    end
    return (env "HOME" or fail("neither HOME nor XDG_STATE_HOME is set", {
        hint = "set XDG_STATE_HOME to a directory of your own",
    })) .. "/.local/state/hostler"
end

local function is_writable(path)
    return gate.perform({
        kind = "read", name = "doctor.writable", target = "localhost",
        summary = ("whether %s can be written"):format(path),
    }, native.writable, path)
end

local function store()
    local path = state_directory()
    local stat, place = file.stat(path), path
    while not stat and place ~= "/" do
        place = place:match "^(.*)/[^/]+$"
        place = place == "" and "/" or place
        stat = file.stat(place)
    end
    if stat.kind ~= "directory" or not is_writable(place) then
        fail(("%s cannot be written"):format(place), {
            hint = "give it to the user who runs hostler, or set XDG_STATE_HOME to another directory",
        })
    elseif place == path and stat.mode % 64 ~= 0 then
        fail(("%s can be read by others"):format(path), { hint = "chmod 700 " .. path })
    end
    return place == path and path or path .. ", which the first run makes"
end

--- The checks of hostler itself: the libraries it runs on, the directory where it keeps its runs.
---@return doctor.Check[]
function doctor.own()
    return { { what = "libraries", look = libraries }, { what = "store", look = store } }
end

return doctor
