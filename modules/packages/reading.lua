-- What apt and dpkg print under LC_ALL=C, read. Pure: it reaches no host.
local _, _, import = ...
local reading = {}

local texts = import "base/text"

---@class packages.Change what becomes of a package
---@field name string with ":ARCHITECTURE" where that is not the host's own
---@field action "install"|"upgrade"|"downgrade"|"remove"|"purge"|"configure"|"keep" configure: dpkg brings it to an
---  end; keep: it was there only for others, and no longer goes with them
---@field from? string the version that was there
---@field to? string the version that comes
---@field security? boolean whether it comes from the archive's security updates

---@class packages.Policy which versions there are of a package
---@field installed? string
---@field candidate? string the one that apt would install
---@field versions { version: string, suites: string[], security: boolean }[] newest first

local function is_security(suite)
    return suite:find "%-security$" ~= nil or suite:find "/updates$" ~= nil
end

local function known(version)
    return version ~= "(none)" and version or nil
end

--- What `apt-cache policy NAME...` tells, by name. One that apt has only heard of has no versions.
---@param text string
---@return table<string, packages.Policy>
function reading.policy(text)
    local policies, policy = {}, nil
    for line in texts.lines(text) do
        local name = line:match "^(%S+):$"
        local version = line:match "^ %*%*%* (%S+) %-?%d+" or line:match "^     (%S+) %-?%d+"
        local suite = line:match "^ +%-?%d+ %S+ (%S+) %S+ Packages$"
        if name then
            policy = { versions = {} }
            policies[name] = policy
        elseif policy and line:find "^  Installed:" then
            policy.installed = known(line:match ": (.*)$")
        elseif policy and line:find "^  Candidate:" then
            policy.candidate = known(line:match ": (.*)$")
        elseif policy and version then
            policy.versions[#policy.versions + 1] = { version = version, suites = {}, security = false }
        elseif policy and suite and policy.versions[1] then
            local last = policy.versions[#policy.versions]
            suite = suite:match "^(.*)/[^/]*$" or suite -- without the component
            last.suites[#last.suites + 1] = suite
            last.security = last.security or is_security(suite)
        end
    end
    return policies
end

--- The newest security update of an installed package that is newer than what is installed.
---@param policy packages.Policy
---@return string? version
function reading.security_update(policy)
    for _, entry in ipairs(policy.versions) do
        if entry.version == policy.installed then
            return nil
        elseif entry.security then
            return entry.version
        end
    end
end

local function from_security(origins)
    for origin in origins:gmatch "[^,]+" do
        if origin:find "Debian%-Security:" or is_security(origin:match "%S+" or "") then
            return true
        end
    end
    return false
end

--- What `apt-get -s` says that it would do, in its order; a package that is only configured when it does not come anew.
---@param text string
---@return packages.Change[]
function reading.simulation(text)
    local changes, coming = {}, {}
    local downgraded = text:match "will be DOWNGRADED:\n(.-)\n%S" or ""
    for line in texts.lines(text) do
        local verb, name, rest = line:match "^(%u%l+) (%S+) ?(.*)$"
        local from = rest and rest:match "^%[([^%]]+)%]"
        if verb == "Inst" then
            local to, origins = rest:match "%((%S+) ?(.-) ?%[[^%]]+%]%)"
            local down = from and (" " .. downgraded .. " "):gsub("%s+", " "):find(" " .. name .. " ", 1, true)
            coming[name] = true
            changes[#changes + 1] = {
                name = name, action = not from and "install" or down and "downgrade" or "upgrade", from = from, to = to,
                security = from_security(origins or ""),
            }
        elseif verb == "Remv" or verb == "Purg" then
            changes[#changes + 1] = { name = name, action = verb == "Remv" and "remove" or "purge", from = from }
        elseif verb == "Conf" and not coming[name] then
            changes[#changes + 1] = { name = name, action = "configure", to = rest:match "%((%S+)" }
        end
    end
    return changes
end

--- The names that apt lists under a heading: "The following packages have been kept back:".
---@param text string
---@param heading string its last words, a pattern: "kept back"
---@return string[]
function reading.listed(text, heading)
    local names = {}
    local block = text:match(heading .. ":\n(.-)\n%S") or ""
    for name in block:gmatch "[^%s*{}]+" do
        names[#names + 1] = name
    end
    return names
end

--- The configuration files that dpkg kept as they were where the package has others.
---@param text string
---@return string[]
function reading.kept_files(text)
    local files, file = {}, nil
    for line in texts.lines(text) do
        file = line:match "^Configuration file '(.+)'" or file
        if file and (line:find "Keeping old config file" or line:find "default action is to keep your current") then
            files[#files + 1], file = file, nil
        end
    end
    return files
end

---@class packages.Installed
---@field name string
---@field version string
---@field architecture string
---@field held boolean whether it stays as it is
---@field complete boolean false while dpkg is not done with it

--- A package's name without the host's own architecture: "libc6" of "libc6:amd64".
---@param name string
---@param architecture string
---@return string
function reading.plain_name(name, architecture)
    local ending = ":" .. architecture
    return name:sub(-#ending) == ending and name:sub(1, -#ending - 1) or name
end

--- The packages of lines "STATUS|NAME|VERSION|ARCHITECTURE" of dpkg-query, where STATUS is ${db:Status-Abbrev}; names
--- without the host's own architecture. One of which only configuration files are left is not among them.
---@param text string
---@param architecture string the host's
---@return packages.Installed[]
---@return string[] left those of which only configuration files are left
function reading.installed(text, architecture)
    local installed, left = {}, {}
    for line in texts.lines(text) do
        local wanted, state, broken, name, version, own = line:match "^(.)(.)(.)|([^|]+)|([^|]*)|([^|]*)$"
        name = name and reading.plain_name(name, architecture)
        if state == "c" then
            left[#left + 1] = name
        elseif state and state ~= "n" then
            installed[#installed + 1] = {
                name = name, version = version, architecture = own, held = wanted == "h",
                complete = state == "i" and broken == " ",
            }
        end
    end
    return installed, left
end

--- Whether a version is the one that was asked for: "1.2", or "1.2*" for all that begin so.
---@param version string
---@param wanted string
---@return boolean
function reading.fits(version, wanted)
    local beginning = wanted:match "^(.*)%*$"
    return beginning and version:sub(1, #beginning) == beginning or version == wanted
end

local WORDS = {
    install = "install %s %s", upgrade = "upgrade %s %s -> %s", downgrade = "downgrade %s %s -> %s",
    remove = "remove %s %s", purge = "purge %s %s", configure = "finish %s %s",
    keep = "keep %s %s, which was there only for others",
}

--- A change in words: "upgrade curl 7.88.1-10 -> 7.88.1-10+deb12u5 (security)".
---@param change packages.Change
---@return string
function reading.in_words(change)
    local first = change.from or change.to or ""
    local line = (WORDS[change.action] or change.action .. " %s %s"):format(change.name, first, change.to or "")
    return change.security and line .. " (security)" or line
end

return reading
