#!tests/lib/with-sshd build/lua-test
-- Files that OpenSSH's configuration names: those that others may change or read are refused as ssh does, and so is what
-- is no ordinary file, which ssh would wait for. Which keys may be offered is for PubkeyAcceptedAlgorithms to say.
local tap = require "tap"
local sh, file = require "sh", require "file"

local home = env "SSHD"
local config = env "HOME" .. "/.ssh/config"
local function shell(script, ...)
    return sh.run({ "sh", "-ec", script, "sh", ... }).stdout
end

shell([[
cd "$1"
mkdir keys
mkfifo fifo fifo.pub
for type in ed25519 rsa; do cp "id_$type" "id_$type.pub" keys; done
cp id_locked keys
ssh-keygen -q -t ed25519 -N '' -C '' -f keys/authority
ssh-keygen -q -t ed25519 -N '' -C '' -f keys/certified
ssh-keygen -q -s keys/authority -I test -n tester keys/certified.pub
printf 'cert-authority,principals="tester" %s\n' "$(cat keys/authority.pub)" >> authorized_keys
]], home)

-- A process of its own, for the configuration is read once in a process. It ends in any case: nobody waits for a FIFO.
local runner = shell('readlink "/proc/$PPID/exe"'):gsub("\n", "")
file.write(home .. "/connect.lua", [[
local ok, err = pcall(function() return require "ssh".connect("127.0.0.1"):run({ "true" }, { read = true }) end)
say(ok and "in" or ("%s: %s | %s"):format(err.code, err.message, tostring(err.hint)))
]])
local function hostler_says()
    return sh.run({ "timeout", "-s", "KILL", "60", runner, home .. "/connect.lua" }, { check = false }).stdout
end

local function ssh_gets_in()
    return sh.run({ "ssh", "-o", "BatchMode=yes", "127.0.0.1", "true" }, { check = false, read = true }).status == 0
end

local BASE = ("Host *\n    User tester\n    UserKnownHostsFile %s/known_hosts\n"):format(home)

--- A configuration with these lines first, which may name files of $SSHD by %s.
local function configure(lines)
    file.write(config, (lines:gsub("%%s", home)) .. "\n" .. BASE)
end

local function connects(name)
    local said = hostler_says()
    tap.ok(said == "in\n" and ssh_gets_in(), name, said == "in\n" and "ssh does not" or said)
end

local function refuses(pattern, name, ssh_would_wait)
    tap.like(hostler_says(), pattern, name)
    if not ssh_would_wait then
        tap.ok(not ssh_gets_in(), "as ssh does")
    end
end

-- ---- who may change the configuration ----

configure ""
connects "a configuration of our own"
shell('chmod 666 "$1"', config)
refuses("^ssh.config: .*everybody may change .*/config %(mode 0666%).* | chmod go%-w .*/config", "one that everybody may change")
shell('chmod 664 "$1"; chgrp tester "$1"', config)
refuses("^ssh.config: .*its group may change .*mode 0664.* | chmod g%-w", "one that a group may change")
shell('chmod 644 "$1"; chgrp root "$1"; chown tester "$1"', config)
refuses("^ssh.config: .*/config %(mode 0644%) belongs to somebody else.* | chown root .*/config", "one of somebody else's")
shell('chown root "$1"; chmod 664 "$1"', config)
tap.is(hostler_says() == "in\n", ssh_gets_in(), "a group without other members counts as it does for this ssh")
shell('chmod 644 "$1"', config)

configure "Host elsewhere\n    Include %s/included"
file.write(home .. "/included", "Port 2222\n")
connects "an included file of our own"
shell('chmod 666 "$1/included"', home)
refuses("everybody may change .*/included", "an included file that everybody may change, also for other hosts")
shell('rm "$1/included"; ln -s /dev/null "$1/included"', home)
refuses("everybody may change .*/included", "and /dev/null")
shell('rm "$1/included"; mkdir "$1/included"', home)
connects "a folder is passed over"
shell('rmdir "$1/included"; mkfifo "$1/included"', home)
refuses("cannot read .*/included: it is a FIFO; an ordinary file is needed", "an included FIFO", true)
configure ""
file.write("/etc/ssh/ssh_config", "Port 22\n")
shell "chmod 666 /etc/ssh/ssh_config"
connects "the machine's own file is not judged"
file.write("/etc/ssh/ssh_config", ("Include %s/included\n"):format(home))
shell('rm "$1/included"; echo Port 22 > "$1/included"; chmod 666 "$1/included"', home)
refuses("everybody may change .*/included", "what it includes is")
shell("rm /etc/ssh/ssh_config")

-- ---- who may read a key ----

local KEY = "IdentitiesOnly yes\nIdentityFile %s/keys/id_ed25519"
configure(KEY .. "\nIdentityAgent none")
connects "a key that is its owner's alone"
shell('chmod 640 "$1/keys/id_ed25519"', home)
refuses("^ssh.auth: .*id_ed25519 may be read by others than its owner, .*: chmod 600 .*/keys/id_ed25519",
    "a key that others may read")
configure(KEY .. "\nIdentityAgent none\nIdentityFile %s/keys/id_rsa")
connects "is passed over for the next one"
shell('chown tester "$1/keys/id_ed25519"', home)
configure(KEY .. "\nIdentityAgent none")
connects "somebody else's key is theirs to look after"
shell([[
chown root "$1/keys/id_ed25519"
chmod 600 "$1/keys/id_ed25519"
SSH_AUTH_SOCK="$1/empty-agent" ssh-add -q "$1/keys/id_ed25519"
chmod 644 "$1/keys/id_ed25519"
rm "$1/keys/id_ed25519.pub"]], home)
configure(KEY .. "\nIdentityAgent %s/empty-agent")
connects "the agent has a key whose file others may read"
shell('SSH_AUTH_SOCK="$1/empty-agent" ssh-add -q -D; chmod 644 "$1/keys/id_locked"', home)
configure "IdentitiesOnly yes\nIdentityAgent none\nIdentityFile %s/keys/id_locked"
refuses("id_locked may be read by others", "one with a passphrase, too: ssh-add would not take it")

-- ---- what is no ordinary file ----

configure "IdentityAgent none\nIdentityFile %s/fifo\nIdentityFile %s/keys/id_rsa"
tap.is(hostler_says(), "in\n", "a FIFO among the keys keeps nobody from the next one")
configure "IdentityAgent none\nIdentityFile %s/fifo"
refuses("^ssh.auth: .*/fifo cannot be read: it is a FIFO; an ordinary file is needed", "and is named", true)
configure "IdentityAgent none\nIdentityFile %s/keys/id_rsa\nCertificateFile %s/fifo"
tap.is(hostler_says(), "in\n", "a FIFO for a certificate keeps nobody from the key")
configure "IdentityAgent none\nIdentityFile %s/id_stranger\nCertificateFile %s/fifo"
refuses("^ssh.auth: .*/fifo cannot be read: it is a FIFO", "and is named", true)
configure "RevokedHostKeys %s/fifo"
refuses("^ssh.known_hosts: .*cannot tell from .*/fifo .* revoked: it is a FIFO", "RevokedHostKeys", true)
configure "RevokedHostKeys /dev/null"
connects "where /dev/null revokes nothing"
configure "UserKnownHostsFile %s/fifo"
refuses("^ssh.known_hosts: cannot read .*/fifo: it is a FIFO", "UserKnownHostsFile", true)
configure "UserKnownHostsFile /dev/null"
refuses("^ssh.host_key_unknown", "where /dev/null knows nobody")
configure "UserKnownHostsFile /dev/null\nStrictHostKeyChecking accept-new"
connects "and takes what it is given"
tap.is(shell "stat -c '%F %a' /dev/null", "character special file 666\n", "without any harm")

-- ---- which keys may be offered ----

local RSA = "IdentityAgent none\nIdentitiesOnly yes\nIdentityFile %s/keys/id_rsa\n"
configure(RSA .. "PubkeyAcceptedAlgorithms -rsa*")
refuses("^ssh.auth: .*'.*id_rsa' is a RSA key, for which PubkeyAcceptedAlgorithms .* allows no algorithm",
    "PubkeyAcceptedAlgorithms without any of RSA")
configure(RSA .. "PubkeyAcceptedKeyTypes ssh-ed25519")
refuses("'.*id_rsa' is a RSA key, for which PubkeyAcceptedAlgorithms", "by its old name")
shell([[
cd "$1"
grep -v '^ListenAddress\|^PidFile' sshd_config > sshd_512_config
printf '%s\n' "PubkeyAcceptedAlgorithms rsa-sha2-512" 'ListenAddress 127.0.0.1:2310' "PidFile $1/pid_512" >> sshd_512_config
/usr/sbin/sshd -f sshd_512_config -E log_512
until [ -s pid_512 ]; do sleep 0.1; done]], home)
for choice, is_taken in pairs { ["rsa-sha2-256"] = false, ["rsa-sha2-512"] = true, ["^rsa-sha2-256"] = true } do
    configure(RSA .. "PubkeyAcceptedAlgorithms " .. choice)
    connects(choice .. " is an algorithm of the key")
    configure(RSA .. "Port 2310\nHostKeyAlias 127.0.0.1\nPubkeyAcceptedAlgorithms " .. choice)
    if is_taken then -- unlike ssh, the second of two is tried as well
        tap.is(hostler_says(), "in\n", choice .. ", and the server takes rsa-sha2-512 only")
    else
        refuses("^ssh.auth: .*the server refused every key", choice .. ", which the server does not take: no other is tried")
    end
end
configure "IdentityAgent none\nIdentitiesOnly yes\nIdentityFile %s/keys/certified\nPubkeyAcceptedAlgorithms ssh-ed25519"
refuses("certified%-cert.pub' is a ED25519%-CERT key, for which PubkeyAcceptedAlgorithms", "certificates have algorithms of their own")
configure "IdentityAgent none\nIdentitiesOnly yes\nIdentityFile %s/keys/certified\nPubkeyAcceptedAlgorithms ssh-ed25519-cert*"
connects "and may be the only ones"
configure "IdentitiesOnly no\nIdentityAgent %s/agent\nIdentityFile none\nPubkeyAcceptedAlgorithms -rsa*"
refuses("is a RSA key, for which PubkeyAcceptedAlgorithms", "also for those that the agent has")
tap.done()
