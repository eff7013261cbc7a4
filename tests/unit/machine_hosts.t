#!tests/lib/with-sshd build/lua-test
-- What hosts say of themselves: this one, and one that has nothing but BusyBox, as small distributions do. Both are real
-- programs over a real sshd; the second has other programs in place of this machine's.
local tap = require "tap"
local machine, sh, ssh = require "machine", require "sh", require "ssh"

local home = env "SSHD"

local function connect(user)
    return ssh.connect(user .. "@127.0.0.1", { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
end

local function first_line(...)
    return sh.run({ ... }, { read = true }).stdout:match "[^\n]*"
end

local root = connect "root"
local here = machine.on(root):facts()
tap.is(here.kernel, first_line("uname", "-r"), "the kernel")
tap.is(here.cores, tonumber(first_line "nproc"), "the cores")
tap.is(here.boot_id, first_line("cat", "/proc/sys/kernel/random/boot_id"), "which start of it this is")
tap.is(here.memory.total, machine.on(root):memory().total, "the memory")
tap.is(here.disks[1].place, "/", "the disk")
tap.is(here.disks[1].size % 1024, 0, "in bytes")
tap.ok(here.disks[1].size > 2 ^ 30, "all of them")
tap.is(here.addresses, json.array {}, "no address but those of the host to itself")
tap.is(here.user, { name = "root", uid = 0, home = home .. "/home", shell = "/bin/dash" }, "whom one comes as")
tap.is(machine.on(connect "tester"):facts().user.name, "tester", "which another one is not")

-- ---- nothing but BusyBox ----

local small = home .. "/busybox"
sh.run({ "sh", "-c", [[
mkdir "$1" && cp "$(command -v busybox)" "$1/busybox" && cd "$1"
for applet in $(./busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$applet"; done
rm -f apt-get dpkg systemd-detect-virt dash getent
printf '#!/bin/sh\nexec /bin/sh "$@"\n' >dash && chmod 755 dash
printf 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME="Alpine Linux v3.19"\n' >../os-release
printf '#!/bin/sh\n' >apk && chmod 755 apk
mkdir ../empty
mount --bind ../os-release /etc/os-release
mount --bind "$1" /usr/bin && mount --bind ../empty /usr/sbin]], "sh", small })

local alpine = machine.on(root):facts { fresh = true }
tap.is(alpine.distribution, { id = "alpine", like = {}, version = "3.19.1", name = "Alpine Linux v3.19" }, "another one")
tap.is(alpine.package_manager, "apk", "its packages are another program's")
for _, name in ipairs { "hostname", "kernel", "architecture", "cores", "boot_id", "user", "addresses" } do
    tap.is(alpine[name], here[name], "the same " .. name)
end
tap.is(alpine.memory.total, here.memory.total, "the same memory")
tap.is({ alpine.disks[1].place, alpine.disks[1].size }, { "/", here.disks[1].size }, "the same disk")
tap.ok(math.abs(alpine.booted - here.booted) <= 2, "the same start")
tap.is(alpine.reboot.required, nil, "whether it waits for a restart it cannot say")
tap.is(alpine.container, root:stat "/.dockerenv" and "docker" or nil, "nor whether it is a container, but for one mark")
tap.done()
