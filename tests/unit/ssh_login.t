#!tests/lib/with-sshd build/lua-test
-- Logging in where more or something else is wanted than a key that every server takes: passwords, several proofs,
-- algorithms, certificates; and what a person is told when it does not work. OpenSSH with PAM, and Dropbear.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"
local PASSWORD = "correct horse's \"battery\""
local function shell(script, ...)
    return sh.run({ "sh", "-c", "cd \"$SSHD\"; " .. script, "sh", ... }).stdout
end

-- ---- the servers ----

shell([[
mkdir pam.d
printf '%s\n' 'auth required pam_unix.so nodelay' 'account required pam_unix.so' 'session required pam_permit.so' > pam.d/sshd
mount --bind pam.d /etc/pam.d
hash=$(printf %s "$1" | openssl passwd -6 -stdin)
changed=$(awk -F: -v OFS=: -v hash="$hash" '$1 == "tester" { $2 = hash } { print }' /etc/shadow)
printf '%s\n' "$changed" > /etc/shadow
for ca in ca ca_else; do ssh-keygen -q -t ed25519 -N '' -f $ca; done
cat > login_config <<END
AuthorizedKeysFile $SSHD/authorized_keys
UsePAM yes
UseDNS no
PrintMotd no
StrictModes no
HostKey $SSHD/host_ed25519
PidFile $SSHD/login.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
END
n=2410
while read -r options; do
    n=$((n + 1))
    echo "ListenAddress 127.0.0.1:$n" >> login_config
    printf 'Match LocalPort %d\n' $n >> login_match
    echo "$options" | tr ';' '\n' >> login_match
done <<END
PubkeyAuthentication no; PasswordAuthentication yes
PubkeyAuthentication no; KbdInteractiveAuthentication yes
PasswordAuthentication yes; AuthenticationMethods publickey,password
KbdInteractiveAuthentication yes; AuthenticationMethods publickey,keyboard-interactive
AuthenticationMethods publickey,publickey
PubkeyAcceptedAlgorithms rsa-sha2-512
PubkeyAcceptedAlgorithms rsa-sha2-256
AuthorizedKeysFile none; TrustedUserCAKeys $SSHD/ca.pub
PubkeyAuthentication no; GSSAPIAuthentication yes
PubkeyAuthentication no; PasswordAuthentication yes; KbdInteractiveAuthentication yes
AuthorizedKeysFile none; TrustedUserCAKeys $SSHD/ca.pub; CASignatureAlgorithms ssh-ed25519; PubkeyAcceptedAlgorithms rsa-sha2-256-cert-v01@openssh.com
PubkeyAcceptedAlgorithms rsa-sha2-512,sk-ssh-ed25519@openssh.com
END
cat login_match >> login_config
/usr/sbin/sshd -f "$SSHD/login_config" -E "$SSHD/login_log"
until [ -s login.pid ]; do sleep 0.02; done # written when it listens
for name in certified:empty-agent token:token-agent; do
    printf 'Host %s\n HostName 127.0.0.1\n IdentityAgent %s\n IdentityFile none\n' "${name%:*}" "$SSHD/${name#*:}"
done > home/.ssh/config
]], PASSWORD)
local PASSWORD_ONLY, QUESTIONS_ONLY, KEY_AND_PASSWORD, KEY_AND_QUESTIONS, TWO_KEYS, SHA512, SHA256, AUTHORITY, GSSAPI,
    ANY_PASSWORD, AUTHORITY_SHA256, SHA512_AND_TOKENS = 2411, 2412, 2413, 2414, 2415, 2416, 2417, 2418, 2419, 2420, 2421,
    2422

local function file(name)
    return home .. "/" .. name
end
local function connect(port, options)
    local all = { port = port, known_hosts = file "known_login", host_key = "accept-new" }
    for name, value in pairs(options or {}) do
        all[name] = value
    end
    local name = all.host or "127.0.0.1"
    all.host = nil
    return ssh.connect("tester@" .. name, all)
end
local function comes_in(what, port, options)
    local host, err = try(connect, port, options)
    tap.is(host and host:run({ "id", "-un" }, { read = true }).stdout or tostring(err), "tester\n", what)
    if host then
        host:close()
    end
end
local function refused(what, port, options, message, hint)
    local err = tap.raises("ssh.auth", function() connect(port, options) end, what)
    tap.like(err.message, message, "says what happened")
    tap.like(tostring(err.hint), hint, "and what to do")
    return err
end
local right, wrong = secret.wrap(PASSWORD), secret.wrap "wrong"
local key = file "id_ed25519"

-- ---- passwords ----

comes_in("by a password", PASSWORD_ONLY, { password = right })
comes_in("by a password that answers a question", QUESTIONS_ONLY, { password = right })
comes_in("by either", ANY_PASSWORD, { password = right, identity = file "id_stranger" })
comes_in("by a key and a password", KEY_AND_PASSWORD, { password = right, identity = key })
comes_in("by a key and an answer", KEY_AND_QUESTIONS, { password = right, identity = key })
comes_in("by a key, with a password that is not asked for", 22, { password = wrong, identity = key,
    known_hosts = file "known_hosts" })

refused("a server that takes only passwords", PASSWORD_ONLY, { identity = key },
    "the server takes no keys for 'tester'; it takes: password$", "password = secret%(\"NAME\"%)")
refused("a server that asks", QUESTIONS_ONLY, { identity = key },
    "takes no keys for 'tester'; it takes: keyboard%-interactive", "password = secret")
refused("a wrong password", PASSWORD_ONLY, { password = wrong },
    "the server refused the password for 'tester': the password %(refused%); it takes: password$", "check the user")
refused("a wrong answer", QUESTIONS_ONLY, { password = wrong }, "the password as an answer %(refused%)", "check the user")
refused("a key without its password", KEY_AND_PASSWORD, { identity = key },
    "wants more than one proof.*ED25519 '.-' SHA256:%S+ %(taken, and more is wanted%).*; it takes: password$",
    "password = secret")
refused("a key with a wrong password", KEY_AND_PASSWORD, { identity = key, password = wrong },
    "taken, and more is wanted%); the password %(refused%)", "check the user")
refused("a server that takes neither", GSSAPI, { identity = key, password = right },
    "takes no keys for 'tester'; it takes: gssapi", "keys and passwords: let the server's")
local err = tap.raises("usage", function() connect(PASSWORD_ONLY, { password = "plain" }) end, "a password in clear")
tap.like(err.hint, "secret%(\"NAME\"%)", "is not for playbooks")

-- ---- keys ----

comes_in("by two keys", TWO_KEYS, { identity = { key, file "id_ecdsa" } })
refused("one key where two are wanted", TWO_KEYS, { identity = key }, "wants more than one proof", "authorized_keys")
for name, port in pairs { ["SHA-512"] = SHA512, ["SHA-256"] = SHA256 } do
    comes_in("by an RSA key, with only " .. name, port, { identity = file "id_rsa" })
    comes_in("by the agent's RSA key, with only " .. name, port)
    refused("an Ed25519 key, with only RSA's " .. name, port, { identity = key },
        "refused every key for 'tester': ED25519", "authorized_keys")
end
refused("a key of nobody's", 2222, { identity = file "id_stranger" },
    "refused every key for 'tester': ED25519 '.-' SHA256:%S+; it takes: publickey", "authorized_keys")

-- ---- certificates ----

--- Copies of a key, certified with these arguments of ssh-keygen.
local function certify(name, kind, arguments)
    shell([[cp "id_$2" "$1"; cp "id_$2.pub" "$1.pub"
        name=$1; shift 2; ssh-keygen -q "$@" "$name.pub"]], name, kind, unpack(arguments))
    return file(name)
end
local days = { "-s", "ca", "-I", "a test", "-n", "tester,someone", "-V", "-1d:+1d" }
for _, kind in ipairs { "ed25519", "ecdsa", "rsa" } do
    local certified = certify("certified_" .. kind, kind, days)
    comes_in(kind .. ": a certificate beside the key's file", AUTHORITY, { identity = certified })
    shell([[export SSH_AUTH_SOCK="$SSHD/empty-agent"
        ssh-add -qD 2>/dev/null; ssh-add -q "$1" 2>/dev/null; rm "$1" "$1.pub" "$1-cert.pub"]], certified)
    comes_in(kind .. ": a certificate of the agent's", AUTHORITY, { host = "certified" })
end
comes_in("rsa: a certificate, with only SHA-256", AUTHORITY_SHA256, { identity = certify("certified", "rsa", days) })
for _, case in ipairs {
    { "expired", { "-V", "-2d:-1d" }, "ED25519%-CERT '.-' SHA256:%S+ %(it expired at 20%d%d%-" },
    { "of the future", { "-V", "+1d:+2d" }, "it is valid from 20%d%d%-" },
    { "of another user", { "-n", "root" }, "it does not name 'tester'" },
    { "for hosts", { "-h" }, "it is a host's certificate" },
    { "of another authority", { "-s", "ca_else" }, "ED25519%-CERT '.-' SHA256:%S+; ED25519 '" },
} do
    local arguments = { unpack(days) }
    for _, argument in ipairs(case[2]) do
        arguments[#arguments + 1] = argument
    end
    refused("a certificate " .. case[1], AUTHORITY, {
        identity = certify("bad_" .. case[1]:gsub(" ", "_"), "ed25519", arguments) }, case[3], "authorized_keys")
end

-- ---- a security token ----

shell([[
"$1/tests/lib/token-agent" "$SSHD/token-agent" "$SSHD" > /dev/null 2>&1 &
]], (sh.run({ "pwd" }).stdout:gsub("\n", "")))
wait_until("the token's agent", { timeout = 60, interval = 0.02 }, function()
    return sh.run({ "test", "-e", file "token.pub" }, { read = true, check = false }).status == 0
end)
shell "cat token.pub >> authorized_keys"
comes_in("by a key on a security token, which the agent has", SHA512_AND_TOKENS, { host = "token" })
shell([[ssh-keygen -q -s ca -I "a test" -n tester token.pub]])
comes_in("by its certificate", AUTHORITY, { host = "token", identity = file "token" })

-- ---- another server ----

shell [[
mkdir -m 700 tester/.ssh
cp authorized_keys tester/.ssh/authorized_keys
chown -R tester: tester/.ssh
dropbearkey -t ed25519 -f dropbear_key
dropbear -p 127.0.0.1:2431 -r dropbear_key -P "$SSHD/dropbear_pid"
until [ -s dropbear_pid ]; do sleep 0.02; done # written when it listens
]]
for _, kind in ipairs { "ed25519", "ecdsa", "rsa" } do
    comes_in("Dropbear: by an " .. kind .. " key", 2431, { identity = file("id_" .. kind) })
end
comes_in("Dropbear: by a password", 2431, { password = right, identity = file "id_stranger" })
tap.done()
