#!build/lua-test
-- What apt and dpkg print, of Debian and Ubuntu, read; and why they fail, in words.
local tap = require "tap"
local packages = require "packages"

local policy = packages.parse_policy [[
curl:
  Installed: 7.88.1-10+deb12u4
  Candidate: 7.88.1-10+deb12u5
  Version table:
     8.5.0-2~bpo12+1 100
        100 http://deb.debian.org/debian bookworm-backports/main amd64 Packages
     7.88.1-10+deb12u5 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
        500 http://security.debian.org/debian-security bookworm-security/main amd64 Packages
 *** 7.88.1-10+deb12u4 100
        100 /var/lib/dpkg/status
libc6:i386:
  Installed: (none)
  Candidate: 2.36-9
  Version table:
     2.36-9 -10
        -10 file:/srv/archive ./ Packages
gdb:
  Installed: 12.1-0ubuntu1~22.04
  Candidate: 12.1-0ubuntu1~22.04.2
  Version table:
     12.1-0ubuntu1~22.04.2 500 (phased 40%)
        500 http://archive.ubuntu.com/ubuntu jammy-updates/main amd64 Packages
 *** 12.1-0ubuntu1~22.04 500
        500 http://archive.ubuntu.com/ubuntu jammy/main amd64 Packages
        100 /var/lib/dpkg/status
nosuch:
  Installed: (none)
  Candidate: (none)
  Version table:
]]
tap.is({ policy.curl.installed, policy.curl.candidate }, { "7.88.1-10+deb12u4", "7.88.1-10+deb12u5" }, "versions")
tap.is(policy.curl.versions[2], { version = "7.88.1-10+deb12u5", suites = { "bookworm", "bookworm-security" },
    security = true }, "the archives of one")
tap.is(policy.curl.versions[1].security, false, "a backport is no security update")
tap.is({ policy["libc6:i386"].installed, policy["libc6:i386"].candidate }, { nil, "2.36-9" }, "another architecture")
tap.is(policy.gdb.versions[1].version, "12.1-0ubuntu1~22.04.2", "a version that comes in phases")
tap.is(policy.nosuch, { versions = {} }, "a name that apt has only heard of")

local changes = packages.parse_simulation [[
NOTE: This is only a simulation!
The following packages will be DOWNGRADED:
  sudo
The following packages will be REMOVED:
  exim4 exim4-base*
Inst libssl3 [3.0.2-0ubuntu1.14] (3.0.2-0ubuntu1.15 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst libc6 [2.36-9+deb12u3] (2.36-9+deb12u4 Debian-Security:12/stable-security [amd64]) [libc6:amd64 ]
Inst libc6:i386 [2.36-9+deb12u3] (2.36-9+deb12u4 Debian:12.5/stable [i386]) []
Inst postfix (3.7.10-0+deb12u1 Debian:12.5/stable [amd64])
Inst local-tool (1:2.0 localhost [all])
Inst sudo [1.9.13p3-1+deb12u1] (1.9.13p3-1 Debian:12.5/stable [amd64])
Remv exim4 [4.96-15]
Purg exim4-base [4.96-15]
Conf libssl3 (3.0.2-0ubuntu1.15 Ubuntu:22.04/jammy-updates [amd64])
Conf postfix (3.7.10-0+deb12u1 Debian:12.5/stable [amd64])
Conf rude (1.0 Debian:12.5/stable [all])
]]
local words = packages.describe { changed = true, packages = changes, kept_files = { "/etc/foo.conf" } }
tap.is(words, [[
upgrade libssl3 3.0.2-0ubuntu1.14 -> 3.0.2-0ubuntu1.15 (security)
upgrade libc6 2.36-9+deb12u3 -> 2.36-9+deb12u4 (security)
upgrade libc6:i386 2.36-9+deb12u3 -> 2.36-9+deb12u4
install postfix 3.7.10-0+deb12u1
install local-tool 1:2.0
downgrade sudo 1.9.13p3-1+deb12u1 -> 1.9.13p3-1
remove exim4 4.96-15
purge exim4-base 4.96-15
finish rude 1.0
/etc/foo.conf stayed as it was; the package's own is /etc/foo.conf.dpkg-dist]], "a simulation, in words")
tap.is(packages.describe { changed = false, packages = {} }, "nothing changed", "none")

-- Each: what was printed, the code, and what the words say.
local REASONS = {
    { "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\nE: Unable to acquire "
        .. "the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?", "locked",
        "process 812 %(unattended%-upgr%)" },
    { "E: Could not get lock /var/lib/apt/lists/lock - open (11: Resource temporarily unavailable)", "locked", "lists/lock" },
    { "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ", "interrupted", "before" },
    { "W: GPG error: https://apt.example.com stable InRelease: The following signatures couldn't be verified because the "
        .. "public key is not available: NO_PUBKEY 8507EFA5\nE: The repository 'https://apt.example.com stable InRelease' is "
        .. "not signed.", "signature", "8507EFA5" },
    { "W: An error occurred during the signature verification. GPG error: http://a b InRelease: The following signatures "
        .. "were invalid: EXPKEYSIG 23F3D4EA An archive <a@example.com>", "signature", "has expired" },
    { "E: Release file for http://deb.example.com/InRelease is not valid yet (invalid for another 3h 2min 1s). Updates for "
        .. "this repository will not be applied.", "clock", "future" },
    { "E: Repository 'http://deb.example.com stable InRelease' changed its 'Suite' value from 'stable' to 'oldstable'",
        "release", "oldstable" },
    { "E: Failed to fetch http://deb.example.com/a.deb  404  Not Found [IP: 192.0.2.1 80]\nE: Unable to fetch some archives, "
        .. "maybe run apt-get update or try with --fix-missing?", "gone", "a%.deb" },
    { "E: Failed to fetch http://d.example.com/P  Hash Sum mismatch\n   Hashes of expected file:", "mirror", "says that it has" },
    { "W: Failed to fetch http://d.example.com/dists/a/InRelease  Temporary failure resolving 'd.example.com'", "name",
        "d%.example%.com" },
    { "W: Failed to fetch http://d.example.com/InRelease  Cannot initiate the connection to d.example.com:80 (192.0.2.1). - "
        .. "connect (101: Network is unreachable)", "network", "Network is unreachable" },
    { "E: Failed to fetch https://esm.example.com/a.deb  401  Unauthorized [IP: 192.0.2.1 443]", "refused", "does not let" },
    { "dpkg: error processing archive /var/cache/apt/archives/a.deb (--unpack):\n cannot copy extracted data for "
        .. "'./usr/a' to '/usr/a.dpkg-new': failed to write (No space left on device)", "space", "full" },
    { "E: You don't have enough free space in /var/cache/apt/archives/.", "space", "/var/cache/apt/archives/" },
    { "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg "
        .. "frontend lock (/var/lib/dpkg/lock-frontend), are you root?", "permission", "root" },
    { "E: Malformed entry 3 in list file /etc/apt/sources.list (Component)\nE: The list of sources could not be read.",
        "sources", "entry 3" },
    { "The following packages have unmet dependencies:\n nginx : Depends: libssl1.1 (>= 1.1.0) but it is not installable\n"
        .. "E: Unable to correct problems, you have held broken packages.", "unmet", "met: nginx : Depends: libssl1%.1" },
    { "The following held packages will be changed:\n  curl libcurl4\n1 upgraded, 0 newly installed, 0 to remove and 0 not "
        .. "upgraded.\nE: Held packages were changed and -y was used without --allow-change-held-packages.", "held",
        "curl libcurl4$" },
    { "dpkg: error processing package mysql-server-8.0 (--configure):\n installed mysql-server-8.0 package "
        .. "post-installation script subprocess returned error exit status 1\nE: Sub-process /usr/bin/dpkg returned an error "
        .. "code (1)", "script", "mysql%-server%-8%.0 .*exit status 1" },
    { "E: Something that nobody has seen", "failed", "nobody has seen" },
}
for _, case in ipairs(REASONS) do
    local reason = packages.reason(case[1])
    tap.is(reason.code, "packages." .. case[2], case[2])
    tap.like(reason.message, case[3], "and its words")
    tap.ok(reason.hint or case[2] == "failed", "and what to do")
end
tap.ok(not packages.reason("E: Failed to fetch https://ada:hunter2@x.example.com/a  500  Error").message:find "hunter2",
    "a password in an address is not shown")
tap.done()
