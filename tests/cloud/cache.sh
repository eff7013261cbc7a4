# shellcheck shell=bash
# What takes minutes to build and is kept: folders /var/cache/hostler/KIND-HASH. The hash is that of the recipe, so a
# changed recipe is another folder, and folders of other recipes are removed. Sourced after common.sh, never run; $here is
# the folder that the recipe is in.
# shellcheck disable=SC2154

# cached KIND NOTICE FILE...: prints the folder's path. Where it is not there, says NOTICE and calls `build WORK`, which
# fills a folder that is renamed when it is whole; the FILEs and folders, relative to $here, are the recipe.
cached() {
	local kind=$1 notice=$2 path
	shift 2
	cache_lock "$kind"
	path=$CACHE/$kind-$(recipe_hash "$@")
	if [[ ! -d $path ]]; then
		echo "${0##*/}: building $path ($notice, once)" >&2
		cache_build "$path" "$CACHE/build-$kind"
	fi
	remove_others "$kind" "$path"
	echo "$path"
}

# cache_purge KIND: removes all folders of this kind.
cache_purge() {
	cache_lock "$1"
	remove_others "$1" ""
	rm -rf --one-file-system "$CACHE/build-$1" "$CACHE/build-$1.log" "$CACHE/$1.lock"
	rmdir "$CACHE" 2>/dev/null || true
}

cache_lock() { # KIND
	mkdir -p "$CACHE"
	exec {cache_lock}>"$CACHE/$1.lock"
	flock "$cache_lock"
}

recipe_hash() {
	(cd "$here" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
}

cache_build() { # PATH WORK
	rm -rf --one-file-system "$2"
	mkdir "$2"
	# In a process of its own, since bash forgets `set -e` in what stands before a `||`.
	build "$2" >"$2.log" 2>&1 &
	wait $! || {
		tail -n 20 "$2.log" >&2
		die "it could not be built; the whole log is $2.log"
	}
	mv "$2" "$1"
}

# What a cloud that is up started from, and what anything is mounted over, stays.
remove_others() { # KIND PATH
	local path
	for path in "$CACHE/$1"-*; do
		[[ -d $path && $path != "$2" ]] || continue
		grep -qsF "$path" "${CLOUD_STATE%/*}"/*/image /proc/[0-9]*/mounts || rm -rf --one-file-system "$path"
	done
}
