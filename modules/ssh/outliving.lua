-- Commands that go on when the connection they came by is gone: how they are marked, and found again.
--
-- A write's command has two parents that are its own, shells of the user who has logged in, with the mark among their
-- arguments: they are there as long as the program is, whoever it runs as and whatever it makes of its environment and
-- its title. What has left them has inherited the mark in its environment. It is the command when it still has the
-- command's output, a pipe that no other of those reads; when it has not, it was left in the background.
--
-- Both are read from /proc. Not found is what has left its parents, or lost them, and has another environment as well,
-- or the rights of somebody whose environment the user may not read.
local outliving = {}

-- $1 is the mark, $2 the seconds of patience.
local LOOK = [[
mark=HOSTLER_COMMAND=$1. patience=$2
cd /proc 2>/dev/null && [ -r self/environ ] && grep -q . self/stat || { echo "unknown the host has no /proc"; exit; }
marked() { printf '%s' "$mark" | grep -lsF -f - $1; }
program_of() {
    process=$1
    while [ -n "$(marked "$process/cmdline")" ]; do
        read -r child rest 2>/dev/null <"$process/task/$process/children"
        [ -n "$child" ] || break
        process=$child
    done
}
is_read() {
    for other in $left; do
        ls -l "${other%/*}/fd" 2>/dev/null
    done | grep -F " -> $1" | grep -q '^lr'
}
has_output() {
    for output in 1 2; do
        pipe=$(readlink "$1/fd/$output" 2>/dev/null)
        case $pipe in pipe:*) is_read "$pipe" || return 0 ;; esac
    done
    return 1
}
find_it() {
    for file in $(marked '[0-9]*/cmdline'); do program_of "${file%/*}"; return; done
    left=$(marked '[0-9]*/environ')
    for file in $left; do
        process=${file%/*}
        if has_output "$process"; then return; fi
    done
    process=
}
find_it
while [ -n "$process" ] && [ "$patience" -gt 0 ]; do
    if [ -d "$process" ]; then sleep 1; patience=$((patience - 1)); else find_it; fi
done
if [ -n "$process" ]; then echo "running process $process"; else echo ended; fi]]

--- What a look for a command runs on the host.
local function look_as(host, mark, patience)
    local answer = host:sh(LOOK, {
        read = true, args = { mark, patience }, summary = "look for a command of an earlier attempt",
    }).stdout
    local status, detail = answer:match "^(%l+) ?([^\n]*)\n$"
    return status or "unknown", status and detail or "the host's answer makes no sense"
end

local function reconnect(connect, way)
    if type(way.options.jump) == "table" and way.options.jump.target then
        way.options.jump = reconnect(connect, way.options.jump)
    end
    return connect(way.target, way.options)
end

--- Looks for a command on its host.
---@param connect fun(target: string, options: table): ssh.Host ssh.connect
---@param reach table see way_to in host.lua
---@param mark string
---@param patience number
---@return "running"|"ended"|"unknown", string? detail
function outliving.look(connect, reach, mark, patience)
    local host = reconnect(connect, reach)
    local status, detail = look_as(host, mark, patience)
    if status == "ended" and reach.user and host.user ~= "root" then -- only they see what has left its parents
        status, detail = look_as(host:as(reach.user), mark, patience)
    end
    return status, detail
end

return outliving
