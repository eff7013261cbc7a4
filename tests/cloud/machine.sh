# shellcheck shell=bash
# What a machine needs to run the local cloud. Sourced after common.sh, never run.

# Prints a line for each thing that this machine lacks; nothing where droplets can boot.
machine_lacks() {
	local hierarchies hierarchy
	if ! can unshare --mount --propagation unchanged --pid --ipc --uts --net --fork true; then
		echo "no namespaces can be made (CAP_SYS_ADMIN): a container has to be run with --privileged"
	elif ! mountpoint -q /; then
		echo "/ is no mount point here, as in a chroot, and systemd-nspawn needs it to be one: bind the folder" \
			"on itself before going into it: mount --rbind FOLDER FOLDER && chroot FOLDER"
	elif ! can unshare --mount sh -c "$overlay"; then
		echo "no overlay can be mounted: the kernel needs overlayfs, and a container --privileged"
	fi
	if ! can ip link add name "htry$$" type bridge || ! can ip link delete "htry$$"; then
		echo "no bridge can be made (CAP_NET_ADMIN): a container has to be run with --privileged"
	fi
	[[ -w /proc/sys/net/ipv4/ip_forward ]] ||
		echo "/proc/sys cannot be written: a container has to be run with --privileged"
	hierarchies=$(control_group_hierarchies)
	[[ $hierarchies ]] || echo "no control groups are mounted below /sys/fs/cgroup, by which systemd follows processes"
	for hierarchy in $hierarchies; do
		can mkdir "$hierarchy/hostler-try-$$" ||
			echo "no control group can be made in $hierarchy: a container has to be run with --privileged"
		can rmdir "$hierarchy/hostler-try-$$" || true
	done
}

can() { "$@" >/dev/null 2>&1; }

# shellcheck disable=SC2016
overlay='mount -t tmpfs hostler-try /mnt && mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root &&
	mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work hostler-try /mnt/root'
