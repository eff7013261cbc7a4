#!build/lua-test
-- Disks, memory and the kernel's kills, from what programs print; and what hosts of many kinds are.
local tap = require "tap"
local machine = require "machine"

local disks = machine.parse_disks([[
Filesystem       1-blocks        Used   Available Capacity Mounted on
/dev/vda1     63278489600 63278489600           0     100% /
my disk       1000 250 750 25% /var/my data
/dev/vda1     63278489600 63278489600           0     100% /
]], [[
Filesystem      Inodes  IUsed   IFree IUse% Mounted on
/dev/vda1      7741440 125000 7616440    2% /
my disk              0      0       0     - /var/my data
]])
tap.is(#disks, 2, "each disk once")
tap.is(disks[1].used, 1, "a full one")
tap.is(disks[1].inodes_free, 7616440, "with its inodes")
tap.is(disks[2].place, "/var/my data", "names with blanks")
tap.is(disks[2].used, 0.25, "a part")
tap.is(disks[2].inodes_used, nil, "no inodes where none are counted")

disks = machine.parse_disks([[
Filesystem           1024-blocks    Used Available Capacity Mounted on
/dev/sda3             29886376   1438740  26904180   5% /
]], "")
tap.is({ disks[1].size, disks[1].free }, { 29886376 * 1024, 26904180 * 1024 }, "BusyBox counts in kilobytes, and says so")

local memory = machine.parse_memory "MemTotal:  2000 kB\nMemFree: 1 kB\nMemAvailable:  500 kB\nSwapTotal: 0 kB\n"
tap.is(memory, { total = 2048000, available = 512000, swap_total = 0, swap_free = 0 }, "memory in bytes")

local kills = machine.parse_kills [[
2026-11-22T01:44:39,123456+00:00 Memory cgroup out of memory: Killed process 119 (meltano (ui)) total-vm:1kB, UID:999 pgtables:4kB
1574000000.5 droplet kernel: Out of memory: Killed process 7 (python3) total-vm:2048kB, anon-rss:10kB
1574000001.5 droplet kernel: python3 invoked oom-killer: gfp_mask=0x100
]]
tap.is(#kills, 2, "who was killed")
tap.is(kills[1].at, 1795311879, "when, by dmesg")
tap.is(kills[1].uid, 999, "whose it was")
tap.is(kills[2].at, 1574000000.5, "when, by the journal")
tap.is(kills[2].program, "python3", "and what")
tap.is(kills[2].line, "Out of memory: Killed process 7 (python3) total-vm:2048kB, anon-rss:10kB", "the kernel's words")
tap.is(machine.parse_kills "", {}, "nobody")

-- ---- what hosts are ----

local function facts_of(said)
    local text = ""
    for name, value in pairs(said) do
        text = text .. name .. "\0" .. value .. "\0"
    end
    return machine.parse_facts(text)
end

local ubuntu = facts_of {
    release = 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nVERSION="22.04.4 LTS (Jammy '
        .. 'Jellyfish)"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=jammy',
    hostname = "web1", kernel = "5.15.0-101-generic", architecture = "x86_64", cores = "4",
    kernels = "/lib/modules/5.15.0-101-generic/modules.builtin\n/lib/modules/5.15.0-113-generic/modules.builtin\n"
        .. "/lib/modules/6.5.0-1023-oem/modules.builtin\n/lib/modules/5.15.0-97-generic/modules.builtin",
    managers = "apt-get", container = "none", virtual = "kvm", zone_link = "/usr/share/zoneinfo/Europe/Berlin",
    zone_name = "Etc/UTC", reboot_mark = "yes", reboot_packages = "linux-image-5.15.0-113-generic\nlibc6\nlibc6",
    clock = "1719000000", uptime = "86400.25 170000.10", first_process = "1 (systemd) S 0 1 1 0 -1 4194560 9 9 9 9 9 9 9 9 "
        .. "20 0 1 0 25 168", ticks = "100", user = "ada:x:1000:1000:Ada,,,:/home/ada:/usr/bin/fish",
    addresses = [[
1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 203.0.113.9/20 brd 203.0.113.255 scope global eth0\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::9/64 scope global dynamic mngtmpaddr \       valid_lft 2591990sec preferred_lft 604790sec
2: eth0    inet6 fe80::20d:3aff:fe00:1/64 scope link \       valid_lft forever preferred_lft forever
5: veth9@if4    inet 169.254.7.1/32 scope link veth9\       valid_lft forever preferred_lft forever
6: tun0    inet 10.8.0.6 peer 10.8.0.5/32 scope global tun0\       valid_lft forever preferred_lft forever]],
}
tap.is(ubuntu.distribution, { id = "ubuntu", like = { "debian" }, version = "22.04", codename = "jammy",
    name = "Ubuntu 22.04.4 LTS" }, "Ubuntu")
tap.is({ ubuntu.package_manager, ubuntu.virtual, ubuntu.container, ubuntu.cores }, { "apt", "kvm", false, 4 },
    "a virtual machine, and no container")
tap.is(ubuntu.reboot, { required = true, packages = { "linux-image-5.15.0-113-generic", "libc6" },
    kernel = "5.15.0-113-generic" }, "the newest kernel of its own kind waits for a restart")
tap.is(ubuntu.time_zone, "Europe/Berlin", "the link says the time zone, whatever the old file does")
tap.is({ ubuntu.uptime, ubuntu.booted }, { 86400, 1718913600 }, "how long it runs, and since when")
tap.is(ubuntu.user, { name = "ada", uid = 1000, home = "/home/ada", shell = "/usr/bin/fish" }, "the login shell")
local addresses = {}
for index, entry in ipairs(ubuntu.addresses) do
    addresses[index] = ("%s %s/%d %s %s"):format(entry.interface, entry.address, entry.prefix, entry.family, entry.scope)
end
tap.is(addresses, { "eth0 203.0.113.9/20 ipv4 global", "eth0 2001:db8::9/64 ipv6 global",
    "eth0 fe80::20d:3aff:fe00:1/64 ipv6 link", "veth9 169.254.7.1/32 ipv4 link", "tun0 10.8.0.6/32 ipv4 global" },
    "addresses, without those of the host to itself")

-- Each: os-release, which programs there are, the kernel that runs and one that is installed; and what that is.
local HOSTS = {
    { 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"', "dnf yum", "5.14.0-362.8.1.el9_3.x86_64",
        "5.14.0-362.24.1.el9_3.x86_64", "rocky 9.3 dnf true" },
    { 'ID=fedora\nVERSION_ID=38\nVERSION_CODENAME=""', "apt-get dnf yum", "6.5.6-200.fc38.x86_64",
        "6.5.6-200.fc38.x86_64", "fedora 38 dnf nil" },
    { 'ID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"', "yum", "4.14.336-257.562.amzn2.x86_64",
        "4.14.336-257.566.amzn2.x86_64", "amzn 2 yum true" },
    { 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.5"', "zypper", "5.14.21-150500.55.44-default",
        "5.14.21-150500.55.52-default", "opensuse-leap 15.5 zypper true" },
    { "ID=alpine\nVERSION_ID=3.19.1", "apk", "6.6.14-0-lts", "6.6.14-0-virt", "alpine 3.19.1 apk nil" },
    { "ID=arch\nBUILD_ID=rolling", "pacman", "6.7.4-arch1-1", "6.7.5-arch1-1", "arch nil pacman true" },
    { "ID=debian\nVERSION_CODENAME=trixie", "apt-get", "6.1.0-9-cloud-amd64", "6.1.0-18-amd64", "debian nil apt false" },
    { "ID=void", "apt-get apk", "6.6.9_1", "6.6.9_1", "void nil nil nil" },
    { "", "", "4.4.0", "", "nil nil nil nil" },
}
for _, host in ipairs(HOSTS) do
    local facts = facts_of { release = host[1], managers = host[2], kernel = host[3],
        kernels = "/lib/modules/" .. host[4] .. "/modules.builtin" }
    local distribution = facts.distribution or {}
    tap.is(("%s %s %s %s"):format(tostring(distribution.id), tostring(distribution.version),
        tostring(facts.package_manager), tostring(facts.reboot.required)), host[5], host[5])
end

local contained = facts_of {
    kernel = "6.1.0-9-amd64", kernels = "/lib/modules/6.1.0-18-amd64/modules.builtin", container = "lxc", virtual = "none",
    uptime = "100.00 1.00", first_process = "1 (my (init)) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99000000 1",
    mounts = "40 30 0:50 /proc/uptime /proc/uptime rw - fuse.lxcfs lxcfs rw", zone_link = "", no_zone = "yes",
}
tap.is(contained.reboot.kernel, nil, "a container has no kernel of its own")
tap.is(contained.uptime, 100, "one whose time is told as its own (lxcfs)")
tap.is({ contained.container, contained.virtual, contained.time_zone }, { "lxc", false, "UTC" }, "on bare metal, in UTC")
tap.is(facts_of({ maker = "Microsoft Corporation\nVirtual Machine", virtual = "unnamed" }).virtual, "microsoft",
    "a virtual machine by its maker")
tap.is(facts_of({ maker = "Acme", virtual = "unnamed" }).virtual, "unnamed", "or nobody knows whose")
local nothing = facts_of {}
tap.is({ nothing.disks, nothing.memory, nothing.addresses, nothing.user, nothing.virtual, nothing.uptime,
    nothing.time_zone }, {}, "what is not told is nil")
tap.done()
