-- Why apt or dpkg failed, from what they print under LC_ALL=C: in words, with what to do next.
local _, _, import = ...
local reasons = {}

local texts = import "base/text"

local TAIL = 2048 -- bytes

-- Addresses of archives may hold a password.
local function without_passwords(text)
    return (text:gsub("(%w://)[^/%s@]*@", "%1"))
end

-- Each: a pattern, the error's code, what it says with what the pattern found, and what to do. The first that is found
-- counts: a cause stands before what follows from it.
local REASONS = {
    { "apt%-get: not found", "packages.missing", "this host has no apt",
        "it is for Debian and Ubuntu; machine.on(host):facts().package_manager says what this one has" },
    { "Could not get lock (%S+)%. It is held by process (%d+) %(([^)]*)%)", "packages.locked",
        "%s is held by process %s (%s)", "wait until that has ended, or see on the host what it does" },
    { "Unable to acquire the dpkg frontend lock %(([^)]*)%), is another", "packages.locked", "another apt has %s",
        "wait until that has ended" },
    { "Could not get lock (%S+)", "packages.locked", "another apt has %s", "wait until that has ended" },
    { "dpkg was interrupted", "packages.interrupted", "dpkg was interrupted before", "apt:mend() goes on with it" },
    { "No space left on device", "packages.space", "a disk of the host is full", "df -h on the host; apt-get clean "
        .. "gives back what apt has downloaded" },
    { "You don't have enough free space in (%S-)%.?\n", "packages.space", "there is too little room in %s",
        "df -h on the host; apt-get clean gives back what apt has downloaded" },
    { "Read%-only file system", "packages.read_only", "a file system of the host is read-only",
        "dmesg on the host says why" },
    { "are you root%?", "packages.permission", "only root may do this", "connect as root, or host:as(\"root\")" },
    { "Permission denied%)", "packages.permission", "only root may do this", "connect as root, or host:as(\"root\")" },
    { "NO_PUBKEY (%x+)", "packages.signature", "an archive is signed with the key %s, which this host does not trust",
        "put the archive's key where its `signed-by` says, after checking it" },
    { "EXPKEYSIG (%x+ [^\n]*)", "packages.signature", "the key %s, with which an archive is signed, has expired",
        "the archive's maintainers publish a new one" },
    { "BADSIG (%x+ [^\n]*)", "packages.signature", "an archive's signature by %s is wrong", "somebody may have changed "
        .. "it on its way; a proxy that keeps old files does so too" },
    { "The repository '([^']*)' is not signed", "packages.signature", "the archive '%s' is not signed",
        "sign it; or, where you trust the way to it, [trusted=yes] in its line of the sources" },
    { "unauthenticated packages", "packages.signature", "packages of an archive that is not signed are not installed",
        "sign it; or, where you trust the way to it, [trusted=yes] in its line of the sources" },
    { "The repository '([^']*)' does not have a Release file", "packages.sources", "there is no archive '%s'",
        "look at its line in /etc/apt/sources.list or sources.list.d" },
    { "Repository '([^']*)' changed its '[^']*' value ([^\n]*)", "packages.release", "the archive '%s' is now another "
        .. "release (%s)", "when that is right, on the host: apt-get update --allow-releaseinfo-change" },
    { "Release file for (%S+) is not valid yet", "packages.clock", "%s was signed in this host's future",
        "the host's clock is behind: timedatectl" },
    { "Release file for (%S+) is expired", "packages.expired", "%s has expired", "the archive or a mirror of it is no "
        .. "longer kept up to date, or the host's clock is ahead" },
    { "Hash Sum mismatch", "packages.mirror", "what an archive sends is not what it says that it has",
        "a mirror is being updated, or a proxy keeps old files; try again later" },
    { "unexpected size", "packages.mirror", "what an archive sends is not what it says that it has",
        "a mirror is being updated, or a proxy keeps old files; try again later" },
    { "Could not resolve '([^']*)'", "packages.name", "the host does not find the address of %s",
        "see its name servers, and the archive's name in /etc/apt/sources.list" },
    { "Temporary failure resolving '([^']*)'", "packages.name", "the host does not find the address of %s",
        "its name servers do not answer: resolvectl status, /etc/resolv.conf" },
    { "Failed to fetch (%S+)%s+404", "packages.gone", "the archive no longer has %s", "apt's lists are older than the "
        .. "archive: apt:refresh()" },
    { "Failed to fetch (%S+)%s+File not found", "packages.gone", "the archive no longer has %s", "apt's lists are "
        .. "older than the archive: apt:refresh()" },
    { "Failed to fetch (%S+)%s+40[13]", "packages.refused", "the archive does not let this host have %s",
        "see its login in /etc/apt/auth.conf.d" },
    { "Failed to fetch (%S+)%s+([^\n]*)", "packages.network", "%s cannot be had: %s", "can the host reach the archive? "
        .. "Does it need a proxy (Acquire::http::Proxy)?" },
    { "Malformed (%w+ [^\n]*)", "packages.sources", "a file of the sources cannot be read: %s", "mend it; "
        .. "sources.list(5) has the form" },
    { "held packages will be changed:\n(.-)\n%S.*Held packages were changed", "packages.held",
        "held packages would change: %s", "apt:unhold lets them" },
    { "Essential packages were removed", "packages.essential", "the host does not work without them", nil },
    { "Packages were downgraded and", "packages.downgrade", "packages would go back to an older version", nil },
    { "Unable to locate package (%S+)", "packages.unknown", "there is no package %s", "is the name right? "
        .. "`apt-cache search` on the host; else its archive is not among the sources" },
    { "Version '([^']*)' for '([^']*)' was not found", "packages.version", "there is no version %s of %s", nil },
    { "Package '([^']*)' has no installation candidate", "packages.unknown", "no archive has the package %s",
        "is its archive among the sources?" },
    { "error processing package (%S+) [^\n]*\n%s*([^\n]*)", "packages.script", "dpkg could not bring %s to an end: %s",
        "see what its script said; mend that, and run this again" },
    { "unmet dependencies:\n(.-)\nE:", "packages.unmet", "dependencies would not be met: %s", "a version that is "
        .. "held or pinned (apt-mark showhold, apt-cache policy) or an archive that is missing among the sources" },
    { "generated breaks", "packages.unmet", "what is installed depends on it", nil },
}

local function tail(text)
    return texts.ending(without_passwords(text), TAIL)
end

-- Of what stands before the error, the lines that say something.
local function said(text)
    local lines = {}
    for line in texts.lines(text) do
        if line:find "^[EW]: " or line:find "^dpkg: " then
            lines[#lines + 1] = line
        end
    end
    return #lines > 0 and table.concat(lines, "\n") or text
end

--- What went wrong.
---@param text string all that was printed, errors too
---@return { code: string, message: string, hint?: string }
function reasons.of(text)
    text = without_passwords(text) .. "\n"
    for _, reason in ipairs(REASONS) do
        local found = { text:match(reason[1]) }
        if found[1] then
            for index, part in ipairs(found) do
                found[index] = texts.in_short(part:match "^%s*(.-)%s*$":gsub("%s*\n%s*", "; "), 1000)
            end
            return { code = reason[2], message = reason[3]:format(unpack(found)), hint = reason[4] }
        end
    end
    return { code = "packages.failed", message = texts.in_short(said(text):gsub("%s+$", ""), 400) }
end

--- Raises what went wrong.
---@param host ssh.Host
---@param doing string what was to be done: "install nginx"
---@param result ssh.Result
---@param details? table further fields of the error
function reasons.raise(host, doing, result, details)
    local reason = reasons.of(result.stdout .. "\n" .. result.stderr)
    local err = {
        code = reason.code, hint = reason.hint, target = tostring(host.target), status = result.status,
        stdout = tail(result.stdout), stderr = tail(result.stderr),
    }
    for name, value in pairs(details or {}) do
        err[name] = value
    end
    fail(("cannot %s: %s"):format(doing, reason.message), err)
end

return reasons
