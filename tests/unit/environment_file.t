#!build/lua-test
-- Environment files, read as systemd reads them and edited in place.
local tap = require "tap"
local environment_file = require "environment_file"

local function value(text)
    return environment_file.values("NAME=" .. text .. "\n").NAME
end

-- Each line was given to systemd 252 as an EnvironmentFile; the right side is what the service found.
tap.is(value "plain", "plain", "a bare value")
tap.is(value "  two words  ", "two words", "blanks around a bare value go, those in it stay")
tap.is(value "'single $HOME \\n'", "single $HOME \\n", "single quotes keep everything")
tap.is(value "\"a \\\" b \\\\ c \\$ d \\n e\"", "a \" b \\ c $ d \\n e", "double quotes: four characters are escaped")
tap.is(value "'a'\"b\" c", "abc", "quoted parts join")
tap.is(value "one\\\ntwo", "onetwo", "a backslash continues the line")
tap.is(value "\"one\ntwo\"", "one\ntwo", "a quoted value may have several lines")
tap.is(value "value # no comment", "value # no comment", "a # in a value is no comment")
tap.is(value "a=b=c", "a=b=c", "only the first = counts")
tap.is(value "", "", "an empty value")
tap.is(value "crlf\r", "crlf", "CRLF")
tap.is(environment_file.values "; c\n# NAME=x\n\n NAME = y\nOTHER=z", { NAME = "y", OTHER = "z" },
    "comments, blank lines, blanks around the name, a last line without an end")
tap.is(environment_file.values("NAME=1\nNAME=2\n").NAME, "2", "the last assignment counts")
tap.is(environment_file.values "no assignment\nNAME=1\n", { NAME = "1" }, "a line without = is left out")

for _, text in ipairs { "simple", "", " ", "two words", "it's", "\"", "$HOME", "`id`", "\\", "a\\b'c\"d$e`f", "x\ny",
    "tab\t",
    "#no", "ünïcødé", "trailing ", "!bang", "%percent", "a;b", "'", "\\n", "-p", "p@ss:w/rd" } do
    tap.is(value(environment_file.quote(text)), text, ("what is quoted is read again: %q"):format(text))
end
tap.raises("usage", function() environment_file.quote "bell\7" end,
    "control characters are refused: systemd drops them")
tap.raises("usage", function() environment_file.quote "\255\254" end, "so is what is not UTF-8")

local file = "# made by hand\r\nHOSTNAME=old.example.com   \r\n\r\n; end\r\nOTHER='x y'"
tap.is(environment_file.set(file, "HOSTNAME", "new.example.com:443"),
    "# made by hand\r\nHOSTNAME=new.example.com:443\r\n\r\n; end\r\nOTHER='x y'", "set changes the one assignment")
tap.is(environment_file.set(file, "HOSTNAME", "old.example.com"), file, "an equal value changes nothing")
tap.is(environment_file.set(file, "OTHER", "x y"), file, "however it is quoted")
tap.is(environment_file.set(file, "NEW", 1), file .. "\r\nNEW=1\r\n",
    "a new name comes last, with the file's line ends")
tap.is(environment_file.set("", "A", "b c"), "A='b c'\n", "an empty file")
tap.is(environment_file.set("A=1\nA=2\n", "A", "3"), "A=1\nA=3\n", "the assignment that counts is changed")
tap.raises("usage", function() environment_file.set("", "A B", "1") end, "a name is checked")

tap.is(environment_file.remove("# c\r\nA=1\r\n  B='x\ny'\r\nC=3\r\n", { "B" }), "# c\r\nA=1\r\nC=3\r\n",
    "remove takes whole lines")
tap.is(environment_file.remove("A=1\nB=2", { "B", "A" }), "", "all of them")

-- What cannot be changed safely is refused with its line: what is written behind it would become part of it.
for text, want in pairs {
    ["A=1\nB=\"open\nC=3\n"] = "line 2: the quote \" that opens in B is never closed",
    ["A=1\nB='x' 'open"] = "line 2: the quote ' that opens in B is never closed",
    ["B=\"open\\"] = "line 1: the quote \" that opens in B is never closed",
    ["A=1\\"] = "line 1: it ends in a backslash, which makes the next line part of it",
    ["A=1\nB=2\\\n"] = "line 2: it ends in a backslash, which makes the next line part of it",
    ["A=1\n# a remark \\\n"] = "line 2: it ends in a backslash, which makes the next line part of it",
    ["A=1\n; a remark \\"] = "line 2: it ends in a backslash, which makes the next line part of it",
    ["A=\"x\nNEW=1\nB=\"y\n"] = "line 2: NEW= stands within the value of A, which begins in line 1",
    ["A=C:\\dir\\\n  export NEW = 1\n"] = "line 2: NEW= stands within the value of A, which begins in line 1",
    ["# a remark \\\nNEW=1\n"] = "line 2: NEW= stands within a remark, which begins in line 1",
} do
    for what, change in pairs {
        set = function() return environment_file.set(text, "NEW", "x") end,
        remove = function() return environment_file.remove(text, { "NEW" }) end,
    } do
        local err = tap.raises("environment_file.unsafe", change, ("%s: %q"):format(what, text))
        tap.is(err and err.message, want, "  its words")
    end
end
local pem = "KEY=\"-----BEGIN KEY-----\nQUJD=\n-----END KEY-----\"\n# C:\\dir\\\\\nPATH=C:\\dir\\\\\nA=1"
tap.is(environment_file.set(pem, "B", "2"), pem .. "\nB=2\n", "values of several lines and paired backslashes are safe")
tap.is(environment_file.remove(pem, { "A" }), pem:sub(1, -4), "to remove beside, too")

local password = secret.wrap "it's $ecret"
local text = environment_file.format { PG_USERNAME = "doadmin", PG_PORT = 25060, PG_PASSWORD = password }
tap.ok(secret.is(text), "a file that holds a secret is one")
tap.ok(not tostring(text):find("$ecret", 1, true), "and does not show it")
tap.ok(text == secret.wrap "PG_PASSWORD='it'\"'\"'s $ecret'\nPG_PORT=25060\nPG_USERNAME=doadmin\n",
    "secrets are quoted as any value")
tap.done()
