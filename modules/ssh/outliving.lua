-- Commands that go on when the connection they came by is gone: how they are marked, and found again.
--
-- A write's command has its mark in the environment of its program, with the program's own number: what it starts and
-- leaves in the background inherits the variable and has another number. Until the program runs, the mark is in the
-- arguments of the shells that are to become it. Both are read from /proc. Not found are programs that write their own
-- title over their environment, as some daemons do. A program with another user's rights, such as sudo, hides its
-- environment: it is known by its arguments.
local outliving = {}


-- $1 is the mark, $2 the seconds of patience, $3 the program where its arguments are not known; else these follow.
local LOOK = [[
mark=HOSTLER_COMMAND=$1. patience=$2 program=$3
shift 3
cd /proc 2>/dev/null && [ -r self/environ ] && grep -q . self/stat || { echo "unknown the host has no /proc"; exit; }
marked() { printf '%s' "$mark$1" | grep -lsF -f - $2; }
same() {
    [ $# -gt 0 ] || return 1
    printf '%s\0' "$@" | cmp -s - "$process/cmdline"
}
find_it() {
    for file in $(marked '' '[0-9]*/cmdline'); do process=${file%%/*}; return; done
    for file in $(marked '' '[0-9]*/environ'); do
        process=${file%%/*}
        [ -z "$(marked "$process." "$file")" ] || return 0
    done
    for process in [0-9]*; do
        if [ ! -r "$process/environ" ] && same "$@"; then return; fi
    done
    process=
}
find_it "$@"
while [ -n "$process" ] && [ "$patience" -gt 0 ]; do
    if [ -d "$process" ]; then sleep 1; patience=$((patience - 1)); else find_it "$@"; fi
done
if [ -n "$process" ]; then echo "running process $process"
elif [ -n "$program" ] && [ -u "$(command -v "$program")" ]; then
    echo "unknown it may have become another user's program"
elif [ ! -d 1 ]; then echo "unknown the host hides the programs of other users"
else echo ended; fi]]

--- What a look for a command runs on the host.
local function look_on(host, reach, mark, patience)
    local argv = { mark, patience, reach.program or "" }
    for _, word in ipairs(reach.argv or {}) do
        argv[#argv + 1] = word
    end
    local answer = host:sh(LOOK, {
        read = true, args = argv, summary = "look for a command of an earlier attempt",
    }).stdout
    local status, detail = answer:match "^(%l+) ?([^\n]*)\n$"
    return status or "unknown", status and detail or "the host's answer makes no sense"
end

--- Looks for a command on its host.
---@param connect fun(target: string, options: table): ssh.Host ssh.connect
---@param reach table see reach_of in host.lua
---@param mark string
---@param patience number
---@return "running"|"ended"|"unknown", string? detail
function outliving.look(connect, reach, mark, patience)
    local function reconnect(way)
        if type(way.options.jump) == "table" and way.options.jump.target then
            way.options.jump = reconnect(way.options.jump)
        end
        local host = connect(way.target, way.options)
        return way.user and host:as(way.user) or host
    end
    return look_on(reconnect(reach), reach, mark, patience)
end

return outliving
