#!build/lua-test
-- Disks, memory and the kernel's kills, from what programs print.
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
tap.done()
