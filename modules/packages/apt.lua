-- apt on a host: what is asked of it in one question, what it is told, and waiting for another one that is at work.
local _, gate, import = ...
local apt = {}

local reading, reasons = import "packages/reading", import "packages/reasons"
local keys, texts = import "base/keys", import "base/text"

-- Nobody is there to be asked. Configuration files that somebody has changed stay, also those that ucf looks after;
-- needrestart and apt-listchanges neither ask nor act by themselves.
apt.ENVIRONMENT = {
    LC_ALL = "C", DEBIAN_FRONTEND = "noninteractive", UCF_FORCE_CONFFOLD = "1", NEEDRESTART_SUSPEND = "1",
    APT_LISTCHANGES_FRONTEND = "none",
}
local OPTIONS = {
    "--quiet", "--yes", "--option=Dpkg::Use-Pty=0", "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold", "--option=DPkg::Lock::Timeout=60",
}
local LONGEST_ANSWER = 16 * 1024 * 1024 -- bytes

-- ---- asking ----

-- Names and values, each ended by a NUL. $1: "all", and then the versions of all that is installed are told, or those
-- of the packages named. Locks are the kernel's to tell (proc_locks(5)): an inode's number may be another file's too,
-- so who has one must have the file open.
local LOOK = [[
fact() { printf '%s\0%s\0' "$1" "$2"; }
if ! command -v apt-get >/dev/null 2>&1; then fact missing yes; exit 0; fi
scope=$1; shift
fact architecture "$(dpkg --print-architecture)"
fact installed "$(dpkg-query --show --showformat='${db:Status-Abbrev}|${binary:Package}|${Version}|${Architecture}\n')"
fact held "$(apt-mark showhold)"
fact automatic "$(apt-mark showauto)"
fact journal "$(ls /var/lib/dpkg/updates 2>/dev/null | grep '^[0-9]')"
if [ "$scope" = all ]; then set -- $(dpkg-query --show --showformat='${binary:Package}\n'); fi
if [ $# -gt 0 ]; then
    if policy=$(apt-cache policy -- "$@" 2>&1); then fact policy "$policy"; else fact failed "$policy"; fi
fi
fact clock "$(date +%s.%N)"
if [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Release' 2>/dev/null | head -n 1)" ]; then
    fact refreshed "$({
        stat -c %.9Z /var/lib/apt/lists/*Release
        stat -c %.9Y /var/lib/apt/periodic/update-success-stamp
    } 2>/dev/null | sort -n | tail -n 1)"
fi
fact sources "$(find /etc/apt/sources.list /etc/apt/sources.list.d -type f -exec stat -c %.9Z {} + 2>/dev/null |
    sort -n | tail -n 1)"
for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    inode=$(stat -c %i "$lock" 2>/dev/null) || continue
    for pid in $(awk -v inode="$inode" '$2 == "POSIX" && $6 ~ (":" inode "$") { print $5 }' /proc/locks); do
        if ls -l "/proc/$pid/fd" 2>/dev/null | grep -qF -- "-> $lock"; then
            unit=$(grep -o '[^/]*\.service' "/proc/$pid/cgroup" 2>/dev/null | head -n 1)
            fact holder "$pid $(tr ' \n' '__' <"/proc/$pid/comm") $unit"
        fi
    done
done]]

---@class packages.State what a host has answered
---@field installed table<string, packages.Installed> by name
---@field list packages.Installed[] the same, in dpkg's order
---@field left table<string, boolean> those of which only configuration files are left
---@field held table<string, boolean>
---@field automatic table<string, boolean> those that are there only for others
---@field policy table<string, packages.Policy>
---@field journal boolean whether dpkg was interrupted and has to be told to go on
---@field age? number seconds since apt's lists were refreshed; nil when there are none, or the sources are newer
---@field holders { pid: integer, program: string, unit?: string }[] who has apt's and dpkg's locks

-- Without the host's own architecture.
local function names_of(text, architecture)
    local names = {}
    for _, name in ipairs(texts.words(text)) do
        names[#names + 1] = reading.plain_name(name, architecture)
    end
    return names
end

local function age_of(said)
    local refreshed, clock = tonumber(said.refreshed), tonumber(said.clock)
    if not refreshed or (tonumber(said.sources) or 0) > refreshed then
        return nil
    end
    return clock and math.max(0, clock - refreshed)
end

local function holders_of(lines)
    local holders, known = {}, {}
    for _, line in ipairs(lines) do
        local pid, program, unit = line:match "^(%d+) (%S*) ?(.*)$"
        if pid and not known[pid] then
            known[pid] = true
            holders[#holders + 1] = { pid = tonumber(pid), program = program, unit = unit ~= "" and unit or nil }
        end
    end
    return holders
end

--- What the host has answered.
---@param text string names and values, each ended by a NUL
---@return packages.State?
---@return { missing?: string, failed?: string } said what it could not
function apt.state_of(text)
    local said, holders = {}, {}
    for name, value in text:gmatch "(%Z*)%z(%Z*)%z" do
        said[name] = value
        holders[#holders + 1] = name == "holder" and value or nil
    end
    if said.missing or not said.installed then
        return nil, said
    end
    local architecture = said.architecture or ""
    local list, left = reading.installed(said.installed, architecture)
    local installed, policy = {}, {}
    for _, entry in ipairs(list) do
        installed[entry.name] = entry
    end
    for name, known in pairs(reading.policy(said.policy or "")) do
        policy[reading.plain_name(name, architecture)] = known
    end
    return {
        installed = installed, list = list, left = keys.set(left), policy = policy,
        held = keys.set(names_of(said.held, architecture)),
        automatic = keys.set(names_of(said.automatic, architecture)),
        journal = (said.journal or "") ~= "", age = age_of(said), holders = holders_of(holders),
    }, said
end

--- Asks a host how its packages are.
---@param host ssh.Host
---@param names string[]|"all" whose versions are told
---@param summary? string
---@return packages.State
---@raise "packages.missing" on a host without apt, "packages.sources"
function apt.look(host, names, summary)
    local arguments = { names == "all" and "all" or "names" }
    for _, name in ipairs(names == "all" and {} or names) do
        arguments[#arguments + 1] = name
    end
    local result = host:sh(LOOK, {
        args = arguments, read = true, check = false, timeout = 300, limit = LONGEST_ANSWER, env = { LC_ALL = "C" },
        summary = summary or "see how its packages are",
    })
    if unknown(result) then
        return result
    end
    local state, said = apt.state_of(result.stdout)
    if said.failed or not state then
        reasons.raise(host, "see how the packages are", {
            status = result.status, stdout = said.failed or "",
            stderr = said.missing and "apt-get: not found" or result.stderr,
        })
    end
    return state
end

-- ---- telling ----

--- Refreshes apt's lists. Of a list that could not be had apt only warns, with 0 as its status: here that is a failure.
apt.UPDATE = [[
said=$(apt-get update --quiet --option=APT::Update::Error-Mode=any 2>&1); status=$?
printf '%s\n' "$said"
if printf '%s\n' "$said" | grep -qE '^[EW]: (Failed to fetch|Some index files failed)'; then status=100; fi
if [ "$status" -eq 0 ]; then mkdir -p /var/lib/apt/periodic && touch /var/lib/apt/periodic/update-success-stamp; fi
exit "$status"]]

--- The command line of apt-get.
---@param flags string[] and then its verb
---@param words string[] packages
---@param simulated? boolean
---@return string[]
function apt.command(flags, words, simulated)
    local argv = { "apt-get" }
    local function add(list)
        for _, word in ipairs(list) do
            argv[#argv + 1] = word
        end
    end
    add(simulated and { "--simulate", "--quiet", "--yes", "--option=APT::Get::Show-User-Simulation-Note=false" }
        or OPTIONS)
    add(flags)
    if #words > 0 then
        argv[#argv + 1] = "--"
        add(words)
    end
    return argv
end

-- ---- others at work ----

local function in_words(holders)
    local words = {}
    for index, holder in ipairs(holders) do
        words[index] = ("%s (process %d%s)"):format(holder.program, holder.pid,
            holder.unit and " of " .. holder.unit or "")
    end
    return table.concat(words, ", ")
end

--- Waits until nobody else has apt's and dpkg's locks. Returns whether anybody had; a dry run does not wait.
---@param host ssh.Host
---@param state packages.State
---@param patience number seconds
---@return boolean
---@raise "packages.locked" with holders
function apt.wait_for_others(host, state, patience)
    if #state.holders == 0 or gate.mode == "dry-run" then
        return false
    end
    local holders = state.holders
    local function is_done()
        holders = apt.look(host, {}, "see whether " .. in_words(holders) .. " is done").holders
        return #holders == 0
    end
    local what = in_words(holders) .. " to be done with the packages"
    local _, err = try(wait_until, what, { timeout = patience }, is_done)
    if err and err.code == "timeout" and #holders > 0 then
        fail(("another one is at work with the packages: %s"):format(in_words(holders)), {
            code = "packages.locked", target = tostring(host.target), holders = holders, cause = err,
            hint = "see on the host what it does: ps -fp " .. holders[1].pid,
        })
    elseif err then
        error(err, 0)
    end
    return true
end

return apt
