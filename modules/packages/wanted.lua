-- What is asked for: packages by their names, perhaps at a version, and the words by which apt knows these.
local _, _, import = ...
local wanted = {}

local apt, reading = import "packages/apt", import "packages/reading"

--- Raises that something is used in a wrong way.
function wanted.misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

local misuse = wanted.misuse

--- Raises unless it names a package. A name that ends in "-" would be one to remove, and apt takes what is no name for
--- a pattern.
---@param what string the verb
function wanted.check_name(what, name)
    if unknown(name) then
        return
    elseif type(name) ~= "string" or not name:match("^[^:]*"):find "^[%l%d][%l%d+.-]*[%l%d+.]$"
        or name:find ":" and not name:find "^[^:]+:[%l%d-]+$" then
        misuse(("%s: '%s' cannot name a package"):format(what, tostring(name)),
            "a package's name is small letters, digits, and + - . within")
    end
end

--- Raises unless it is a list of names, which it returns.
function wanted.check_names(what, names)
    if type(names) ~= "table" or #names == 0 then
        misuse(("%s takes a list of packages: %s { \"nginx\" }"):format(what, what))
    end
    for _, name in ipairs(names) do
        wanted.check_name(what, name)
    end
    return names
end

---@class packages.Wanted
---@field name string
---@field version? string such as "7.88*"

--- What the words mean: { name, version } of "curl=7.88*".
---@param words string[]
---@return packages.Wanted[], string[] names
function wanted.of(words)
    if type(words) ~= "table" or #words == 0 then
        misuse "apt:install takes a list of packages: apt:install { \"nginx\", \"curl=7.88*\" }"
    end
    local list, names = {}, {}
    for index, word in ipairs(words) do
        local name, version = word, nil
        if type(word) == "string" and word:find "=" then
            name, version = word:match "^([^=]*)=(.*)$"
            if not version:find "^%d[%w.+~:-]*%*?$" then
                misuse(("apt:install: '%s' cannot be a version"):format(version), "name=1.2 or name=1.2*")
            end
        end
        wanted.check_name("apt:install", name)
        list[index], names[index] = { name = name, version = version }, name
    end
    return list, names
end

-- Whether the host has what is wanted of this package.
local function is_there(state, package)
    local there = state.installed[package.name]
    return there and there.complete and (not package.version or reading.fits(there.version, package.version))
end

--- The word that has apt install it: with the version spelled out where one is wanted.
---@return string? word nil where there is none
function wanted.word(state, package)
    local policy = state.policy[package.name]
    if not policy or not policy.versions[1] or not package.version and not policy.candidate then
        return nil
    elseif not package.version then
        return state.installed[package.name] and ("%s=%s"):format(package.name, state.installed[package.name].version)
            or package.name
    end
    for _, entry in ipairs(policy.versions) do
        if reading.fits(entry.version, package.version) then
            return ("%s=%s"):format(package.name, entry.version)
        end
    end
end

--- Raises why there is none of this package, or not that version.
---@raise "packages.version" with versions, "packages.unknown" with providers
function wanted.refuse(host, state, package)
    local policy, versions = state.policy[package.name], {}
    for index, entry in ipairs(policy and policy.versions or {}) do
        versions[index] = entry.version
    end
    local target = tostring(host.target)
    if versions[1] then
        fail(("there is no version %s of %s"):format(package.version or "that apt would install", package.name), {
            code = "packages.version", target = target, versions = versions,
            hint = "there is " .. table.concat(versions, ", "),
        })
    end
    local shown = host:run({ "apt-cache", "showpkg", "--", package.name }, {
        read = true, check = false, env = apt.ENVIRONMENT, summary = "see who provides " .. package.name,
    })
    local providers, known = {}, {}
    for name in (shown.stdout:match "Reverse Provides: *\n(.*)$" or ""):gmatch "([^%s]+)[^\n]*\n" do
        providers[#providers + 1] = not known[name] and name or nil
        known[name] = true
    end
    fail(("there is no package %s"):format(package.name), {
        code = "packages.unknown", target = target, providers = providers[1] and providers or nil,
        hint = providers[1] and "name one of those that provide it: " .. table.concat(providers, ", ")
            or "is the name right? `apt-cache search` on the host; else its archive is not among the sources",
    })
end

--- The words for what is not there; the first of which apt has never heard; and what is there only for others, and
--- would go with them.
---@return string[] words, packages.Wanted? missing, packages.Change[] marks
function wanted.words(state, list)
    local words, marks, missing = {}, {}, nil
    for _, package in ipairs(list) do
        local there = not unknown(state) and is_there(state, package)
        if there and state.automatic[package.name] then
            marks[#marks + 1] = { name = package.name, action = "keep", to = state.installed[package.name].version }
            words[#words + 1] = package.name .. "=" .. state.installed[package.name].version
        elseif not there then
            local word = not unknown(state) and wanted.word(state, package)
            missing = missing or not word and package or nil
            words[#words + 1] = word or package.version and package.name .. "=" .. package.version or package.name
        end
    end
    return words, missing, marks
end

return wanted
