#!tests/lib/with-sshd build/lua-test
-- known_hosts as OpenSSH reads it: files drawn at random, each read by ssh, ssh-keygen and hostler. SEED=NUMBER repeats
-- them, FILES=NUMBER takes more or fewer.
--
-- Where hostler differs on purpose:
--   an RSA key     libssh2 1.10 cannot check one as today's servers sign: a host that ssh knows by its RSA key is refused
--   @revoked<tab>  ssh passes over a mark that is followed by a tab and then by blanks; hostler revokes the key
--   a key revoked under the name without a port counts for every port; ssh takes it for an unknown one
--   a new key      gets a line of its own; ssh 9.2 writes it behind a last line that has no end
local tap = require "tap"
local ssh, sh, file = require "ssh", require "sh", require "file"

local home = env "SSHD"
local seed = tonumber(env("SEED", "")) or math.floor(now() * 1000) % 1000000
local count = tonumber(env("FILES", "")) or 72
say("# SEED=%d", seed)
math.randomseed(seed)

local function one_of(list)
    return list[math.random(#list)]
end

local function chance(percent)
    return math.random(100) <= percent
end

-- ---- what files are made of ----

local function key_of(name)
    local kind, base64 = file.read(("%s/%s.pub"):format(home, name)):match "^(%S+) (%S+)"
    return { type = kind, base64 = base64 }
end

local RIGHT = { key_of "host_ed25519", key_of "host_ecdsa", key_of "host_rsa" }
local SECOND = key_of "host2_ed25519"
local WRONG = { key_of "id_ed25519", key_of "id_ecdsa", key_of "id_rsa", key_of "id_stranger" }
local TARGETS = {
    { text = "web1", names = { "web1" }, right = RIGHT },
    { text = "127.0.0.1", names = { "127.0.0.1" }, right = RIGHT },
    { text = "127.0.0.1:2222", names = { "[127.0.0.1]:2222", "127.0.0.1" }, right = { SECOND } },
    { text = "localhost:2222", names = { "[localhost]:2222", "localhost" }, right = { SECOND } },
}

-- The names as ssh-keygen hashes them, of each a few.
local hashed = {}
for _, target in ipairs(TARGETS) do
    for _, name in ipairs(target.names) do
        local path = home .. "/to-hash"
        file.write(path, (("%s %s %s\n"):format(name, SECOND.type, SECOND.base64)):rep(3))
        sh.run { "ssh-keygen", "-q", "-H", "-f", path }
        for word in file.read(path):gmatch "(|1|%S+) " do
            table.insert(hashed, { name = name, word = word })
        end
    end
end

local function hash_of(name)
    local found = {}
    for _, entry in ipairs(hashed) do
        if entry.name == name then
            found[#found + 1] = entry.word
        end
    end
    return one_of(found)
end

local function names_for(target)
    local name = one_of(target.names)
    if chance(20) then
        return one_of { hash_of(name), hash_of(name), one_of(hashed).word, hash_of(name):sub(1, -3), "|1|x|y", "|1|",
            "|2" .. hash_of(name):sub(3), hash_of(name) .. "," .. name }
    end
    local list = {}
    for index = 1, math.random(3) do
        list[index] = one_of { name, name, name, name:upper(), "*", name:sub(1, 3) .. "*", name:sub(1, -2) .. "?",
            "!" .. name, "!*.example.com", "other", "*" .. name:sub(-1), "web?", "[*]:2222", "", name .. "x", "?" .. name,
            "*a*b*c*d*", ("x"):rep(1100) }
    end
    return table.concat(list, ",")
end

local function mangled(base64)
    local cut = math.random(#base64 - 1)
    return one_of { base64:sub(1, cut), base64:sub(1, cut - cut % 4), base64 .. "=", base64:gsub("=", ""), "",
        base64:sub(1, cut) .. "!" .. base64:sub(cut + 1), base64:sub(1, cut) .. "\r" .. base64:sub(cut + 1),
        base64:sub(1, cut - 1) .. "x" .. base64:sub(cut + 1), base64:sub(1, -9) .. "AAAAAAAA", base64 .. base64 }
end

local function line_for(target)
    local key = chance(45) and one_of(target.right) or one_of(chance(20) and RIGHT or WRONG)
    local gap = one_of { " ", " ", " ", "\t", "  " }
    local kind, base64 = key.type, key.base64
    if chance(12) then
        base64 = mangled(base64)
    end
    if chance(8) then
        kind = one_of { "ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp384", "ssh-foo", "rsa-sha2-256", "#", "" }
    end
    local mark = chance(25) and one_of { "@revoked ", "@revoked ", "@cert-authority ", "@revoked  ", "@revoked\t",
        "@revoked", "@other ", "@ ", "@revoked @revoked ", "@REVOKED " } or ""
    local line = mark .. names_for(target) .. gap .. kind .. gap .. base64
    return (chance(10) and " \t" or "") .. line .. one_of { "", "", " a comment", " #", "\t", "\r" }
        .. (chance(2) and "\0more" or "")
end

local function text_for(target)
    local lines = {}
    for index = 1, math.random(0, 5) do
        lines[index] = chance(8) and one_of { "", "# a comment", "  ", "nonsense", "#" .. target.names[1] } or line_for(target)
    end
    if chance(10) then
        table.insert(lines, 1, ("@revoked * %s %s\n"):format(WRONG[1].type, WRONG[1].base64):rep(40))
    end
    return table.concat(lines, "\n") .. (chance(80) and "\n" or "")
end

-- ---- what each says ----

local SAYINGS = { { "REVOKED HOST KEY", "revoked" }, { "IDENTIFICATION HAS CHANGED", "changed" },
    { "host key is known for", "unknown" }, { "Permission denied", "accepted" } }

--- The verdict of ssh, and whether the server showed it an RSA key.
---@param policy? string StrictHostKeyChecking
local function ssh_says(path, target, policy)
    local host, port = target.text:match "^([^:]+):?(%d*)$"
    local said = sh.run({ "ssh", "-v", "-F", "none", "-p", port ~= "" and port or "22", "-l", "tester",
        "-o", "UserKnownHostsFile=" .. path, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=" .. (policy or "yes"),
        "-o", "HashKnownHosts=no", "-o", "UpdateHostKeys=no", "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no", "--", host, "true" }, { check = false, read = true }).stderr
    for _, saying in ipairs(SAYINGS) do
        if said:find(saying[1], 1, true) then
            return saying[2], said:find "Server host key: ssh%-rsa" ~= nil
        end
    end
    return said
end

local CODES = { ["ssh.auth"] = "accepted", ["ssh.host_key_unknown"] = "unknown", ["ssh.host_key_changed"] = "changed",
    ["ssh.host_key_revoked"] = "revoked" }

local function hostler_says(path, target, policy)
    local _, err = try(ssh.connect, "tester@" .. target.text, { known_hosts = path, identity = home .. "/nothing",
        host_key = policy })
    return CODES[err.code] or err.message, err
end

local function keygen_finds(path, target)
    local lines = {}
    for _, name in ipairs(target.names) do
        local found = sh.run({ "ssh-keygen", "-lF", name, "-f", path }, { check = false, read = true }).stdout
        for number, print in found:gmatch "found: line (%d+)[^\n]*\n[^\n]*(SHA256:%S+)" do
            lines[#lines + 1] = number .. " " .. print
        end
    end
    return lines
end

local function hostler_finds(path, target)
    local lines = {}
    for index, line in ipairs(ssh.known_keys(target.text, { known_hosts = path })) do
        lines[index] = line.line .. " " .. line.fingerprint
    end
    return lines
end

-- ---- one after the other ----

--- What hostler has to say where ssh says this, with the differences on purpose.
local function meant(verdict, by_rsa, target, lines, err)
    local no_rsa = tostring(err.message):find "knows the host by an RSA key, which libssh2"
    if by_rsa or no_rsa and verdict == "changed" then
        return CODES[err.code] ~= "accepted" and CODES[err.code] or "refused" -- by the key that hostler was shown instead
    elseif verdict == "unknown" and #target.names == 2 then
        for _, line in ipairs(lines) do
            if line.mark == "revoked" and line.fingerprint == target.print then
                return "revoked"
            end
        end
    end
    return verdict
end

--- A file's text, fit to be shown: of keys only their ends.
local function shown(text)
    return (text:gsub("x" .. ("x"):rep(99) .. "+", "x...")
        :gsub("AAAA[%w+/]*", function(key) return "..." .. key:sub(-8) end)
        :gsub("[^\n\t -~]", function(byte) return ("\\x%02x"):format(byte:byte()) end))
end

for _, target in ipairs(TARGETS) do
    file.write(home .. "/one", ("x %s %s\n"):format(target.right[1].type, target.right[1].base64))
    target.print = sh.run({ "ssh-keygen", "-lf", home .. "/one" }).stdout:match "SHA256:%S+"
end

--- What differs when new keys are taken: the verdict, and what is added to the file; nil when nothing does.
local function difference_of_new(case, path, theirs)
    local verdict = ssh_says(theirs, case.target, "accept-new")
    local got = hostler_says(path, case.target, "accept-new")
    local written = file.read(path):gsub(" added [%dTZ:-]+ by hostler\n$", "\n")
    local added, their_added = written:sub(#case.text + 1):gsub("^\n", ""), file.read(theirs):sub(#case.text + 1)
    if verdict == got and added == their_added and written:sub(1, #case.text) == case.text then
        return nil
    end
    return ("accept-new: ssh %s, hostler %s; ssh adds %q, hostler %q"):format(verdict, got, shown(their_added),
        shown(added))
end

-- What comes before a line, however much it is, takes nothing from it.
local function plain(mark, key)
    return ("%sweb1 %s %s\n"):format(mark, key.type, key.base64)
end
local MANY = plain("@revoked ", WRONG[1]):rep(40)
local FIXED = { MANY .. plain("", RIGHT[1]), MANY .. plain("", RIGHT[1]) .. plain("@revoked ", RIGHT[1]),
    MANY .. plain("", WRONG[4]), MANY }

local cases, wrong, seen, taken = {}, {}, {}, 0
for number = 1, math.max(count, #FIXED) do
    local target = FIXED[number] and TARGETS[1] or TARGETS[number % #TARGETS + 1]
    cases[number] = { number = number, name = tostring(number), target = target, text = FIXED[number] or text_for(target) }
end

each(cases, { parallel = 4, key = "name" }, function(case)
    local path, theirs = ("%s/known%d"):format(home, case.number), ("%s/theirs%d"):format(home, case.number)
    file.write(path, case.text)
    file.write(theirs, (case.text:gsub("@revoked\t", "@revoked ")))
    local verdict, by_rsa = ssh_says(theirs, case.target)
    local lines = ssh.known_keys(case.target.text, { known_hosts = path })
    local got, err = hostler_says(path, case.target)
    local want = meant(verdict, by_rsa, case.target, lines, err)
    seen[want] = (seen[want] or 0) + 1
    local their_lines, our_lines = keygen_finds(theirs, case.target), hostler_finds(path, case.target)
    if want ~= got or not tap.same(their_lines, our_lines) then
        wrong[#wrong + 1] = ("file %d, %s: ssh %s%s, hostler %s (%s)\nssh-keygen %s\nhostler    %s\n%s"):format(case.number,
            case.target.text, verdict, by_rsa and " by RSA" or "", got, err.message, table.concat(their_lines, ", "),
            table.concat(our_lines, ", "), shown(case.text))
    end
    if want == "unknown" and verdict == "unknown" and got == want and not case.text:find "@revoked\t" then
        local difference = difference_of_new(case, path, theirs)
        taken = taken + 1
        wrong[#wrong + 1] = difference and ("file %d, %s: %s\n%s"):format(case.number, case.target.text, difference,
            shown(case.text))
    end
    sh.run { "rm", "--", path, theirs }
end)
tap.is(#wrong, 0, ("%d files are read and judged as by ssh and ssh-keygen (SEED=%d)"):format(count, seed))
for index = 1, math.min(#wrong, 5) do
    say("# %s", (wrong[index]:gsub("\n", "\n#   ")))
end
local report = {}
for verdict, times in pairs(seen) do
    report[#report + 1] = ("%s %d"):format(verdict, times)
end
table.sort(report)
say("# %s; a new key was taken %d times", table.concat(report, ", "), taken)
for _, verdict in ipairs { "accepted", "unknown", "changed", "revoked" } do
    tap.ok((seen[verdict] or 0) > 0, "among them some that are " .. verdict)
end
tap.done()
