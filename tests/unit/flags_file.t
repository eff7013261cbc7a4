#!build/lua-test
-- What a .env may hold and what not, and how it is mended.
local tap = require "tap"
local flags_file = require "flags_file"

local function mended(text, want, lines, name)
    local got, problems = flags_file.mend(text)
    local found = {}
    for index, problem in ipairs(problems) do
        found[index] = problem.line
    end
    tap.is(got, want, name)
    tap.is(found, lines, name .. ": the lines")
    tap.is((flags_file.mend(got)), got, name .. ": once")
end

local good = "# flags\nA=true\n\n  B = 'x # y'\r\nexport C=\"two\nlines\"\r\nD=a b # c\nE=it's"
mended(good, good, {}, "a good file stays")
mended("", "", {}, "so does an empty one")
mended("A=\"true\nB=false\n", "A=\"true\"\nB=false\n", { 1 }, "a quote is closed before the next setting")
mended("A='true\r\n# it's a comment\r\n", "A='true\r\n# it's a comment\r\n", {}, "a value of two lines is one")
mended("A=1\r\nB='x\r\n", "A=1\r\nB='x'\r\n", { 2 }, "and at the end, with CRLF")
mended("A=\"x\\\"\nB=1\n", "A=\"x\\\"\"\nB=1\n", { 1 }, "an escaped quote closes nothing")
mended("<<<<<<< HEAD\nA=1\n", "# not a setting: <<<<<<< HEAD\nA=1\n", { 1 }, "what is no setting becomes a comment")
mended("\239\187\191A=1\r\n", "A=1\r\n", { 1 }, "a byte order mark goes")
mended("A=1\nx\0y\n", "A=1\n# not a setting: xy\n", { 2 }, "a zero byte goes")

local found = flags_file.examine("# keep\r\nMELTANO_READONLY=true\r\nexport API_TOKEN='s3cr3t # x'\r\n"
    .. "PG_ADDRESS=db\r\nURL=postgres://u:pw@h/d # old\r\nKEY=\"a\r\n")
tap.is(found.kept, "# keep\r\nMELTANO_READONLY=true\r\nKEY=\"a\"\r\n", "flags and comments stay, with their ends")
tap.is(found.names, { "API_TOKEN", "PG_ADDRESS", "URL" }, "secrets and database settings go")
tap.ok(found.moved.API_TOKEN == secret.wrap "s3cr3t # x", "with their values")
tap.ok(found.moved.URL == secret.wrap "postgres://u:pw@h/d", "without a comment")

-- A backslash continues no line of a .env: what stands in the next line is a setting of its own.
local slashes = flags_file.examine "# C:\\\nHOME=C:\\dir\\\nAPI_TOKEN=s3cr3t\nB=\\\n"
tap.is(slashes.kept, "# C:\\\nHOME=C:\\dir\\\nB=\\\n", "a secret behind a trailing backslash goes")
tap.ok(slashes.moved.API_TOKEN == secret.wrap "s3cr3t", "with its value")
tap.done()
