#!build/lua-test
-- known_hosts edited: only the lines of the host at hand change, and ssh-keygen reads the result as it was meant.
local tap = require "tap"
local file, sh = require "file", require "sh"
local known_hosts_file = require "known_hosts_file"

local folder = sh.run({ "mktemp", "-d" }).stdout:gsub("%s+$", "")

local function new_key(kind)
    local path = ("%s/%s"):format(folder, uuid())
    sh.run { "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path }
    local type_name, key = file.read(path .. ".pub"):match "^(%S+) (%S+)"
    return { type = type_name, key = key }
end

local function line_of(names, key, comment)
    return ("%s %s %s%s\n"):format(names, key.type, key.key, comment and " " .. comment or "")
end

local function hashed(text)
    local path = folder .. "/hashed"
    file.write(path, text)
    sh.run { "ssh-keygen", "-q", "-H", "-f", path }
    return file.read(path)
end

--- The keys that ssh-keygen finds for a name, sorted.
local function keygen_finds(text, name)
    local path, keys = folder .. "/found", {}
    file.write(path, text)
    local output = sh.run({ "ssh-keygen", "-F", name, "-f", path }, { check = false }).stdout
    for line in output:gmatch "[^\n]+" do
        keys[#keys + 1] = not line:find "^#" and line:match "^%S+ %S+ (%S+)" or nil
    end
    table.sort(keys)
    return keys
end

local old, new, other = new_key "ed25519", new_key "ed25519", new_key "ed25519"
local old_rsa, old_ecdsa, new_ecdsa = new_key "rsa", new_key "ecdsa", new_key "ecdsa"
local ada, address = "ada.meltanodata.com", "198.18.0.7"
local BEFORE = "# kept \t\n\n" .. line_of("bob.meltanodata.com", other, "bob's") .. "nonsense without a key\r\n"
local AFTER = line_of("adamantine.meltanodata.com,198.18.0.70", other) .. "  # the last one, without an end"

local function replaced(middle, names, keys)
    local text = known_hosts_file.replace(BEFORE .. middle .. AFTER, names, keys)
    tap.is(text:sub(1, #BEFORE), BEFORE, "what comes before stays")
    tap.is(text:sub(-#AFTER), AFTER, "and what comes after")
    return text:sub(#BEFORE + 1, -#AFTER - 1), text
end

-- ---- one line ----

local middle, text = replaced(line_of(ada, old, "by hand"), { ada }, { new })
tap.is(middle, line_of(ada, new, "by hand"), "a plain line gets the new key and keeps its comment")
tap.is(keygen_finds(text, ada), { new.key }, "ssh-keygen finds it")
tap.is((replaced(line_of(ada, new), { ada }, { new })), line_of(ada, new), "a line that is right stays")
middle = replaced(line_of("ADA.meltanodata.com," .. address, old), { ada, address }, { new })
tap.is(middle, line_of("ADA.meltanodata.com," .. address, new), "name and address in one line, capitals and all")
middle = replaced(line_of("[ada.meltanodata.com]:2222", old) .. line_of(ada, old),
    { known_hosts_file.name(ada, 2222) }, { new })
tap.is(middle, line_of("[ada.meltanodata.com]:2222", new) .. line_of(ada, old), "another port is another host")
middle = replaced(line_of(ada, old):gsub("\n", "\r\n"), { ada }, { new })
tap.is(middle, line_of(ada, new):gsub("\n", "\r\n"), "CRLF stays")
tap.is(known_hosts_file.replace(line_of(ada, old):gsub("\n", ""), { ada }, { new }), (line_of(ada, new):gsub("\n", "")),
    "so does a last line without an end")

-- What is no key of the type that it names says nothing to ssh, and is left alone.
local broken = ("%s ssh-ed25519 %s\n%s ssh-rsa %s\n"):format(ada, old.key:sub(1, 40), ada, old.key)
tap.is(known_hosts_file.concerning(broken, { ada }), {}, "a line that is cut off, and one of another type than its key")
middle = replaced(broken .. line_of(ada, old), { ada }, { new })
tap.is(middle, broken .. line_of(ada, new), "stay beside one that is replaced")

-- ---- hashed ----

local secret_line = hashed(line_of(ada, old))
middle, text = replaced(secret_line, { ada, address }, { new })
tap.is(middle, (secret_line:gsub("ssh%-ed25519 %S+", function() return "ssh-ed25519 " .. new.key end)),
    "a hashed name stays hashed")
tap.is(keygen_finds(text, ada), { new.key }, "ssh-keygen finds it")
tap.is((replaced(hashed(line_of("eve.meltanodata.com", old)), { ada }, { new })), file.read(folder .. "/hashed"),
    "the hash of another name stays")
text = select(2, replaced(hashed(line_of("[" .. address .. "]:2222", old)),
    { known_hosts_file.name(address, 2222) }, { new }))
tap.is(keygen_finds(text, "[" .. address .. "]:2222"), { new.key }, "a hashed address with a port")

-- ---- several keys ----

middle = replaced(line_of(ada, old_rsa) .. line_of(ada, old_ecdsa) .. line_of(ada, old), { ada },
    { new, new_ecdsa })
tap.is(middle, line_of(ada, new_ecdsa) .. line_of(ada, new), "each type its key; a type that is no more goes")
text = known_hosts_file.replace(line_of(ada, old_rsa) .. BEFORE, { ada }, { new, new_ecdsa })
tap.is(text, BEFORE .. line_of(ada, new) .. line_of(ada, new_ecdsa), "the only line, of a type that is no more, is "
    .. "followed by all that the host has")
middle = replaced(line_of(ada, old) .. line_of(ada, other), { ada }, { new })
tap.is(middle, line_of(ada, new), "two stale lines of one type become one")
middle = replaced(line_of(ada, old) .. line_of(ada, new), { ada }, { new })
tap.is(middle, line_of(ada, new), "a stale line beside the right one goes")
middle = replaced(line_of(ada, old) .. line_of(address, old), { ada, address }, { new })
tap.is(middle, line_of(ada, new) .. line_of(address, new), "name and address in two lines")

-- ---- shared lines, wildcards, marks ----

middle, text = replaced(line_of("bob," .. ada .. ",carol", old, "all three"), { ada }, { new })
tap.is(middle, line_of("bob,carol", old, "all three") .. line_of(ada, new),
    "the others of a shared line keep their key")
tap.is({ keygen_finds(text, ada), keygen_finds(text, "bob") }, { { new.key }, { old.key } },
    "as ssh-keygen finds them")
text = known_hosts_file.replace(line_of("*.meltanodata.com", old), { ada }, { new })
tap.is(text, line_of("*.meltanodata.com", old) .. line_of(ada, new), "a wildcard stays, and the host gets its own line")
text = known_hosts_file.replace("@revoked " .. line_of(ada, old) .. line_of(ada, old), { ada }, { new })
tap.is(text, "@revoked " .. line_of(ada, old) .. line_of(ada, new), "a marked line stays")
tap.is(known_hosts_file.replace(BEFORE .. AFTER, { ada }, { new }), BEFORE .. AFTER,
    "a host that is not in the file is not added")

-- ---- the date, and what a file says ----

text = known_hosts_file.replace(line_of(ada, old, "mine"), { ada }, { new }, "2026-11-22T01:59:19Z")
tap.is(text, line_of(ada, new, "mine added 2026-11-22T01:59:19Z by hostler"), "the date is noted")
tap.is(known_hosts_file.concerning(text, { ada })[1].added, "2026-11-22T01:59:19Z", "and read again")
tap.is(known_hosts_file.replace(text, { ada }, { other }, "2027-01-01T00:00:00Z"),
    line_of(ada, other, "mine added 2027-01-01T00:00:00Z by hostler"), "and renewed")
local found = known_hosts_file.concerning(BEFORE .. line_of("bob," .. ada, old) .. hashed(line_of(ada, old_rsa))
    .. line_of("*,!bob*", other) .. "@revoked " .. line_of("*", old_ecdsa) .. line_of("*,!ada*", old), { ada, address })
local kinds = {}
for index, entry in ipairs(found) do
    kinds[index] = ("%d %s %s %s"):format(entry.number, entry.kind, entry.type, table.concat(entry.concerns, " "))
end
tap.is(kinds, {
    "5 shared ssh-ed25519 " .. ada, "6 own ssh-rsa " .. ada, "7 pattern ssh-ed25519 " .. ada .. " " .. address,
    "8 marked ecdsa-sha2-nistp256 " .. ada .. " " .. address, "9 pattern ssh-ed25519 " .. address,
}, "each line that concerns the host, and how")
file.write(folder .. "/one", line_of(ada, old))
tap.is(found[1].fingerprint, sh.run({ "ssh-keygen", "-lf", folder .. "/one" }).stdout:match "SHA256:%S+",
    "fingerprints are ssh-keygen's")

-- ---- under which names ----

local place = BEFORE .. line_of("[" .. ada .. "]:4711", old) .. hashed(line_of("[" .. ada .. "]:2222", old))
    .. hashed(line_of(address, old)) .. hashed(line_of("[" .. address .. "]:4712", old)) .. line_of("*", other)
tap.is(known_hosts_file.names(place, { ada, address }), {
    address, "[" .. ada .. "]:2222", "[" .. ada .. "]:4711",
}, "plain names, whatever their port; hashed ones at the usual ports")
tap.is(known_hosts_file.names(place, { ada, address }, { 4712 })[2], "[" .. address .. "]:4712",
    "and at one that is known otherwise")
tap.is(known_hosts_file.names(hashed(line_of("[" .. ada .. "]:2222", old)), { ada }), { "[" .. ada .. "]:2222" },
    "a hashed name with a port, and nothing else")
tap.is(known_hosts_file.names(BEFORE .. AFTER, { ada }), {}, "a host that is not in the file")
local added = known_hosts_file.add("one", ada, { new, new_ecdsa }, "2026-11-22T01:59:19Z")
tap.is(added, "one\n" .. line_of(ada, new, "added 2026-11-22T01:59:19Z by hostler")
    .. line_of(ada, new_ecdsa, "added 2026-11-22T01:59:19Z by hostler"), "lines are added at the end")

-- ---- the module file ----

sh.run { "sh", "-c", 'printf old > "$1/target"; chmod 640 "$1/target"; ln -s target "$1/link"', "sh", folder }
file.write(folder .. "/link", "new")
tap.is(sh.run({ "sh", "-c", 'cd "$1"; stat -c "%F %a" link target; cat target', "sh", folder }).stdout,
    "symbolic link 777\nregular file 640\nnew", "a link stays one, and what it points to keeps its mode")
tap.is(file.stat(folder .. "/none"), nil, "no such file")
tap.ok(math.abs(file.stat(folder .. "/target").modified - now()) < 60, "when it changed")
file.copy(folder .. "/target", folder .. "/copy")
tap.is({ file.read(folder .. "/copy"), file.stat(folder .. "/copy").mode }, { "new", 416 }, "a copy has its mode")
local err = tap.raises("file", function() file.write(folder .. "/none/x", "x") end, "a folder that is not there")
tap.is(err.reason, "No such file or directory", "says so")
tap.raises("file", function() file.read(folder) end, "a folder is no file")
sh.run { "rm", "-rf", "--", folder }
tap.done()
