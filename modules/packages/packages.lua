-- The packages of a Debian or Ubuntu host: what shall be installed, at which version, and what shall go, by apt.
--
-- Each verb says what shall be. It asks the host first, has apt simulate what that takes, and tells apt only where it
-- takes anything; a dry run shows what apt would do. Nobody is asked on the host: configuration files that were changed
-- there stay as they are, and the result names them.
local _, _, import = ...
local packages = {}

local apt, carrying, reading = import "packages/apt", import "packages/carrying", import "packages/reading"
local reasons, restarts, wanted = import "packages/reasons", import "packages/restarts", import "packages/wanted"
local options_of = import "base/options"

---@class packages.Packages the packages of a host
---@field host ssh.Host
---@field patience number seconds that another apt at work is waited for
local Packages = {}
Packages.__index = Packages

local PATIENCE = 600
local HOUR = 3600

---@class packages.Changes what a verb has changed; undo takes it
---@field changed boolean
---@field packages packages.Change[] in apt's order
---@field kept_files string[] configuration files that stayed as they were, where a package has another
---@field held string[] packages that are held, and would have changed
---@field kept_back string[] packages that apt leaves as they are, for what they need is not to be had
---@field restarts? packages.Restarts what has to be started again; nil where nothing changed

-- ---- asking ----

--- A package as the host has it.
---@param name string
---@return packages.Installed? package nil when it is not installed
---@raise "packages.missing" on a host without apt
function Packages:installed(name)
    wanted.check_name("apt:installed", name)
    local state = apt.look(self.host, {}, "see whether it has " .. tostring(name))
    return unknown(state) and state or state.installed[name]
end

---@class packages.Upgradable
---@field name string
---@field installed string its version
---@field candidate string the version that apt would install
---@field security? string the version of the newest security update, where there is one
---@field held boolean

local function upgradable_of(state)
    local found = {}
    for _, package in ipairs(state.list) do
        local policy = state.policy[package.name]
        local newer = policy and policy.candidate and policy.installed and policy.candidate ~= policy.installed
        local security = policy and policy.installed and reading.security_update(policy)
        found[#found + 1] = (newer or security) and {
            name = package.name, installed = package.version, candidate = policy.candidate, security = security or nil,
            held = package.held,
        } or nil
    end
    table.sort(found, function(a, b) return a.name < b.name end)
    return found
end

--- The packages of which apt has newer versions, by its lists as they are: see apt:refresh.
---@return packages.Upgradable[] by name
---@raise "packages.missing", "packages.sources"
function Packages:upgradable()
    local state = apt.look(self.host, "all", "see what can be upgraded")
    return unknown(state) and state or upgradable_of(state)
end

--- Those of apt:upgradable for which there is a security update: a newer version in an archive's security suite.
---@return packages.Upgradable[] by name
---@raise "packages.missing", "packages.sources"
function Packages:security_updates()
    local found = self:upgradable()
    if unknown(found) then
        return found
    end
    local updates = {}
    for _, package in ipairs(found) do
        updates[#updates + 1] = package.security and package or nil
    end
    return updates
end

--- What has to be started again, for it still runs from files that were replaced; and whether the host itself.
---@return packages.Restarts
function Packages:restarts()
    return restarts.of(self.host)
end

-- ---- telling ----

--- Has apt fetch its lists of what there is, unless they are new enough. A list that cannot be had is a failure.
---@param options? { older_than?: number } older_than: seconds (an hour); lists older than the sources' files are old
---@return boolean changed
---@raise "packages.name", "packages.network", "packages.signature", "packages.sources", "packages.release",
---  "packages.clock", "packages.expired", "packages.mirror", "packages.locked", "packages.space", "packages.permission"
---@effect write
function Packages:refresh(options)
    options = options or {}
    options_of.check("apt:refresh", options, { older_than = "number" })
    local state = apt.look(self.host, {}, "see how old apt's lists are")
    if not unknown(state) then
        if state.age and state.age < (options.older_than or HOUR) then
            return false
        end
        apt.wait_for_others(self.host, state, self.patience)
    end
    local result = self.host:sh(apt.UPDATE, {
        env = apt.ENVIRONMENT, check = false, summary = "refresh apt's lists",
    })
    if unknown(result) then
        return result
    elseif result.status == 0 then
        return true
    elseif reasons.of(result.stdout).code == "packages.locked" and apt.wait_for_others(self.host,
        apt.look(self.host, {}, "see who is at work with the packages"), self.patience) then
        return self:refresh(options) -- another one came between
    end
    return reasons.raise(self.host, "refresh apt's lists", result)
end

-- What apt is to be told so that these are there; refreshes its lists where they know nothing of one, and are old.
local function installation(self, list, names, flags)
    local state = apt.look(self.host, names)
    local words, missing, marks = wanted.words(state, list)
    if missing and not unknown(state) then
        local refreshed = self:refresh()
        if refreshed == true then
            state = apt.look(self.host, names)
            words, missing, marks = wanted.words(state, list)
        end
        if missing and not unknown(refreshed) then
            wanted.refuse(self.host, state, missing)
        end
    end
    if not words[1] then
        return carrying.nothing()
    end
    return {
        doing = "install " .. table.concat(words, " "), flags = flags, words = words, may_go = {}, marks = marks,
        undecided = missing ~= nil,
    }, state
end

--- Has these installed. A package that is there stays as it is, unless a version is named that it is not. Where apt has
--- never heard of one its lists are refreshed, when they are an hour old. Nothing else may have to go for it.
---@param names string[] with the version where that matters: "nginx", "curl=7.88.1-10", "curl=7.88*"
---@param options? { recommends?: boolean } recommends: also what they recommend (as the host has it set)
---@return packages.Changes
---@raise "packages.unknown" with providers, "packages.version" with versions, "packages.unmet", "packages.held",
---  "packages.removes" with packages, "packages.script", "packages.gone", what apt:refresh raises, "usage"
---@effect write
function Packages:install(names, options)
    local extra = options or {}
    options_of.check("apt:install", extra, { recommends = "boolean" })
    local list, plain = wanted.of(names)
    local flags = { "install", "--allow-downgrades" }
    flags[3] = extra.recommends == false and "--no-install-recommends" or nil
    return carrying.carry_out(self, function() return installation(self, list, plain, flags) end)
end

--- Has these removed. What depends on them stands in the way, unless it is named too.
---@param names string[]
---@param options? { purge?: boolean } purge: their configuration files too
---@return packages.Changes
---@raise "packages.removes" with packages, "packages.held", "packages.essential", "packages.script", "packages.locked"
---@effect write
function Packages:remove(names, options)
    options = options or {}
    options_of.check("apt:remove", options, { purge = "boolean" })
    wanted.check_names("apt:remove", names)
    local verb, may_go = options.purge and "purge" or "remove", {}
    for _, name in ipairs(names) do
        may_go[name] = true
    end
    return carrying.carry_out(self, function()
        local state, words = apt.look(self.host, {}), {}
        for _, name in ipairs(names) do
            local there = unknown(state) or state.installed[name] or options.purge and state.left[name]
            words[#words + 1] = there and name or nil
        end
        return words[1] and { doing = verb .. " " .. table.concat(words, " "), flags = { verb }, words = words,
            may_go = may_go, undecided = unknown(state) } or carrying.nothing(), state
    end)
end

-- The words for those that are to be upgraded, and the names of the held ones among them, which stay.
local function upgrade_words(found, version_of)
    local words, held = {}, {}
    for _, package in ipairs(found) do
        local version = version_of(package)
        if version and package.held then
            held[#held + 1] = package.name
        elseif version then
            words[#words + 1] = ("%s=%s"):format(package.name, version)
        end
    end
    return words, held
end

local function check_only(only)
    if type(only) == "string" and only ~= "security" then
        wanted.misuse(("apt:upgrade: only is \"security\" or a list of packages, not '%s'"):format(only))
    elseif type(only) == "table" then
        wanted.check_names("apt:upgrade", only)
    end
end

-- Which version a package is to have, by what `only` says.
local function chooser(only)
    local named = {}
    for _, name in ipairs(type(only) == "table" and only or {}) do
        named[name] = true
    end
    return function(package)
        if only == "security" then
            return package.security
        end
        return (not only or named[package.name]) and package.candidate ~= package.installed and package.candidate
    end
end

--- Upgrades what is installed: everything, the security updates alone, or some packages. New packages may come with it;
--- nothing goes. Held packages stay, and are in the result.
---@param options? { only?: "security"|string[] } only: the security updates, each at the version that they have, or
---  these packages; of those that are not installed nothing comes
---@return packages.Changes
---@raise "packages.unmet", "packages.script", "packages.gone", "packages.space", "packages.locked", others of install
---@effect write
function Packages:upgrade(options)
    options = options or {}
    options_of.check("apt:upgrade", options, { only = "string or table" })
    local only = options.only
    check_only(only)
    local what = only == "security" and "the security updates" or only and table.concat(only, " ") or "all packages"
    local flags = only and { "install", "--only-upgrade" } or { "upgrade", "--with-new-pkgs" }
    return carrying.carry_out(self, function()
        local state = apt.look(self.host, "all", "see what can be upgraded")
        if unknown(state) then
            return { doing = "upgrade " .. what, flags = flags, words = {}, undecided = true }, state
        end
        local words, held = upgrade_words(upgradable_of(state), chooser(only))
        if only and not words[1] then
            return carrying.nothing(held), state
        end
        return { doing = "upgrade " .. (only and table.concat(words, " ") or what), flags = flags,
            words = only and words or {}, may_go = {}, held = held }, state
    end)
end

local function mark(self, verb, names, is_held)
    wanted.check_names("apt:" .. verb, names)
    local state = apt.look(self.host, {}, "see which packages are held")
    local changing = {}
    for _, name in ipairs(names) do
        local differs = unknown(state) or (state.held[name] or false) ~= is_held
        changing[#changing + 1] = differs and name or nil
    end
    if not changing[1] then
        return {}
    elseif not unknown(state) then
        apt.wait_for_others(self.host, state, self.patience)
    end
    local doing = verb .. " " .. table.concat(changing, " ")
    local result = self.host:run({ "apt-mark", verb, "--", unpack(changing) }, {
        env = apt.ENVIRONMENT, check = false, summary = doing,
    })
    if unknown(result) then
        return result
    elseif result.status ~= 0 then
        reasons.raise(self.host, doing, result)
    end
    return changing
end

--- Has these stay as they are, whatever is upgraded.
---@param names string[]
---@return string[] changed those that were not held before
---@raise "packages.unknown", "packages.locked"
---@effect write
function Packages:hold(names)
    return mark(self, "hold", names, true)
end

--- Lets these change again.
---@param names string[]
---@return string[] changed those that were held
---@raise "packages.locked"
---@effect write
function Packages:unhold(names)
    return mark(self, "unhold", names, false)
end

local function unfinished(state)
    local names = {}
    for _, package in ipairs(state.list) do
        names[#names + 1] = not package.complete and package.name or nil
    end
    return names
end

--- Brings to an end what dpkg had begun when it was interrupted, or could not do before.
---@return string[] changed the packages that were not whole
---@raise "packages.script" when one still fails, "packages.interrupted" with packages when any is not whole yet
---@effect write
function Packages:mend()
    local state = apt.look(self.host, {}, "see whether dpkg was interrupted")
    if unknown(state) then
        return state
    elseif apt.wait_for_others(self.host, state, self.patience) then
        return self:mend()
    end
    local names = unfinished(state)
    if not state.journal and not names[1] then
        return names
    end
    local first = carrying.go_on(self)
    local result = self.host:run(apt.command({ "install", "--fix-broken" }, {}), {
        env = apt.ENVIRONMENT, check = false, summary = "bring " .. table.concat(names, ", ") .. " to an end",
    })
    if unknown(result) then
        return result
    elseif result.status ~= 0 then
        reasons.raise(self.host, "finish what dpkg had begun", {
            status = result.status, stdout = first.stdout .. result.stdout, stderr = first.stderr .. result.stderr,
        })
    end
    local left = unfinished(apt.look(self.host, {}, "see whether all is whole"))
    if left[1] then
        fail(("dpkg is not done with %s"):format(table.concat(left, ", ")), {
            code = "packages.interrupted", target = tostring(self.host.target), packages = left,
            hint = "on the host: dpkg --audit",
        })
    end
    return names
end

-- The word that puts a package back, or nil where it is as it was.
local function word_back(state, change)
    local now = state.installed[change.name]
    if change.action == "install" then
        return now and change.name .. "-"
    elseif change.from and (not now or now.version ~= change.from) then
        return change.name .. "=" .. change.from
    end
end

--- Puts the packages back that a verb has changed: those that came go, those that went come again, at the version that
--- they had, if an archive has it still. Files that a purge took do not come back. Of a verb that was interrupted and
--- called again, what it had changed before is not in its result.
---@param changes packages.Changes what the verb returned
---@return packages.Changes
---@raise "packages.version" with versions, "packages.removes", and others of install
---@effect write
function Packages:undo(changes)
    local names, may_go = {}, {}
    for index, change in ipairs(changes.packages) do
        names[index] = change.name
        may_go[change.name] = change.action == "install" or nil
    end
    if not names[1] then
        return carrying.nothing()
    end
    return carrying.carry_out(self, function()
        local state, words = apt.look(self.host, names), {}
        for _, change in ipairs(changes.packages) do
            local word = word_back(state, change)
            local version = word and word:match "=(.*)$"
            if version and not wanted.word(state, { name = change.name, version = version }) then
                wanted.refuse(self.host, state, { name = change.name, version = version })
            end
            words[#words + 1] = word or nil
        end
        return words[1] and { doing = "put back " .. table.concat(words, " "), words = words, may_go = may_go,
            flags = { "install", "--allow-downgrades" } } or carrying.nothing(), state
    end)
end

--- Which versions apt knows of packages, by their names, from what `apt-cache policy` prints.
---@param text string
---@return table<string, packages.Policy>
function packages.parse_policy(text)
    return reading.policy(text)
end

--- What apt would do, from what `apt-get --simulate` prints.
---@param text string
---@return packages.Change[]
function packages.parse_simulation(text)
    return reading.simulation(text)
end

--- Why apt or dpkg failed, from what they printed: a code, words, and what to do next.
---@param text string
---@return { code: string, message: string, hint?: string }
function packages.reason(text)
    return reasons.of(text)
end

--- What has changed, in lines for people: the packages, the configuration files that stayed, what has to be started
--- again.
---@param changes packages.Changes
---@return string
function packages.describe(changes)
    if unknown(changes) then
        return changes
    elseif not changes.changed then
        return "nothing changed"
    end
    local lines = { carrying.lines_of(changes.packages) }
    for _, file in ipairs(changes.kept_files) do
        lines[#lines + 1] = ("%s stayed as it was; the package's own is %s.dpkg-dist"):format(file, file)
    end
    local again = changes.restarts or { services = {}, processes = {}, reboot = {} }
    for _, unit in ipairs(again.services) do
        lines[#lines + 1] = unit .. " still runs what was replaced: restart it"
    end
    for _, process in ipairs(again.processes) do
        lines[#lines + 1] = ("%s (process %d) still runs what was replaced"):format(process.program, process.pid)
    end
    if again.reboot.required then
        local why = again.reboot.kernel or table.concat(again.reboot.packages, ", ")
        lines[#lines + 1] = "the host waits for a restart" .. (why ~= "" and ": " .. why or "")
    end
    return table.concat(lines, "\n")
end

-- What the prompt offers for the name of a package.
Packages.__completes = { installed = function(self)
    local names = {}
    for index, package in ipairs(apt.look(self.host, {}).list) do
        names[index] = package.name
    end
    return names
end }

--- The packages of a host.
---@param host ssh.Host of its root
---@param options? { patience?: number } patience: seconds that another apt at work is waited for (600)
---@return packages.Packages
function packages.on(host, options)
    options = options or {}
    options_of.check("packages.on", options, { patience = "number" })
    return setmetatable({ host = host, patience = options.patience or PATIENCE }, Packages)
end

return packages
