-- What surrounds a service on its host: the way to its files as its user sees it, the mounts that these lie on, what
-- its program is run by, who has its port, and what its process may still open. One question to the host, which
-- answers with facts; what they mean for a service is for others to say.
local surroundings = {}

local LONGEST_OUTPUT = 1024 * 1024 -- bytes

-- ---- asking ----

-- As the service's user: how far each place can be reached. Fields: place, state, where that ends, kind, what the user
-- may do, owner, mode, and what a link leads to, which may hold anything but a NUL.
local WALK = [[
for place; do
    at='' rest=${place#/} state=there
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        if [ ! -d "${at:-/}" ]; then state='not-a-directory'; break; fi
        if [ ! -x "${at:-/}" ]; then state=closed; break; fi
        at=$at/$part
        if [ -L "$at" ] && [ ! -e "$at" ]; then state=dangling; break; fi
        if [ ! -e "$at" ]; then state=missing; break; fi
    done
    kind=other may=''
    if [ -d "$at" ]; then kind=directory; elif [ -f "$at" ]; then kind=file; fi
    if [ -r "$at" ]; then may=r; fi
    if [ -w "$at" ]; then may=${may}w; fi
    if [ -x "$at" ]; then may=${may}x; fi
    about=$(stat -L -c '%U:%G %a' -- "${at:-/}" 2>/dev/null)
    printf 'place\0%s\t%s\t%s\t%s\t%s\t%s\t%s\0' "$place" "$state" "${at:-/}" "$kind" "$may" "$about" \
        "$(readlink -- "$at" 2>/dev/null)"
done]]

-- Names and values, each ended by a NUL. What a host does not know how to tell is left out. Of a command line only the
-- program and the first word after it are asked for: what follows may be a secret.
local LOOK = [[
cd /
unit=$1 user=$2 program=$3 walk=$4; shift 4
asked() { systemctl show --property="$1" --value -- "$unit" 2>/dev/null; }
pid=$(asked MainPID)
user_of_unit=$(asked User)
user=${user_of_unit:-$user}
fact() { printf '%s\0%s\0' "$1" "$2"; }
as_user() { setpriv --reuid "$(id -u -- "$user")" --regid "$(id -g -- "$user")" --init-groups "$@"; }
fact container "$(systemd-detect-virt --container 2>/dev/null)"
fact clock "$(date +%s)"
fact system "$(systemctl is-system-running 2>/dev/null)"
fact loopback "$(cat /sys/class/net/lo/flags 2>/dev/null)"
fact localhost "$(getent ahosts localhost 2>/dev/null)"
fact mounts "$(head -c 65536 /proc/self/mountinfo)"
if sockets=$(ss -Hltnp 2>/dev/null); then
    fact sockets "$sockets"
    for holder in $(printf '%s\n' "$sockets" | grep -o 'pid=[0-9]*' | sort -u | head -n 50); do
        holder=/proc/${holder#pid=}
        group=$(grep -E '^(0:|[0-9]+:name=systemd:)' "$holder/cgroup" 2>/dev/null | head -n 1)
        words=$(tr '\000\n' '\n ' <"$holder/cmdline" 2>/dev/null | head -n 3 | tr '\n' ' ' | head -c 200)
        fact holder "${holder#/proc/} $(stat -c %U "$holder" 2>/dev/null) ${group:--} $words"
    done
fi
if [ "${pid:-0}" -gt 0 ] && [ -d "/proc/$pid/fd" ]; then
    fact open_files "$(ls "/proc/$pid/fd" | wc -l)"
    fact open_files_limit "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")"
    if [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/1/ns/net)" ]; then fact own_network yes; fi
    if [ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/1/ns/mnt)" ]; then
        fact own_mounts "$(head -c 65536 "/proc/$pid/mountinfo")"
    fi
fi
fact first_line "$(head -c 256 -- "$program" 2>/dev/null | head -n 1 | tr -d '\000')"
interpreter=$(head -c 256 -- "$program" 2>/dev/null | tr -d '\000' | sed -n '1s/^#![ \t]*\([^ \t]*\).*$/\1/p')
fact interpreter "$interpreter"
if ! id -u -- "$user" >/dev/null 2>&1; then exit 0; fi
fact user "$(id -- "$user")"
if ! as_user true 2>/dev/null; then exit 0; fi
case ${interpreter##*/} in python*)
    fact interpreter_says "$(as_user timeout 10 "$interpreter" -I -B -V 2>&1 | head -c 2000)"
    fact made_for "$(sed -n 's/^version\(_info\)\{0,1\} *= *//p' "${interpreter%/bin/*}/pyvenv.cfg" 2>/dev/null)" ;;
esac
as_user sh -c "$walk" walk "$program" "$@" ${interpreter:+"$interpreter"}]]

-- ---- reading the answer (pure) ----

-- mountinfo writes blanks, tabs, newlines and backslashes of paths as \040 and so on.
local function unescape(text)
    return (text:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end))
end

---@class surroundings.Mount
---@field place string where
---@field type string "ext4", "tmpfs" ...
---@field source string
---@field read_only boolean

--- The mounts that /proc/PID/mountinfo tells, in its order: of two at one place the later counts.
---@param text string
---@return surroundings.Mount[]
function surroundings.parse_mounts(text)
    local mounts = {}
    for line in text:gmatch "[^\n]+" do
        local place, options, kind, source, super = line:match "^%d+ %d+ %S+ %S+ (%S+) (%S+) .*%- (%S+) (%S+) (%S+)$"
        if place then
            mounts[#mounts + 1] = {
                place = unescape(place), type = kind, source = unescape(source),
                read_only = ("," .. options .. "," .. super .. ","):find(",ro,", 1, true) ~= nil,
            }
        end
    end
    return mounts
end

---@class surroundings.Listener who takes connections
---@field address string "127.0.0.1", "*", "[::1]"
---@field port integer
---@field pid? integer
---@field program? string

-- Of `ss -Hltnp`: state, two queues, local address, peer, users:(("name",pid=1,fd=3),...).
local function listeners_of(text)
    local listeners = {}
    for line in text:gmatch "[^\n]+" do
        local address, port, rest = line:match "^%S+%s+%d+%s+%d+%s+(%S+):(%d+)%s+%S+%s*(.*)$"
        if address then
            listeners[#listeners + 1] = {
                address = address, port = tonumber(port), pid = tonumber(rest:match "pid=(%d+)"),
                program = rest:match '%(%("(.-)",pid='
            }
        end
    end
    return listeners
end

---@class surroundings.Place how far the service's user gets on the way to a place
---@field place string
---@field state "there"|"missing"|"closed"|"dangling"|"not-a-directory" closed: a directory on the way is not to be
---  entered; dangling: a link on the way leads to nothing
---@field at string the place itself, or the part of the way where it ends
---@field kind "file"|"directory"|"other"
---@field may string of "rwx" what the user may do with `at`
---@field owner? string "meltano:meltano"
---@field mode? string octal
---@field target? string what `at` leads to when it is a link

local STATES = { there = true, missing = true, closed = true, dangling = true, ["not-a-directory"] = true }

local function place_of(value)
    local place, state, at, kind, may, about, target = value:match
        "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$"
    return place and STATES[state] and {
        place = place, state = state, at = at, kind = kind, may = may, owner = about:match "^%S+",
        mode = about:match "(%d+)$", target = target ~= "" and target or nil,
    }
end

local function holder_of(value)
    local pid, user, unit, program, word = value:match "^(%d+) (%S*) (%S*) ?(%S*) ?(.-)%s*$"
    if not pid then
        return nil
    end
    local script = word:find "^/" and " " .. word or ""
    return {
        pid = tonumber(pid), user = user, unit = unit:match "^.*/([^/]+%.service)" or unit:match "^.*/([^/]+%.scope)",
        command = program ~= "" and program .. script or nil,
    }
end

---@class surroundings.Surroundings
---@field container? string the kind of container that the host is, "systemd-nspawn"; nil for a machine with a kernel
---  of its own
---@field clock? integer the host's time, seconds since 1970
---@field system? string how its systemd is: "running" "degraded" "starting" "stopping" "maintenance"
---@field user boolean whether the user exists
---@field localhost boolean whether the name localhost has an address
---@field loopback boolean whether the interface lo is up
---@field mounts surroundings.Mount[]
---@field own_mounts? surroundings.Mount[] as the service's process sees them, where that is another view
---@field own_network boolean its process has a network of its own
---@field listeners? surroundings.Listener[] nil when the host could not say
---@field holders table<integer, { pid: integer, user: string, unit?: string, command?: string }> who listens, by pid
---@field places table<string, surroundings.Place> by place; empty when nobody could look as the user
---@field open_files? integer of its process
---@field open_files_limit? integer
---@field first_line string of the program; empty when there is none
---@field interpreter? string that the program's first line asks for
---@field interpreter_says? string what a Python says when asked for its version
---@field made_for? string the version of Python that the virtualenv was made for

--- What the host has answered.
---@param text string names and values, each ended by a NUL
---@return surroundings.Surroundings
function surroundings.parse(text)
    local facts, asked, found = {}, {}, { holders = {}, places = {} }
    for name, value in text:gmatch "(%Z*)%z(%Z*)%z" do
        if name == "holder" then
            local holder = holder_of(value)
            found.holders[holder and holder.pid or 0] = holder
        elseif name == "place" then
            local place = place_of(value)
            found.places[place and place.place or ""] = place
        else
            facts[name], asked[name] = value ~= "" and value or nil, true
        end
    end
    for _, name in ipairs { "system", "interpreter", "interpreter_says", "made_for" } do
        found[name] = facts[name]
    end
    for _, name in ipairs { "clock", "open_files", "open_files_limit" } do
        found[name] = tonumber(facts[name])
    end
    found.container = facts.container ~= "none" and facts.container or nil
    found.user, found.localhost = facts.user ~= nil, facts.localhost ~= nil
    found.first_line, found.own_network = facts.first_line or "", facts.own_network ~= nil
    found.loopback = (tonumber(facts.loopback or "1") or 1) % 2 == 1 -- the lowest flag is IFF_UP
    found.mounts = surroundings.parse_mounts(facts.mounts or "")
    found.own_mounts = facts.own_mounts and surroundings.parse_mounts(facts.own_mounts)
    found.listeners = asked.sockets and listeners_of(facts.sockets or "") or nil
    return found
end

local function is_below(place, path)
    return place == "/" or path == place or path:sub(1, #place + 1) == place .. "/"
end

--- The mount that a path lies on.
---@param mounts surroundings.Mount[]
---@param path string absolute
---@return surroundings.Mount?
function surroundings.mount_of(mounts, path)
    local found
    for _, mount in ipairs(mounts) do
        if is_below(mount.place, path) and (not found or #mount.place >= #found.place) then
            found = mount
        end
    end
    return found
end

--- The mounts at a path and below it.
---@param mounts surroundings.Mount[]
---@param path string absolute
---@return surroundings.Mount[]
function surroundings.mounts_below(mounts, path)
    local found = {}
    for _, mount in ipairs(mounts) do
        found[#found + 1] = is_below(path, mount.place) and mount or nil
    end
    return found
end

-- ---- the question ----

--- What surrounds a service. Reads only, and asks once.
---@param host ssh.Host
---@param options { unit: string, user: string, program: string, places: string[] } unit: with its ".service"; user: the
---  service's, where its unit names none; program: what it runs; places: the files and directories that it needs
---@return surroundings.Surroundings
function surroundings.of(host, options)
    local arguments = { options.unit, options.user, options.program, WALK }
    for _, place in ipairs(options.places) do
        arguments[#arguments + 1] = place
    end
    local result = host:sh(LOOK, {
        args = arguments, read = true, check = false, timeout = 60, limit = LONGEST_OUTPUT, env = { LC_ALL = "C" },
        summary = "see what surrounds the service",
    })
    return unknown(result) and result or surroundings.parse(result.stdout)
end

return surroundings
