# shellcheck shell=bash disable=SC2034
# What the scripts of the local cloud share: which cloud is meant, its addresses, its state
# directory, and the book of the processes that it runs. Sourced, never run.

set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Every script needs root: run by somebody else it starts again through sudo, with HOSTLER_* kept.
become_root() {
	((EUID == 0)) && return
	local name keep=()
	for name in "${!HOSTLER_@}"; do keep+=("$name=${!name}"); done
	exec sudo env "${keep[@]}" "$0" "$@"
}

CLOUD_INDEX=${HOSTLER_CLOUD:-0}
[[ $CLOUD_INDEX =~ ^([0-9]|1[0-5])$ ]] || die "HOSTLER_CLOUD is '$CLOUD_INDEX', not a number from 0 to 15"

CLOUD_STATE=/run/hostler-cloud/$CLOUD_INDEX
CLOUD_BRIDGE=hostler-br$CLOUD_INDEX
CLOUD_GATEWAY=198.18.$((16 * CLOUD_INDEX)).1
CLOUD_PRIVATE_GATEWAY=198.19.$((16 * CLOUD_INDEX)).1
# For control ports: reachable from this machine, never from a droplet, and another one for each cloud.
CLOUD_LOOPBACK=127.18.$((16 * CLOUD_INDEX)).1
# Where customers' sign-ups come in: a public address that no droplet gets.
CLOUD_HOOKS=198.18.$((16 * CLOUD_INDEX)).2
CLOUD_HOOKS_NAME=hooks.meltanodata.com
CACHE=/var/cache/hostler

# Who called: the operator's files are theirs.
OWNER=${SUDO_UID:-$EUID}
OWNER_GROUP=${SUDO_GID:-$(id -g)}
as_owner=(setpriv "--reuid=$OWNER" "--regid=$OWNER_GROUP" --clear-groups)
as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)

cloud_must_be_up() {
	[[ -d $CLOUD_STATE/processes ]] || die "cloud $CLOUD_INDEX is not up: $here/cloud up"
}

# wait_for SECONDS COMMAND... is true as soon as the command is, false when the time is over.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS <= deadline)) || return 1
		sleep 0.03
	done
}

# The book of processes: processes/NAME holds a pid and that process's start time, so that a number
# which the kernel has since given to somebody else is never taken for ours. The process writes its
# entry itself before it becomes COMMAND: there is no moment at which it runs and is not in the book.

# process_start NAME COMMAND...: in a session of its own, its output in log/NAME.log
process_start() {
	local name=$1 entry
	shift
	entry=$CLOUD_STATE/processes/$name
	rm -f "$entry"
	# shellcheck disable=SC2016
	setsid --fork bash -c '
		read -r stat <"/proc/$$/stat"
		read -ra field <<<"${stat##*) }"
		echo "$$ ${field[19]}" >"$0" && exec "$@"' \
		"$entry" "$@" </dev/null >>"$CLOUD_STATE/log/$name.log" 2>&1
	wait_for 5 test -s "$entry" || die "$name was not started"
}

# process_pid NAME prints the pid of a process of the book that runs (a zombie does not).
process_pid() {
	local pid started stat field
	read -r pid started 2>/dev/null <"$CLOUD_STATE/processes/$1" || return 1
	read -r stat 2>/dev/null <"/proc/$pid/stat" || return 1
	read -ra field <<<"${stat##*) }"
	[[ ${field[19]} == "$started" && ${field[0]} != Z ]] || return 1
	echo "$pid"
}

process_runs() { process_pid "$1" >/dev/null; }
process_gone() { ! process_runs "$1"; }

# process_stop NAME [SIGNAL]: asks the process and its group, waits, then insists.
process_stop() {
	local pid
	if pid=$(process_pid "$1"); then
		kill "-${2:-TERM}" -- "-$pid" 2>/dev/null || true
		if ! wait_for 5 process_gone "$1"; then
			kill -KILL -- "-$pid" 2>/dev/null || true
			wait_for 5 process_gone "$1" || die "$1 (pid $pid) cannot be killed"
		fi
	fi
	rm -f "$CLOUD_STATE/processes/$1"
}

# process_answers NAME SECONDS COMMAND...: waits until COMMAND succeeds; on failure shows the log.
process_answers() {
	local name=$1 seconds=$2 reason
	shift 2
	# shellcheck disable=SC2317
	_answers_or_dead() { "$@" >/dev/null 2>&1 || process_gone "$name"; }
	if wait_for "$seconds" _answers_or_dead "$@"; then
		process_runs "$name" && return
		reason="has ended"
	else
		reason="does not answer after $seconds s"
	fi
	{
		echo "${0##*/}: $name $reason; the end of $CLOUD_STATE/log/$name.log:"
		tail -n 15 "$CLOUD_STATE/log/$name.log" | sed 's/^/    /'
	} >&2
	exit 1
}

# Where systemd follows processes by their control groups, and limits their memory: a line for each place.
control_group_hierarchies() {
	findmnt -rno TARGET,FSTYPE,OPTIONS -t cgroup,cgroup2 |
		awk '$2 == "cgroup2" || $3 ~ /(^|,)(name=systemd|memory)(,|$)/ { print $1 }'
}

# https_get URL [CURL'S OPTIONS...]
https_get() { curl --silent --fail --max-time 2 --noproxy '*' --cacert "$CLOUD_STATE/ca.pem" "$@"; }

port_open() {
	# shellcheck disable=SC2016
	timeout 1 bash -c ': <"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

is_address() {
	local part parts
	[[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || return 1
	IFS=. read -ra parts <<<"$1"
	for part in "${parts[@]}"; do ((10#$part <= 255)) || return 1; done
}
