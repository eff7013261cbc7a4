#!tests/lib/with-sshd build/lua-test
-- Login shells: whichever it is, a program gets its arguments as they are, or a person is told that it gets nothing.
local tap = require "tap"
local ssh, sh = require "ssh", require "sh"

local home = env "SSHD"

--- A user with this login shell, and what its start-up file says; the host as they come to it.
local function login(name, shell, startup, text)
    sh.run { "sh", "-c", [[
        number=$((61000 + $(wc -l <"$SSHD/etc/passwd")))
        printf '%s\n' "$1:x:$number:$number::$SSHD/$1:$2" >>"$SSHD/etc/passwd"
        printf '%s\n' "$1:*:19000::::::" >>"$SSHD/etc/shadow"
        install -d -o "$number" -g "$number" "$SSHD/$1" "$(dirname "$SSHD/$1/$3")"
        if [ -n "$3" ]; then printf '%s\n' "$4" >"$SSHD/$1/$3"; fi]], "sh", name, shell, startup or "", text or "" }
    return ssh.connect(name .. "@127.0.0.1", { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
end

local SHELLS = {
    sh = "/bin/sh", bash = "/bin/bash", dash = "/bin/dash", zsh = "/bin/zsh", ksh93 = "/bin/ksh93", mksh = "/bin/mksh",
    csh = "/bin/bsd-csh", tcsh = "/bin/tcsh", fish = "/usr/bin/fish",
}
local bytes = {}
for code = 1, 255 do
    bytes[code] = string.char(code)
end
local odd = {
    "a b", "", "'", "''", '"', "$HOME", "$$", "*", "?", "a\nb", "\n", "\\", "\\\\", "a\\", "\\'", "\\n", "!", "!!", "\\!", "!x'",
    "~", "~root", "-n", ";", "&", "|", "<", "(", "é", "\239\152\128", "`id`", "A=b", "=ls", "%self", "%", "^a^b", "{a,b}", "[a]", "#", "@",
    " ", "\t", "a\rb", "\1", "\127", "\131\132\255", ":x", "a:h", "+", ",", ".", "$'a'", table.concat(bytes),
}
local expected = table.concat(odd, "\0") .. "\0"

local function check(name, shell)
    local host = login("u_" .. name, shell)
    local printed = { read = true }
    tap.is(host:run({ "/usr/bin/printf", "%s\\0", unpack(odd) }, printed).stdout, expected, name .. ": arguments")
    local one_by_one = {}
    for index, word in ipairs(odd) do
        one_by_one[index] = host:run({ "/usr/bin/printf", "%s", word }, printed).stdout == word and "" or word
    end
    tap.is(table.concat(one_by_one), "", name .. ": each by itself")
    tap.is(host:run({ "echo", "-e", "a\\nb" }, printed).stdout, "a\nb\n", name .. ": the program, not the shell's own echo")
    tap.is(host:run({ "/usr/bin/printf", "%s", ("é "):rep(20000) }, printed).stdout, ("é "):rep(20000),
        name .. ": a long one")
    tap.is(host:sh("printf '%s\\0' \"$@\"; cat", { read = true, args = odd, stdin = "in\n" }).stdout, expected .. "in\n",
        name .. ": a script's arguments and its input")
    tap.is(host:run({ "sh", "-c", 'printf %s "$A"; pwd' }, { read = true, env = { A = "\\!\n'" }, cwd = "/usr/share" }).stdout,
        "\\!\n'/usr/share\n", name .. ": environment and directory")
    local place = home .. "/u_" .. name .. "/it's \\ a! \n place"
    host:mkdir(place)
    tap.is(host:run({ "pwd" }, { read = true, cwd = place }).stdout, place .. "\n", name .. ": an odd directory")
    host:write(place .. "/é!\n\\", table.concat(odd))
    tap.ok(host:read(place .. "/é!\n\\") == table.concat(odd), name .. ": an odd file")
    tap.is(#host:list(place), 1, name .. ": in the list")
    tap.is(host:run({ "command", "-v", "sh" }, printed).stdout, "/usr/bin/sh\n", name .. ": what only a shell can run")
    tap.is({ host:run({ "true" }, printed).status, host:run({ "false" }, { read = true, check = false }).status }, { 0, 1 },
        name .. ": true and false")
    tap.is(host:run({ "sh", "-c", "exit 7" }, { read = true, check = false }).status, 7, name .. ": a status")
    local err = tap.raises("ssh.signal", function() host:run({ "sh", "-c", "kill -KILL $$" }, printed) end,
        name .. ": a signal")
    tap.is(err.signal, "KILL", "is named")
    err = tap.raises("ssh.exit", function() host:run({ "no-such-program" }, printed) end, name .. ": no such program")
    tap.is(err.hint, "the host does not find this program", "is told")
    host = ssh.connect("root@127.0.0.1", { known_hosts = home .. "/known_hosts", identity = home .. "/id_ed25519" })
        :as("u_" .. name)
    tap.is(host:run({ "/usr/bin/printf", "%s\\0", unpack(odd) }, printed).stdout, expected, name .. ": as such a user")
end

for name, shell in pairs(SHELLS) do
    check(name, shell)
end

-- ---- shells that print, and shells that refuse ----

for name, file in pairs { bash = ".bashrc", tcsh = ".tcshrc", csh = ".cshrc", zsh = ".zshenv" } do
    local host = login("n_" .. name, SHELLS[name], file, "echo welcome; /usr/bin/printf 'it is %s' late")
    host:write(home .. "/n_" .. name .. "/file", "content\n")
    tap.is(host:read(home .. "/n_" .. name .. "/file"), "content\n", name .. ": what a start-up file prints is no output")
    tap.is(host:run({ "echo", "12345" }, { read = true, limit = 6 }).stdout, "12345\n", "and does not count for the limit")
    tap.raises("ssh.output", function() host:run({ "echo", "12345" }, { read = true, limit = 5 }) end,
        "which is as low as one says")
    local err = tap.raises("timeout", function() host:run({ "sh", "-c", "echo a; sleep 60" }, { read = true, timeout = 1 }) end,
        "one that takes too long")
    tap.is(err.stdout, "a\n", "and what it said is its own")
end

local function refused(host, says, name)
    for _, call in ipairs {
        function() host:run({ "id" }, { read = true }) end, function() host:run({ "id" }, { read = true, check = false }) end,
        function() host:sh("id", { read = true }) end, function() host:write(home .. "/refused", "x") end,
        function() host:stat "/etc/passwd" end,
    } do
        local err = tap.raises("ssh.shell", call, name)
        tap.like(err.message .. "\n" .. err.stdout .. err.stderr, says, "is told with what it says")
        tap.like(err.hint, "getent passwd", "and what to look at")
        tap.is(err.unclear, false, "and surely did nothing")
    end
end
refused(login("r_nologin", "/usr/sbin/nologin"), "not available", "nologin")
refused(login("r_true", "/bin/true"), "nothing", "a shell that says status 0 to everything")
refused(login("r_cat", "/bin/cat"), "invalid option", "a shell that is none")
refused(login("r_rbash", "/bin/rbash"), "restricted", "a restricted shell")
refused(login("r_exit", "/bin/bash", ".bashrc", "echo 'not today'; exit 0"), "not today", "a start-up file that ends the shell")

-- ---- start-up files that put something else in the place of the input ----

for name, before in pairs { none = "exec </dev/null", another = "exec <<<'echo wrong'", file = "exec </etc/passwd" } do
    local fed = login("i_" .. name, "/bin/bash", ".bashrc", before)
    for what, call in pairs {
        ["input"] = function() return fed:run({ "cat" }, { read = true, stdin = "in\n" }) end,
        ["an argument that the line cannot hold"] = function() return fed:run({ "printf", "%s", "a\nb" }, { read = true }) end,
        ["a variable"] = function() return fed:run({ "sh", "-c", "echo $A" }, { env = { A = "b" } }) end,
        ["a script"] = function() return fed:sh("cat", { stdin = "in\n", check = false }) end,
    } do
        local err = tap.raises("ssh.shell", call, ("%s, with `%s` in .bashrc"):format(what, before))
        tap.like(err.message, "did not run: it does not get its input", "is told to a person")
        tap.is({ err.unclear, err.status }, { false, 125 }, "and surely did nothing")
    end
    tap.is(fed:run({ "echo", "fine" }, { read = true }).stdout, "fine\n", "what has no input runs")
end

-- ---- shells in which the words of the line are others ----

local BEFORE = {
    bash = { ".bashrc", "shopt -s expand_aliases; alias %s=true" }, bash_function = { ".bashrc", "%s() { return 0; }" },
    bash_posix = { ".bashrc", "set -o posix; %s() { return 0; }", "bash" },
    zsh = { ".zshenv", "alias %s=true" }, zsh_function = { ".zshenv", "%s() { return 0 }" },
    csh = { ".cshrc", "alias %s true" }, tcsh = { ".tcshrc", "alias %s true" },
    tcsh_words = { ".tcshrc", "alias %s 'echo \\!*'", "tcsh" },
    fish = { ".config/fish/config.fish", "function %s; end" }, fish_words = { ".config/fish/config.fish", "alias %s true", "fish" },
    ksh93 = { ".kshrc", "%s() { return 0; }" }, mksh = { ".mkshrc", "%s() { return 0; }" }, dash = { ".env", "alias %s=true" },
}
for name, before in pairs(BEFORE) do
    local shell = SHELLS[before[3] or name:match "^[^_]+"]
    for _, word in ipairs { "exec", "echo", "/bin/sh" } do
        local user = ("w_%s_%s"):format(name, word:match "%w+$")
        local host = login(user, shell, before[1], before[2]:format(word))
        local result, err = try(host.run, host, { "printf", "%s", "right" }, { read = true })
        tap.ok(result and result.stdout == "right" or not result and err.code == "ssh.shell",
            ("%s: another %s runs the program, or it is told that it did not run"):format(name, word))
        result, err = try(host.run, host, { "sh", "-c", "echo right >it" })
        local there = sh.run({ "ls", home .. "/" .. user .. "/it" }, { read = true, check = false }).status == 0
        tap.is({ result ~= nil, err and err.code }, { there, not there and "ssh.shell" or nil }, "also one that writes")
    end
end

-- ---- what no shell could take ----

local host = login("u_last", "/bin/bash")
tap.raises("usage", function() host:run({ "-c", "id" }, { read = true }) end, "a program's name is no option of exec")
for name, call in pairs {
    ["an argument"] = function() host:run({ "echo", "a\0b" }, { read = true }) end,
    ["a variable"] = function() host:run({ "env" }, { read = true, env = { A = secret.wrap "some\0thing" } }) end,
    ["a directory"] = function() host:run({ "pwd" }, { read = true, cwd = "/\0" }) end,
    ["a script"] = function() host:sh("id\0", { read = true }) end,
} do
    tap.like(tap.raises("usage", call, name).message, "zero byte", "holds no zero byte")
end
tap.is(host:sh('printf %s "$e$n$script$hostler_script"; env | grep -c "^hostler"; true', {
    read = true, env = { e = "1", n = "\n", script = "3" },
}).stdout, "1\n3" .. 'printf %s "$e$n$script$hostler_script"; env | grep -c "^hostler"; true' .. "0\n",
    "variables of any name reach the program, and no other")
-- What is meant for the command is not for a start-up file that reads, nor for a shell that this becomes.
local DATA = "touch taken\nsecond\n"
local patient = login("patient", "/bin/bash", ".bashrc", "read -t 0.2 x")
tap.is(patient:run({ "cat" }, { read = true, stdin = DATA, env = { A = "1" } }).stdout, DATA,
    "a start-up file that reads for a moment gets nothing of the input")
for name, startup in pairs { waits = "read x", becomes = "exec bash --norc" } do
    local host = login(name, "/bin/bash", ".bashrc", startup)
    for what, call in pairs {
        ["its input"] = function() host:run({ "cat" }, { read = true, stdin = DATA, timeout = 2 }) end,
        ["an odd argument"] = function() host:run({ "printf", "%s", "a\ntouch taken\n" }, { read = true, timeout = 2 }) end,
        ["a script"] = function() host:sh("cat", { read = true, stdin = DATA, timeout = 2 }) end,
    } do
        local err = tap.raises("timeout", call, ("a shell that %s and never begins: %s"):format(name, what))
        tap.like(err and err.message or "", "the login shell had not begun with it", "is told")
    end
    tap.is(sh.run({ "find", home .. "/" .. name, "-name", "taken" }, { read = true }).stdout, "", "and nothing of it was run")
end
tap.done()
