-- How a process of a unit ended, in words: the exit statuses by which systemd says that it could not even start the
-- program, and signals. Pure: it reaches no host. Source: systemd.exec(5), "Process Exit Codes"; signal(7).
local systemd_exit = {}

-- status = { the name that `systemctl status` shows, what systemd could not do, the settings that ask for it }
local STATUSES = {
    [200] = { "CHDIR", "enter the working directory", "WorkingDirectory=" },
    [201] = { "NICE", "set the scheduling priority", "Nice=" },
    [202] = { "FDS", "close or pass on file descriptors" },
    [203] = { "EXEC", "execute the program", "ExecStart=" },
    [204] = { "MEMORY", "get enough memory" },
    [205] = { "LIMITS", "set the resource limits", "LimitNOFILE= and other Limit...=" },
    [206] = { "OOM_ADJUST", "set the out-of-memory score", "OOMScoreAdjust=" },
    [207] = { "SIGNAL_MASK", "set the signal mask" },
    [208] = { "STDIN", "set up standard input", "StandardInput=" },
    [209] = { "STDOUT", "set up standard output", "StandardOutput=" },
    [210] = { "CHROOT", "change the root directory", "RootDirectory= or RootImage=" },
    [211] = { "IOPRIO", "set the I/O priority", "IOSchedulingClass= and IOSchedulingPriority=" },
    [212] = { "TIMERSLACK", "set the timer slack", "TimerSlackNSec=" },
    [213] = { "SECUREBITS", "set the secure bits", "SecureBits=" },
    [214] = { "SETSCHEDULER", "set the CPU scheduling", "CPUSchedulingPolicy=" },
    [215] = { "CPUAFFINITY", "set the CPU affinity", "CPUAffinity=" },
    [216] = { "GROUP", "become the group", "Group= and SupplementaryGroups=" },
    [217] = { "USER", "become the user", "User=" },
    [218] = { "CAPABILITIES", "drop or gain capabilities", "CapabilityBoundingSet= and AmbientCapabilities=" },
    [219] = { "CGROUP", "set up the control group" },
    [220] = { "SETSID", "create a session" },
    [221] = { "CONFIRM", "get the start confirmed" },
    [222] = { "STDERR", "set up standard error", "StandardError=" },
    [224] = { "PAM", "open the PAM session", "PAMName=" },
    [225] = { "NETWORK", "set up the network namespace", "PrivateNetwork=" },
    [226] = { "NAMESPACE", "set up its view of the file system",
        "ReadWritePaths=, BindPaths=, ProtectSystem= and the like" },
    [227] = { "NO_NEW_PRIVILEGES", "forbid new privileges", "NoNewPrivileges=" },
    [228] = { "SECCOMP", "set the filter for system calls", "SystemCallFilter=" },
    [229] = { "SELINUX_CONTEXT", "set the SELinux context", "SELinuxContext=" },
    [230] = { "PERSONALITY", "set the execution domain", "Personality=" },
    [231] = { "APPARMOR_PROFILE", "change to the AppArmor profile", "AppArmorProfile=" },
    [232] = { "ADDRESS_FAMILIES", "restrict the address families", "RestrictAddressFamilies=" },
    [233] = { "RUNTIME_DIRECTORY", "make the runtime directory", "RuntimeDirectory=" },
    [235] = { "CHOWN", "give the socket to its owner" },
    [236] = { "SMACK_PROCESS_LABEL", "set the SMACK label", "SmackProcessLabel=" },
    [237] = { "KEYRING", "set up the kernel keyring", "KeyringMode=" },
    [238] = { "STATE_DIRECTORY", "make the state directory", "StateDirectory=" },
    [239] = { "CACHE_DIRECTORY", "make the cache directory", "CacheDirectory=" },
    [240] = { "LOGS_DIRECTORY", "make the logs directory", "LogsDirectory=" },
    [241] = { "CONFIGURATION_DIRECTORY", "make the configuration directory", "ConfigurationDirectory=" },
    [242] = { "NUMA_POLICY", "set the NUMA policy", "NUMAPolicy=" },
    [243] = { "CREDENTIALS", "load the credentials", "LoadCredential= and SetCredential=" },
}

local SIGNALS = {
    [1] = "SIGHUP", [2] = "SIGINT", [3] = "SIGQUIT", [4] = "SIGILL", [5] = "SIGTRAP", [6] = "SIGABRT", [7] = "SIGBUS",
    [8] = "SIGFPE", [9] = "SIGKILL", [10] = "SIGUSR1", [11] = "SIGSEGV", [12] = "SIGUSR2", [13] = "SIGPIPE",
    [14] = "SIGALRM", [15] = "SIGTERM", [24] = "SIGXCPU", [25] = "SIGXFSZ", [31] = "SIGSYS",
}

---@class systemd_exit.Meaning
---@field name string "CHDIR", as `systemctl status` shows it
---@field failed_to string "enter the working directory"
---@field settings? string which settings of the unit ask for that

--- What systemd means by an exit status of its own.
---@param status integer
---@return systemd_exit.Meaning? meaning nil for a status that is the program's
function systemd_exit.of(status)
    local row = STATUSES[status]
    return row and { name = row[1], failed_to = row[2], settings = row[3] }
end

--- A signal's name, "SIGKILL", or its number.
---@param number integer
---@return string
function systemd_exit.signal(number)
    return SIGNALS[number] or tostring(number)
end

--- An end in a few words: "exit status 1", "exit status 200/CHDIR", "killed by signal 9".
---@param ending { kind: string, status: integer } see systemd.Status
---@return string
function systemd_exit.describe(ending)
    if ending.kind ~= "exited" then
        return ("killed by signal %s"):format(tostring(ending.status))
    end
    local meaning = systemd_exit.of(ending.status)
    return ("exit status %s%s"):format(tostring(ending.status), meaning and "/" .. meaning.name or "")
end

return systemd_exit
