-- What a verb does once it knows what shall be: apt simulates it, others at work are waited for, an interrupted dpkg
-- goes on, apt is told, and what came of it is read.
local _, _, import = ...
local carrying = {}

local apt, reading = import "packages/apt", import "packages/reading"
local reasons, restarts = import "packages/reasons", import "packages/restarts"

-- What is to be done, as a plan finds it: { doing, flags, words, may_go, held, marks, undecided }. doing: in words;
-- words: packages, with their versions; may_go: those that may be removed; held: those that stay for that; marks:
-- changes that apt's simulation does not tell of; undecided: what it takes is known when the step runs.

--- That nothing has changed.
---@param held? string[] packages that would have, but are held
---@return packages.Changes
function carrying.nothing(held)
    return { changed = false, packages = {}, kept_files = {}, held = held or {}, kept_back = {} }
end

--- Changes in words, a line each.
---@param changes packages.Change[]
---@return string
function carrying.lines_of(changes)
    local lines = {}
    for index, change in ipairs(changes) do
        lines[index] = reading.in_words(change)
    end
    return table.concat(lines, "\n")
end

-- Raises when packages would go that nobody has named.
local function check_removals(self, request, changes)
    local gone = {}
    for _, change in ipairs(changes) do
        local goes = change.action == "remove" or change.action == "purge"
        gone[#gone + 1] = goes and not request.may_go[change.name] and change.name or nil
    end
    if #gone > 0 then
        fail(("cannot %s: %s would have to go"):format(request.doing, table.concat(gone, ", ")), {
            code = "packages.removes", target = tostring(self.host.target), packages = gone,
            hint = "where that is meant, name them: apt:remove { ... }",
        })
    end
end

-- What apt would do.
local function simulate(self, request)
    local result = self.host:run(apt.command(request.flags, request.words, true), {
        read = true, check = false, env = apt.ENVIRONMENT, timeout = 300,
        summary = "see what it takes to " .. request.doing,
    })
    if result.status ~= 0 then
        local held = reading.listed(result.stdout, "held packages will be changed")
        reasons.raise(self.host, request.doing, result, { packages = held[1] and held or nil })
    end
    request.kept_back = reading.listed(result.stdout, "have been kept back")
    local changes = reading.simulation(result.stdout)
    check_removals(self, request, changes)
    for _, change in ipairs(request.marks or {}) do
        changes[#changes + 1] = change
    end
    return changes
end

local function done(self, request, changes, result)
    return {
        changed = true, packages = changes, kept_files = reading.kept_files(result.stdout .. "\n" .. result.stderr),
        held = request.held or {}, kept_back = request.kept_back or {}, restarts = restarts.of(self.host),
    }
end

--- Goes on where dpkg was interrupted. A package's script that fails fails again when apt comes to it, and is told
--- then, unless what is to be done is the cure.
---@param self packages.Packages
---@return ssh.Result
function carrying.go_on(self)
    local result = self.host:run({ "dpkg", "--configure", "-a", "--force-confdef", "--force-confold" }, {
        env = apt.ENVIRONMENT, check = false, summary = "finish what an interrupted dpkg had begun",
    })
    if not unknown(result) and result.status ~= 0
        and reasons.of(result.stdout .. "\n" .. result.stderr).code ~= "packages.script" then
        reasons.raise(self.host, "finish what an interrupted dpkg had begun", result)
    end
    return result
end

-- Others are waited for, and an interrupted dpkg goes on: true when any of that happened, and all may be different; and
-- what dpkg said.
local function make_ready(self, state)
    if unknown(state) then
        return false
    elseif apt.wait_for_others(self.host, state, self.patience) then
        return true
    end
    local result = state.journal and carrying.go_on(self)
    if result and not unknown(result) then
        return true, result
    end
    return false
end

local function tell(self, request, changes)
    return self.host:run(apt.command(request.flags, request.words), {
        env = apt.ENVIRONMENT, check = false, summary = request.doing, detail = carrying.lines_of(changes or {}),
    })
end

-- Whether apt can be told again, for why it failed passes.
local function can_be_told_again(self, result, tried)
    local code = reasons.of(result.stdout .. "\n" .. result.stderr).code
    if tried[code] then
        return false
    elseif code == "packages.gone" then
        tried[code] = true
        self:refresh { older_than = 0 }
        return true
    elseif code == "packages.locked" then
        tried[code] = #apt.look(self.host, {}, "see who is at work with the packages").holders == 0
        return true
    end
    return false
end

--- Does what `plan` finds is to be done.
---@param self packages.Packages
---@param plan fun(): table, packages.State? looks at the host and returns what is to be done and the state that it saw,
---  or Changes with none where all is as it shall be
---@return packages.Changes
function carrying.carry_out(self, plan)
    local tried, finished = {}, nil
    while true do
        local request, state = plan()
        local changes = request.words and not request.undecided and simulate(self, request) or nil
        if not request.words or changes and #changes == 0 then
            return finished or carrying.nothing(request.held)
        end
        local again, result = make_ready(self, state)
        if result then -- dpkg's, which may have been all that there was to do
            finished = done(self, request, changes or {}, result)
        elseif not again then
            result = tell(self, request, changes)
            if unknown(result) then
                return result
            elseif result.status == 0 then
                return done(self, request, changes, result)
            elseif not can_be_told_again(self, result, tried) then
                reasons.raise(self.host, request.doing, result)
            end
        end
    end
end

return carrying
