#!tests/lib/with-sshd build/lua-test
-- OpenSSH's configuration: what it says is done as ssh does it, or refused by name. Where both can, ssh is asked as well.
local tap = require "tap"
local ssh, sh, file = require "ssh", require "sh", require "file"

local home = env "SSHD"
local function path(name)
    return home .. "/" .. name
end
local function shell(script, ...)
    return sh.run({ "sh", "-ec", script, "sh", ... }).stdout
end

-- The keys and files that the configuration names. tester is let in by the authority's certificates as well.
shell([[
cd "$1"
mkdir keys cert
cp id_ecdsa keys/127.0.0.1_tester_root_22
cp known_hosts "my known hosts"
ssh-keygen -q -t ed25519 -N '' -C '' -f cert/authority
for type in ecdsa ed25519 rsa; do
    ssh-keygen -q -t $type -N '' -C '' -f cert/$type
    ssh-keygen -q -s cert/authority -I test -n tester cert/$type.pub
done
ssh-keygen -q -t ecdsa -N '' -C '' -f cert/apart
ssh-keygen -q -s cert/authority -I test -n tester cert/apart.pub
mv cert/apart-cert.pub cert/elsewhere-cert.pub
printf 'cert-authority,principals="tester" %s\n' "$(cat cert/authority.pub)" >> authorized_keys
cut -d' ' -f1,2 host_ed25519.pub > first
cut -d' ' -f1,2 host2_ed25519.pub > second
printf '# none of the first\n\n%s\n' "$(cat second)" > revoked_other
{ cat revoked_other; echo "  $(cat first) a comment"; } > revoked_list
ssh-keygen -q -k -f revoked_krl -s cert/authority.pub host2_ed25519.pub host_ed25519.pub
printf 'sha256: %s' "$(cat host_ed25519.pub)" > spec
ssh-keygen -q -k -f revoked_sha256 spec
printf 'sha1: %s' "$(cat host_ed25519.pub)" > spec
ssh-keygen -q -k -f revoked_sha1 spec
ssh-keygen -q -k -f revoked_krl_other host2_ed25519.pub
head -c 60 revoked_krl > revoked_cut
echo nonsense > revoked_bad
printf 'the-alias %s\n' "$(cat second)" > alias
printf '127.0.0.1 %s\n' "$(cat second)" > plain
printf '127.0.0.1 %s\n' "$(cut -d' ' -f1,2 host_rsa.pub)" > rsa_only
ip address add 198.18.0.1/32 dev lo
echo 198.18.0.1 far >> /etc/hosts
printf 'far %s\n198.18.0.1 %s\n' "$(cat first)" "$(cat second)" > by_address
]], home)

local CONFIG = [[
Host pub
    IdentityFile %s/id_rsa.pub
    IdentitiesOnly yes
Host pub-without-agent
    IdentityFile %s/id_stranger.pub
    IdentitiesOnly yes
Host pub-token
    PKCS11Provider /usr/lib/no-such-provider.so
    IdentityFile %s/id_stranger
    IdentityAgent none
Host tokens
    IdentityFile %%d/../keys/%%h_%%r_%%u_%%p
Host variable
    IdentityFile ${SSHD}/id_ed25519
Host variable-unset
    IdentityFile ${NO_SUCH_VARIABLE}/id_ed25519
Host token-unknown
    IdentityFile %s/%%Z
Host agent-token
    IdentityAgent ${SSHD}/agent
    IdentityFile none
Host blank
    UserKnownHostsFile "%s/my known hosts" /dev/null
Host quoted
    UserKnownHostsFile '%s/my known hosts'
Host escaped
    UserKnownHostsFile %s/my\ known\ hosts
Host no-known-hosts
    UserKnownHostsFile none
Host jump-tokens
    HostName web2
    ProxyJump %%r@127.0.0.1:22
Host jump-uri
    HostName web2
    ProxyJump ssh://tester@127.0.0.1:22
Host jump-shell
    ProxyJump ${HOME}
Host loop loop-a loop-b
    ProxyJump loop-a
Host loop-a
    ProxyJump loop-b
Host family4
    HostName localhost
    AddressFamily inet
Host family6
    AddressFamily inet6
Host bound
    BindAddress 127.0.0.77
Host bound-elsewhere
    BindAddress 192.0.2.1
Host aliased
    HostKeyAlias The-Alias
    Port 2222
    UserKnownHostsFile %s/alias
Host plain
    Port 2222
    UserKnownHostsFile %s/plain
Host rsa-only
    UserKnownHostsFile %s/rsa_only
Host by-address
    HostName far
    UserKnownHostsFile %s/by_address
Host by-address-checked
    HostName far
    UserKnownHostsFile %s/by_address
    CheckHostIP yes
Host cert-ecdsa
    IdentitiesOnly yes
    IdentityFile %s/cert/ecdsa
Host cert-ed25519
    IdentitiesOnly yes
    IdentityFile %s/cert/ed25519
Host cert-agent
    IdentityFile none
    IdentityAgent %s/empty-agent
Host cert-file
    IdentityAgent %s/empty-agent
    IdentitiesOnly yes
    IdentityFile %s/cert/apart
    CertificateFile %s/cert/elsewhere-cert.pub
Host cipher
    Ciphers aes256-ctr
    MACs hmac-sha2-512
    KexAlgorithms ecdh-sha2-nistp256
    HostKeyAlgorithms ssh-ed25519
Host cipher-none
    Ciphers chacha20-poly1305@openssh.com
Host kex-none
    KexAlgorithms sntrup761x25519-sha512@openssh.com
Host strange-interface
    BindInterface lo
Host strange-command
    KnownHostsCommand /bin/true
Host strange-proxy
    ProxyCommand nc %%h %%p
Host strange-pubkey
    PubkeyAuthentication no
Host strange-methods
    PreferredAuthentications password
Host strange-rsa
    RequiredRSASize 3072
Host lenient
    StrictHostKeyChecking no
    VerifyHostKeyDNS yes
    UserKnownHostsFile /dev/null
Host * !pub* !cert-* !agent-*
    IdentityFile %s/id_ecdsa
Host * !Capital
    HostName 127.0.0.1
    User tester
    UserKnownHostsFile %s/known_hosts
]]
local REVOKED = { "revoked_list", "revoked_krl", "revoked_sha256", "revoked_sha1" }
local UNREADABLE = { "revoked_cut", "revoked_bad", "revoked_absent" }
local OTHERS = { "revoked_other", "revoked_krl_other" }
for _, names in ipairs { REVOKED, UNREADABLE, OTHERS } do
    for _, name in ipairs(names) do
        CONFIG = ("Host %s\n    RevokedHostKeys %%s/%s\n"):format(name, name) .. CONFIG
    end
end
file.write(env "HOME" .. "/.ssh/config", (CONFIG:gsub("%%(.)", { s = home, ["%"] = "%" })))

--- Whether ssh gets in.
local function ssh_gets_in(alias)
    return sh.run({ "ssh", "-o", "BatchMode=yes", "--", alias, "true" }, { check = false, read = true }).status == 0
end

local function connects(alias, name)
    local result, err = try(function() return ssh.connect(alias):run({ "sh", "-c", "echo $SSH_CONNECTION" },
        { read = true }).stdout end)
    tap.ok(result and ssh_gets_in(alias), name, result and "ssh does not" or tostring(err))
    return result
end

--- hostler refuses, and ssh as well, unless it is said that it does not.
local function refuses(alias, code, pattern, name, ssh_does_not)
    local err = tap.raises(code, function() ssh.connect(alias) end, name)
    tap.like(err.message .. " | " .. tostring(err.hint), pattern, "and says why")
    if not ssh_does_not then
        tap.ok(not ssh_gets_in(alias), "as ssh does")
    end
    return err
end

-- ---- keys ----

connects("pub", "an IdentityFile that is a public key, whose private key the agent has")
refuses("pub-without-agent", "ssh.auth", "id_stranger.pub is a public key, and the agent does not have",
    "one that the agent does not have")
refuses("pub-token", "ssh.auth", "pkcs11provider /usr/lib/no%-such.*which hostler does not do", "a token's keys")
connects("tokens", "%d, %h, %r, %u and %p in IdentityFile")
connects("variable", "${NAME} in IdentityFile")
refuses("variable-unset", "ssh.config", "IdentityFile .*NO_SUCH_VARIABLE is not set", "a variable that is not set")
refuses("token-unknown", "ssh.config", "IdentityFile .*%%Z is not known", "a token that nobody knows")
connects("agent-token", "${NAME} in IdentityAgent, and IdentityFile none")
connects("cert-ecdsa", "a certificate beside the key")
connects("cert-file", "and in CertificateFile")
connects("cert-ed25519", "one of an ed25519 key")
-- ssh-add takes a key and the certificate beside it; then the key's file goes.
shell([[
cp "$1/cert/elsewhere-cert.pub" "$1/cert/apart-cert.pub"
SSH_AUTH_SOCK="$1/empty-agent" ssh-add -q "$1/cert/apart"
rm "$1/cert/apart" "$1/cert/apart-cert.pub"
]], home)
connects("cert-file", "a certificate whose private key only the agent has")
connects("cert-agent", "and one that only the agent has")

-- ---- where to ----

tap.like(connects("jump-tokens", "%r in ProxyJump"), " 127.0.1.2 22", "leads there")
connects("jump-uri", "ssh:// in ProxyJump")
refuses("jump-shell", "ssh.config", "ProxyJump for the shell", "a ProxyJump that is the shell's to expand", true)
refuses("loop", "ssh.config", "ProxyJump leads back to where it began", "a ProxyJump that leads back to itself", true)
connects("family4", "AddressFamily inet")
refuses("family6", "ssh.resolve", "'127.0.0.1' has no address of IPv6 | AddressFamily", "AddressFamily inet6")
tap.like(connects("bound", "BindAddress"), "^127.0.0.77 ", "is where the server sees one come from")
refuses("bound-elsewhere", "ssh.unreachable", "from 192.0.2.1: Cannot assign", "a BindAddress of another machine")
tap.is(ssh.connect "ssh://tester@tokens:22":run({ "id", "-un" }, { read = true }).stdout, "tester\n", "ssh://user@host:port")
tap.is(ssh.connect("ssh://tokens/").user, "tester", "and ssh://host/")
refuses("no@such@tokens", "ssh.auth", "'no@such'", "a user with an @ in the name")
connects("cipher", "Ciphers, MACs, KexAlgorithms and HostKeyAlgorithms")
refuses("cipher-none", "ssh.config", "Ciphers in the OpenSSH configuration allows only chacha20.*libssh2 [%d.]+ has none",
    "a cipher that libssh2 does not have", true)
refuses("kex-none", "ssh.config", "KexAlgorithms .*libssh2", "or a key exchange", true)

-- ---- whom to trust ----

connects("blank", "a blank in a quoted UserKnownHostsFile")
connects("quoted", "in single quotes")
connects("escaped", "after a backslash")
refuses("no-known-hosts", "ssh.host_key_unknown", "not in known_hosts", "UserKnownHostsFile none")
connects("aliased", "HostKeyAlias stands for every port")
tap.is(ssh.settings("aliased").names, { "the-alias" }, "and is the only name")
connects("plain", "a name without a port vouches for the host's other ports")
tap.is(ssh.settings("plain").names, { "[127.0.0.1]:2222", "127.0.0.1" }, "but is the second one")
tap.is(#ssh.known_keys "plain", 1, "whose lines are found")
connects("by-address", "the address's own lines do not count")
refuses("by-address-checked", "ssh.host_key_changed", "by_address:2", "unless CheckHostIP is set")
for _, name in ipairs(REVOKED) do
    refuses(name, "ssh.host_key_revoked", name .. " revokes", "RevokedHostKeys: " .. name)
end
for _, name in ipairs(UNREADABLE) do
    refuses(name, "ssh.known_hosts", "cannot tell from .*" .. name .. " whether the host's key is revoked",
        "a list that cannot be read: " .. name)
end
for _, name in ipairs(OTHERS) do
    connects(name, "other keys are revoked: " .. name)
end
local err = refuses("lenient", "ssh.host_key_unknown", "stricthostkeychecking false.*which hostler does not do",
    "host keys are not taken unseen", true)
tap.like(err.message, "verifyhostkeydns true", "nor from DNS")

-- A host that is known by its RSA key only.
err = refuses("rsa-only", "ssh.host_key_unknown", "knows the host by an RSA key, which libssh2", "an RSA key alone", true)
tap.like(err.hint, "ssh %-o UpdateHostKeys=yes", "can be helped")
shell([[
until grep -q ssh-ed25519 "$1/rsa_only"; do
    ssh -o BatchMode=yes -o UpdateHostKeys=yes rsa-only sleep 0.2
done]], home)
connects("rsa-only", "by what the hint says")

-- A server that has no other: libssh2 cannot even shake hands.
shell([[
cd "$1"
grep -v '^HostKey\|^ListenAddress\|^PidFile' sshd_config > sshd_rsa_config
printf '%s\n' "HostKey $1/host_rsa" 'ListenAddress 127.0.0.1:2310' "PidFile $1/pid_rsa" >> sshd_rsa_config
/usr/sbin/sshd -f sshd_rsa_config -E log_rsa
until [ -s pid_rsa ]; do sleep 0.1; done]], home)
err = tap.raises("ssh.protocol", function() ssh.connect "tokens:2310" end, "a server with nothing but an RSA key")
tap.like(err.hint, "libssh2 [%d.]+ is used here: .* RSA host keys only by SHA%-1", "is told by what libssh2 lacks")

-- ---- what cannot be done ----

for alias, keyword in pairs { interface = "bindinterface lo", command = "knownhostscommand /bin/true",
    proxy = "proxycommand nc %%h %%p", pubkey = "pubkeyauthentication false", methods = "preferredauthentications password",
    rsa = "requiredrsasize 3072" } do
    refuses("strange-" .. alias, "ssh.config", "says `" .. keyword .. "`, which is not supported", keyword .. " is refused",
        true)
end
tap.is({ ssh.settings("capital").name, ssh.settings("Capital").name }, { "127.0.0.1", "capital" },
    "patterns after Host are compared letter by letter")

-- ---- whose configuration ----

local runner = shell('readlink "/proc/$PPID/exe"'):gsub("\n", "")
file.write(path "whoami.lua", 'say(require "ssh".connect "tokens".user)\n')
tap.like(sh.run({ runner, path "whoami.lua" }, { env = { HOME = "/nonexistent" } }).stdout, "^tester\n",
    "the home directory is that of the user database, whatever HOME says")
tap.ok(sh.run({ "ssh", "-o", "BatchMode=yes", "tokens", "true" }, { check = false, env = { HOME = "/nonexistent" } }).status == 0,
    "as for ssh")
tap.done()
