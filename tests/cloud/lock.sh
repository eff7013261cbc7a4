# shellcheck shell=bash
# Who has which cloud: whoever holds the lock on /run/hostler-cloud/N.lock, whose text says who that is. A cloud for
# tests belongs to their tests/run; one that was started by hand holds its lock itself, through its processes. So a lock
# is free when its owner is gone, whatever became of it. Sourced, never run.

clouds=/run/hostler-cloud

# cloud_lock NUMBER WHO: takes a cloud; false when somebody else has it. $lock is the descriptor that holds it, also in
# every process that inherits it.
cloud_lock() {
	local path=$clouds/$1.lock
	while :; do
		mkdir -p "$clouds"
		exec {lock}>>"$path" || continue
		if ! flock --nonblock "$lock"; then
			exec {lock}>&-
			return 1
		fi
		# It counts when it is the file of that name, not one that was given back between opening and locking.
		[[ $path -ef /proc/self/fd/$lock ]] && break
		exec {lock}>&-
	done
	echo "$2" >"$path"
}

# cloud_unlock NUMBER: gives back one that was locked.
cloud_unlock() {
	rm -f "$clouds/$1.lock"
	rmdir "$clouds" 2>/dev/null || true
}

# cloud_holder NUMBER: who has it, and since when.
cloud_holder() {
	local path=$clouds/$1.lock
	echo "$(cat "$path") since $(date --reference="$path" +%H:%M)"
}
