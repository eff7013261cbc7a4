-- What a host is: one question to it, in words that every shell and BusyBox know, and the answer read. What a host does
-- not tell is left out: no fact rather than a wrong one.
local _, _, import = ...
local facts = {}

local texts = import "base/text"
local environment_file, surroundings = require "environment_file", require "surroundings"

-- Names and values, each ended by a NUL. `df` is asked about file systems on disks only, for a network's may never
-- answer, and once about each: not where a part of one is bound to another place. Paths of mountinfo escape blanks.
facts.QUESTION = [[
fact() { printf '%s\0%s\0' "$1" "$2"; }
there() { command -v "$1" >/dev/null 2>&1; }
fact release "$(cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null)"
fact hostname "$(uname -n)"
fact kernel "$(uname -r)"
fact architecture "$(uname -m)"
fact cores "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
fact memory "$(cat /proc/meminfo 2>/dev/null)"
set --
while read -r number parent device root place rest; do
    rest=${rest#*- }; kind=${rest%% *}; rest=${rest#* }; source=${rest%% *}
    case $kind in squashfs|iso9660|devtmpfs) continue ;; zfs|btrfs) root=/ source=/dev/ ;; esac
    case $place,$root,$source in /,*|*,/,/dev/*) ;; *) continue ;; esac
    place=$(printf '%b' "$place")
    if [ -d "$place" ]; then set -- "$@" "$place"; fi
done </proc/self/mountinfo
if [ $# -gt 0 ]; then
    fact disks "$(df -P -k -- "$@" 2>/dev/null)"
    fact inodes "$(df -P -i -- "$@" 2>/dev/null)"
fi
set --
fact addresses "$(ip -o addr show 2>/dev/null)"
fact clock "$(date +%s)"
fact mounts "$(head -c 65536 /proc/self/mountinfo 2>/dev/null)"
fact uptime "$(cat /proc/uptime 2>/dev/null)"
fact first_process "$(cat /proc/1/stat 2>/dev/null)"
fact ticks "$(getconf CLK_TCK 2>/dev/null)"
fact boot_id "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
if there systemd-detect-virt; then
    fact container "$(systemd-detect-virt --container)"
    fact virtual "$(systemd-detect-virt --vm)"
else
    if [ -e /.dockerenv ]; then fact container docker; elif [ -e /run/.containerenv ]; then fact container podman; fi
    if grep -q '^flags.* hypervisor' /proc/cpuinfo 2>/dev/null; then
        fact maker "$(cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name 2>/dev/null)"
        fact virtual unnamed
    elif grep -q '^flags' /proc/cpuinfo 2>/dev/null && [ ! -e /sys/hypervisor/type ]; then fact virtual none
    fi
fi
for mark in /run/reboot-required /var/run/reboot-required; do
    if [ -e "$mark" ]; then fact reboot_mark yes; fact reboot_packages "$(cat "$mark.pkgs" 2>/dev/null)"; break; fi
done
fact kernels "$(for file in /lib/modules/*/modules.builtin; do if [ -e "$file" ]; then echo "$file"; fi; done)"
for program in apt-get dnf yum zypper apk pacman opkg; do if there "$program"; then set -- "$@" "$program"; fi; done
fact managers "$*"
fact zone_link "$(readlink /etc/localtime 2>/dev/null)"
fact zone_name "$(cat /etc/timezone 2>/dev/null)"
if [ ! -e /etc/localtime ] && [ ! -L /etc/localtime ]; then fact no_zone yes; fi
user=$(id -un)
fact user "$(getent passwd "$user" 2>/dev/null || awk -F: -v user="$user" '$1 == user' /etc/passwd)"]]

---@class machine.Facts what a host does not tell is nil
---@field hostname string
---@field distribution? machine.Distribution
---@field kernel string its release, "6.1.0-18-amd64"
---@field architecture string as the kernel calls it: "x86_64", "aarch64"
---@field cores? integer that a program may use
---@field memory? machine.Memory
---@field disks? machine.Disk[] the file systems on disks, and the root
---@field addresses? machine.Address[] without those of the host to itself
---@field uptime? number seconds that it ran when it was asked
---@field booted? integer when it began, seconds since 1970
---@field boot_id? string another one with each start of the kernel
---@field virtual? string|false the kind of virtual machine, "kvm", or "unnamed"; false for one of its own
---@field container? string|false the kind of container, "docker", "lxc"; false where it is none
---@field reboot machine.Reboot
---@field package_manager? "apt"|"dnf"|"yum"|"zypper"|"apk"|"pacman"|"opkg"
---@field time_zone? string "Europe/Berlin"
---@field user? machine.User whom commands run as

---@class machine.Distribution
---@field id string "debian", "ubuntu", "alpine"
---@field like string[] those it is made from
---@field version? string "12", "22.04"; a rolling one has none
---@field codename? string "bookworm"
---@field name? string for people

---@class machine.Address
---@field interface string
---@field address string
---@field prefix integer bits of the network
---@field family "ipv4"|"ipv6"
---@field scope string "global", "link"

---@class machine.Reboot
---@field required? boolean whether something waits for a restart; nil where the host has no way to say
---@field packages string[] that ask for one, where they say so
---@field kernel? string the newer one that is installed

---@class machine.User
---@field name string
---@field uid integer
---@field home string
---@field shell string the login shell

local function filled(text)
    return text ~= "" and text or nil
end

--- What an os-release file tells (os-release(5)).
---@param text string
---@return machine.Distribution?
function facts.distribution_of(text)
    local values = environment_file.values(text)
    return filled(values.ID) and {
        id = values.ID, like = texts.words(values.ID_LIKE), version = filled(values.VERSION_ID),
        codename = filled(values.VERSION_CODENAME) or filled(values.UBUNTU_CODENAME),
        name = filled(values.PRETTY_NAME) or filled(values.NAME),
    } or nil
end

--- Addresses from the lines of `ip -o addr show`, iproute2's or BusyBox's.
---@param text string
---@return machine.Address[]
function facts.addresses_of(text)
    local addresses = {}
    for line in text:gmatch "[^\n]+" do
        local interface, family, rest = line:match "^%d+:%s+(%S+)%s+(inet6?)%s+(.*)$"
        local address, prefix = (rest or ""):match "^([%x:.]+)/(%d+)"
        if not address and rest then
            address, prefix = rest:match "^([%x:.]+) peer [%x:.]+/(%d+)"
        end
        local scope = rest and rest:match "scope (%S+)"
        if address and scope and scope ~= "host" then
            addresses[#addresses + 1] = {
                interface = interface:match "^[^@:]+", address = address, prefix = tonumber(prefix), scope = scope,
                family = family == "inet6" and "ipv6" or "ipv4",
            }
        end
    end
    return addresses
end

-- The parts of a kernel's release: numbers as such, and the words between them.
local function parts_of(release)
    local parts = {}
    for digits, word in release:gmatch "(%d*)([^%d]*)" do
        parts[#parts + 1] = tonumber(digits)
        parts[#parts + 1] = filled(word)
    end
    return parts
end

local function is_newer(one, other)
    local ours, theirs = parts_of(one), parts_of(other)
    for index, part in ipairs(ours) do
        local against = theirs[index]
        if type(part) ~= type(against) then
            return type(part) == "number"
        elseif part ~= against then
            return part > against
        end
    end
    return false
end

-- "6.1.0-18-cloud-amd64" is no older one of "6.1.0-21-amd64": they are installed side by side.
local function flavour_of(release)
    return ((release:match "%-(%a[%w_-]*)$" or ""):gsub("%d", ""))
end

--- The newest installed kernel of the running one's kind, where that is newer.
---@param running string "6.1.0-18-amd64"
---@param text string paths /lib/modules/RELEASE/..., a line each
---@return string?
function facts.newer_kernel(running, text)
    local newest = running
    for release in text:gmatch "/lib/modules/([^/\n]+)/" do
        if flavour_of(release) == flavour_of(running) and is_newer(release, newest) then
            newest = release
        end
    end
    return newest ~= running and newest or nil
end

local function reboot_of(said, package_manager)
    local own_kernel = not filled(said.container) or said.container == "none"
    local kernel = own_kernel and facts.newer_kernel(said.kernel or "", said.kernels or "") or nil
    local asked, packages = {}, {}
    for _, name in ipairs(texts.words(said.reboot_packages)) do
        packages[#packages + 1] = not asked[name] and name or nil
        asked[name] = true
    end
    local required = said.reboot_mark == "yes" or kernel ~= nil
    if not required and package_manager ~= "apt" then
        required = nil
    end
    return { required = required, packages = packages, kernel = kernel }
end

-- A host may have the programs of several; that of its distribution counts.
local MANAGER_OF = {
    debian = { "apt-get" }, ubuntu = { "apt-get" }, fedora = { "dnf", "yum" }, rhel = { "dnf", "yum" },
    centos = { "dnf", "yum" }, suse = { "zypper" }, opensuse = { "zypper" }, alpine = { "apk" }, arch = { "pacman" },
    openwrt = { "opkg" },
}

local function manager_of(distribution, text)
    local found, there = texts.words(text), {}
    for _, program in ipairs(found) do
        there[program] = true
    end
    local names = { distribution and distribution.id or nil }
    for _, name in ipairs(distribution and distribution.like or {}) do
        names[#names + 1] = name
    end
    for _, name in ipairs(names) do
        for _, program in ipairs(MANAGER_OF[name] or {}) do
            if there[program] then
                return (program:gsub("%-get$", ""))
            end
        end
    end
    return #found == 1 and found[1]:gsub("%-get$", "") or nil
end

local MAKERS = {
    { "QEMU", "qemu" }, { "KVM", "kvm" }, { "VMware", "vmware" }, { "innotek", "oracle" }, { "Xen", "xen" },
    { "Amazon EC2", "amazon" }, { "DigitalOcean", "kvm" }, { "Google", "google" },
    { "Microsoft.*Virtual Machine", "microsoft" }, { "Parallels", "parallels" }, { "Bochs", "bochs" },
}

-- By systemd's names for them (systemd-detect-virt(1)).
local function virtual_of(said)
    if said.virtual == "none" then
        return false
    elseif said.virtual == "unnamed" then
        for _, maker in ipairs(MAKERS) do
            if (said.maker or ""):find(maker[1]) then
                return maker[2]
            end
        end
    end
    return filled(said.virtual)
end

local function container_of(said)
    if said.container == "none" then
        return false
    end
    return filled(said.container)
end

-- Since its first process began, which in a container is later than the kernel did; unless what tells of the kernel
-- was made the container's own (lxcfs).
local function uptime_of(said)
    local up = tonumber((said.uptime or ""):match "^[%d.]+")
    for _, mount in ipairs(surroundings.parse_mounts(said.mounts or "")) do
        if mount.place == "/proc/uptime" then
            return up
        end
    end
    local fields = texts.words((said.first_process or ""):match "^.*%)(.*)$")
    local began = tonumber(fields[20]) -- starttime, proc(5)
    return up and began and up - began / (tonumber(said.ticks) or 100) or nil
end

local function zone_of(said)
    return (said.zone_link or ""):match "zoneinfo/(.+)$" or filled(said.zone_name)
        or (said.no_zone and "UTC" or nil)
end

local function user_of(said)
    local name, uid, home, shell = (said.user or ""):match "^([^:]+):[^:]*:(%d+):%d+:[^:]*:([^:]*):([^:\n]*)"
    return name and { name = name, uid = tonumber(uid), home = home, shell = filled(shell) or "/bin/sh" }
end

--- What the host has answered; its memory and disks are still text, in the second table.
---@param text string names and values, each ended by a NUL
---@return machine.Facts
---@return table<string, string>
function facts.parse(text)
    local said = {}
    for name, value in text:gmatch "(%Z*)%z(%Z*)%z" do
        said[name] = value
    end
    local distribution = facts.distribution_of(said.release or "")
    local package_manager, uptime = manager_of(distribution, said.managers), uptime_of(said)
    local clock = tonumber(said.clock)
    return {
        hostname = filled(said.hostname), distribution = distribution, kernel = filled(said.kernel),
        architecture = filled(said.architecture), cores = tonumber(said.cores),
        addresses = filled(said.addresses) and facts.addresses_of(said.addresses) or nil,
        uptime = uptime, booted = uptime and clock and math.floor(clock - uptime) or nil,
        boot_id = filled(said.boot_id), virtual = virtual_of(said), container = container_of(said),
        reboot = reboot_of(said, package_manager), package_manager = package_manager, time_zone = zone_of(said),
        user = user_of(said),
    }, said
end

return facts
